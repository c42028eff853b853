//! Placeholder until the macros compile.
mod activity;
mod bindings;
mod client;
mod component;
mod entity;
mod error;
mod executor;
#[doc(hidden)]
pub mod expansion;
mod http;
mod id;
mod log;
mod orchestration;
mod payload;
mod registration;
mod time;

pub use activity::ActivityContext;
pub use client::{
    ConflictPolicy, DurableClient, EntityPage, EntityQuery, EntityStatus, InstancePage,
    InstanceQuery, InstanceStatus, RuntimeStatus, StartOptions, StatusOptions,
};
pub use entity::EntityContext;
pub use error::{ClientError, Failure, FailureDetails, HostError, InnerFailure};
pub use everstate_sdk_macros::{activity, entity, http_trigger, orchestrator};
pub use executor::DurableFuture;
pub use http::{HttpError, HttpRequest, HttpResponse};
pub use id::{EntityId, IdError};
pub use log::LogLevel;
pub use orchestration::{
    ChildOptions, EntityLock, HttpCall, HttpCallResponse, OrchestrationContext,
};
pub use time::Timestamp;
