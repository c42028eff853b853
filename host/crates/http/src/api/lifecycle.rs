//! What is done to an orchestration that exists: events, ends, pauses, second tries.
//!
//! As in the original. What it answers with 500, because the orchestration is not in the right state,
//! is a 409 here; a rewind of one that has not failed is a 412, as in its newer versions.

use axum::http::StatusCode;
use axum::response::Response;
use everstate_engine::ClientError;
use everstate_types::{InstanceId, Payload, RuntimeStatus};

use super::answers::empty;
use super::doc::{
    BodyDoc, Content, INSTANCE_ID, Kind, NO_INSTANCE, Parameter, RECURSIVE, ResponseDoc, RouteDoc,
};
use super::{Api, ApiCall, ApiRoute, Handler, Module};
use crate::error::ApiError;

pub(super) const MODULE: Module = Module {
    name: "Lifecycle",
    description: "Events, ends, pauses and second tries of orchestrations.",
    routes: ROUTES,
    schemas: Vec::new,
};

const ROUTES: &[ApiRoute] = &[
    route(
        "instances/{instanceId}/raiseEvent/{eventName}",
        |api, call| Box::pin(raise_event(api, call)),
        RAISE_EVENT,
    ),
    route(
        "instances/{instanceId}/terminate",
        |api, call| Box::pin(terminate(api, call)),
        RouteDoc {
            id: "terminateInstance",
            summary: "Ends an orchestration; the reason becomes its output.",
            parameters: &[INSTANCE_ID, REASON, RECURSIVE],
            responses: &[DONE, NO_INSTANCE, ENDED],
            ..CHANGE
        },
    ),
    route(
        "instances/{instanceId}/suspend",
        |api, call| Box::pin(suspend(api, call)),
        RouteDoc {
            id: "suspendInstance",
            summary: "Pauses an orchestration; what happens meanwhile is kept.",
            responses: &[DONE, NO_INSTANCE, ResponseDoc::error(409, "It is paused."), ENDED],
            ..CHANGE
        },
    ),
    route(
        "instances/{instanceId}/resume",
        |api, call| Box::pin(resume(api, call)),
        RouteDoc {
            id: "resumeInstance",
            summary: "Lets an orchestration go on that is paused.",
            responses: &[DONE, NO_INSTANCE, ResponseDoc::error(409, "It is not paused."), ENDED],
            ..CHANGE
        },
    ),
    route(
        "instances/{instanceId}/rewind",
        |api, call| Box::pin(rewind(api, call)),
        RouteDoc {
            id: "rewindInstance",
            summary: "Lets an orchestration that failed do again what failed.",
            responses: &[
                DONE,
                NO_INSTANCE,
                ResponseDoc::error(410, "It has ended, and did not fail."),
                ResponseDoc::error(412, "It has not ended."),
            ],
            ..CHANGE
        },
    ),
    route(
        "makeprimary",
        |_, _| Box::pin(async { Ok(empty(StatusCode::OK)) }),
        RouteDoc {
            id: "makePrimary",
            summary: "For apps of the original that run in several places; does nothing.",
            parameters: &[],
            responses: &[ResponseDoc::new(200, "This is the only host.", Content::Nothing)],
            ..CHANGE
        },
    ),
];

const fn route(path: &'static str, handler: Handler, doc: RouteDoc) -> ApiRoute {
    super::route("POST", path, handler, doc)
}

const REASON: Parameter = Parameter::query("reason", Kind::Text, "Why, for the history.");

const DONE: ResponseDoc = ResponseDoc::new(202, "It is on disk.", Content::Nothing);

const ENDED: ResponseDoc = ResponseDoc::error(410, "It has ended.");

const RAISE_EVENT: RouteDoc = RouteDoc {
    id: "raiseEvent",
    summary: "Raises an event at an orchestration.",
    parameters: &[
        INSTANCE_ID,
        Parameter::path("eventName", "The name of the event; case does not matter."),
    ],
    body: Some(BodyDoc {
        description: "What the event brings; nothing is `null`. The content type must be \
                      `application/json`.",
        is_required: false,
        contents: &[Content::AnyJson],
    }),
    responses: &[
        DONE,
        ResponseDoc::error(400, "The body is not JSON, or not said to be."),
        NO_INSTANCE,
        ENDED,
        ResponseDoc::error(429, "It has too much waiting.").with_headers(&["Retry-After"]),
    ],
};

/// What the others have in common.
const CHANGE: RouteDoc = RouteDoc {
    id: "",
    summary: "",
    parameters: &[INSTANCE_ID, REASON],
    body: None,
    responses: &[],
};

async fn raise_event(api: &Api, mut call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    // As in the original, that it has ended is said before anything about the request.
    check_alive(api, &instance_id).await?;
    if !call.is_json() {
        return Err(ApiError::bad_request("Only application/json request content is supported"));
    }
    let input = call.read_json(api).await?;
    let name = call.value("eventName").to_owned();
    api.settled(api.services.engine.raise_event(&instance_id, name, input).await).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// Refuses an event for an orchestration that is not there or has ended.
async fn check_alive(api: &Api, instance_id: &InstanceId) -> Result<(), ApiError> {
    let found = api.settled(api.services.engine.get_status(instance_id).await).await?;
    let found = found.ok_or_else(|| ApiError::no_instance(instance_id.as_str()))?;
    let status = found.record.status;
    if !status.is_finished() {
        return Ok(());
    }
    let instance_id = instance_id.clone();
    Err(ClientError::WrongState { operation: "raise an event at", instance_id, status }.into())
}

async fn terminate(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let query = call.query();
    let recurse = query.flag("recursive").unwrap_or(false);
    let reason = query.text("reason").map(|reason| {
        Payload::from(serde_json::to_string(reason).expect("every text is a JSON string"))
    });
    api.settled(api.services.engine.terminate(&instance_id, reason, recurse).await).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

async fn suspend(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let suspended = api.services.engine.suspend(&instance_id, reason(&call)).await;
    api.settled(suspended).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

async fn resume(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let resumed = api.services.engine.resume(&instance_id, reason(&call)).await;
    api.settled(resumed).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

async fn rewind(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let rewound = api.services.engine.rewind(&instance_id, reason(&call)).await;
    let rewound = rewound.map_err(|error| match error {
        ClientError::WrongState { status, .. } if !has_ended_otherwise(status) => {
            ApiError::precondition_failed(error.to_string())
        }
        error => error.into(),
    });
    api.settled(rewound).await?;
    Ok(empty(StatusCode::ACCEPTED))
}

fn has_ended_otherwise(status: RuntimeStatus) -> bool {
    matches!(status, RuntimeStatus::Completed | RuntimeStatus::Terminated)
}

fn reason(call: &ApiCall) -> Option<String> {
    call.query().text("reason").map(str::to_owned)
}
