//! HTTP requests that leave the host: of activities (`wasi.rs`) and of orchestrators through the
//! durable `call-http` (`durable.rs`).
//!
//! Both go one way: the allow-list first, then everything that the sender has seen becomes durable,
//! then the request leaves. Nobody outside learns of something that a crash may undo. Each request
//! has a connection of its own; redirects are not followed.

mod address;
mod allow;
mod connection;
pub(crate) mod durable;
mod wasi;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use everstate_engine::storage::CommitSeq;
use everstate_types::TraceContext;
use hyper::body::Body;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Response, Uri};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

use self::allow::AllowList;
use self::connection::ResponseBody;
use crate::config::OutgoingHttpConfig;
use crate::error::LoadError;
use crate::executor::Host;

pub(crate) use self::wasi::{OutgoingHttp, add_to_linker};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What all requests share.
pub(crate) struct Outgoing {
    allow: AllowList,
    timeout: Duration,
    response_bytes_max: usize,
    tls: Arc<ClientConfig>,
}

/// How long the sender wants to wait; the configuration's `timeout_ms` cuts each to itself.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// For the whole exchange.
    total: Option<Duration>,
    /// For the connection.
    connect: Option<Duration>,
    /// For the head of the response, once there is a connection.
    first_byte: Option<Duration>,
    /// For each next piece of the response's body.
    between_bytes: Option<Duration>,
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
enum SendError {
    /// The URI has no scheme or host, or one that is not HTTP.
    #[error("`{0}` is no absolute http or https URI")]
    Uri(String),
    /// The list does not have the host.
    #[error("the host's `outgoing_http.allow` does not have {0}:{1}")]
    HostRefused(String, u16),
    /// The list has the host, but it is where only a listed address may be.
    #[error(
        "`{0}` is at {1}, inside of the host's own network, and the host's `outgoing_http.allow` does \
         not have that address"
    )]
    AddressRefused(String, IpAddr),
    /// The name has no address.
    #[error("the address of `{0}` cannot be found: {1}")]
    Unresolved(String, String),
    /// Nobody listens, or not for us.
    #[error("no connection to {0}: {1}")]
    Connect(String, std::io::Error),
    /// The other side does not prove who it is, or speaks no TLS.
    #[error("no secure connection to {0}: {1}")]
    Tls(String, std::io::Error),
    /// It took too long.
    #[error("the exchange did not end within {0} ms")]
    TimedOut(u128),
    /// The other side does not speak HTTP, or stopped to.
    #[error("the exchange broke off: {0}")]
    Http(#[from] hyper::Error),
    /// The response's body is larger than the limit.
    #[error("the response is larger than `outgoing_http.response_bytes_max`, {0} bytes")]
    TooLarge(usize),
    /// The host has no engine to ask what is durable.
    #[error("the engine is not connected")]
    NoEngine,
}

/// Where a request goes.
struct Destination {
    authority: Authority,
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    is_secure: bool,
}

impl Outgoing {
    /// # Errors
    /// If the list has an entry that is none.
    pub(crate) fn new(config: &OutgoingHttpConfig) -> Result<Self, LoadError> {
        let allow = AllowList::parse(&config.allow);
        let allow = allow.map_err(|bad| LoadError::Host(bad.to_string()))?;
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the ciphers of these versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            allow,
            timeout: Duration::from_millis(config.timeout_ms),
            response_bytes_max: config.response_bytes_max,
            tls: Arc::new(tls),
        })
    }

    fn destination(&self, uri: &Uri) -> Result<Destination, SendError> {
        let bad = || SendError::Uri(uri.to_string());
        let authority = uri.authority().cloned().ok_or_else(bad)?;
        let is_secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(bad()),
        };
        // Who is asked must not be hidden behind a user name.
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(bad());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Ok(Destination { authority, host, port, is_secure })
    }
}

/// Sends a request that depends on everything up to `seq`.
async fn send<B>(
    host: &Host,
    seq: CommitSeq,
    request: Request<B>,
    times: Times,
) -> Result<Response<ResponseBody>, SendError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let outgoing = &host.outgoing;
    let destination = outgoing.destination(request.uri())?;
    let Destination { host: name, port, .. } = &destination;
    if !outgoing.allow.has_host(name, *port) {
        return Err(SendError::HostRefused(name.clone(), *port));
    }
    // Before the first state change there is nothing to wait for.
    if seq > CommitSeq::default() {
        host.client().ok_or(SendError::NoEngine)?.durable(seq).await;
    }
    let total = times.total.map_or(outgoing.timeout, |total| total.min(outgoing.timeout));
    let deadline = Instant::now() + total;
    let exchange = connection::exchange(outgoing, &destination, request, times, deadline);
    match tokio::time::timeout_at(deadline, exchange).await {
        Ok(result) => result,
        Err(_) => Err(SendError::TimedOut(total.as_millis())),
    }
}

/// Says which trace a request belongs to, unless its sender has said it.
fn add_trace(headers: &mut HeaderMap, trace: Option<&TraceContext>) {
    let Some(trace) = trace.filter(|_| !headers.contains_key(TRACEPARENT)) else { return };
    let parent = HeaderValue::try_from(trace.to_string()).expect("it has hexadecimal digits");
    headers.insert(TRACEPARENT, parent);
    if let Ok(state) = HeaderValue::try_from(&trace.state)
        && !state.is_empty()
    {
        headers.insert(TRACESTATE, state);
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::TraceContext;
    use hyper::header::{HeaderMap, HeaderValue};

    use super::{Outgoing, SendError, TRACEPARENT, TRACESTATE, add_trace};
    use crate::config::OutgoingHttpConfig;

    #[test]
    fn request_says_its_trace_unless_the_guest_has() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::parse(text).map(|trace| trace.with_state("a=1"));
        let mut headers = HeaderMap::new();
        add_trace(&mut headers, None);
        assert!(headers.is_empty());
        add_trace(&mut headers, trace.as_ref());
        assert!(headers[TRACEPARENT] == text && headers[TRACESTATE] == "a=1", "{headers:?}");
        let mut own = HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static("own"))]);
        add_trace(&mut own, trace.as_ref());
        assert!(own.len() == 1 && own[TRACEPARENT] == "own", "{own:?}");
    }

    #[test]
    fn destination_is_the_host_and_port_of_an_absolute_uri() {
        let outgoing = Outgoing::new(&OutgoingHttpConfig::default()).expect("a good list");
        let find = |uri: &str| outgoing.destination(&uri.parse().expect("a URI"));
        for (uri, host, port, is_secure) in [
            ("https://example.com/a?b", "example.com", 443, true),
            ("http://example.com:8080", "example.com", 8080, false),
            ("http://[::1]/", "::1", 80, false),
        ] {
            let found = find(uri).expect("absolute");
            assert_eq!((found.host.as_str(), found.port, found.is_secure), (host, port, is_secure));
        }
        for uri in ["/a", "ftp://example.com/", "http://allowed.com@evil.org/", "example.com:80"] {
            assert!(matches!(find(uri), Err(SendError::Uri(_))), "{uri}");
        }
    }
}
