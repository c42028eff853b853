//! Starts of orchestrations, by name or again; both can wait for the end.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::Response;
use everstate_engine::client::{ConflictPolicy, StartRequest};
use everstate_engine::guest::StatusResponses;
use everstate_engine::{ClientError, client::InstanceStatus};
use everstate_types::{InstanceId, Tags, Timestamp};
use serde_json::{Value, json};

use super::answers::as_response;
use super::doc::{
    BodyDoc, Content, INSTANCE_ID, Kind, Parameter, ResponseDoc, RouteDoc, STATUS_500,
};
use super::{Api, ApiCall, ApiRoute, Handler, Module};
use crate::check_status::{Links, ManagementResponses};
use crate::error::ApiError;
use crate::time::read_time;

/// What the original says, word for word.
const NO_SUCH_INSTANCE: &str = "InstanceId does not match a valid orchestration instance.";

pub(super) const MODULE: Module =
    Module { name: "Start", description: "Starts orchestrations.", routes: ROUTES, schemas };

const ROUTES: &[ApiRoute] = &[
    route(
        "orchestrators/{functionName}",
        |api, call| Box::pin(start(api, call)),
        RouteDoc {
            id: "startOrchestration",
            parameters: &[FUNCTION_NAME, START_AT, TAG, TIMEOUT, POLLING_INTERVAL, STATUS_500],
            ..START
        },
    ),
    route(
        "orchestrators/{functionName}/{instanceId}",
        |api, call| Box::pin(start(api, call)),
        START,
    ),
    route("instances/{instanceId}/restart", |api, call| Box::pin(restart(api, call)), RESTART),
];

const fn route(path: &'static str, handler: Handler, doc: RouteDoc) -> ApiRoute {
    super::route("POST", path, handler, doc)
}

const FUNCTION_NAME: Parameter =
    Parameter::path("functionName", "The name of an orchestrator; case does not matter.");

const START_AT: Parameter =
    Parameter::query("startAt", Kind::Time, "When it is to begin; at once without it.");

const TAG: Parameter =
    Parameter::query("tag", Kind::Prefixed, "A tag that it is to have, and its value.");

const TIMEOUT: Parameter = Parameter::query(
    "timeout",
    Kind::Seconds,
    "How long to wait for the end, at most `http.wait_max_ms`; without it nobody waits.",
);

const POLLING_INTERVAL: Parameter = Parameter::query(
    "pollingInterval",
    Kind::Seconds,
    "Not more than `timeout`. For clients of the original: nothing is polled here.",
);

const START: RouteDoc = RouteDoc {
    id: "startOrchestrationWithId",
    summary: "Starts an orchestration, and waits for its end if asked to.",
    parameters: &[
        FUNCTION_NAME,
        Parameter::path("instanceId", "The id that it is to have."),
        START_AT,
        TAG,
        TIMEOUT,
        POLLING_INTERVAL,
        STATUS_500,
    ],
    body: Some(BodyDoc {
        description: "The input, whatever content type it is said to have; nothing is `null`.",
        is_required: false,
        contents: &[Content::AnyJson],
    }),
    responses: &[
        WAITED,
        STARTED,
        ResponseDoc::error(
            400,
            "The body is not JSON, no such orchestrator is loaded, no orchestration can have such an \
             id or such tags, `startAt` is no time, or `pollingInterval` is more than `timeout`.",
        ),
        ResponseDoc::error(409, "The id is alive."),
        FAILED,
    ],
};

const RESTART: RouteDoc = RouteDoc {
    id: "restartInstance",
    summary: "Starts an orchestration again with the input that it had, and waits if asked to.",
    parameters: &[
        INSTANCE_ID,
        Parameter::query(
            "restartWithNewInstanceId",
            Kind::Boolean,
            "Whether it gets a new id; true by default.",
        ),
        TIMEOUT,
        POLLING_INTERVAL,
        STATUS_500,
    ],
    body: None,
    responses: &[
        WAITED,
        STARTED,
        ResponseDoc::error(
            400,
            "There is no such orchestration, its orchestrator is not loaded any more, or \
             `pollingInterval` is more than `timeout`.",
        ),
        ResponseDoc::error(409, "It is alive and was to keep its id."),
        FAILED,
    ],
};

const STARTED: ResponseDoc = ResponseDoc::new(
    202,
    "It is started, and has not ended if that was waited for.",
    Content::Json("CheckStatus"),
)
.with_headers(&["Location", "Retry-After"]);

const WAITED: ResponseDoc = ResponseDoc::new(
    200,
    "It has ended: its output, or its status if it failed or was terminated.",
    Content::AnyJson,
);

const FAILED: ResponseDoc = ResponseDoc::new(
    500,
    "It failed, and `returnInternalServerErrorOnFailure` is true.",
    Content::Json("InstanceStatus"),
);

