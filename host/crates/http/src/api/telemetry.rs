//! What can be seen of the inside: metrics, and what guests logged for an instance.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use everstate_types::{EntityId, InstanceId};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::answers::document;
use super::doc::{Content, Kind, Parameter, ResponseDoc, RouteDoc};
use super::{Access, Api, ApiCall, ApiRoute, Base, Module};
use crate::error::ApiError;
use crate::json;
use crate::telemetry::GuestLogEntry;

/// The media type of metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How many lines of a log are shown if nobody says.
const TOP_DEFAULT: usize = 100;

/// How many lines of a log are shown at most.
const TOP_MAX: usize = 1_000;

pub(super) const MODULE: Module = Module {
    name: "Telemetry",
    description: "What can be seen of the inside.",
    routes: ROUTES,
    schemas: || {
        let text = || json!({ "type": "string" });
        let line = json!({
            "type": "object",
            "required": ["timestamp", "level", "function", "message"],
            "properties": {
                "timestamp": { "type": "string", "format": "date-time" },
                "level": {
                    "enum": ["error", "warning", "information", "debug", "trace"],
                },
                "function": text(),
                "message": text(),
            },
        });
        vec![("GuestLog", json!({ "type": "array", "items": line }))]
    },
};

const ROUTES: &[ApiRoute] = &[
    ApiRoute {
        method: "GET",
        base: Base::Root,
        path: "metrics",
        access: Access::Management,
        handler: |api, _| Box::pin(metrics(api)),
        doc: RouteDoc {
            id: "getMetrics",
            summary: "All metrics of the process, as OpenMetrics text.",
            parameters: &[],
            body: None,
            responses: &[ResponseDoc::new(200, "The metrics.", Content::Media(OPEN_METRICS))],
        },
    },
    ApiRoute {
        method: "GET",
        base: Base::Management,
        path: "instances/{instanceId}/logs",
        access: Access::Management,
        handler: |api, call| Box::pin(logs(api, call)),
        doc: RouteDoc {
            id: "getInstanceLogs",
            summary: "What guests logged for an orchestration or an entity, oldest line first.",
            parameters: &[
                Parameter::path("instanceId", "An orchestration, or `@name@key` for an entity."),
                Parameter::query(
                    "top",
                    Kind::Count,
                    "How many lines, the newest ones; 100 by default, at most 1,000.",
                ),
            ],
            body: None,
            responses: &[
                ResponseDoc::new(200, "The lines.", Content::Json("GuestLog")),
                ResponseDoc::error(404, "There is no such instance."),
            ],
        },
    },
];

async fn metrics(api: &Api) -> Result<Response, ApiError> {
    let render = api.services.telemetry.render.clone();
    let text = spawn_blocking(move || render()).await;
    let text = text.map_err(|panic| ApiError::internal("no_metrics", panic.to_string()))?;
    let mut response = document(StatusCode::OK, text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    Ok(response)
}

async fn logs(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let id = call.value("instanceId");
    let top = call.query().value("top").unwrap_or(TOP_DEFAULT);
    let lines = match entity(id) {
        Some(entity) => {
            let found = api.settled(api.services.engine.get_entity(&entity).await).await?;
            let lines = lines(api, entity.instance_id(), top.min(TOP_MAX)).await?;
            // An entity that deleted its state is gone, what it logged is not.
            (found.is_some() || !lines.is_empty()).then_some(lines)
        }
        None => {
            let instance_id = call.instance_id()?;
            let found = api.settled(api.services.engine.get_status(&instance_id).await).await?;
            match found {
                None => None,
                Some(status) => {
                    let mut lines = lines(api, instance_id, top.min(TOP_MAX)).await?;
                    // One of the same id that was purged or replaced is another one.
                    lines.retain(|line| line.timestamp >= status.record.created_at);
                    Some(lines)
                }
            }
        }
    }
    .ok_or_else(|| ApiError::no_instance(id))?;
    Ok(document(StatusCode::OK, rendered(&lines)))
}

fn entity(id: &str) -> Option<EntityId> {
    let (name, key) = id.strip_prefix('@')?.split_once('@')?;
    EntityId::new(name, key).ok()
}

async fn lines(
    api: &Api,
    instance_id: InstanceId,
    top: usize,
) -> Result<Vec<GuestLogEntry>, ApiError> {
    let Some(logs) = api.services.telemetry.logs.clone() else { return Ok(Vec::new()) };
    let lines = spawn_blocking(move || logs.newest(&instance_id, top)).await;
    lines.map_err(|panic| ApiError::internal("no_logs", panic.to_string()))
}

fn rendered(lines: &[GuestLogEntry]) -> Vec<u8> {
    let mut body = vec![b'['];
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let timestamp = line.timestamp.with_millis();
        for (name, value) in [
            ("{\"timestamp\":", timestamp.as_str()),
            (",\"level\":", &line.level),
            (",\"function\":", &line.function),
            (",\"message\":", &line.message),
        ] {
            body.extend_from_slice(name.as_bytes());
            json::push_string(&mut body, value);
        }
        body.push(b'}');
    }
    body.push(b']');
    body
}
