//! What is done to one orchestration. An empty JSON object says that it is done.

use everstate_sdk::{DurableClient, HttpError, HttpRequest, HttpResponse, http_trigger};
use serde_json::json;

use crate::parameters::{answer, body, flag, route};

#[http_trigger(route = "lifecycle/raise/{id}/{event}", methods = ["POST"])]
fn Lifecycle_Raise(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    client.raise_event(route(&request, "id"), route(&request, "event"), &body(&request)?)?;
    answer(&json!({}))
}

#[http_trigger(route = "lifecycle/terminate/{id}", methods = ["POST"])]
fn Lifecycle_Terminate(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let recursive = flag(&request, "recursive");
    client.terminate(route(&request, "id"), request.query("reason"), recursive)?;
    answer(&json!({}))
}

#[http_trigger(route = "lifecycle/suspend/{id}", methods = ["POST"])]
fn Lifecycle_Suspend(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    client.suspend(route(&request, "id"), request.query("reason"))?;
    answer(&json!({}))
}

#[http_trigger(route = "lifecycle/resume/{id}", methods = ["POST"])]
fn Lifecycle_Resume(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    client.resume(route(&request, "id"), request.query("reason"))?;
    answer(&json!({}))
}

#[http_trigger(route = "lifecycle/rewind/{id}", methods = ["POST"])]
fn Lifecycle_Rewind(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    client.rewind(route(&request, "id"), request.query("reason"))?;
    answer(&json!({}))
}

#[http_trigger(route = "lifecycle/restart/{id}", methods = ["POST"])]
fn Lifecycle_Restart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let id = client.restart(route(&request, "id"), flag(&request, "newId"))?;
    answer(&json!({ "id": id }))
}

/// Says whether there was something to remove.
#[http_trigger(route = "lifecycle/purge/{id}", methods = ["POST"])]
fn Lifecycle_Purge(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let id = route(&request, "id");
    let purged =
        if flag(&request, "recursive") { client.purge_recursive(id)? } else { client.purge(id)? };
    answer(&json!({ "purged": purged }))
}
