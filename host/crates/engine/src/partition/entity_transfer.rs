//! An entity comes from another host: what it was there is what it is here, but for its lock, which
//! belongs to an orchestration there, and for what has waited at it.

use everstate_types::EntityRecord;

use super::SlotTurn;
use super::entity::wrong_kind;
use super::input::{Effects, Reply, ReplyTo, Transfer};
use super::slot::EntitySlot;
use crate::commit::Change;
use crate::error::ClientError;
use crate::storage::EntityRow;

impl<R: ReplyTo> EntitySlot<R> {
    pub(super) fn transfer(
        &mut self,
        transfer: Transfer<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match transfer {
            Transfer::Entity { record, is_replacing, reply_to, .. } => {
                let reply = match self.import(*record, is_replacing, turn, effects) {
                    Ok(()) => Reply::Accepted,
                    Err(error) => Reply::Refused(error),
                };
                effects.replies.push((reply_to, reply, turn.gate()));
            }
            Transfer::Export { reply_to, .. } | Transfer::Orchestration { reply_to, .. } => {
                wrong_kind(reply_to, turn, effects);
            }
        }
    }

    /// Takes on a state from elsewhere, in the place of none, or of its own if that is wanted.
    fn import(
        &mut self,
        record: EntityRecord,
        is_replacing: bool,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) -> Result<(), ClientError> {
        let EntityRecord { state, large, last_operation_at, lock: _, expiry } = record;
        let reason = if self.is_busy() || self.record.lock.is_some() {
            Some("it is at work or locked here")
        } else if self.record.state.value.is_some() && !is_replacing {
            Some("it has a state here")
        } else {
            None
        };
        if let Some(reason) = reason {
            if let Some(large) = large {
                // It was stored for nothing.
                let row = self.row_as_is(large);
                turn.mark_changed();
                effects.changes.push(Change::Entity { id: turn.id.clone(), row });
            }
            let problem = format!("'{}' is not imported: {reason}.", turn.id);
            return Err(ClientError::Conflict(problem));
        }
        let is_same_value = state.value == self.record.state.value;
        let before = self.replace_state(state, large);
        // The value that is here already is kept where it is.
        let freed = if is_same_value { large } else { before };
        self.record.last_operation_at = last_operation_at;
        self.replace_expiry(expiry, turn.id, effects);
        self.store(freed, turn, effects);
        Ok(())
    }

    /// The row as it is, which does without this value.
    fn row_as_is(&mut self, freed: everstate_types::LargeId) -> EntityRow {
        let record = (!self.record.is_empty()).then(|| self.record.clone());
        EntityRow { record, indexed: self.indexed.clone(), freed: vec![freed] }
    }
}
