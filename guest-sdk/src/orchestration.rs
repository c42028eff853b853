//! What an orchestrator sees: [`OrchestrationContext`].
//!
//! Every method that begins something durable does so at once and returns a [`DurableFuture`] for
//! its result, so work begun in sequence runs at the same time. Methods that return no future are
//! done when they return.

use std::cell::OnceCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::orchestration as host;
use crate::error::{Failure, HostError, failure_from_wit};
use crate::executor::{
    self, DurableFuture, Executor, Handle, begun, decode_nothing, decode_result,
};
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::payload::{from_json, to_json, to_optional_json};
use crate::time::Timestamp;

mod http_call;
mod lock;

pub use http_call::{HttpCall, HttpCallResponse};
pub use lock::EntityLock;

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
    executor: Executor,
    info: Rc<OnceCell<host::OrchestrationInfo>>,
}

/// Options of a child or of a fire-and-forget start. The default: a derived id, now, no tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildOptions {
    /// `None`: derived from the execution, so that replays agree.
    pub instance_id: Option<String>,
    /// `None`: at once.
    pub start_at: Option<Timestamp>,
    /// Pairs of name and value.
    pub tags: Vec<(String, String)>,
}

/// Who is running.
impl OrchestrationContext {
    pub(crate) fn new() -> Self {
        Self { executor: Executor::new(Rc::new(ComponentHost)), info: Rc::default() }
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    fn info(&self) -> &host::OrchestrationInfo {
        self.info.get_or_init(host::info)
    }

    /// The orchestrator function's name, as it was registered.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info().name
    }

    /// The id of the orchestration.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.info().instance_id
    }

    /// A GUID that is new for every execution: a start, or a continue-as-new.
    #[must_use]
    pub fn execution_id(&self) -> &str {
        &self.info().execution_id
    }

    /// The parent that waits for this orchestration, if one does.
    #[must_use]
    pub fn parent_instance_id(&self) -> Option<&str> {
        self.info().parent_instance_id.as_deref()
    }

    /// The tags given at the start, as pairs of name and value.
    #[must_use]
    pub fn tags(&self) -> &[(String, String)] {
        &self.info().tags
    }

    /// The input. An absent one is `null`. An orchestrator's second parameter is the same.
    ///
    /// # Errors
    /// `InvalidInput` if the input is not a `T`.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        from_json(&host::input(), "the orchestration's input")
    }

    /// Whether what is running now ran before. For the suppression of side effects only.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        host::is_replaying()
    }
}

/// What replays the same: time, identity, chance; and what is seen from outside.
impl OrchestrationContext {
    /// The orchestration's clock. It stands still between two awaited completions.
    #[must_use]
    pub fn current_time(&self) -> Timestamp {
        Timestamp::from_unix_ms(host::current_time())
    }

    /// A GUID that differs between any two calls.
    #[must_use]
    pub fn new_guid(&self) -> String {
        host::new_guid()
    }

    /// A random number.
    #[must_use]
    pub fn random(&self) -> u64 {
        host::random()
    }

    /// Sets what the status shows as custom status; a value whose JSON is `null` clears it.
    ///
    /// # Errors
    /// A value without a JSON form, or above 16 KiB.
    pub fn set_custom_status<T: Serialize + ?Sized>(&self, status: &T) -> Result<(), Failure> {
        let status = to_optional_json(status)?;
        host::set_custom_status(status.as_deref()).map_err(HostError::from)?;
        Ok(())
    }

    /// Writes a log line once, not again on replays.
    pub fn log(&self, level: LogLevel, message: &str) {
        host::log(level.into(), message);
    }
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
        let handle = to_optional_json(input).and_then(|input| {
            begun(host::call_entity(&entity.to_wit(), operation, input.as_deref()))
        });
        self.executor.future(handle, decode_result)
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
        signal(entity, operation, input, None)
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
        signal(entity, operation, input, Some(at))
    }

    /// Asks for exclusive use of several entities. The future gives a guard that releases them
    /// when it is dropped.
    pub fn lock_entities(
        &self,
        entities: &[EntityId],
    ) -> impl Future<Output = Result<EntityLock, Failure>> + use<> {
        let entities: Vec<_> = entities.iter().map(EntityId::to_wit).collect();
        let granted = self.executor.future(begun(host::lock_entities(&entities)), decode_nothing);
        EntityLock::when(granted)
    }
}

