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
//! A type is its state, the methods of one `impl` block are its operations. What is not there yet
//! is the default; what a method leaves in `self` is stored when it returns.
//!
//! ```no_run
//! use everstate_sdk::{Failure, entity};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Default, Serialize, Deserialize)]
//! struct Account {
//!     cents: i64,
//! }
//!
//! #[entity]
//! impl Account {
//!     fn deposit(&mut self, cents: i64) -> i64 {
//!         self.cents += cents;
//!         self.cents
//!     }
//!
//!     fn withdraw(&mut self, cents: i64) -> Result<i64, Failure> {
//!         if cents > self.cents {
//!             return Err(Failure::new("TooLittle", "there is less than that"));
//!         }
//!         Ok(self.deposit(-cents))
//!     }
//!
//!     /// With `&self` it changes nothing: clients that call it wait for nobody.
//!     fn balance(&self) -> i64 {
//!         self.cents
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! `delete` is there without being written. [`entity`] tells the rest: contexts, times to live,
//! indexes, versions of the state, and entities that are one function.
//!
//! ## Calling and signalling
//!
//! `Account::proxy(key)?` has the same methods for those who use an account. Each gives an
//! [`Operation`]. Orchestrations and clients [call](Operation::call) it and get the result; they and
//! other entities [signal](Operation::signal) it, at once or [later](Operation::signal_at), and
//! nothing comes back. A signal of a client can carry a key with which it
//! [counts once](Operation::signal_once). Without a proxy the same is done by name:
//! [`DurableClient::call_entity`], [`EntityContext::signal_entity`].
//!
//! Who needs several entities for itself [locks](OrchestrationContext::lock_entities) them.
//!
//! ```no_run
//! use everstate_sdk::{DurableClient, HttpError, HttpRequest, HttpResponse, entity, http_trigger};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Debug, Default, Serialize, Deserialize)]
//! # struct Account(i64);
//! # #[entity]
//! # impl Account {
//! #     fn deposit(&mut self, cents: i64) -> i64 {
//! #         self.0 += cents;
//! #         self.0
//! #     }
//! # }
//!
//! #[http_trigger(route = "Accounts/{key}/deposit", methods = ["POST"])]
//! fn Deposit(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
//!     let deposit = Account::proxy(request.route_value("key").unwrap_or_default())?
//!         .deposit(request.json()?);
//!     match request.header("idempotency-key") {
//!         Some(key) => deposit.signal_once(&client, key)?,
//!         None => return Ok(HttpResponse::text(deposit.call(&client)?.to_string())),
//!     }
//!     Ok(HttpResponse::new(202))
//! }
//! # fn main() {}
//! ```
//!
//! # Activities
//!
//! An activity does what orchestrators must not: it talks to the outside. It runs at least once,
//! and its result is taken once. All attempts have the same idempotency key.
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
//! # Orchestrators
//!
//! An orchestrator calls activities, entities and other orchestrators, and waits for timers and
//! events. After a restart it runs again from its start and finds all that it waited for in its
//! history. It awaits what its context returns, and combinations of that: each method of the
//! [`OrchestrationContext`] begins its work when it is called, and gives a [`DurableFuture`] for
//! the result.
//!
//! So calls one after the other run at the same time, and any futures library joins them:
//!
//! ```no_run
//! use everstate_sdk::{DurableFuture, Failure, OrchestrationContext, orchestrator};
//! use futures_util::future::try_join_all;
//!
//! #[orchestrator]
//! async fn WordCount(context: OrchestrationContext, pages: Vec<String>) -> Result<u64, Failure> {
//!     let counts: Vec<DurableFuture<u64>> =
//!         pages.iter().map(|page| context.call_activity("CountWords", page)).collect();
//!     Ok(try_join_all(counts).await?.into_iter().sum())
//! }
//! # fn main() {}
//! ```
//!
//! ## Retries
//!
//! A [`RetryPolicy`] tries what has failed again: an
//! [activity](OrchestrationContext::call_activity_with_retry), a
//! [child](OrchestrationContext::call_sub_orchestration_with_retry), a
//! [durable HTTP request](OrchestrationContext::call_http_with_retry). Each wait is a durable timer.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use everstate_sdk::{Failure, OrchestrationContext, RetryPolicy, orchestrator};
//!
//! #[orchestrator]
//! async fn Checkout(context: OrchestrationContext, cents: u64) -> Result<String, Failure> {
//!     let patient = RetryPolicy::new(Duration::from_secs(5), 10)
//!         .backoff_coefficient(2.0)
//!         .max_interval(Duration::from_secs(15 * 60))
//!         .total_timeout(Duration::from_secs(24 * 60 * 60))
//!         .handle(|failure| failure.error_type != "CardRefused");
//!     context.call_activity_with_retry("Charge", &cents, &patient).await
//! }
//! # fn main() {}
//! ```
//!
//! ## Timers and events
//!
//! [`sleep`](OrchestrationContext::sleep) and
//! [`create_timer`](OrchestrationContext::create_timer) wait for any time;
//! [`wait_for_event`](OrchestrationContext::wait_for_event) waits for what a client or another
//! orchestration raises. Whatever loses a race is given up when it is dropped: a timer is
//! cancelled, an event is left to another waiter.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use everstate_sdk::{Failure, OrchestrationContext, orchestrator};
//! use futures_util::future::{Either, select};
//!
//! #[orchestrator]
//! async fn Approval(context: OrchestrationContext, limit_s: u64) -> Result<String, Failure> {
//!     let approved = context.wait_for_event::<String>("approved");
//!     let refused = context.wait_for_event::<String>("refused");
//!     let answer = select(approved, refused);
//!     match select(answer, context.sleep(Duration::from_secs(limit_s))).await {
//!         Either::Left((Either::Left((by, _)), _)) => Ok(format!("approved by {}", by?)),
//!         Either::Left((Either::Right((by, _)), _)) => Ok(format!("refused by {}", by?)),
//!         Either::Right((fired, _)) => fired.map(|()| "nobody answered".to_owned()),
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! One event with a time limit is shorter:
//! [`wait_for_event_with_timeout`](OrchestrationContext::wait_for_event_with_timeout) fails, and
//! [`wait_for_event_or`](OrchestrationContext::wait_for_event_or) gives a default.
//!
//! ## Children, and starting over
//!
//! [`call_sub_orchestration`](OrchestrationContext::call_sub_orchestration) awaits another
//! orchestration, [`start_orchestration`](OrchestrationContext::start_orchestration) does not. An
//! orchestration that goes on forever ends each round with
//! [`continue_as_new`](OrchestrationContext::continue_as_new), so that its history stays short.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use everstate_sdk::{ChildOptions, Failure, OrchestrationContext, orchestrator};
//!
//! #[orchestrator]
//! async fn Nightly(context: OrchestrationContext, night: u64) -> Result<(), Failure> {
//!     let options = ChildOptions {
//!         instance_id: Some(format!("{}-{night}", context.instance_id())),
//!         ..ChildOptions::default()
//!     };
//!     let cleaned = context.call_sub_orchestration::<u64>("Cleanup", &night, &options).await;
//!     match cleaned {
//!         Ok(count) => context.info(&format!("night {night}: {count} removed")),
//!         Err(failure) => context.warn(&format!("night {night}: {failure}")),
//!     }
//!     context.set_custom_status(&night)?;
//!     context.sleep(Duration::from_secs(24 * 60 * 60)).await?;
//!     context.continue_as_new(&(night + 1))
//! }
//! # fn main() {}
//! ```
//!
//! ## Durable HTTP
//!
//! [`call_http`](OrchestrationContext::call_http) lets the host make a request to what its
//! configuration allows, and polls what was accepted (202) until it is done.
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
//! The client also raises events, terminates, suspends, resumes, rewinds, restarts and purges
//! orchestrations, and finds and counts them ([`DurableClient::query_instances`]); it calls and
//! signals entities, finds them ([`DurableClient::list_entities`]) and looks at one
//! ([`DurableClient::get_entity`]). Activities get it from [`ActivityContext::client`].
//!
//! # When something goes wrong
//!
//! `?` turns every error into a [`Failure`], and in HTTP functions into an [`HttpError`]. A panic
//! ends the function as a trap does; what it said stands in the failure that the host reports.
//!
//! An entity answers an operation that it does not know with the failure `UnknownOperation`, an input
//! of another shape with `InvalidInput`. State that cannot be read or written is `InvalidState`, state
//! of newer code `StateTooNew`; `delete` deletes such state too.
//!
//! A failed activity reaches the orchestrator as a failure of the type `ActivityFailed`, a failed
//! child as one of the type `SubOrchestrationFailed`. What was reported there is its
//! [`cause`](Failure::cause):
//!
//! ```
//! use everstate_sdk::Failure;
//!
//! fn can_be_paid_later(failure: &Failure) -> bool {
//!     failure.is_caused_by("CardRefused") && failure.property::<u32>("code") == Some(51)
//! }
//!
//! let failure = Failure::new("ActivityFailed", "The activity function 'Charge' failed")
//!     .with_cause(Failure::new("CardRefused", "not enough money"))
//!     .with_property("code", &51);
//! assert!(can_be_paid_later(&failure));
//! assert_eq!(failure.cause().unwrap().error_message, "not enough money");
//! ```
//!
//! # Tests
//!
//! The `testing` module runs orchestrators and entities natively in a unit test: the test says what
//! activities answer and which events come, and time passes by itself; it asks entities for
//! operations and sees their state and what they send.

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
mod proxy;
mod registration;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod time;

pub use activity::ActivityContext;
pub use client::{
    ConflictPolicy, DurableClient, EntityFilter, EntityLockStatus, EntityPage, EntityQuery,
    EntityStatus, InstanceFilter, InstancePage, InstanceQuery, InstanceStatus, RuntimeStatus,
    StartOptions, StatusOptions, WaitOptions,
};
pub use entity::EntityContext;
pub use error::{ClientError, Failure, FailureDetails, HostError, InnerFailure};
pub use everstate_sdk_macros::{activity, entity, entity_proxy, http_trigger, orchestrator};
pub use executor::DurableFuture;
pub use http::{HttpError, HttpRequest, HttpResponse};
pub use id::{EntityId, IdError};
pub use log::LogLevel;
pub use orchestration::{
    ActivityOptions, ChildOptions, EntityLock, HttpCall, HttpCallResponse, OrchestrationContext,
    RetryPolicy,
};
pub use proxy::{Caller, Operation, Signaler};
pub use time::Timestamp;
