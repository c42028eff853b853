//! Tests of the admission: keys, links, and what browsers are made to ask.

use std::sync::Arc;

use axum::http::Request;
use axum::http::request::Parts;
use axum::response::IntoResponse as _;
use everstate_types::{AuthorizationLevel, FunctionName, InstanceId, Timestamp};
use tempfile::TempDir;

use super::{Admission, LinkCodes};
use crate::error::ApiError;
use crate::keys::{KeyScope, KeyStore};

const NOW: Timestamp = Timestamp::from_millis(0);

struct Fixture {
    admission: Admission,
    _folder: TempDir,
}

fn fixture(requires_keys: bool) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = KeyStore::open(folder.path().join("keys.json")).expect("no keys yet");
    let admission = Admission {
        keys: Arc::new(keys),
        requires_keys,
        hosts: vec!["db.example.com".to_owned()],
        origins: vec!["https://shop.example.com".to_owned()],
    };
    Fixture { admission, _folder: folder }
}

impl Fixture {
    fn key(&self, scope: &KeyScope) -> String {
        self.admission.keys.set(scope, "k", NOW).expect("written").value
    }
}

fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

/// 200 or the status of the refusal.
fn status(admitted: Result<(), ApiError>) -> u16 {
    admitted.map_or_else(|error| error.into_response().status().as_u16(), |()| 200)
}

#[test]
fn key_in_the_header_wins_over_the_one_in_the_query() {
    let fixture = fixture(true);
    let key = fixture.key(&KeyScope::Management);
    let admitted = |target: &str, headers: &[(&str, &str)]| {
        status(fixture.admission.to_management(&request(target, headers), None))
    };
    assert_eq!(admitted("/a", &[]), 401);
    assert_eq!(admitted(&format!("/a?code={key}"), &[]), 200);
    assert_eq!(admitted(&format!("/a?x=1&CODE={key}"), &[]), 200);
    assert_eq!(admitted("/a?code=wrong", &[("x-functions-key", &key)]), 200);
    assert_eq!(admitted(&format!("/a?code={key}"), &[("x-functions-key", "wrong")]), 401);
    assert_eq!(admitted(&format!("/a?code={key}"), &[("x-functions-key", "")]), 401);
}

#[test]
fn function_is_opened_by_keys_of_its_level_only() {
    let fixture = fixture(false);
    let name = FunctionName::new("Report").expect("a name");
    let [management, host, own, other] = ["management", "host", "function/report", "function/x"]
        .map(|scope| fixture.key(&scope.parse().expect("a scope")));
    let admitted = |level, key: &str| {
        let request = request("/a", &[("x-functions-key", key)]);
        status(fixture.admission.to_function(&request, &name, level))
    };
    for (level, expected) in [
        (AuthorizationLevel::Anonymous, [200, 200, 200, 200, 200]),
        (AuthorizationLevel::Function, [200, 200, 200, 401, 401]),
        (AuthorizationLevel::Admin, [200, 401, 401, 401, 401]),
    ] {
        let keys = [&management, &host, &own, &other, ""];
        assert_eq!(keys.map(|key| admitted(level, key)), expected, "{level}");
    }
    let keyless = request("/a", &[]);
    let admitted = fixture.admission.to_function(&keyless, &name, AuthorizationLevel::Function);
    assert_eq!(status(admitted), 401);
}

#[test]
fn link_opens_the_routes_of_its_orchestration_only() {
    let fixture = fixture(true);
    let codes = LinkCodes(Some(Arc::clone(&fixture.admission.keys)));
    let id = InstanceId::orchestration("one").expect("an id");
    let credentials = codes.credentials(&id).expect("links need a code");
    let request = request(&format!("/a?{credentials}"), &[]);
    let admitted = |linked| status(fixture.admission.to_management(&request, linked));
    assert_eq!([admitted(Some("one")), admitted(Some("two")), admitted(None)], [200, 401, 401]);
    assert_eq!(LinkCodes::default().credentials(&id), None);
}

#[test]
fn browser_on_behalf_of_a_web_site_is_refused_unless_that_is_configured() {
    let fixture = fixture(false);
    let admitted = |headers: &[(&str, &str)]| {
        status(fixture.admission.to_management(&request("/a", headers), None))
    };
    for host in ["localhost", "LOCALHOST:7071", "127.0.0.1:1", "127.9.9.9", "[::1]:7071"] {
        assert_eq!(admitted(&[("host", host)]), 200, "{host}");
    }
    assert_eq!(admitted(&[]), 200);
    assert_eq!(admitted(&[("host", "DB.example.com:443")]), 200);
    for host in [
        "evil.example",
        "localhost.evil.example",
        "localhost:80@evil.example",
        "[::1].evil.example",
        "10.0.0.1",
        "[2001:db8::1]",
        "",
    ] {
        assert_eq!(admitted(&[("host", host)]), 403, "{host}");
    }
    for (origin, expected) in [
        ("http://localhost:3000", 200),
        ("https://shop.example.com", 200),
        ("http://shop.example.com", 403),
        ("https://evil.example", 403),
        ("https://localhost.evil.example", 403),
        ("http://localhost:80@evil.example", 403),
        ("http://[::1].evil.example", 403),
        ("other://localhost", 403),
        ("null", 403),
    ] {
        assert_eq!(admitted(&[("host", "localhost"), ("origin", origin)]), expected, "{origin}");
    }
}

#[test]
fn key_is_enough_whatever_the_browser_says() {
    let fixture = fixture(false);
    let key = fixture.key(&KeyScope::Management);
    let headers =
        [("host", "evil.example"), ("origin", "https://evil.example"), ("x-functions-key", &key)];
    let admitted = fixture.admission.to_management(&request("/a", &headers), None);
    assert_eq!(status(admitted), 200);
}
