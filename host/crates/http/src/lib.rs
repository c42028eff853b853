//! Everstate's HTTP surface: what starts functions, and the management API.
//!
//! A request goes from the [server](HttpServer) to the [route table](RouteTable), from there to the
//! guest, and its answer back when all that it depends on is durable. The management API tells about
//! orchestrations and entities; its documents, of which [`ManagementResponses`] also makes some for
//! functions, are those of the original. `docs/http-api.md` has all routes, responses and limits.
//!
//! This is the only crate that names axum. It knows neither how guests run nor where state lies.

#![forbid(unsafe_code)]

mod about;
mod admission;
mod api;
mod authority;
mod backups;
mod base_url;
mod body;
mod certificate;
mod check_status;
mod config;
mod connection;
mod constraint;
mod cors;
mod deployments;
mod detached;
mod engine;
mod error;
mod exposure;
mod history_document;
mod json;
mod keys;
mod matcher;
mod matching;
mod metrics;
mod path;
mod query;
mod readiness;
mod request_body;
mod routes;
mod server;
mod slow_reader;
mod status_document;
mod telemetry;
mod template;
#[cfg(test)]
mod test_status;
mod time;
mod tls;
mod transfer;
mod trigger;

pub use about::AboutHost;
pub use admission::LinkCodes;
pub use backups::{BackupDone, BackupError, BackupFuture, Backups};
pub use base_url::is_base_url;
pub use certificate::CERTIFICATE_ENDS_SOON_MS;
pub use check_status::ManagementResponses;
pub use config::{HttpConfig, RequireKeys};
pub use cors::{CorsConfig, CorsError};
pub use deployments::{
    CheckReport, DeployOptions, Deployed, Deployment, DeploymentAction, DeploymentError,
    DeploymentFuture, Deployments, Diverging, FileCondition, FileState, FunctionState,
    FunctionsState, Migration, MissingFunction, Upload,
};
pub use engine::{Engine, EngineAnswer, EngineFuture};
pub use exposure::{Exposure, ExposureError, KEYS_FILE, check_keys};
pub use keys::{KeyScope, KeyScopeError, KeysError, NewKey};
pub use metrics::HttpMetrics;
pub use readiness::{Readiness, SharedWarnings, Warning};
pub use routes::{RouteConflict, RouteConflictReason, RouteEntry, RouteTable, SharedRoutes};
pub use server::{DrainTimeout, HttpServer, Services};
pub use telemetry::{GuestLogEntry, GuestLogs, RenderMetrics, Telemetry};
pub use template::TemplateError;
pub use tls::{TlsConfig, TlsError};
pub use transfer::ImportLimits;
