//! Instances leave as JSON lines and come in as such.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use everstate_types::EntityId;
use serde_json::json;

use super::answers::document;
use super::doc::{
    BodyDoc, Content, INSTANCE_ID, Kind, NO_INSTANCE, Parameter, ResponseDoc, RouteDoc,
};
use super::{Access, Api, ApiCall, ApiRoute, Base, Module};
use crate::config::HttpConfig;
use crate::error::ApiError;
use crate::transfer::{self, Exported, Import};

/// The content type of JSON lines.
const LINES: &str = "application/x-ndjson";

pub(super) const MODULE: Module = Module {
    name: "Transfer",
    description: "Instances as JSON lines.",
    routes: ROUTES,
    schemas: || {
        let imported = json!({
            "type": "object",
            "required": ["imported"],
            "properties": { "imported": { "type": "array", "items": { "type": "string" } } },
        });
        vec![("Imported", imported)]
    },
};

const ROUTES: &[ApiRoute] = &[
    ApiRoute {
        method: "GET",
        base: Base::Management,
        path: "instances/{instanceId}/export",
        access: Access::Management,
        handler: |api, call| Box::pin(export_instance(api, call)),
        doc: RouteDoc {
            id: "exportInstance",
            summary: "An orchestration with its history, as another host could take it.",
            parameters: &[INSTANCE_ID],
            body: None,
            responses: &[ResponseDoc::new(200, "Its lines.", Content::Media(LINES)), NO_INSTANCE],
        },
    },
    ApiRoute {
        method: "GET",
        base: Base::Management,
        path: "entities/{entityName}/{entityKey}/export",
        access: Access::Management,
        handler: |api, call| Box::pin(export_entity(api, call)),
        doc: RouteDoc {
            id: "exportEntity",
            summary: "An entity with its state, as another host could take it.",
            parameters: &[
                Parameter::path("entityName", "Its entity function."),
                Parameter::path("entityKey", "Its key; `$` is the empty one."),
            ],
            body: None,
            responses: &[
                ResponseDoc::new(200, "Its lines.", Content::Media(LINES)),
                ResponseDoc::error(404, "It has no state."),
            ],
        },
    },
    ApiRoute {
        method: "POST",
        base: Base::Management,
        path: "import",
        access: Access::Management,
        handler: |api, call| Box::pin(import(api, call)),
        doc: RouteDoc {
            id: "import",
            summary: "Takes on instances that were exported.",
            parameters: &[Parameter::query(
                "replace",
                Kind::Flag,
                "Replaces orchestrations that are alive and states of entities.",
            )],
            body: Some(BodyDoc {
                description: "The lines of one export, or of several behind each other.",
                is_required: true,
                contents: &[Content::Media(LINES)],
            }),
            responses: &[
                ResponseDoc::new(200, "They are here, durably.", Content::Json("Imported")),
                ResponseDoc::error(
                    400,
                    "A line is damaged or missing, what one says does not fit or is too long, or there is no \
                     such orchestrator here; nothing was imported.",
                ),
                ResponseDoc::error(
                    409,
                    "The named one is alive here, has a state, or waits for something elsewhere; or its \
                     execution goes on here under another id. Those before it were imported.",
                ),
            ],
        },
    },
];

async fn export_instance(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let found = api.services.engine.export_orchestration(&instance_id).await;
    let exported = api.settled(found).await?;
    let exported = exported.ok_or_else(|| ApiError::no_instance(instance_id.as_str()))?;
    Ok(lines(api, &Exported::Orchestration(instance_id, exported)))
}

async fn export_entity(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let (name, key) = (call.value("entityName"), call.value("entityKey"));
    let none = || {
        let text = format!("The entity '@{name}@{key}' has no state.");
        ApiError::new(StatusCode::NOT_FOUND, "no_entity", text)
    };
    let key = if key == "$" { "" } else { key };
    let entity = EntityId::new(name, key).map_err(|_| none())?;
    let found = api.settled(api.services.engine.get_entity(&entity).await).await?;
    let record = found.map(|status| status.record).filter(|record| record.state.value.is_some());
    Ok(lines(api, &Exported::Entity(entity, Box::new(record.ok_or_else(none)?))))
}

fn lines(api: &Api, exported: &Exported) -> Response {
    let lines = transfer::write(exported, api.services.clock.now());
    let mut response = document(StatusCode::OK, Body::from(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

async fn import(api: &Api, mut call: ApiCall) -> Result<Response, ApiError> {
    let config = HttpConfig {
        request_bytes_max: api.config.import_bytes_max,
        ..HttpConfig::clone(&api.config)
    };
    let body = call.read_body_within(&config).await?;
    let instances = transfer::read(&body, api.services.import_limits)
        .map_err(|error| ApiError::bad_request(format!("Nothing was imported: {error}.")))?;
    drop(body);
    let engine = &api.services.engine;
    for Import { line, exported } in &instances {
        if let Exported::Orchestration(_, exported) = exported {
            let refused =
                |error| ApiError::from(error).about(&format!("Nothing was imported: line {line}"));
            engine.code_of(&exported.record).map_err(refused)?;
        }
    }
    if instances.is_empty() {
        return Err(ApiError::bad_request("There is no export in the body."));
    }
    let is_replacing = call.query().is_set("replace");
    let mut imported = Vec::new();
    for Import { exported, .. } in instances {
        let (id, done) = match exported {
            Exported::Orchestration(id, exported) => {
                let done = engine.import_orchestration(&id, exported, is_replacing).await;
                (id.to_string(), done)
            }
            Exported::Entity(id, record) => {
                let done = engine.import_entity(&id, record, is_replacing).await;
                (id.to_string(), done)
            }
        };
        let refused = |error| {
            let before = imported.len();
            ApiError::from(error).about(&format!("Import of '{id}', after {before} others"))
        };
        api.settled(done.map_err(refused)).await?;
        imported.push(id);
    }
    Ok(document(StatusCode::OK, json!({ "imported": imported }).to_string()))
}
