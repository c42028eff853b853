//! What arrives at an entity: from whom, when, in which order, and together with what.

use everstate_sdk::{EntityContext, EntityId, Failure, Timestamp, entity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that it was told, in the order in which it came.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sequence {
    notes: Vec<Value>,
}

#[entity]
impl Sequence {
    fn note(&mut self, note: Value) {
        self.notes.push(note);
    }

    fn notes(&self) -> Vec<Value> {
        self.notes.clone()
    }
}

/// An operation of another entity.
#[derive(Debug, Serialize, Deserialize)]
struct Forwarding {
    name: String,
    key: String,
    operation: String,
    input: Value,
    /// Not before; absent: at once.
    at: Option<Timestamp>,
}

/// Passes on what it is told, and counts how often.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Relay {
    forwarded: u64,
}

#[entity]
impl Relay {
    fn forward(
        &mut self,
        context: &mut EntityContext,
        forwarding: Forwarding,
    ) -> Result<(), Failure> {
        let entity = EntityId::new(&forwarding.name, &forwarding.key)?;
        let (operation, input) = (&forwarding.operation, &forwarding.input);
        match forwarding.at {
            Some(at) => context.signal_entity_at(&entity, operation, input, at)?,
            None => context.signal_entity(&entity, operation, input)?,
        }
        self.forwarded += 1;
        Ok(())
    }

    /// Sends ten notes to a `Sequence`: who it is, and the numbers that follow those it sent before.
    fn send_ten(&mut self, context: &mut EntityContext, to: String) -> Result<(), Failure> {
        let sequence = Sequence::proxy(&to)?;
        for _ in 0..10 {
            let note = serde_json::json!([context.key(), self.forwarded]);
            sequence.note(note).signal(context)?;
            self.forwarded += 1;
        }
        Ok(())
    }
}

/// When something came that was not to come before.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Arrival {
    due: Timestamp,
    came: Timestamp,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Clocked {
    arrivals: Vec<Arrival>,
}

#[entity]
impl Clocked {
    /// The input is when this is due.
    fn arrive(&mut self, due: Timestamp) {
        self.arrivals.push(Arrival { due, came: Timestamp::now() });
    }

    /// Sends itself an `arrive` for then.
    fn remind(&mut self, context: &mut EntityContext, due: Timestamp) -> Result<(), Failure> {
        Self::proxy(context.key())?.arrive(due).signal_at(context, due)
    }

    fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.clone()
    }
}

/// The place in its batch of each operation that it did, and the size of that batch.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Batches {
    places: Vec<(u32, u32)>,
}

#[entity]
impl Batches {
    fn note(&mut self, context: &mut EntityContext) {
        self.places.push((context.batch_position(), context.batch_size()));
    }
}
