//! What the host is: its version, since when it runs, where it listens and where its folders are.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answers::document;
use super::doc::{Content, ResponseDoc, RouteDoc};
use super::{Access, Api, ApiRoute, Base, Module};
use crate::about::AboutHost;

pub(super) const MODULE: Module = Module {
    name: "Host",
    description: "The process that answers.",
    routes: ROUTES,
    schemas: || {
        let text = json!({ "type": "string" });
        let schema = json!({
            "type": "object",
            "required": ["version", "startedTime", "listening", "functions", "data"],
            "properties": {
                "version": text,
                "startedTime": { "type": "string", "format": "date-time" },
                "listening": { "type": "string", "description": "Scheme, address and port." },
                "functions": { "type": "string", "description": "The folder with the components." },
                "data": { "type": "string", "description": "The folder with the data." },
            },
        });
        vec![("HostStatus", schema)]
    },
};

const ROUTES: &[ApiRoute] = &[ApiRoute {
    method: "GET",
    base: Base::Admin,
    path: "host/status",
    access: Access::Management,
    handler: |api, _| Box::pin(async { Ok(status(api)) }),
    doc: RouteDoc {
        id: "getHostStatus",
        summary: "Says what the host is.",
        parameters: &[],
        body: None,
        responses: &[ResponseDoc::new(200, "This.", Content::Json("HostStatus"))],
    },
}];

fn status(api: &Api) -> Response {
    let AboutHost { version, started_at, functions, data } = &*api.services.about;
    let status = json!({
        "version": version,
        "startedTime": started_at.to_string(),
        "listening": api.default_base_url,
        "functions": functions,
        "data": data,
    });
    document(StatusCode::OK, status.to_string())
}