fn schemas() -> Vec<(&'static str, Value)> {
    let links = [
        "statusQueryGetUri",
        "sendEventPostUri",
        "terminatePostUri",
        "purgeHistoryDeleteUri",
        "restartPostUri",
        "suspendPostUri",
        "resumePostUri",
    ];
    let mut properties = json!({ "id": { "type": "string" } });
    for link in links {
        properties[link] = json!({ "type": "string" });
    }
    let required: Vec<&str> = ["id"].into_iter().chain(links).collect();
    let check_status = json!({ "type": "object", "required": required, "properties": properties });
    vec![("CheckStatus", check_status)]
}

async fn start(api: &Api, mut call: ApiCall) -> Result<Response, ApiError> {
    let limit = wait_limit(api, &call)?;
    let id = call.optional("instanceId").map(InstanceId::orchestration).transpose();
    let instance_id = id.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let request = StartRequest {
        name: call.value("functionName").to_owned(),
        input: call.read_json(api).await?,
        instance_id,
        tags: tags(&call),
        start_at: start_at(&call)?,
        on_conflict: ConflictPolicy::Fail,
    };
    let id = api.settled(api.services.engine.start(request).await).await?;
    started(api, &call, &id, limit).await
}

async fn restart(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let limit = wait_limit(api, &call)?;
    let with_new_id = call.query().flag("restartWithNewInstanceId").unwrap_or(true);
    let no_such_instance = |_| ApiError::bad_request(NO_SUCH_INSTANCE);
    let instance_id = call.instance_id().map_err(no_such_instance)?;
    let restarted = api.services.engine.restart(&instance_id, with_new_id).await;
    let restarted = restarted.map_err(|error| match error {
        ClientError::NotFound(_) => ApiError::bad_request(NO_SUCH_INSTANCE),
        error => error.into(),
    });
    let id = api.settled(restarted).await?;
    started(api, &call, &id, limit).await
}

/// The tags that it is to have; of two of one name the last one.
fn tags(call: &ApiCall) -> Tags {
    let mut tags = BTreeMap::new();
    for (name, value) in call.query().with_prefix("tag.") {
        tags.insert(name.to_owned(), value.to_owned());
    }
    tags.into_iter().collect()
}

/// When it is to begin. A time that cannot be read is no wish to begin at once.
fn start_at(call: &ApiCall) -> Result<Option<Timestamp>, ApiError> {
    let query = call.query();
    let Some(text) = query.text("startAt") else { return Ok(None) };
    match read_time(text) {
        Some(time) => Ok(Some(time)),
        None => Err(ApiError::bad_request(format!("`{text}` is not a time (ISO 8601)"))),
    }
}

/// How long to wait for the end; `None`: not at all. The original polls, and says no to an interval
/// that is longer than all of the waiting.
fn wait_limit(api: &Api, call: &ApiCall) -> Result<Option<Duration>, ApiError> {
    let query = call.query();
    let seconds = |name| query.value::<f64>(name).filter(|seconds| !seconds.is_nan());
    let Some(timeout) = seconds("timeout") else { return Ok(None) };
    if let Some(interval) = seconds("pollingInterval").filter(|interval| *interval > timeout) {
        return Err(ApiError::bad_request(format!(
            "Total timeout {timeout} should be bigger than retry timeout {interval}"
        )));
    }
    let limit_max = api.config.wait_max();
    let timeout = Duration::try_from_secs_f64(timeout.max(0.0)).unwrap_or(limit_max);
    Ok(Some(timeout.min(limit_max)))
}

/// The end of an orchestration, or where to look for it.
async fn started(
    api: &Api,
    call: &ApiCall,
    instance_id: &InstanceId,
    limit: Option<Duration>,
) -> Result<Response, ApiError> {
    if let Some(limit) = limit {
        let engine = &api.services.engine;
        // When the host stops, the time is over.
        let ended = tokio::select! {
            ended = engine.wait_for_completion(instance_id, limit) => ended,
            () = api.stopping.cancelled() => engine.get_status(instance_id).await,
        };
        let status = api.settled(ended).await?;
        let is_finished = |status: &InstanceStatus| status.record.status.is_finished();
        if let Some(status) = status.filter(|status| is_finished(status)) {
            return Ok(as_response(
                ManagementResponses::default().finished(&status, call.wants_500()),
            ));
        }
    }
    let base_url = call.base_url(api)?;
    // Where links need a code they get that of the orchestration, which may be another one than the
    // links had that led here.
    let credentials = api.services.exposure.link_codes().credentials(instance_id);
    let credentials = credentials.or_else(|| call.credentials());
    let (hub, credentials) = (call.hub_parameters(), credentials.as_deref());
    let links = Links { base_url: &base_url, instance_id, hub, credentials };
    Ok(as_response(links.check_status(call.wants_500())))
}
