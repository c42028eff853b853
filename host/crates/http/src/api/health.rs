//! Health: that the process answers, which asks nobody; and whether it takes on work, and what is not as
//! it should be.

use axum::http::StatusCode;
use axum::response::Response;
use everstate_engine::ClientError;
use serde_json::{Value, json};

use super::answers::document;
use super::doc::{Content, ResponseDoc, RouteDoc};
use super::{Access, Api, ApiRoute, Base, Handler, Module};
use crate::json::ObjectWriter;
use crate::readiness::Warning;

pub(super) const MODULE: Module =
    Module { name: "Health", description: "Whether the host works.", routes: ROUTES, schemas };

const ROUTES: &[ApiRoute] = &[
    route(
        "health/live",
        |_, _| Box::pin(async { Ok(document(StatusCode::OK, r#"{"status":"alive"}"#)) }),
        RouteDoc {
            id: "getLiveness",
            summary: "Says that the process answers.",
            parameters: &[],
            body: None,
            responses: &[ResponseDoc::new(200, "It answers.", Content::Json("Liveness"))],
        },
    ),
    route(
        "health/ready",
        |api, _| Box::pin(async { Ok(ready(api)) }),
        RouteDoc {
            id: "getReadiness",
            summary: "Says whether the host takes on work, and what is not as it should be.",
            parameters: &[],
            body: None,
            responses: &[
                ResponseDoc::new(
                    200,
                    "It takes on work; the reasons are warnings.",
                    Content::Json("Readiness"),
                ),
                ResponseDoc::new(503, "It does not now.", Content::Json("Readiness")),
            ],
        },
    ),
    route(
        "runtime/health",
        |_, _| Box::pin(async { Ok(document(StatusCode::OK, r#"{"status":"ok"}"#)) }),
        RouteDoc {
            id: "getHealth",
            summary: "Says that the process serves.",
            parameters: &[],
            body: None,
            responses: &[ResponseDoc::new(200, "It serves.", Content::Json("Health"))],
        },
    ),
];

const fn route(path: &'static str, handler: Handler, doc: RouteDoc) -> ApiRoute {
    let (method, base, access) = ("GET", Base::Root, Access::Anonymous);
    ApiRoute { method, base, path, access, handler, doc }
}

/// Ready unless new work would be refused; warnings do not count against it.
fn ready(api: &Api) -> Response {
    let refusal = match api.stopping.is_cancelled() {
        true => Some(ClientError::Stopping),
        false => api.services.engine.refusal(),
    };
    let mut reasons = api.services.readiness.warnings();
    if let Some(error) = &refusal {
        let kind = match error {
            ClientError::Stopping => "stopping",
            _ => "overloaded",
        };
        reasons.insert(0, Warning { kind, file: None, message: error.to_string() });
    }
    let (status, name) = match refusal {
        None => (StatusCode::OK, "ready"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "notReady"),
    };
    let mut out = Vec::new();
    let mut readiness = ObjectWriter::new(&mut out);
    readiness.string("status", name);
    push_reasons(readiness.key("reasons"), &reasons);
    readiness.end();
    document(status, out)
}

fn push_reasons(out: &mut Vec<u8>, reasons: &[Warning]) {
    out.push(b'[');
    for (index, reason) in reasons.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let mut object = ObjectWriter::new(out);
        object.string("kind", reason.kind);
        if let Some(file) = &reason.file {
            object.string("file", file);
        }
        object.string("message", &reason.message).end();
    }
    out.push(b']');
}

fn schemas() -> Vec<(&'static str, Value)> {
    let health = |status: &str| {
        json!({
            "type": "object",
            "required": ["status"],
            "properties": { "status": { "const": status } },
        })
    };
    let readiness = json!({
        "type": "object",
        "required": ["status", "reasons"],
        "properties": {
            "status": { "enum": ["ready", "notReady"] },
            "reasons": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["kind", "message"],
                    "properties": {
                        "kind": { "type": "string" },
                        "file": { "type": "string" },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    });
    vec![("Health", health("ok")), ("Liveness", health("alive")), ("Readiness", readiness)]
}
