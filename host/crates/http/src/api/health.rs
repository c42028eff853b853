//! The health check: that the process answers. It asks nobody, so that it costs nothing and says
//! nothing about the disk.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answers::document;
use super::doc::{Content, ResponseDoc, RouteDoc};
use super::{Access, ApiRoute, Base, Module};

pub(super) const MODULE: Module = Module {
    name: "Health",
    description: "Whether the host works.",
    routes: ROUTES,
    schemas: || {
        let health = json!({
            "type": "object",
            "required": ["status"],
            "properties": { "status": { "const": "ok" } },
        });
        vec![("Health", health)]
    },
};

const ROUTES: &[ApiRoute] = &[ApiRoute {
    method: "GET",
    base: Base::Root,
    path: "runtime/health",
    access: Access::Anonymous,
    handler: |_, _| Box::pin(async { Ok(health()) }),
    doc: RouteDoc {
        id: "getHealth",
        summary: "Says that the process serves.",
        parameters: &[],
        body: None,
        responses: &[ResponseDoc::new(200, "It serves.", Content::Json("Health"))],
    },
}];

fn health() -> Response {
    document(StatusCode::OK, r#"{"status":"ok"}"#)
}
