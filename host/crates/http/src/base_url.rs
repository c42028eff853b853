//! The start of links: scheme and authority as the client wrote them, or as the configuration says.

use axum::http::header::HOST;
use axum::http::request::Parts;

use crate::authority::Authority;
use crate::config::HttpConfig;
use crate::error::ApiError;

/// [`HttpConfig::public_url`]; without one the scheme of `default` and the host that the request names, or
/// `default` if it names none. Before these what a proxy says of the request, if it is to be believed.
///
/// It comes back in links and `Location` headers, so nothing but a host and a port is taken.
pub(crate) fn base_url(
    parts: &Parts,
    default: &str,
    config: &HttpConfig,
) -> Result<String, ApiError> {
    if let Some(url) = &config.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let forwarded = |name| config.use_forwarded_host.then(|| forwarded(parts, name)).flatten();
    let (own_scheme, _) = default.split_once("://").expect("a URL with a scheme");
    let scheme = forwarded("x-forwarded-proto").filter(|scheme| ["http", "https"].contains(scheme));
    let scheme = scheme.unwrap_or(own_scheme);
    let host = forwarded("x-forwarded-host").filter(|host| Authority::read(host).is_some());
    if let Some(host) = host {
        return Ok(format!("{scheme}://{host}"));
    }
    let authority = match (parts.uri.authority(), parts.headers.get(HOST)) {
        (Some(authority), _) => authority.as_str().as_bytes(),
        (None, Some(host)) => host.as_bytes(),
        (None, None) => return Ok(default.to_owned()),
    };
    if authority.is_empty() {
        return Ok(default.to_owned());
    }
    let text = std::str::from_utf8(authority).ok();
    let text = text.filter(|text| Authority::read(text).is_some());
    text.map(|text| format!("{scheme}://{text}"))
        .ok_or_else(|| ApiError::bad_request("The `Host` header is not a host and a port."))
}

/// Whether links can begin with this: `https://example.com`, perhaps with a path.
#[must_use]
pub fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Authority::read(authority).is_some()
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"\\<>".contains(&byte))
    })
}

/// What the first proxy says, which the client spoke to.
fn forwarded<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::response::IntoResponse;

    use super::{base_url, is_base_url};
    use crate::config::HttpConfig;

    fn url_for(host: Option<&[u8]>) -> Result<String, u16> {
        let mut request = Request::builder().uri("/a");
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        base_url(&parts, "http://127.0.0.1:7071", &HttpConfig::default())
            .map_err(|error| error.into_response().status().as_u16())
    }

    #[test]
    fn base_url_is_the_host_of_the_request_or_the_default() {
        assert_eq!(url_for(Some(b"localhost:7071")), Ok("http://localhost:7071".to_owned()));
        assert_eq!(url_for(Some(b"[::1]:80")), Ok("http://[::1]:80".to_owned()));
        assert_eq!(url_for(None), Ok("http://127.0.0.1:7071".to_owned()));
        assert_eq!(url_for(Some(b"")), Ok("http://127.0.0.1:7071".to_owned()));
    }

    #[test]
    fn scheme_is_the_one_of_the_server() {
        let request = Request::builder().uri("/a").header("host", "example.com").body(());
        let (parts, ()) = request.expect("a request").into_parts();
        let url = base_url(&parts, "https://127.0.0.1:7071", &HttpConfig::default());
        let url = url.expect("a host");
        assert_eq!(url, "https://example.com");
    }

    #[test]
    fn host_that_is_no_host_is_refused() {
        for host in [&b"a/b"[..], b"a b", b"\"", b"user@host", b"\xFF", b"[::1].a"] {
            assert_eq!(url_for(Some(host)), Err(400));
        }
    }

    #[test]
    fn host_behind_a_proxy_is_named_as_its_clients_name_it() {
        let request = Request::builder()
            .uri("/a")
            .header("host", "inner:7071")
            .header("x-forwarded-host", "shop.example.com, inner")
            .header("x-forwarded-proto", "https");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let url = |config: &HttpConfig| base_url(&parts, "http://127.0.0.1:7071", config).ok();
        let mut config = HttpConfig::default();
        assert_eq!(url(&config).as_deref(), Some("http://inner:7071"), "anybody can say that");
        config.use_forwarded_host = true;
        assert_eq!(url(&config).as_deref(), Some("https://shop.example.com"));
        config.public_url = Some("https://example.com/shop/".to_owned());
        assert_eq!(url(&config).as_deref(), Some("https://example.com/shop"));
    }

    #[test]
    fn public_url_has_scheme_and_host() {
        for good in ["https://example.com", "http://a:80/", "https://example.com/shop/x"] {
            assert!(is_base_url(good), "{good}");
        }
        for bad in ["example.com", "ftp://example.com", "https://", "https://a b", "https://a/?x"] {
            assert!(!is_base_url(bad), "{bad}");
        }
    }
}
