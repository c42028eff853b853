//! For unit tests: [`TestHost`] runs an orchestrator, and [`TestEntity`] an entity, in the test's own
//! process, natively, without a host, a disk or a clock.
//!
//! A test says what activities, children, entities and HTTP requests answer and which events come
//! when; time passes by itself whenever the orchestrator waits, straight to the next thing that
//! happens. Entities of the crate are run for real where the test wants it
//! ([`TestHost::run_entity`]), and the rules of critical sections are checked. It shows what the
//! author's code does. It shows nothing of the host: there are no restarts and replays, no limits,
//! nobody else who holds an entity, and no determinism is checked.
//!
//! ```
//! use std::time::Duration;
//!
//! use everstate_sdk::testing::TestHost;
//! use everstate_sdk::{Failure, OrchestrationContext};
//!
//! // In a component it has `#[orchestrator]`.
//! async fn Reminder(context: OrchestrationContext, name: String) -> Result<String, Failure> {
//!     context.sleep(Duration::from_secs(24 * 60 * 60)).await?;
//!     context.call_activity("SendMail", &name).await
//! }
//!
//! let host = TestHost::new();
//! let begin = host.now();
//! host.on_activity("SendMail", |name: String| Ok(format!("Dear {name}")));
//! let result = host.run(|context| Reminder(context, "Ada".to_owned()));
//! assert_eq!(result.unwrap(), "Dear Ada");
//! assert_eq!(host.now() - begin, Duration::from_secs(24 * 60 * 60));
//! ```

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::activity::ActivityContext;
use crate::bindings::exported::activity::ActivityCall;
use crate::error::Failure;
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::orchestration::{HttpCall, HttpCallResponse, OrchestrationContext};
use crate::payload::{from_json, to_json};
use crate::time::Timestamp;

mod entity;
mod host;
mod operation;
mod section;
mod state;

pub use entity::TestEntity;
use state::{Kind, Scripted, State};

#[cfg(test)]
mod tests;

/// A host for one orchestration, played by the test. Cheap to clone; clones are the same host.
#[derive(Clone, Debug)]
pub struct TestHost {
    state: Rc<RefCell<State>>,
}

/// Something that the orchestrator asked for. Payloads are JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestAction {
    /// An activity was called.
    CallActivity {
        /// As the orchestrator wrote it.
        name: String,
        /// What the activity was given.
        input: String,
        /// 1 for the first, higher for those of a retry policy.
        attempt: u32,
    },
    /// A child was started.
    CallSubOrchestration {
        /// As the orchestrator wrote it.
        name: String,
        /// What the child was given.
        input: String,
        /// Given, or derived by the host.
        instance_id: String,
    },
    /// An orchestration was started that nobody waits for.
    StartOrchestration {
        /// As the orchestrator wrote it.
        name: String,
        /// What it was given.
        input: String,
        /// Given, or derived by the host.
        instance_id: String,
    },
    /// An entity was asked for an operation.
    CallEntity {
        /// The entity.
        entity: EntityId,
        /// As the orchestrator wrote it.
        operation: String,
        /// `None` for no input.
        input: Option<String>,
    },
    /// An entity was told to do an operation.
    SignalEntity {
        /// The entity.
        entity: EntityId,
        /// As the orchestrator wrote it.
        operation: String,
        /// `None` for no input.
        input: Option<String>,
        /// `None`: at once.
        at: Option<Timestamp>,
    },
    /// Entities were locked.
    LockEntities(Vec<EntityId>),
    /// A lock was released, or given up before it was granted.
    UnlockEntities,
    /// A timer was created.
    CreateTimer {
        /// When it fires.
        fire_at: Timestamp,
    },
    /// An event was awaited.
    WaitForEvent(String),
    /// An event was raised at another orchestration.
    SendEvent {
        /// The other orchestration.
        instance_id: String,
        /// The event's name.
        name: String,
        /// Its data.
        data: String,
    },
    /// A durable HTTP request was made.
    CallHttp(HttpCall),
}

impl Default for TestHost {
    fn default() -> Self {
        Self::new()
    }
}

/// Running.
impl TestHost {
    /// A host on which nothing is registered; its clock stands at the beginning of 2000.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Rc::new(RefCell::new(State::new())) }
    }

    /// Runs an orchestrator to its end and gives what it returned. Entities that are run do what
    /// they were told at last, too.
    ///
    /// # Panics
    /// If it waits for something that never happens.
    pub fn run<F: Future>(
        &self,
        orchestrator: impl FnOnce(OrchestrationContext) -> F,
    ) -> F::Output {
        let context = OrchestrationContext::with_host(Rc::new(self.clone()));
        let executor = context.executor().clone();
        let output = executor.run(orchestrator(context));
        // What entities were told at last, they do without being waited for.
        self.pass(self.now());
        output.expect("an orchestrator awaits what its context gives")
    }

    /// The orchestration's clock. It moves while the orchestrator runs.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.state.borrow().now
    }
}

/// What the world answers. What is not said here fails like a function that does not exist. The
/// case of names does not matter.
impl TestHost {
    /// What [`OrchestrationContext::input`] gives; `null` if nothing is said.
    ///
    /// # Panics
    /// If the input has no JSON form.
    pub fn set_input<T: Serialize + ?Sized>(&self, input: &T) {
        self.state.borrow_mut().input = json_of_test(input);
    }

