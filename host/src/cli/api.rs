//! The HTTP client of the command line: one host, its key, and what came back. It gives every answer
//! as it is except a 401; what an answer means is the business of the command that asked.

use std::fmt::Display;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http;

use super::errors;
use super::output::Output;
use crate::web_client;

/// Where a host listens if nothing else is said.
const DEFAULT_HOST: &str = "http://127.0.0.1:7071";

/// The variable that names the host.
const HOST_VARIABLE: &str = "EVERSTATE_HOST_URL";

/// The variable that has the key.
const KEY_VARIABLE: &str = "EVERSTATE_KEY";

/// What is said of JSON that has another shape than a host's.
const UNEXPECTED: &str =
    "the answer is not as hosts of Everstate of this version answer: check the address of the host";

/// How long a connection may take. An answer may take as long as it likes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What may stand in a segment of a path or in a value of a query as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What every command takes that talks to a host.
#[derive(Clone, Debug, Args)]
pub(crate) struct HostArgs {
    /// The host [default: EVERSTATE_HOST_URL, or http://127.0.0.1:7071]
    #[arg(long, global = true, value_name = "URL", help_heading = "Host")]
    host: Option<String>,
    /// Its management key [default: EVERSTATE_KEY]
    #[arg(long, global = true, value_name = "KEY", help_heading = "Host")]
    key: Option<String>,
    /// Certificates to trust, PEM [default: SSL_CERT_FILE, or the system's]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Host")]
    ca: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true, help_heading = "Host")]
    json: bool,
}

impl HostArgs {
    /// The host and how to print.
    pub(crate) fn open(&self) -> anyhow::Result<(Api, Output)> {
        Ok((Api::new(self)?, self.output()))
    }

    /// The same; where no host is named it is this one, with this certificate to trust.
    pub(crate) fn or_host(&self, url: &str, certificate: Option<&PathBuf>) -> Self {
        let mut args = self.clone();
        if self.host.is_none() && variable(HOST_VARIABLE).is_none() {
            args.host = Some(url.to_owned());
            args.ca = args.ca.or_else(|| certificate.cloned());
        }
        args
    }

    /// How to print.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.json)
    }

    /// The host as it was named.
    pub(crate) fn url(&self) -> String {
        let named = self.host.clone().or_else(|| variable(HOST_VARIABLE));
        let url = named.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        match url.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.trim_end_matches('/')),
            None => format!("http://{}", url.trim_end_matches('/')),
        }
    }
}

/// A host.
#[derive(Debug)]
pub(crate) struct Api {
    agent: ureq::Agent,
    base: String,
    key: Option<String>,
}

impl Api {
    fn new(args: &HostArgs) -> anyhow::Result<Self> {
        let base = args.url();
        let agent = web_client::to(&base, args.ca.as_deref(), "--ca", |config| {
            config
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_connect(Some(CONNECT_TIMEOUT))
        })
        .map_err(|error| error.context(format!("the host `{base}`")))?;
        let key = args.key.clone().or_else(|| variable(KEY_VARIABLE));
        Ok(Self { agent, base, key })
    }

    /// The host as it was named.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// GET, and the whole answer.
    pub(crate) fn get(&self, path: &ApiPath) -> anyhow::Result<Reply> {
        self.send("GET", path, &[], None)
    }

    /// DELETE, and the whole answer.
    pub(crate) fn delete(&self, path: &ApiPath) -> anyhow::Result<Reply> {
        self.send("DELETE", path, &[], None)
    }

