//! Orchestrations: the status of one.

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use axum::response::Response;

use super::answers::document;
use super::doc::{Content, INSTANCE_ID, Kind, NO_INSTANCE, Parameter, ResponseDoc, RouteDoc};
use super::{Access, Api, ApiCall, ApiRoute, Base, Module};
use crate::check_status::status_code;
use crate::error::ApiError;
use crate::status_document::{Shown, status_document};

/// How many seconds a client that looks at a running orchestration is asked to wait.
const RETRY_AFTER_SECONDS: &str = "5";

pub(super) const MODULE: Module = Module {
    name: "Instances",
    description: "Orchestrations: their status.",
    routes: ROUTES,
    schemas: Vec::new,
};

const ROUTES: &[ApiRoute] = &[
    ApiRoute {
        method: "GET",
        base: Base::Management,
        path: "instances/{instanceId}",
        access: Access::Management,
        handler: |api, call| Box::pin(get_status(api, call)),
        doc: RouteDoc {
            id: "getInstance",
            summary: "The status of an orchestration.",
            parameters: &[
                INSTANCE_ID,
                Parameter::query(
                    "showInput",
                    Kind::Boolean,
                    "Whether the input is shown; true by default.",
                ),
                Parameter::query(
                    "showHistory",
                    Kind::Boolean,
                    "Whether the history is shown; false by default.",
                ),
                Parameter::query(
                    "showHistoryOutput",
                    Kind::Boolean,
                    "Whether the history has results; false by default.",
                ),
                Parameter::query(
                    "returnInternalServerErrorOnFailure",
                    Kind::Boolean,
                    "Whether one that failed is a 500; false by default.",
                ),
            ],
            body: None,
            responses: &[
                ResponseDoc::new(200, "It has ended.", Content::Json("InstanceStatus")),
                ResponseDoc::new(202, "It has not ended.", Content::Json("InstanceStatus"))
                    .with_headers(&["Location", "Retry-After"]),
                NO_INSTANCE,
            ],
        },
    },
    unavailable("DELETE", "instances/{instanceId}", "purge", &[INSTANCE_ID]),
    unavailable("GET", "instances", "queryInstances", &[]),
    unavailable("DELETE", "instances", "purgeInstances", &[]),
    unavailable(
        "POST",
        "orchestrators/{functionName}/{instanceId?}",
        "startOrchestration",
        &[Parameter::path("functionName", "Its name."), INSTANCE_ID],
    ),
    unavailable(
        "POST",
        "instances/{instanceId}/raiseEvent/{eventName}",
        "raiseEvent",
        &[INSTANCE_ID, Parameter::path("eventName", "Its name.")],
    ),
    unavailable("POST", "instances/{instanceId}/terminate", "terminate", &[INSTANCE_ID]),
    unavailable("POST", "instances/{instanceId}/suspend", "suspend", &[INSTANCE_ID]),
    unavailable("POST", "instances/{instanceId}/resume", "resume", &[INSTANCE_ID]),
    unavailable("POST", "instances/{instanceId}/rewind", "rewind", &[INSTANCE_ID]),
    unavailable("POST", "instances/{instanceId}/restart", "restart", &[INSTANCE_ID]),
    unavailable("POST", "makeprimary", "makePrimary", &[]),
];

/// Known, and not there yet.
const fn unavailable(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    parameters: &'static [Parameter],
) -> ApiRoute {
    ApiRoute {
        method,
        base: Base::Management,
        path,
        access: Access::Management,
        handler: |_, call| {
            Box::pin(async move { Err(ApiError::not_implemented(call.route.doc.id)) })
        },
        doc: RouteDoc {
            id,
            summary: "Not available in this version.",
            parameters,
            body: None,
            responses: &[],
        },
    }
}

async fn get_status(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let found = api.settled(api.services.engine.get_status(&instance_id).await).await?;
    let status = found.ok_or_else(|| ApiError::no_instance(instance_id.as_str()))?;
    let query = call.query();
    let shown = Shown {
        input: query.flag("showInput").unwrap_or(true),
        history: query.flag("showHistory").unwrap_or(false),
        history_output: query.flag("showHistoryOutput").unwrap_or(false),
    };
    let is_error = query.flag("returnInternalServerErrorOnFailure").unwrap_or(false);
    let code = status_code(status.record.status, is_error);
    let code = StatusCode::from_u16(code).expect("one of 200, 202 and 500");
    let mut response = document(code, status_document(&status, shown));
    if !status.record.status.is_finished() {
        let location = call.url(api)?;
        let location = HeaderValue::try_from(location).expect("a URL that came in a request");
        let headers = response.headers_mut();
        headers.insert(LOCATION, location);
        headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    Ok(response)
}
