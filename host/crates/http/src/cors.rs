//! [`CorsConfig`]: which web sites may use this host through the browsers of their visitors.
//!
//! The protocol is tower-http's; it is asked only by requests of browsers, so that a function that
//! answers `OPTIONS` itself still gets those of others.

use std::net::Ipv6Addr;
use std::time::Duration;

use axum::Router;
use axum::http::header::{ACCESS_CONTROL_REQUEST_METHOD, LOCATION, ORIGIN, RETRY_AFTER, VARY};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response};
use serde::Deserialize;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

use crate::authority::Authority;

/// Which web sites may use this host. Without origins the host says nothing of it, and browsers refuse.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Web sites as browsers write them: `https://example.com`, `http://localhost:3000`; or `*`.
    /// Default: none.
    pub origins: Vec<String>,
    /// Whether browsers may send cookies and the like; not together with `*`. Default: no.
    pub credentials: bool,
    /// Methods that may be used. Default, if there are none: any.
    pub methods: Vec<String>,
    /// Headers of requests that may be used. Default, if there are none: any.
    pub headers: Vec<String>,
    /// How long browsers may remember all this, in seconds. Default: 600.
    pub max_age_s: u64,
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            credentials: false,
            methods: Vec::new(),
            headers: Vec::new(),
            max_age_s: 600,
        }
    }
}

/// What is wrong with the section `[cors]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorsError {
    /// Any site with the visitor's cookies.
    #[error("`cors.credentials` cannot be used with the origin `*`; name the origins")]
    CredentialsForAll,
    /// It is no origin.
    #[error(
        "`cors.origins`: `{0}` is no origin; write scheme, host and port as `https://example.com`"
    )]
    Origin(String),
    /// It is no method.
    #[error("`cors.methods`: `{0}` is no HTTP method")]
    Method(String),
    /// It is no header.
    #[error("`cors.headers`: `{0}` is no name of a header")]
    Header(String),
}

/// The configuration as it is applied.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    layer: CorsLayer,
    /// As browsers write them, or `*`.
    pub(crate) origins: Vec<String>,
}

impl Cors {
    /// `None`: no origin may do anything.
    pub(crate) fn new(config: &CorsConfig) -> Result<Option<Self>, CorsError> {
        if config.origins.is_empty() {
            return Ok(None);
        }
        let methods = each(&config.methods, CorsError::Method, |text| {
            Method::from_bytes(text.as_bytes()).ok()
        })?;
        let headers = each(&config.headers, CorsError::Header, |text| {
            HeaderName::from_bytes(text.as_bytes()).ok()
        })?;
        let origins = each(&config.origins, CorsError::Origin, read_origin)?;
        let allowed = if origins.iter().any(|origin| origin == "*") {
            if config.credentials {
                return Err(CorsError::CredentialsForAll);
            }
            AllowOrigin::any()
        } else {
            AllowOrigin::list(each(&origins, CorsError::Origin, |text| text.parse().ok())?)
        };
        let methods = match methods.as_slice() {
            [] => AllowMethods::mirror_request(),
            _ => AllowMethods::list(methods),
        };
        let headers = match headers.as_slice() {
            [] => AllowHeaders::mirror_request(),
            _ => AllowHeaders::list(headers),
        };
        let layer = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(methods)
            .allow_headers(headers)
            .allow_credentials(config.credentials)
            .max_age(Duration::from_secs(config.max_age_s))
            // What a client of the management API reads of a response.
            .expose_headers([
                LOCATION,
                RETRY_AFTER,
                HeaderName::from_static("x-ms-continuation-token"),
            ]);
        Ok(Some(Self { layer, origins }))
    }

    /// The router for requests that [`Cors::concerns`].
    pub(crate) fn wrap(&self, router: Router) -> Router {
        router.layer(self.layer.clone())
    }

    /// Tells caches that the answer to another site's page is another one: without that a browser may take
    /// what it got without `Origin` and refuse it.
    pub(crate) fn tell_caches<B>(response: &mut Response<B>) {
        let is_told = |value: &HeaderValue| {
            value
                .to_str()
                .is_ok_and(|text| text == "*" || text.to_ascii_lowercase().contains("origin"))
        };
        if !response.headers().get_all(VARY).iter().any(is_told) {
            response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
        }
    }

    /// Whether a request is a browser's, about another site's page.
    pub(crate) fn concerns<B>(request: &Request<B>) -> bool {
        let headers = request.headers();
        let is_preflight = headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        headers.contains_key(ORIGIN) && (request.method() != Method::OPTIONS || is_preflight)
    }
}

/// All of a list; or the error about the first that cannot be read.
fn each<T>(
    texts: &[String],
    error: impl Fn(String) -> CorsError,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, CorsError> {
    texts.iter().map(|text| read(text).ok_or_else(|| error(text.clone()))).collect()
}

/// An origin as browsers write it, or `*`: in lower case, without the port that is the scheme's. It has no
/// path, not even a `/`: browsers send none, so that it would never fit.
fn read_origin(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    let (scheme, authority) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
        return None;
    }
    let Authority { host, port } = Authority::read(authority)?;
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_ascii_lowercase(),
    };
    let own_port = match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = port.filter(|port| Some(*port) != own_port);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}"))
}

#[cfg(test)]
mod tests {
    use super::{Cors, CorsConfig, CorsError, read_origin};

    fn origins(origins: &[&str], credentials: bool) -> Result<bool, CorsError> {
        let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let config = CorsConfig { origins, credentials, ..CorsConfig::default() };
        Cors::new(&config).map(|cors| cors.is_some())
    }

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        assert_eq!(origins(&[], true), Ok(false));
        assert_eq!(origins(&["https://example.com", "http://localhost:3000"], true), Ok(true));
        assert_eq!(origins(&["*"], false), Ok(true));
        assert_eq!(origins(&["https://example.com", "*"], true), Err(CorsError::CredentialsForAll));
        for wrong in [
            "example.com",
            "https://example.com/",
            "https://*.example.com",
            "https://example.com:99999",
            "https://user@example.com",
            " https://example.com",
            "https://käse.example",
            "://x",
        ] {
            for all in [&[wrong][..], &["*", wrong]] {
                assert_eq!(origins(all, false), Err(CorsError::Origin(wrong.to_owned())));
            }
        }
    }

    #[test]
    fn origin_that_browsers_write_otherwise_is_written_as_they_do() {
        for (written, sent) in [
            ("https://Example.COM", "https://example.com"),
            ("HTTPS://a.b:443", "https://a.b"),
            ("http://a.b:80", "http://a.b"),
            ("http://a.b:443", "http://a.b:443"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(read_origin(written).as_deref(), Some(sent));
        }
    }

    #[test]
    fn method_and_header_that_are_none_are_named() {
        let config = |methods: &[&str], headers: &[&str]| CorsConfig {
            origins: vec!["*".to_owned()],
            methods: methods.iter().map(|&text| text.to_owned()).collect(),
            headers: headers.iter().map(|&text| text.to_owned()).collect(),
            ..CorsConfig::default()
        };
        let error = |config| Cors::new(&config).err();
        assert_eq!(error(config(&["GET", "P T"], &[])), Some(CorsError::Method("P T".to_owned())));
        assert_eq!(error(config(&[], &["x y"])), Some(CorsError::Header("x y".to_owned())));
        assert_eq!(error(config(&["GET"], &["x-functions-key"])), None);
    }
}
