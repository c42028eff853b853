//! How long an entity lives without being used, and what is noted of its use.
//!
//! An entity with a time to live has one delayed message under way, which looks whether the entity was
//! used lately, and is sent again if it was: a use costs nothing. An operation that changes nothing is
//! noted on disk now and then only.

use everstate_types::{
    DelayedKey, EntityRecord, EntityState, Expiry, InstanceId, Message, MessageBody, MessageKey,
    Payload, RequestId, Timestamp,
};
use uuid::Uuid;

use super::entity::consume;
use super::input::{Effects, Reply, ReplyTo};
use super::slot::{EntitySlot, InboxItem};
use super::{Moment, SlotTurn};
use crate::commit::Change;

/// How old a note of the last use may be, in milliseconds.
const NOTE_AGE_MS_MAX: u64 = 60_000;

/// The part of the time to live that a note of the last use may be old: one in so many.
const NOTE_AGE_PART: u64 = 8;

impl<R: ReplyTo> EntitySlot<R> {
    /// Notes that the entity was used by something that did not change it.
    pub(super) fn note_use(
        &mut self,
        moment: Moment,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        self.record.last_operation_at = moment.now.max(self.record.last_operation_at);
        if self.is_note_due() {
            self.store(None, turn, effects);
        }
    }

    /// Whether the last use has to be written down, though nothing else has changed.
    pub(super) fn is_note_due(&self) -> bool {
        let part = self.record.expiry.map(|expiry| expiry.time_to_live_ms / NOTE_AGE_PART);
        let age_max = part.map_or(NOTE_AGE_MS_MAX, |part| part.min(NOTE_AGE_MS_MAX));
        let age = elapsed_ms(self.stored_operation_at, self.record.last_operation_at);
        self.record.state.value.is_some() && age > age_max
    }

    /// Sees to it that the entity is looked at when its time to live is over. True: the record has
    /// changed.
    pub(super) fn arm_expiry(
        &mut self,
        moment: Moment,
        time_to_live_of_type_ms: Option<u64>,
        id: &InstanceId,
        effects: &mut Effects<R>,
    ) -> bool {
        let state = &self.record.state;
        let time_to_live_ms = state
            .value
            .as_ref()
            .and_then(|_| state.time_to_live_ms.or(time_to_live_of_type_ms))
            .filter(|millis| *millis != u64::MAX);
        let wanted = time_to_live_ms.map(|time_to_live_ms| Expiry {
            due: later(moment.now, time_to_live_ms),
            time_to_live_ms,
        });
        let next = match (self.record.expiry, wanted) {
            // It looks too early, and is then sent again.
            (Some(armed), Some(wanted)) if armed.due <= wanted.due => {
                Some(Expiry { due: armed.due, ..wanted })
            }
            (_, wanted) => wanted,
        };
        self.replace_expiry(next, id, effects)
    }

    /// Looks whether the entity was used lately.
    pub(super) fn look_at_expiry(
        &mut self,
        moment: Moment,
        key: MessageKey,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        consume(key, turn, effects);
        let MessageKey::Delayed(DelayedKey { due, .. }) = key else { return };
        let Some(expiry) = self.record.expiry.take_if(|expiry| expiry.due == due) else { return };
        // The clock may have been set back since: it is due, and the next look is a later one.
        let now = moment.now.max(due);
        let end = later(self.record.last_operation_at, expiry.time_to_live_ms);
        let is_used = self.is_busy() || self.record.lock.is_some();
        if !is_used && end <= now {
            let freed = self.replace_state(EntityState::default(), None);
            self.record = EntityRecord::default();
            return self.store(freed, turn, effects);
        }
        let due = if is_used { later(now, expiry.time_to_live_ms.max(1)) } else { end };
        self.replace_expiry(Some(Expiry { due, ..expiry }), turn.id, effects);
        self.store(None, turn, effects);
    }

    /// Removes the entity for the client whose turn it is, unless that has gone: nobody was promised
    /// anything.
    pub(super) fn purge(
        &mut self,
        is_holders: bool,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(InboxItem::Purge(reply_to)) = self.pop(is_holders) else { return };
        if reply_to.is_abandoned() {
            return;
        }
        let existed = self.record.state.value.is_some();
        if existed {
            let freed = self.replace_state(EntityState::default(), None);
            self.replace_expiry(None, turn.id, effects);
            self.record = EntityRecord::default();
            self.store(freed, turn, effects);
        }
        effects.replies.push((reply_to, Reply::EntityPurged(existed), turn.gate()));
    }

    /// Makes this the receipt for a signal, which lives as long as its key is remembered.
    pub(super) fn become_receipt(
        &mut self,
        moment: Moment,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        self.record.state.value = Some(Payload::from("true"));
        self.record.last_operation_at = moment.now;
        self.arm_expiry(moment, Some(turn.limits.idempotency_window_ms), turn.id, effects);
        self.store(None, turn, effects);
    }

    pub(super) fn replace_expiry(
        &mut self,
        next: Option<Expiry>,
        id: &InstanceId,
        effects: &mut Effects<R>,
    ) -> bool {
        let before = std::mem::replace(&mut self.record.expiry, next);
        if before.map(|expiry| expiry.due) != next.map(|expiry| expiry.due) {
            if let Some(expiry) = before {
                let key = MessageKey::Delayed(delayed_key(id, expiry.due));
                effects.changes.push(Change::Consumed(key));
            }
            if let Some(expiry) = next {
                let message = Message { target: id.clone(), body: MessageBody::EntityExpiry };
                effects.delayed.push((delayed_key(id, expiry.due), message));
            }
        }
        before != next
    }
}

/// Names the delayed message of an entity that is due then.
fn delayed_key(id: &InstanceId, due: Timestamp) -> DelayedKey {
    DelayedKey { due, guid: RequestId::new_v5(&Uuid::NAMESPACE_OID, id.as_str().as_bytes()) }
}

fn later(from: Timestamp, millis: u64) -> Timestamp {
    Timestamp::from_millis(from.as_millis().saturating_add(millis))
}

fn elapsed_ms(from: Timestamp, to: Timestamp) -> u64 {
    to.as_millis().saturating_sub(from.as_millis())
}