    /// What an activity answers, at once.
    pub fn on_activity<I: DeserializeOwned, O: Serialize>(
        &self,
        name: &str,
        answer: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) {
        self.on(Kind::Activity, name, Duration::ZERO, answer);
    }

    /// What an activity answers after some time.
    pub fn on_activity_taking<I: DeserializeOwned, O: Serialize>(
        &self,
        name: &str,
        time: Duration,
        answer: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) {
        self.on(Kind::Activity, name, time, answer);
    }

    /// How a child ends, at once.
    pub fn on_sub_orchestration<I: DeserializeOwned, O: Serialize>(
        &self,
        name: &str,
        answer: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) {
        self.on(Kind::SubOrchestration, name, Duration::ZERO, answer);
    }

    /// What an operation of all entities of one name answers when it is called, at once; it is given
    /// the key and the input. Signals are written down only.
    pub fn on_entity_operation<I: DeserializeOwned, O: Serialize>(
        &self,
        name: &str,
        operation: &str,
        mut answer: impl FnMut(&str, I) -> Result<O, Failure> + 'static,
    ) {
        let answer = move |key: &str, input: &str| {
            to_json(&answer(key, from_json(input, "the input of the operation")?)?)
        };
        let place = (name.to_ascii_lowercase(), operation.to_ascii_lowercase());
        self.state.borrow_mut().operations.insert(place, Rc::new(RefCell::new(answer)));
    }

    /// What durable HTTP requests are answered, at once.
    pub fn on_http(
        &self,
        answer: impl FnMut(&HttpCall) -> Result<HttpCallResponse, Failure> + 'static,
    ) {
        self.state.borrow_mut().http = Some(Rc::new(RefCell::new(answer)));
    }

    /// Raises an event now; before the orchestrator runs: from its beginning.
    ///
    /// # Panics
    /// If the data has no JSON form.
    pub fn raise_event<T: Serialize + ?Sized>(&self, name: &str, data: &T) {
        self.raise_event_after(Duration::ZERO, name, data);
    }

    /// Raises an event after a span of the orchestration's time.
    ///
    /// # Panics
    /// If the data has no JSON form.
    pub fn raise_event_after<T: Serialize + ?Sized>(&self, span: Duration, name: &str, data: &T) {
        let data = json_of_test(data);
        self.state.borrow_mut().raise(span, name, data);
    }

    fn on<I: DeserializeOwned, O: Serialize>(
        &self,
        kind: Kind,
        name: &str,
        time: Duration,
        mut answer: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) {
        let answer = move |input: &str| to_json(&answer(from_json(input, "the input")?)?);
        let scripted = Scripted { time, answer: Rc::new(RefCell::new(answer)) };
        self.state.borrow_mut().functions.insert((kind, name.to_ascii_lowercase()), scripted);
    }
}

/// What the orchestrator did.
impl TestHost {
    /// All that it asked for, in order.
    #[must_use]
    pub fn actions(&self) -> Vec<TestAction> {
        self.state.borrow().actions.clone()
    }

    /// What it began and has neither seen the end of nor given up.
    #[must_use]
    pub fn under_way(&self) -> Vec<TestAction> {
        self.state.borrow().under_way.values().cloned().collect()
    }

    /// How long each timer was to wait, in the order of their creation.
    #[must_use]
    pub fn timers(&self) -> Vec<Duration> {
        self.state.borrow().timers.clone()
    }

    /// The log lines.
    #[must_use]
    pub fn log_lines(&self) -> Vec<(LogLevel, String)> {
        self.state.borrow().log_lines.clone()
    }

    /// The custom status as JSON text.
    #[must_use]
    pub fn custom_status(&self) -> Option<String> {
        self.state.borrow().custom_status.clone()
    }

    /// The input of the next execution as JSON text, if the orchestrator asked for one.
    #[must_use]
    pub fn continued_as_new(&self) -> Option<String> {
        self.state.borrow().continued_as_new.clone()
    }
}

/// A context for the unit test of an activity, and for a [`TestHost`] that runs real activities. Its
/// client and its log work in a component only.
///
/// ```
/// use everstate_sdk::ActivityContext;
/// use everstate_sdk::testing::{TestHost, activity_context};
///
/// // In a component it has `#[activity]`.
/// fn Greet(context: ActivityContext, name: String) -> String {
///     format!("Hello, {name}, for the {}. time", context.attempt())
/// }
///
/// let host = TestHost::new();
/// host.on_activity("Greet", |name: String| Ok(Greet(activity_context("Greet", 1), name)));
/// let greeting = host.run(|context| context.call_activity::<String>("Greet", "Ada"));
/// assert_eq!(greeting.unwrap(), "Hello, Ada, for the 1. time");
/// ```
#[must_use]
pub fn activity_context(name: &str, attempt: u32) -> ActivityContext {
    let call = ActivityCall {
        name: name.to_owned(),
        input: String::new(),
        instance_id: state::INSTANCE_ID.to_owned(),
        idempotency_key: format!("{}:{name}", state::INSTANCE_ID),
        attempt,
        tags: Vec::new(),
    };
    ActivityContext::new(call).0
}

fn json_of_test<T: Serialize + ?Sized>(value: &T) -> String {
    to_json(value).expect("what a test gives has a JSON form")
}
