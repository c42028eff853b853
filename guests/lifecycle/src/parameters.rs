//! What the routes read from their addresses, and the documents that they answer with.

use std::time::Duration;

use everstate_sdk::{
    Failure, HttpError, HttpRequest, HttpResponse, InstanceStatus, RuntimeStatus, Timestamp,
};
use serde_json::{Value, json};

/// A part of the route.
pub(crate) fn route<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.route_value(name).unwrap_or_default()
}

/// The body as JSON; `null` if there is none.
pub(crate) fn body(request: &HttpRequest) -> Result<Value, HttpError> {
    if request.body().is_empty() { Ok(Value::Null) } else { request.json() }
}

/// Whether a parameter of the query is `true`.
pub(crate) fn flag(request: &HttpRequest, name: &str) -> bool {
    request.query(name) == Some("true")
}

/// A number in the query.
pub(crate) fn number(request: &HttpRequest, name: &str) -> Result<Option<u64>, HttpError> {
    let Some(text) = request.query(name) else { return Ok(None) };
    let malformed = || HttpError::bad_request(format!("`{name}` is no number: {text}"));
    text.parse().map(Some).map_err(|_| malformed())
}

/// A point in time in the query.
pub(crate) fn time(request: &HttpRequest, name: &str) -> Result<Option<Timestamp>, HttpError> {
    Ok(number(request, name)?.map(Timestamp::from_unix_ms))
}

/// A span of milliseconds in the query.
pub(crate) fn span(request: &HttpRequest, name: &str) -> Result<Option<Duration>, HttpError> {
    Ok(number(request, name)?.map(Duration::from_millis))
}

/// `tags=a:1,b:2` as pairs.
pub(crate) fn tags(request: &HttpRequest) -> Result<Vec<(String, String)>, HttpError> {
    let Some(text) = request.query("tags") else { return Ok(Vec::new()) };
    text.split(',')
        .map(|tag| {
            let (name, value) = tag.split_once(':').ok_or_else(|| {
                HttpError::bad_request(format!("a tag is `name:value`, not `{tag}`"))
            })?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// A runtime status by its name.
pub(crate) fn runtime_status(name: &str) -> Result<RuntimeStatus, HttpError> {
    [
        RuntimeStatus::Pending,
        RuntimeStatus::Running,
        RuntimeStatus::Suspended,
        RuntimeStatus::Completed,
        RuntimeStatus::Failed,
        RuntimeStatus::Terminated,
    ]
    .into_iter()
    .find(|status| format!("{status:?}") == name)
    .ok_or_else(|| HttpError::bad_request(format!("`{name}` is no status")))
}

/// A JSON document as a 200.
pub(crate) fn answer(document: &Value) -> Result<HttpResponse, HttpError> {
    Ok(HttpResponse::ok_json(document)?)
}

/// The status document of an instance, or a 404.
pub(crate) fn answer_status(status: Option<InstanceStatus>) -> Result<HttpResponse, HttpError> {
    match status {
        Some(status) => answer(&status_document(&status)),
        None => Err(HttpError::not_found("there is no such instance")),
    }
}

/// All that is known of an instance.
pub(crate) fn status_document(status: &InstanceStatus) -> Value {
    let tags: serde_json::Map<String, Value> =
        status.tags.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": format!("{:?}", status.runtime_status),
        "input": parsed(status.input.as_deref()),
        "output": parsed(status.output.as_deref()),
        "failure": status.failure.as_ref().map(failure_document),
        "customStatus": parsed(status.custom_status.as_deref()),
        "createdTime": status.created_time,
        "lastUpdatedTime": status.last_updated_time,
        "tags": tags,
        "history": parsed(status.history.as_deref()),
    })
}

pub(crate) fn failure_document(failure: &Failure) -> Value {
    let causes: Vec<Value> = failure
        .inner_failures
        .iter()
        .map(|inner| json!({ "errorType": inner.error_type, "errorMessage": inner.error_message }))
        .collect();
    let properties: serde_json::Map<String, Value> = failure
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), parsed(Some(value))))
        .collect();
    json!({
        "errorType": failure.error_type,
        "errorMessage": failure.error_message,
        "isNonRetriable": failure.is_non_retriable,
        "innerFailures": causes,
        "properties": properties,
    })
}

pub(crate) fn parsed(json: Option<&str>) -> Value {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}