/// Activities and other orchestrations.
impl OrchestrationContext {
    /// Schedules an activity. The future gives its result or its failure.
    pub fn call_activity<R: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> DurableFuture<R> {
        self.call_activity_with_tags(name, input, &[])
    }

    /// The same, with tags: pairs of name and value.
    pub fn call_activity_with_tags<R: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
        tags: &[(String, String)],
    ) -> DurableFuture<R> {
        let handle =
            to_json(input).and_then(|input| begun(host::call_activity(name, &input, tags)));
        self.executor.future(handle, decode_result)
    }

    /// Starts a child. The future gives its output or its failure.
    pub fn call_sub_orchestration<R: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
        options: &ChildOptions,
    ) -> DurableFuture<R> {
        let handle = to_json(input)
            .and_then(|input| begun(host::call_sub_orchestration(name, &input, &options.to_wit())));
        self.executor.future(handle, decode_result)
    }

    /// Starts an orchestration that nobody waits for; gives its id.
    ///
    /// # Errors
    /// An input without a JSON form; what the host refuses.
    pub fn start_orchestration<T: Serialize + ?Sized>(
        &self,
        name: &str,
        input: &T,
        options: &ChildOptions,
    ) -> Result<String, Failure> {
        let input = to_json(input)?;
        let started = host::start_orchestration(name, &input, &options.to_wit());
        Ok(started.map_err(HostError::from)?)
    }

    /// Raises an event at another orchestration. Nothing comes back.
    ///
    /// # Errors
    /// Data without a JSON form; what the host refuses.
    pub fn send_event<T: Serialize + ?Sized>(
        &self,
        instance_id: &str,
        name: &str,
        data: &T,
    ) -> Result<(), Failure> {
        host::send_event(instance_id, name, &to_json(data)?).map_err(HostError::from)?;
        Ok(())
    }

    /// A durable HTTP request. The future gives the response, whatever its status.
    pub fn call_http(&self, request: &HttpCall) -> DurableFuture<HttpCallResponse> {
        self.executor.future(begun(host::call_http(&request.to_wit())), decode_result)
    }
}

/// Timers, events, and starting over.
impl OrchestrationContext {
    /// A durable timer that fires at or after a point in time; in the past: at once.
    pub fn create_timer(&self, fire_at: Timestamp) -> DurableFuture<()> {
        self.executor.future(begun(host::create_timer(fire_at.unix_ms())), decode_nothing)
    }

    /// A durable timer that fires after a span of the orchestration's time.
    pub fn sleep(&self, span: Duration) -> DurableFuture<()> {
        self.create_timer(self.current_time() + span)
    }

    /// Waits for the next event of that name; the case of the name does not matter. Events that
    /// come before anybody waits are kept in order. Dropping the future leaves the event to the
    /// next waiter.
    pub fn wait_for_event<T: DeserializeOwned>(&self, name: &str) -> DurableFuture<T> {
        self.executor.future(begun(host::wait_for_event(name)), decode_result)
    }

    /// Ends this execution when the orchestrator returns well, and starts the next one with this
    /// input under the same id. What the orchestrator returns is then ignored. Events that nobody
    /// has consumed go along.
    ///
    /// # Errors
    /// An input without a JSON form.
    pub fn continue_as_new<T: Serialize + ?Sized>(&self, input: &T) -> Result<(), Failure> {
        host::continue_as_new(&to_json(input)?, true);
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
        host::continue_as_new(&to_json(input)?, false);
        Ok(())
    }
}

impl ChildOptions {
    fn to_wit(&self) -> host::StartOptions {
        host::StartOptions {
            instance_id: self.instance_id.clone(),
            start_at: self.start_at.map(Timestamp::unix_ms),
            tags: self.tags.clone(),
        }
    }
}

fn signal<T: Serialize + ?Sized>(
    entity: &EntityId,
    operation: &str,
    input: &T,
    at: Option<Timestamp>,
) -> Result<(), Failure> {
    let input = to_optional_json(input)?;
    let at = at.map(Timestamp::unix_ms);
    host::signal_entity(&entity.to_wit(), operation, input.as_deref(), at)
        .map_err(HostError::from)?;
    Ok(())
}

/// The host of the component that this code is compiled into.
struct ComponentHost;

impl executor::Host for ComponentHost {
    fn wait_any(&self, handles: &[Handle]) -> (Handle, Result<String, Failure>) {
        let completion = host::wait_any(handles);
        (completion.handle, completion.outcome.map_err(failure_from_wit))
    }

    fn cancel(&self, handle: Handle) {
        host::cancel(handle);
    }
}
