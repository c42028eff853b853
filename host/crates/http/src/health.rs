//! The health check: that the process answers. It asks nobody, so that it costs nothing and says
//! nothing about the disk.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::json;

/// Answers `GET /runtime/health`.
pub(crate) async fn health() -> impl IntoResponse {
    ([(CONTENT_TYPE, json::CONTENT_TYPE)], r#"{"status":"ok"}"#)
}
