//! What an orchestrator sees: [`OrchestrationContext`].
//!
//! Every method that begins something durable does so at once and returns a [`DurableFuture`] for
//! its result, so work begun in sequence runs at the same time. Methods that return no future are
//! done when they return.

use std::cell::OnceCell;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::orchestration::OrchestrationInfo;
use crate::error::Failure;
use crate::executor::{self, DurableFuture, Executor, decode_nothing, decode_result};
use crate::id::EntityId;
use crate::log::{LogLevel, log_methods};
use crate::payload::{from_json, to_json, to_optional_json};
use crate::time::Timestamp;

mod activity;
mod child;
mod event;
pub(crate) mod host;
mod http_call;
mod lock;
mod retry;

use host::{ComponentHost, Host};

pub use activity::ActivityOptions;
pub use child::ChildOptions;
pub use http_call::{HttpCall, HttpCallResponse};
pub use lock::EntityLock;
pub use retry::RetryPolicy;

/// The running orchestration. Cheap to clone.
///
/// Whatever an orchestrator asks of it is the same on every replay: the clock, GUIDs and random
/// numbers included.
///
/// ```no_run
/// use everstate_sdk::{EntityId, Failure, OrchestrationContext, orchestrator};
/// use futures_util::future::try_join;
///
/// #[orchestrator]
/// async fn Sum(context: OrchestrationContext, keys: (String, String)) -> Result<i64, Failure> {
///     let first = EntityId::new("Counter", &keys.0)?;
///     let second = EntityId::new("Counter", &keys.1)?;
///     // Both calls are under way before either is awaited.
///     let (a, b) = try_join(
///         context.call_entity::<i64>(&first, "get", &()),
///         context.call_entity::<i64>(&second, "get", &()),
///     )
///     .await?;
///     Ok(a + b)
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct OrchestrationContext {
    host: Rc<dyn Host>,
    executor: Executor,
    info: Rc<OnceCell<OrchestrationInfo>>,
}

/// Who is running.
impl OrchestrationContext {
    /// The context of the orchestration that this component is run for.
    pub(crate) fn new() -> Self {
        Self::with_host(Rc::new(ComponentHost))
    }

    pub(crate) fn with_host(host: Rc<dyn Host>) -> Self {
        let executor = Executor::new(Rc::clone(&host) as Rc<dyn executor::Host>);
        Self { host, executor, info: Rc::default() }
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    fn facts(&self) -> &OrchestrationInfo {
        self.info.get_or_init(|| self.host.info())
    }

    /// The orchestrator function's name, as it was registered.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts().name
    }

    /// The id of the orchestration.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.facts().instance_id
    }

    /// A GUID that is new for every execution: a start, or a continue-as-new.
    #[must_use]
    pub fn execution_id(&self) -> &str {
        &self.facts().execution_id
    }

    /// The parent that waits for this orchestration, if one does.
    #[must_use]
    pub fn parent_instance_id(&self) -> Option<&str> {
        self.facts().parent_instance_id.as_deref()
    }

    /// The tags given at the start, as pairs of name and value.
    #[must_use]
    pub fn tags(&self) -> &[(String, String)] {
        &self.facts().tags
    }

    /// The input. An absent one is `null`. An orchestrator's second parameter is the same.
    ///
    /// # Errors
    /// `InvalidInput` if the input is not a `T`.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        from_json(&self.host.input(), "the orchestration's input")
    }

    /// Whether what is running now ran before. For the suppression of side effects only.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.host.is_replaying()
    }
}

/// What replays the same: time, identity, chance; and what is seen from outside.
impl OrchestrationContext {
    /// The orchestration's clock. It stands still between two awaited completions.
    #[must_use]
    pub fn current_time(&self) -> Timestamp {
        self.host.current_time()
    }

    /// A GUID that differs between any two calls.
    #[must_use]
    pub fn new_guid(&self) -> String {
        self.host.new_guid()
    }

    /// A random number.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.host.random()
    }

    /// Sets what the status shows as custom status; a value whose JSON is `null` clears it.
    ///
    /// # Errors
    /// A value without a JSON form, or above 16 KiB.
    pub fn set_custom_status<T: Serialize + ?Sized>(&self, status: &T) -> Result<(), Failure> {
        let status = to_optional_json(status)?;
        self.host.set_custom_status(status.as_deref())?;
        Ok(())
    }

    /// Writes a log line once, not again on replays. The first 1,000 lines (64 KiB) of an
    /// execution are kept in its history.
    pub fn log(&self, level: LogLevel, message: &str) {
        self.host.log(level, message);
    }

    log_methods!();
}

