//! What a caller of an HTTP function gets for each kind of error, and how bodies are read.

use super::*;

fn request(body: &[u8]) -> HttpRequest {
    HttpRequest::new(wit::Request {
        method: "PUT".to_owned(),
        url: "http://localhost:7071/Database/1?x=a&x=b".to_owned(),
        route_values: vec![("key".to_owned(), "1".to_owned())],
        query: vec![("x".to_owned(), "a".to_owned()), ("x".to_owned(), "b".to_owned())],
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: body.to_vec(),
    })
}

/// The status and the `Message` that the caller sees.
fn answer(error: impl Into<HttpError>) -> (u16, String) {
    let response = error.into().into_response().unwrap();
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    (response.status(), body["Message"].as_str().unwrap().to_owned())
}

#[test]
fn refusals_of_the_host_keep_their_meaning() {
    let text = || "the text".to_owned();
    assert_eq!(answer(HostError::InvalidArgument(text())), (400, text()));
    assert_eq!(answer(HostError::NotFound(text())), (404, text()));
    assert_eq!(answer(HostError::Conflict(text())), (409, text()));
    assert_eq!(answer(HostError::LimitExceeded(text())), (413, text()));
    assert_eq!(answer(HostError::Overloaded(text())), (503, text()));
    assert_eq!(answer(HostError::Busy(text())), (429, text()));
}

#[test]
fn overloaded_host_says_when_to_come_back() {
    let error = HttpError::from(HostError::Overloaded("the queue".to_owned()));
    let response = error.into_response().unwrap();
    assert!(response.headers().contains(&("retry-after".to_owned(), "1".to_owned())));
}

#[test]
fn other_errors_reach_the_log_and_not_the_caller() {
    let failure = Failure::new("Secret", "the password is x");
    assert_eq!(HttpError::from(failure.clone()).into_response(), Err(failure));
    let parse = HttpError::from("x".parse::<u8>().unwrap_err()).into_response().unwrap_err();
    assert_eq!(parse.error_type, "ParseIntError");
    let refusal = HttpError::from(HostError::NotSupported("not here".to_owned()));
    assert_eq!(refusal.into_response().unwrap_err().error_type, "NotSupported");
}

#[test]
fn impossible_key_is_the_callers_mistake() {
    let error = crate::EntityId::new("Register", "\n").unwrap_err();
    assert_eq!(
        answer(error),
        (400, "an entity key must not contain control characters".to_owned())
    );
}

#[test]
fn body_that_is_no_text_is_a_400() {
    assert_eq!(request("grün".as_bytes()).text().unwrap(), "grün");
    let error = request(&[0xff, 0xfe]).text().unwrap_err();
    assert_eq!(answer(error), (400, "the body is not UTF-8 text".to_owned()));
}

#[test]
fn body_of_the_wrong_shape_is_a_400() {
    assert_eq!(request(b"[1,2]").json::<Vec<u8>>().unwrap(), [1, 2]);
    let (status, message) = answer(request(b"{").json::<Vec<u8>>().unwrap_err());
    assert_eq!(status, 400);
    assert!(message.starts_with("the body does not have the expected shape"), "{message}");
}

#[test]
fn parts_of_the_request_are_found_by_name() {
    let request = request(b"");
    assert_eq!(request.route_value("key"), Some("1"));
    assert_eq!(request.route_value("other"), None);
    assert_eq!(request.query("x"), Some("a"));
    assert_eq!(request.header("Content-Type"), Some("text/plain"));
    assert_eq!(request.parse_route_value::<u32>("key").unwrap(), 1);
    assert_eq!(answer(request.parse_route_value::<u32>("other").unwrap_err()).0, 400);
}
