//! A backup of the running host.

use std::path::PathBuf;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::answers::document;
use super::doc::{BodyDoc, Content, ResponseDoc, RouteDoc};
use super::{Access, Api, ApiCall, ApiRoute, Base, Module};
use crate::backups::{BackupDone, BackupError};
use crate::error::ApiError;

pub(super) const MODULE: Module = Module {
    name: "Backup",
    description: "Copies of all that the host holds.",
    routes: ROUTES,
    schemas: || {
        let request = json!({
            "type": "object",
            "required": ["folder"],
            "properties": {
                "folder": {
                    "type": "string",
                    "description": "An absolute path on the host's machine; nothing is there, or an empty folder.",
                },
            },
        });
        let done = json!({
            "type": "object",
            "required": ["folder", "bytes", "files"],
            "properties": {
                "folder": { "type": "string" },
                "bytes": { "type": "integer" },
                "files": { "type": "integer" },
            },
        });
        vec![("BackupRequest", request), ("Backup", done)]
    },
};

const ROUTES: &[ApiRoute] = &[ApiRoute {
    method: "POST",
    base: Base::Admin,
    path: "backup",
    access: Access::Management,
    handler: |api, call| Box::pin(backup(api, call)),
    doc: RouteDoc {
        id: "backup",
        summary: "Makes a backup of everything while the host works.",
        parameters: &[],
        body: Some(BodyDoc {
            description: "Where.",
            is_required: true,
            contents: &[Content::Json("BackupRequest")],
        }),
        responses: &[
            ResponseDoc::new(200, "It is there, complete and durable.", Content::Json("Backup")),
            ResponseDoc::error(400, "There is no folder, or a backup cannot be there."),
            ResponseDoc::error(409, "Something is there, or another backup is being made."),
            ResponseDoc::error(507, "It could not be written; the host goes on as it was."),
        ],
    },
}];

#[derive(Deserialize)]
struct BackupRequest {
    folder: PathBuf,
}

async fn backup(api: &Api, mut call: ApiCall) -> Result<Response, ApiError> {
    let body = call.read_body(api).await?;
    let BackupRequest { folder } = serde_json::from_slice(&body).map_err(|_| {
        ApiError::bad_request("The body has to be {\"folder\": \"/an/absolute/path\"}.")
    })?;
    let BackupDone { folder, bytes, files } = api.services.backups.backup(folder).await?;
    let done = json!({ "folder": folder, "bytes": bytes, "files": files });
    Ok(document(StatusCode::OK, done.to_string()))
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        let text = format!("No backup was made: {error}.");
        match error {
            BackupError::Target(_) => Self::bad_request(text),
            BackupError::Conflict(_) => Self::conflict(text),
            BackupError::Failed(reason) => {
                tracing::warn!("a backup could not be made: {reason}");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "backup_failed", text)
            }
        }
    }
}