/// Entities.
impl OrchestrationContext {
    /// Asks an entity for an operation. `&()` is no input. The future gives the result, the
    /// failure of the operation, or a failure if there is no such entity function. There is no
    /// timeout: race it against a timer.
    pub fn call_entity<R: DeserializeOwned>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &(impl Serialize + ?Sized),
    ) -> DurableFuture<R> {
        self.ask(entity, operation, to_optional_json(input))
    }

    /// Tells an entity to do an operation. Nothing comes back. `&()` is no input.
    ///
    /// # Errors
    /// An input without a JSON form; what the host refuses.
    pub fn signal_entity<T: Serialize + ?Sized>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &T,
    ) -> Result<(), Failure> {
        self.tell(entity, operation, to_optional_json(input)?.as_deref(), None)
    }

    /// The same, but not before a point in time.
    ///
    /// # Errors
    /// As [`signal_entity`](Self::signal_entity).
    pub fn signal_entity_at<T: Serialize + ?Sized>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &T,
        at: Timestamp,
    ) -> Result<(), Failure> {
        self.tell(entity, operation, to_optional_json(input)?.as_deref(), Some(at))
    }

    /// Asks for exclusive use of several entities: a critical section. The future gives a guard that
    /// releases them when it is dropped; dropping the future before gives the lock up. An unknown
    /// entity function makes it fail.
    ///
    /// Until the release these fail with `Conflict`: another lock, a call of a child, a signal to one
    /// of the entities, a call to any other entity, and a second call to the same one while the first
    /// is pending. Calls to the locked entities wait for the guard: await it before them. Two sections
    /// never wait for each other, because entities are taken in one global order.
    ///
    /// It is isolation and no transaction: what was changed stays changed if the orchestration fails.
    ///
    /// ```no_run
    /// use everstate_sdk::{Failure, OrchestrationContext, entity, orchestrator};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, Default, Serialize, Deserialize)]
    /// struct Account {
    ///     cents: i64,
    /// }
    ///
    /// #[entity]
    /// impl Account {
    ///     fn balance(&self) -> i64 {
    ///         self.cents
    ///     }
    ///
    ///     fn add(&mut self, cents: i64) {
    ///         self.cents += cents;
    ///     }
    /// }
    ///
    /// #[orchestrator]
    /// async fn Transfer(context: OrchestrationContext, cents: i64) -> Result<bool, Failure> {
    ///     let (from, to) = (Account::proxy("Ada")?, Account::proxy("Grace")?);
    ///     let both = [from.entity_id().clone(), to.entity_id().clone()];
    ///     let _lock = context.lock_entities(&both).await?;
    ///     if from.balance().call(&context).await? < cents {
    ///         return Ok(false);
    ///     }
    ///     from.add(-cents).call(&context).await?;
    ///     to.add(cents).call(&context).await?;
    ///     Ok(true)
    /// }
    /// # fn main() {}
    /// ```
    pub fn lock_entities(&self, entities: &[EntityId]) -> DurableFuture<EntityLock> {
        match self.host.lock_entities(entities) {
            Ok(handle) => {
                let granted = self.executor.future(Ok::<_, Failure>(handle), decode_nothing);
                EntityLock::when(granted, handle, Rc::clone(&self.host))
            }
            Err(refusal) => DurableFuture::refused(refusal.into()),
        }
    }

    /// Asks with an input that is JSON text already, or says why there is none.
    pub(crate) fn ask<R: DeserializeOwned>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Result<Option<String>, Failure>,
    ) -> DurableFuture<R> {
        let handle = input
            .and_then(|input| Ok(self.host.call_entity(entity, operation, input.as_deref())?));
        self.executor.future(handle, decode_result)
    }

    /// Tells with an input that is JSON text already.
    pub(crate) fn tell(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), Failure> {
        Ok(self.host.signal_entity(entity, operation, input, at)?)
    }
}

/// Starting over.
impl OrchestrationContext {
    /// Ends this execution when the orchestrator returns well, and starts the next one with this
    /// input under the same id and with the newest code. What the orchestrator returns is then
    /// ignored. Events that nobody has consumed go along.
    ///
    /// # Errors
    /// An input without a JSON form.
    pub fn continue_as_new<T: Serialize + ?Sized>(&self, input: &T) -> Result<(), Failure> {
        self.host.continue_as_new(&to_json(input)?, true);
        Ok(())
    }

    /// The same, but events that nobody has consumed are dropped.
    ///
    /// # Errors
    /// An input without a JSON form.
    pub fn continue_as_new_without_events<T: Serialize + ?Sized>(
        &self,
        input: &T,
    ) -> Result<(), Failure> {
        self.host.continue_as_new(&to_json(input)?, false);
        Ok(())
    }
}
