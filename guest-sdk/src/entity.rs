//! What an entity function sees: [`EntityContext`], one operation on one entity.
//!
//! Its effects (the state, signals, starts) are taken together when the function returns well, and
//! all of them are dropped when it fails.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::exported::entity::Operation;
use crate::error::Failure;
use crate::id::EntityId;
use crate::log::{LogLevel, log_methods};
use crate::payload::{from_optional_json, to_json, to_optional_json};
use crate::time::{Timestamp, span_ms};

mod fields;
pub(crate) mod host;
mod options;
mod state;

use host::{ComponentHost, Host};

pub use options::{EntityOptions, Upgrade};
pub(crate) use state::{change, look};

/// One operation on one entity.
///
/// ```no_run
/// use everstate_sdk::{EntityContext, Failure, entity};
///
/// #[entity(read_only("get"))]
/// fn Counter(context: &mut EntityContext) -> Result<i64, Failure> {
///     let count: i64 = context.get_state()?.unwrap_or(0);
///     match context.operation_name() {
///         "add" => {
///             let count = count + context.input::<i64>()?;
///             context.set_state(&count)?;
///             Ok(count)
///         }
///         "get" => Ok(count),
///         other => Err(Failure::unknown_operation(other)),
///     }
/// }
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct EntityContext {
    host: Rc<dyn Host>,
    options: &'static EntityOptions,
    entity: EntityId,
    operation_name: String,
    input: Option<String>,
    batch_size: u32,
    batch_position: u32,
    /// Whether the operation said itself what becomes of the state.
    is_state_settled: bool,
    /// What the operation said of the time to live, since the state was deleted last.
    time_to_live_ms: Option<Option<u64>>,
}

/// One operation that is to be run. What the attributes generate makes the context out of it, so
/// that components without entities import nothing that only entities need.
#[derive(Debug)]
pub struct EntityCall {
    operation: Operation,
    options: &'static EntityOptions,
    /// `None`: that of the component.
    host: Option<Rc<dyn Host>>,
}

impl EntityCall {
    pub(crate) fn new(operation: Operation, options: &'static EntityOptions) -> Self {
        Self { operation, options, host: None }
    }

    /// The same operation with another host: a test.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn with_host(self, host: Rc<dyn Host>) -> Self {
        Self { host: Some(host), ..self }
    }

    pub(crate) fn into_context(self) -> EntityContext {
        let Self { operation, options, host } = self;
        EntityContext {
            host: host.unwrap_or_else(|| Rc::new(ComponentHost)),
            options,
            entity: EntityId::from_wit(operation.entity),
            operation_name: operation.name,
            input: operation.input,
            batch_size: operation.batch_size,
            batch_position: operation.batch_position,
            is_state_settled: false,
            time_to_live_ms: None,
        }
    }
}

/// What is asked for.
impl EntityContext {
    /// The entity that the operation is for.
    #[must_use]
    pub fn entity_id(&self) -> &EntityId {
        &self.entity
    }

    /// The entity's key.
    #[must_use]
    pub fn key(&self) -> &str {
        self.entity.key()
    }

    /// The operation's name as the caller gave it.
    #[must_use]
    pub fn operation_name(&self) -> &str {
        &self.operation_name
    }

    /// How many operations the host runs in this batch.
    #[must_use]
    pub fn batch_size(&self) -> u32 {
        self.batch_size
    }

    /// The place of this operation in its batch, from 0.
    #[must_use]
    pub fn batch_position(&self) -> u32 {
        self.batch_position
    }

    /// The operation's input. An absent one is read as `null`, so ask for an `Option` where a
    /// caller may leave it out.
    ///
    /// # Errors
    /// `InvalidInput` if the input is not a `T`, or absent where a `T` must be given.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let what = format!("the input of the operation `{}`", self.operation_name);
        from_optional_json(self.input.as_deref(), &what).map_err(|failure| match self.input {
            Some(_) => failure,
            None => {
                let operation = &self.operation_name;
                let text =
                    format!("the operation `{operation}` needs an input, and none was given");
                Failure::new("InvalidInput", text).non_retriable()
            }
        })
    }
}

/// The state.
impl EntityContext {
    /// Whether the entity has state, as this operation left it so far.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.host.get_state().is_some()
    }

    /// The state as this operation left it so far; `None` for an entity that has none. Reading
    /// never creates.
    ///
    /// A state of an older version than the attribute of the entity declares is given to its
    /// upgrade hook first. What that gives is stored with the next [`set_state`](Self::set_state),
    /// not before.
    ///
    /// # Errors
    /// `InvalidState` if the stored state is not a `T`, `StateTooNew` if a newer version wrote it,
    /// and what the upgrade hook fails with.
    pub fn get_state<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        self.read()
    }

    /// Replaces the state. A value whose JSON is `null` deletes it.
    ///
    /// The fields that the attribute of the entity declares as indexes are taken from the top level
    /// of the value: one that is absent or `null` is not indexed.
    ///
    /// # Errors
    /// `InvalidState` for a value without a JSON form; state above the host's limit, an indexed
    /// field above 1,024 bytes of JSON; as the failure `NotSupported`: the operation is declared
    /// as read-only.
    pub fn set_state<T: Serialize + ?Sized>(&mut self, state: &T) -> Result<(), Failure> {
        self.write(state)
    }

    /// Deletes the state, without reading it. The id stays usable. In an operation that is
    /// declared as read-only it traps.
    pub fn delete_state(&mut self) {
        self.is_state_settled = true;
        self.time_to_live_ms = None;
        self.host.delete_state();
    }

    /// The version of the shape of the stored state: that of the code that wrote it, 0 if that
    /// declared none, and 0 for an entity without state.
    #[must_use]
    pub fn state_version(&self) -> u32 {
        self.host.state_version()
    }

    /// Says how long this entity lives since its last use; then its state is deleted. `None`: what
    /// the attribute of the entity declares. [`Duration::MAX`]: for ever. It is kept with the
    /// state and gone with it.
    pub fn set_time_to_live(&mut self, span: Option<Duration>) {
        let span_ms = span.map(span_ms);
        self.time_to_live_ms = Some(span_ms);
        self.host.set_time_to_live(span_ms);
    }
}

/// What the operation sends.
impl EntityContext {
    /// Tells an entity, itself included, to do an operation. Nothing comes back. `&()` is no input.
    ///
    /// # Errors
    /// An input without a JSON form; what the host refuses.
    pub fn signal_entity<T: Serialize + ?Sized>(
        &mut self,
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
        &mut self,
        entity: &EntityId,
        operation: &str,
        input: &T,
        at: Timestamp,
    ) -> Result<(), Failure> {
        self.tell(entity, operation, to_optional_json(input)?.as_deref(), Some(at))
    }

    /// Starts an orchestration and gives its id. Without an id the host makes one. If the id is
    /// taken by an orchestration that is alive, nothing is started.
    ///
    /// # Errors
    /// An input without a JSON form; what the host refuses.
    pub fn start_orchestration<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        input: &T,
        instance_id: Option<&str>,
    ) -> Result<String, Failure> {
        Ok(self.host.start_orchestration(name, &to_json(input)?, instance_id)?)
    }

    /// Writes a log line.
    pub fn log(&self, level: LogLevel, message: &str) {
        self.host.log(level, message);
    }

    log_methods!();

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