    /// POST with a body of JSON, or with none, and the whole answer.
    pub(crate) fn post(&self, path: &ApiPath, json: Option<&str>) -> anyhow::Result<Reply> {
        let headers: &[_] =
            if json.is_some() { &[("content-type", "application/json")] } else { &[] };
        self.send("POST", path, headers, Some(json.unwrap_or_default().as_bytes()))
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &ApiPath,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> anyhow::Result<Reply> {
        let response = self.exchange(method, path, headers, body)?;
        let (head, body) = response.into_parts();
        let body = body
            .into_with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .map_err(|error| errors::broken_off(&self.base, &error))?;
        Ok(Reply { status: head.status, headers: head.headers, body })
    }

    /// GET, and the answer as it comes; an answer other than 200 as a whole.
    pub(crate) fn stream(
        &self,
        path: &ApiPath,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Result<impl Read + use<>, Reply>> {
        let response = self.exchange("GET", path, headers, None)?;
        let (head, body) = response.into_parts();
        let body = body.into_with_config().limit(u64::MAX);
        if head.status == 200 {
            return Ok(Ok(body.reader()));
        }
        let body = body.read_to_vec().map_err(|error| errors::broken_off(&self.base, &error))?;
        Ok(Err(Reply { status: head.status, headers: head.headers, body }))
    }

    fn exchange(
        &self,
        method: &str,
        path: &ApiPath,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> anyhow::Result<http::Response<ureq::Body>> {
        let mut request =
            http::Request::builder().method(method).uri(format!("{}{}", self.base, path.0));
        if let Some(key) = &self.key {
            request = request.header("x-functions-key", key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let invalid = |error: http::Error| anyhow!("this cannot be sent: {error}");
        let sent = match body {
            Some(body) => self.agent.run(request.body(body).map_err(invalid)?),
            None => self.agent.run(request.body(()).map_err(invalid)?),
        };
        let response = sent.map_err(|error| errors::unreachable(&self.base, &error))?;
        if response.status() == 401 {
            return Err(errors::unauthorized(&self.base, self.key.is_some()));
        }
        Ok(response)
    }
}

/// A path with a query; what is put into it is percent-encoded.
#[derive(Clone, Debug)]
pub(crate) struct ApiPath(String);

impl ApiPath {
    /// In the management API: instances and entities.
    pub(crate) fn management(segments: &[&str]) -> Self {
        Self::below("/runtime/webhooks/durabletask", segments)
    }

    /// In the API of the host itself.
    pub(crate) fn admin(segments: &[&str]) -> Self {
        Self::below("/admin", segments)
    }

    /// From the root.
    pub(crate) fn root(segments: &[&str]) -> Self {
        Self::below("", segments)
    }

    fn below(base: &str, segments: &[&str]) -> Self {
        let mut path = base.to_owned();
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, ESCAPED));
        }
        Self(path)
    }

    /// With this parameter.
    pub(crate) fn query(mut self, name: &str, value: impl Display) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.extend(utf8_percent_encode(name, ESCAPED));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(&value.to_string(), ESCAPED));
        self
    }

    /// With this parameter, if it has a value.
    pub(crate) fn query_if(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }
}

/// An answer of a host.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status code.
    pub(crate) status: http::StatusCode,
    headers: http::HeaderMap,
    /// All of the body.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A header, if it is there, is not empty and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
    }

    /// The body as JSON; `null` where there is none.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body)
            .context("the answer is not JSON: check the address of the host")
    }

    /// An answer that nobody gave, for tests.
    #[cfg(test)]
    pub(crate) fn of(status: u16, body: &str) -> Self {
        let status = http::StatusCode::from_u16(status).expect("a status");
        Self { status, headers: http::HeaderMap::new(), body: body.as_bytes().to_vec() }
    }

    /// The body as a JSON object.
    pub(crate) fn object(&self) -> anyhow::Result<Value> {
        self.json().and_then(|value| match value.is_object() {
            true => Ok(value),
            false => Err(anyhow!(UNEXPECTED)),
        })
    }

    /// The body as a list.
    pub(crate) fn list(&self) -> anyhow::Result<Vec<Value>> {
        match self.json()? {
            Value::Array(items) => Ok(items),
            _ => Err(anyhow!(UNEXPECTED)),
        }
    }

    /// The answer if it is one of success, otherwise what the host says against `what`.
    pub(crate) fn ok(self, what: &str) -> anyhow::Result<Self> {
        if self.status.is_success() { Ok(self) } else { Err(errors::refused(&self, what)) }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::ApiPath;

    #[test]
    fn path_escapes_what_would_change_its_shape() {
        let path = ApiPath::management(&["instances", "a/b?c#d %é"]).query("a b", "x&y=1+1");
        let escaped = "/instances/a%2Fb%3Fc%23d%20%25%C3%A9?a%20b=x%26y%3D1%2B1";
        assert_eq!(path.0, format!("/runtime/webhooks/durabletask{escaped}"));
    }

    #[test]
    fn query_without_value_is_left_out() {
        let path = ApiPath::admin(&["keys"]).query_if("top", None::<u32>).query_if("x", Some(1));
        assert_eq!(path.0, "/admin/keys?x=1");
    }
}
