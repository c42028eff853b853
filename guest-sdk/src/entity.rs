//! What an entity function sees: [`EntityContext`], one operation on one entity.
//!
//! Its effects (the state, signals, starts) are taken together when the function returns well, and
//! all of them are dropped when it fails.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::exported::entity::Operation;
use crate::bindings::imports::entity_context as host;
use crate::error::{Failure, HostError};
use crate::id::EntityId;
use crate::log::{LogLevel, log_methods};
use crate::payload::{from_json, from_optional_json, to_json, to_optional_json};
use crate::time::Timestamp;

/// One operation on one entity.
///
/// ```no_run
/// use everstate_sdk::{EntityContext, Failure, entity};
///
/// #[entity]
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
    entity: EntityId,
    operation_name: String,
    input: Option<String>,
    batch_size: u32,
    batch_position: u32,
}

impl EntityContext {
    pub(crate) fn new(operation: Operation) -> Self {
        Self {
            entity: EntityId::from_wit(operation.entity),
            operation_name: operation.name,
            input: operation.input,
            batch_size: operation.batch_size,
            batch_position: operation.batch_position,
        }
    }

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
    /// `InvalidInput` if the input is not a `T`.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let what = format!("the input of the operation `{}`", self.operation_name);
        from_optional_json(self.input.as_deref(), &what)
    }

    /// Whether the entity has state, as this operation left it so far.
    #[must_use]
    pub fn has_state(&self) -> bool {
        host::get_state().is_some()
    }

    /// The state as this operation left it so far; `None` for an entity that has none. Reading
    /// never creates.
    ///
    /// # Errors
    /// `InvalidInput` if the stored state is not a `T`.
    pub fn get_state<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        match host::get_state() {
            Some(json) => from_json(&json, "the entity's state").map(Some),
            None => Ok(None),
        }
    }

    /// Replaces the state. A value whose JSON is `null` deletes it.
    ///
    /// # Errors
    /// A value without a JSON form; state above the host's limit.
    pub fn set_state<T: Serialize + ?Sized>(&mut self, state: &T) -> Result<(), Failure> {
        host::set_state(&to_json(state)?).map_err(HostError::from)?;
        Ok(())
    }

    /// Deletes the state. The id stays usable.
    pub fn delete_state(&mut self) {
        host::delete_state();
    }

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
        signal(entity, operation, input, None)
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
        signal(entity, operation, input, Some(at))
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
        let input = to_json(input)?;
        Ok(host::start_orchestration(name, &input, instance_id).map_err(HostError::from)?)
    }

    /// Writes a log line.
    pub fn log(&self, level: LogLevel, message: &str) {
        host::log(level.into(), message);
    }

    log_methods!();
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
