//! Starting, waiting and looking.

use everstate_sdk::{
    ConflictPolicy, DurableClient, HttpError, HttpRequest, HttpResponse, StartOptions,
    StatusOptions, http_trigger,
};
use serde_json::json;

use crate::parameters::{answer, answer_status, body, flag, route, span, tags, time};

#[http_trigger(route = "lifecycle/start/{name}", methods = ["POST"])]
fn Lifecycle_Start(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let options = StartOptions {
        instance_id: request.query("id").map(str::to_owned),
        start_at: time(&request, "startAt")?,
        tags: tags(&request)?,
        on_conflict: conflict_policy(request.query("onConflict"))?,
    };
    let id = client.start_new_with_options(route(&request, "name"), &body(&request)?, &options)?;
    answer(&json!({ "id": id }))
}

fn conflict_policy(name: Option<&str>) -> Result<ConflictPolicy, HttpError> {
    match name {
        None | Some("fail") => Ok(ConflictPolicy::Fail),
        Some("useExisting") => Ok(ConflictPolicy::UseExisting),
        Some("terminateAndReplace") => Ok(ConflictPolicy::TerminateAndReplace),
        Some(other) => Err(HttpError::bad_request(format!("`{other}` is no conflict policy"))),
    }
}

#[http_trigger(route = "lifecycle/status/{id}", methods = ["GET"])]
fn Lifecycle_Status(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let history = flag(&request, "history");
    let options = StatusOptions {
        show_input: request.query("input") != Some("false"),
        show_history: history,
        show_history_output: history,
    };
    answer_status(client.get_status_with_options(route(&request, "id"), options)?)
}

#[http_trigger(route = "lifecycle/wait/{id}", methods = ["GET"])]
fn Lifecycle_Wait(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let timeout = span(&request, "timeout")?;
    answer_status(client.wait_for_completion(route(&request, "id"), timeout)?)
}

#[http_trigger(route = "lifecycle/wait-start/{id}", methods = ["GET"])]
fn Lifecycle_WaitStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let timeout = span(&request, "timeout")?;
    answer_status(client.wait_for_start(route(&request, "id"), timeout)?)
}
