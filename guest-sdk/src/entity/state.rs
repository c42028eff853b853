//! How the state of an entity is read and written: its version, its upgrade, and the fields that it
//! is found by. An operation that is a method has its state read before and written after it here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::entity::{EntityContext, fields};
use crate::error::{Failure, HostError};
use crate::payload::{NULL, state_from_json, to_json, unreadable_state};

/// Longest value of a field that entities are found by, in bytes of JSON; the host refuses longer
/// ones.
const INDEX_VALUE_BYTES_MAX: usize = 1_024;

/// A state that was read.
struct Loaded<S> {
    state: S,
    /// Its JSON text before the operation, in the present shape.
    json: String,
}

impl EntityContext {
    /// The state in its present shape.
    pub(super) fn read<S: DeserializeOwned>(&self) -> Result<Option<S>, Failure> {
        let Some((json, written)) = self.stored()? else { return Ok(None) };
        match self.upgraded(&json, written)? {
            Some(upgraded) => self.decoded_value(upgraded),
            None => self.decoded(&json).map(Some),
        }
    }

    /// Writes the state with all that belongs to it. A value whose JSON is `null` deletes it.
    pub(super) fn write<S: Serialize + ?Sized>(&mut self, state: &S) -> Result<(), Failure> {
        let json = self.encoded(state)?;
        self.write_json(&json)
    }

    /// The same, with the text.
    fn write_json(&mut self, json: &str) -> Result<(), Failure> {
        self.is_state_settled = true;
        let indexed = self.indexed(json)?;
        self.host.set_state(json)?;
        if json == NULL {
            self.time_to_live_ms = None;
            return Ok(());
        }
        self.host.set_state_version(self.options.version);
        if let Some(indexed) = indexed {
            self.host.set_indexes(&indexed)?;
        }
        if let Some(span_ms) = self.time_to_live_ms {
            // It may have been set before there was a state that it could be kept with.
            self.host.set_time_to_live(span_ms);
        }
        Ok(())
    }

    /// What the entity is found by with this state; `None` if its type declares no indexes. Checked
    /// before anything is written, so that the state and its fields are written both or not at all.
    fn indexed(&self, json: &str) -> Result<Option<Vec<(String, String)>>, HostError> {
        if self.options.indexes.is_empty() {
            return Ok(None);
        }
        let indexed = fields::indexed(json, self.options.indexes);
        match indexed.iter().find(|(_, value)| value.len() > INDEX_VALUE_BYTES_MAX) {
            Some((name, value)) => Err(HostError::LimitExceeded(format!(
                "the value of the index `{name}`: {} bytes, {INDEX_VALUE_BYTES_MAX} allowed",
                value.len()
            ))),
            None => Ok(Some(indexed)),
        }
    }

    /// The state as it is stored, and the version that wrote it.
    fn stored(&self) -> Result<Option<(String, u32)>, Failure> {
        let Some(json) = self.host.get_state() else { return Ok(None) };
        let (written, known) = (self.host.state_version(), self.options.version);
        if written > known {
            return Err(Failure::new(
                "StateTooNew",
                format!(
                    "the state of the entity {} was written by version {written}, this code knows \
                     versions up to {known}",
                    self.entity
                ),
            )
            .non_retriable());
        }
        Ok(Some((json, written)))
    }

    /// The state after the upgrade hook, if it is older and there is one.
    fn upgraded(&self, json: &str, written: u32) -> Result<Option<Value>, Failure> {
        match self.options.upgrade {
            Some(upgrade) if written < self.options.version => {
                upgrade(written, self.decoded(json)?).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn load<S: DeserializeOwned + Serialize>(&self) -> Result<Option<Loaded<S>>, Failure> {
        let Some((json, written)) = self.stored()? else { return Ok(None) };
        let Some(upgraded) = self.upgraded(&json, written)? else {
            return Ok(Some(Loaded { state: self.decoded(&json)?, json }));
        };
        let Some(state) = self.decoded_value(upgraded)? else { return Ok(None) };
        // An upgrade alone is no reason to write: the text to compare with is that of the new shape.
        let json = self.encoded(&state)?;
        Ok(Some(Loaded { state, json }))
    }

    fn decoded<S: DeserializeOwned>(&self, json: &str) -> Result<S, Failure> {
        state_from_json(json, &self.entity)
    }

    /// What an upgrade gave; one that gives `null` leaves no state.
    fn decoded_value<S: DeserializeOwned>(&self, value: Value) -> Result<Option<S>, Failure> {
        if value.is_null() {
            return Ok(None);
        }
        let state = serde_json::from_value(value);
        state.map(Some).map_err(|error| unreadable_state(&self.entity, &error))
    }

    fn encoded<S: Serialize + ?Sized>(&self, state: &S) -> Result<String, Failure> {
        to_json(state).map_err(|failure| {
            let text =
                format!("the state of the entity {}: {}", self.entity, failure.error_message);
            Failure::new("InvalidState", text).non_retriable()
        })
    }
}

/// Runs an operation that changes the state. A state that is new or has changed is written back,
/// unless the operation said itself what becomes of it.
pub(crate) fn change<S: Default + Serialize + DeserializeOwned>(
    context: &mut EntityContext,
    operation: impl FnOnce(&mut S, &mut EntityContext) -> Result<Option<String>, Failure>,
) -> Result<Option<String>, Failure> {
    let (mut state, before) = match context.load()? {
        Some(Loaded { state, json }) => (state, Some(json)),
        None => (S::default(), None),
    };
    context.is_state_settled = false;
    let result = operation(&mut state, context)?;
    if !context.is_state_settled {
        let after = context.encoded(&state)?;
        if before.is_none_or(|before| before != after) {
            context.write_json(&after)?;
        }
    }
    Ok(result)
}

/// Runs an operation that does not change the state. Without a state it sees the default, which is
/// not kept.
pub(crate) fn look<S: Default + DeserializeOwned>(
    context: &mut EntityContext,
    operation: impl FnOnce(&S, &mut EntityContext) -> Result<Option<String>, Failure>,
) -> Result<Option<String>, Failure> {
    let state = context.read()?.unwrap_or_default();
    operation(&state, context)
}
