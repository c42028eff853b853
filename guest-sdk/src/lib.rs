//! Durable functions for Everstate, in Rust.
//!
//! A function is a plain `fn` with an attribute. A component has any number of them; compile it for
//! `wasm32-wasip2`, copy the `.wasm` into the host's functions folder, and `curl` its route:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! everstate-sdk = { path = "…/guest-sdk" }
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! There are four kinds. What they are given and what they return is written as JSON, so any type
//! with serde's `Serialize` and `Deserialize` will do.
//!
//! # Entities
//!
//! An entity is a piece of state under a key. It does one operation at a time. Its state and what
//! it sends are taken together when the operation returns well, and dropped when it fails.
//!
//! ```no_run
//! use everstate_sdk::{EntityContext, Failure, entity};
//!
//! #[entity]
//! fn Account(context: &mut EntityContext) -> Result<i64, Failure> {
//!     let balance: i64 = context.get_state()?.unwrap_or(0);
//!     match context.operation_name() {
//!         "get" => Ok(balance),
//!         "deposit" => {
//!             let balance = balance + context.input::<i64>()?;
//!             context.set_state(&balance)?;
//!             Ok(balance)
//!         }
//!         other => Err(Failure::unknown_operation(other)),
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # Orchestrators
//!
//! An orchestrator calls entities, activities and other orchestrators, and waits for timers and
//! events. After a restart it runs again from its start and finds all that it waited for in its
//! history. It awaits what its context returns, and combinations of that; a [`DurableFuture`]
//! begins when it is made and is given up when it is dropped.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use everstate_sdk::{Failure, OrchestrationContext, orchestrator};
//! use futures_util::future::{Either, select};
//!
//! #[orchestrator]
//! async fn Approval(context: OrchestrationContext, limit_s: u64) -> Result<String, Failure> {
//!     let answer = context.wait_for_event::<String>("answer");
//!     let limit = context.sleep(Duration::from_secs(limit_s));
//!     match select(answer, limit).await {
//!         Either::Left((answer, _)) => answer,
//!         Either::Right((_, _)) => Ok("nobody answered".to_owned()),
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! # Activities
//!
//! An activity does what orchestrators must not: it talks to the outside. It runs at least once.
//!
//! ```no_run
//! use everstate_sdk::{ActivityContext, Failure, activity};
//!
//! #[activity]
//! fn Charge(context: ActivityContext, cents: u64) -> Result<String, Failure> {
//!     if cents == 0 {
//!         return Err(Failure::new("NothingToCharge", "the sum is zero").non_retriable());
//!     }
//!     Ok(format!("charged {cents} under {}", context.idempotency_key()))
//! }
//! # fn main() {}
//! ```
//!
//! # HTTP functions
//!
//! An HTTP function answers requests on its route. It may start and ask everything else through
//! the [`DurableClient`]. Nothing it says leaves the host before it is on disk.
//!
//! ```no_run
//! use everstate_sdk::{DurableClient, HttpError, HttpRequest, HttpResponse, http_trigger};
//!
//! #[http_trigger(route = "Approvals/{limit:int}", methods = ["POST"])]
//! fn Approval_HttpStart(
//!     request: HttpRequest,
//!     client: DurableClient,
//! ) -> Result<HttpResponse, HttpError> {
//!     let limit_s: u64 = request.parse_route_value("limit")?;
//!     let instance_id = client.start_new("Approval", &limit_s)?;
//!     Ok(client.create_check_status_response(&instance_id)?)
//! }
//! # fn main() {}
//! ```
//!
//! # When something goes wrong
//!
//! `?` turns every error into a [`Failure`], and in HTTP functions into an [`HttpError`]. A panic
//! ends the function as a trap does; what it said stands in the failure that the host reports.

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
