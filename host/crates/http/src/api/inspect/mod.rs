//! Looking into orchestrations that are under way: wait for one, why it waits, its history as it
//! happens; and the locks that orchestrations hold. None of this is in the original.

mod document;
mod handle;
mod schemas;
mod stream;

use super::doc::{
    CONTINUATION_HEADER, Content, INSTANCE_ID, Kind, NO_INSTANCE, Parameter, ResponseDoc, RouteDoc,
};
use super::{ApiRoute, Handler, Module};

pub(super) const MODULE: Module = Module {
    name: "Inspection",
    description: "What orchestrations are doing, and what they wait for.",
    routes: ROUTES,
    schemas: schemas::schemas,
};

const ROUTES: &[ApiRoute] = &[
    route("instances/{instanceId}/wait", |api, call| Box::pin(handle::wait(api, call)), WAIT),
    route("instances/{instanceId}/why", |api, call| Box::pin(handle::why(api, call)), WHY),
    route(
        "instances/{instanceId}/history/stream",
        |api, call| Box::pin(stream::stream(api, call)),
        STREAM,
    ),
    route("locks", |api, call| Box::pin(handle::locks(api, call)), LOCKS),
];

const fn route(path: &'static str, handler: Handler, doc: RouteDoc) -> ApiRoute {
    super::route("GET", path, handler, doc)
}

const WAIT: RouteDoc = RouteDoc {
    id: "waitForInstance",
    summary: "Waits until an orchestration has ended, or has begun.",
    parameters: &[
        INSTANCE_ID,
        Parameter::query(
            "for",
            Kind::OneOf(&["completion", "start"]),
            "What to wait for; `completion` by default.",
        ),
        Parameter::query(
            "timeout",
            Kind::Seconds,
            "How long at most; 30 by default, never longer than `http.wait_max_ms`.",
        ),
        Parameter::query(
            "showInput",
            Kind::Boolean,
            "Whether the input is shown; true by default.",
        ),
    ],
    body: None,
    responses: &[
        ResponseDoc::new(200, "It has come.", Content::Json("InstanceStatus")),
        ResponseDoc::new(202, "The time is over.", Content::Json("InstanceStatus"))
            .with_headers(&["Location", "Retry-After"]),
        ResponseDoc::error(400, "There is no such thing to wait for."),
        NO_INSTANCE,
    ],
};

const WHY: RouteDoc = RouteDoc {
    id: "explainInstance",
    summary: "Why an orchestration waits: for what, since when, who holds that.",
    parameters: &[INSTANCE_ID],
    body: None,
    responses: &[
        ResponseDoc::new(200, "What it waits for.", Content::Json("Explanation")),
        NO_INSTANCE,
    ],
};

const STREAM: RouteDoc = RouteDoc {
    id: "streamHistory",
    summary: "The history of an orchestration as it happens, as server-sent events, up to its end.",
    parameters: &[
        INSTANCE_ID,
        Parameter::header("Last-Event-ID", "The id of the last event that was seen."),
    ],
    body: None,
    responses: &[
        ResponseDoc::new(
            200,
            "Events `history` with an entry of `historyEvents`, `status` with the status document, and \
             `end` behind everything else.",
            Content::Media("text/event-stream"),
        ),
        ResponseDoc::new(204, "The last event that was seen is the end.", Content::Nothing),
        NO_INSTANCE,
    ],
};

const LOCKS: RouteDoc = RouteDoc {
    id: "listLocks",
    summary: "A page of the entities that are locked, by whom and since when.",
    parameters: &[
        Parameter::query(
            "top",
            Kind::Count,
            "How many on a page; 100 by default. More than 1,000 are as good as 1,000.",
        ),
        CONTINUATION_HEADER,
    ],
    body: None,
    responses: &[
        ResponseDoc::new(200, "The locks.", Content::Json("LockList"))
            .with_headers(&["x-ms-continuation-token"]),
        ResponseDoc::error(400, "A token that no page had."),
    ],
};
