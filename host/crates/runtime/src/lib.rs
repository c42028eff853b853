//! The guest runtime: wasmtime behind the engine's `GuestExecutor` and `HttpFunctions`.
//!
//! # A guest's life
//!
//! A component is [loaded](Runtime::load) once: checked, compiled, asked for its functions. An
//! orchestrator then gets a fresh instance for each execution, runs until it waits, and is kept
//! suspended with its stack until the next turn or until others need the room; in that case
//! it is replayed from its history. Entities, activities and HTTP functions are called on instances
//! that are used again, because nothing but their state may tell one call from the next.
//!
//! All imports are linked the same for every kind of function. What works is decided by what the
//! guest is doing: an orchestrator has no clock but its own, an entity cannot use the client, only an
//! activity has an environment and can send HTTP requests.
//!
//! Only this crate names wasmtime.

mod activity;
mod bindings;
mod candidate;
mod catalog;
mod client;
mod compile;
mod component;
mod config;
mod convert;
mod describe;
mod determinism;
mod engine;
mod entity;
mod environment;
mod error;
mod executor;
mod http;
mod kept;
mod limits;
mod metrics;
mod orchestration;
mod outgoing;
mod output;
mod state;
mod suspended;

pub use catalog::{Conflict, HttpFunction};
pub use component::LoadedComponent;
pub use config::{ActivitiesConfig, OutgoingHttpConfig, RuntimeConfig};
pub use describe::{HttpTrigger, LoadedFunction};
pub use error::LoadError;
pub use executor::Runtime;
pub use metrics::RuntimeMetrics;
