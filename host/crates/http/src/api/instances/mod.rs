//! Orchestrations: the status of one, finding them, removing those that have ended.
//!
//! As in the original, with more conditions to find them by. Other than there entities are not among
//! them, and only what has ended is removed.

mod query;
mod schemas;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use axum::response::Response;

use self::query::InstanceListing;
use super::answers::{document, page};
use super::doc::{
    CONTINUATION_HEADER, Content, INSTANCE_ID, Kind, NO_INSTANCE, Parameter, RECURSIVE,
    ResponseDoc, RouteDoc, STATUS_500,
};
use super::{Api, ApiCall, ApiRoute, Module, route};
use crate::check_status::status_code;
use crate::error::ApiError;
use crate::status_document::{Shown, list_document, status_document};

/// How many seconds a client that looks at a running orchestration is asked to wait.
const RETRY_AFTER_SECONDS: &str = "5";

/// What the original says, word for word.
const NO_CREATED_TIME_FROM: &str = r#""Please provide value for 'createdTimeFrom' parameter.""#;

pub(super) const MODULE: Module = Module {
    name: "Instances",
    description: "Orchestrations: what is known of them.",
    routes: ROUTES,
    schemas: schemas::schemas,
};

const ROUTES: &[ApiRoute] = &[
    route("GET", "instances/{instanceId}", |api, call| Box::pin(get_status(api, call)), GET),
    route("GET", "instances", |api, call| Box::pin(list(api, call)), LIST),
    route("DELETE", "instances/{instanceId}", |api, call| Box::pin(purge(api, call)), PURGE),
    route("DELETE", "instances", |api, call| Box::pin(purge_many(api, call)), PURGE_MANY),
];

const SHOW_INPUT: Parameter =
    Parameter::query("showInput", Kind::Boolean, "Whether inputs are shown; true by default.");

const GET: RouteDoc = RouteDoc {
    id: "getInstance",
    summary: "The status of an orchestration.",
    parameters: &[
        INSTANCE_ID,
        SHOW_INPUT,
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
        STATUS_500,
    ],
    body: None,
    responses: &[
        ResponseDoc::new(200, "It has ended.", Content::Json("InstanceStatus")),
        ResponseDoc::new(202, "It has not ended.", Content::Json("InstanceStatus"))
            .with_headers(&["Location", "Retry-After"]),
        NO_INSTANCE,
        ResponseDoc::new(
            500,
            "It failed, and `returnInternalServerErrorOnFailure` is true.",
            Content::Json("InstanceStatus"),
        ),
    ],
};

const NAME: Parameter =
    Parameter::query("name", Kind::Text, "The orchestrator; case does not matter.");
const CREATED_TO: Parameter =
    Parameter::query("createdTimeTo", Kind::Time, "Started then or earlier.");
const RUNTIME_STATUS: Parameter = Parameter::query(
    "runtimeStatus",
    Kind::List(&["Pending", "Running", "Suspended", "Completed", "Failed", "Terminated"]),
    "Any of these, with commas between; the numbers of the original stand for their names.",
);
const ID_PREFIX: Parameter = Parameter::query("instanceIdPrefix", Kind::Text, "How the id begins.");
const TAG: Parameter = Parameter::query("tag", Kind::Prefixed, "A tag and its value.");
const CUSTOM_STATUS: Parameter =
    Parameter::query("customStatus", Kind::Json, "The custom status, letter for letter.");

const LIST: RouteDoc = RouteDoc {
    id: "listInstances",
    summary: "A page of the orchestrations that fit, or how many there are.",
    parameters: &[
        NAME,
        Parameter::query("createdTimeFrom", Kind::Time, "Started then or later."),
        CREATED_TO,
        RUNTIME_STATUS,
        ID_PREFIX,
        TAG,
        CUSTOM_STATUS,
        SHOW_INPUT,
        Parameter::query(
            "top",
            Kind::Count,
            "How many on a page; 100 by default. More than 1,000 are as good as 1,000.",
        ),
        Parameter::query("count", Kind::Flag, "Only how many there are, in place of a list."),
        CONTINUATION_HEADER,
    ],
    body: None,
    responses: &[
        ResponseDoc::new(
            200,
            "The orchestrations, oldest first, with `instanceIdPrefix` by their ids; with `count` \
             their number.",
            Content::Json("InstanceListOrCount"),
        )
        .with_headers(&["x-ms-continuation-token"]),
        ResponseDoc::error(
            400,
            "A custom status that is not JSON, a token that no page had, a name that no function can \
             have.",
        ),
    ],
};

const PURGE: RouteDoc = RouteDoc {
    id: "purgeInstance",
    summary: "Removes an orchestration that has ended.",
    parameters: &[INSTANCE_ID, RECURSIVE],
    body: None,
    responses: &[
        ResponseDoc::new(
            200,
            "It is removed; the number counts its children if they were to go with it.",
            Content::Json("InstancesDeleted"),
        ),
        NO_INSTANCE,
        ResponseDoc::error(409, "It has not ended."),
    ],
};

const PURGE_MANY: RouteDoc = RouteDoc {
    id: "purgeInstances",
    summary: "Removes the orchestrations that fit and have ended.",
    parameters: &[
        Parameter::query("createdTimeFrom", Kind::Time, "Started then or later.").required(),
        CREATED_TO,
        RUNTIME_STATUS,
        NAME,
        ID_PREFIX,
        TAG,
        CUSTOM_STATUS,
    ],
    body: None,
    responses: &[
        ResponseDoc::new(200, "How many were removed.", Content::Json("InstancesDeleted")),
        ResponseDoc::new(
            400,
            "`createdTimeFrom` is missing or no time (then the body is a text), another condition \
             cannot be read, or is as wrong as in a list.",
            Content::Json("ErrorOrText"),
        ),
        ResponseDoc::error(404, "None fits."),
    ],
};

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
    let code = status_code(status.record.status, call.wants_500());
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

async fn list(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let engine = &api.services.engine;
    let listing = InstanceListing::of(&call.parts)?;
    if listing.is_count {
        let count = match listing.query {
            Some(query) => api.settled(engine.count_instances(query.filter).await).await?,
            None => 0,
        };
        return Ok(document(StatusCode::OK, format!(r#"{{"count":{count}}}"#)));
    }
    let Some(query) = listing.query else { return page("[]", None) };
    let found = api.settled(engine.query_instances(query).await).await?;
    page(list_document(&found.instances, listing.shows_input), found.continuation)
}

async fn purge(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let recurse = call.query().flag("recursive").unwrap_or(false);
    match api.settled(api.services.engine.purge(&instance_id, recurse).await).await? {
        0 => Err(ApiError::no_instance(instance_id.as_str())),
        count => Ok(deleted(count)),
    }
}

async fn purge_many(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let listing = InstanceListing::of_purge(&call.parts)?;
    if !listing.has_created_from {
        return Ok(document(StatusCode::BAD_REQUEST, NO_CREATED_TIME_FROM));
    }
    let count = match listing.into_purge() {
        Some(filter) => api.settled(api.services.engine.purge_instances(filter).await).await?,
        None => 0,
    };
    match count {
        0 => {
            let external = "No orchestration that has ended fits.";
            Err(ApiError::new(StatusCode::NOT_FOUND, "nothing_purged", external))
        }
        count => Ok(deleted(count)),
    }
}

fn deleted(count: u64) -> Response {
    document(StatusCode::OK, format!(r#"{{"instancesDeleted":{count}}}"#))
}
