//! The start of links: scheme and authority as the client wrote them.

use axum::http::header::HOST;
use axum::http::request::Parts;

use crate::authority::Authority;
use crate::error::ApiError;

/// The scheme of `default` and the host that the request names, or `default` if it names none.
///
/// It comes back in links and `Location` headers, so nothing but a host and a port is taken.
pub(crate) fn base_url(parts: &Parts, default: &str) -> Result<String, ApiError> {
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
    let (scheme, _) = default.split_once("://").expect("a URL with a scheme");
    text.map(|text| format!("{scheme}://{text}"))
        .ok_or_else(|| ApiError::bad_request("The `Host` header is not a host and a port."))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::response::IntoResponse;

    use super::base_url;

    fn url_for(host: Option<&[u8]>) -> Result<String, u16> {
        let mut request = Request::builder().uri("/a");
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        base_url(&parts, "http://127.0.0.1:7071")
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
        let url = base_url(&parts, "https://127.0.0.1:7071").expect("a host");
        assert_eq!(url, "https://example.com");
    }

    #[test]
    fn host_that_is_no_host_is_refused() {
        for host in [&b"a/b"[..], b"a b", b"\"", b"user@host", b"\xFF", b"[::1].a"] {
            assert_eq!(url_for(Some(host)), Err(400));
        }
    }
}
