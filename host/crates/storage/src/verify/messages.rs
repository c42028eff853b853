//! Messages, delayed ones included: each is decoded, could mean something to its target, and is where
//! recovery looks for it.

use everstate_types::{Message, MessageBody, MessageId, Timestamp};

use super::{Examination, all_rows};
use crate::codec::decode;
use crate::key::{self, Family, MetaKey, Row};
use crate::meta;

impl Examination<'_> {
    /// Reads all messages.
    pub(super) fn look_at_messages(&mut self) {
        self.look_at_sent();
        self.look_at_delayed();
    }

    fn look_at_sent(&mut self) {
        let low = meta::read(self.db, MetaKey::MessageLow);
        let low = self.note(low).flatten().unwrap_or(MessageId(0));
        let mut rows = all_rows(self.db, Family::Messages);
        while let Some((key, value)) = rows.item() {
            self.report.counts.messages += 1;
            match key::message_id(key) {
                Some(id) => {
                    let row = Row::Message(id);
                    if id < low {
                        self.never_found(row);
                    }
                    self.look_at_message(row, key, value);
                }
                None => self.report.add_problem(
                    "the stored family `messages` is damaged: a key is none of a message",
                ),
            }
            rows.next();
        }
        self.note_end(Family::Messages, &rows);
    }

    fn look_at_delayed(&mut self) {
        let low = meta::read(self.db, MetaKey::DelayedLow);
        let low: Timestamp = self.note(low).flatten().unwrap_or_default();
        let mut rows = all_rows(self.db, Family::Timers);
        while let Some((key, value)) = rows.item() {
            self.report.counts.delayed += 1;
            let Some(delayed) = key::delayed_key(key) else {
                let row = Row::Timers;
                self.report
                    .add_problem(format!("{row} is damaged: a key is none of a delayed message"));
                rows.next();
                continue;
            };
            let row = Row::Delayed(delayed);
            if delayed.due < low {
                self.never_found(row);
            }
            if let Some(message) = self.look_at_message(row, key, value)
                && let MessageBody::TimerFired { fire_at, .. } = message.body
                && fire_at != delayed.due
            {
                let problem = format!("{row} is damaged: its timer is due at {fire_at}");
                self.report.add_problem(problem);
            }
            rows.next();
        }
        self.note_end(Family::Timers, &rows);
    }

    fn never_found(&mut self, row: Row<'_>) {
        self.report.add_problem(format!("{row} is damaged: it is where no start looks for it"));
    }

    fn look_at_message(&mut self, row: Row<'_>, key: &[u8], value: &[u8]) -> Option<Message> {
        let message: Message = self.note(decode(row, key, value))?;
        if !fits(&message) {
            let target = &message.target;
            self.report.add_problem(format!("{row} is damaged: it is nothing to tell `{target}`"));
        }
        Some(message)
    }
}

/// Whether a message is for what it is sent to.
fn fits(message: &Message) -> bool {
    let for_entity = match &message.body {
        // An orchestration that waits for its lock sends its calls to itself.
        MessageBody::EntityOperation { reply_to: Some(_), .. } => return true,
        MessageBody::EntityOperation { reply_to: None, .. }
        | MessageBody::LockRequest(_)
        | MessageBody::ReleaseLock { .. }
        | MessageBody::EntityExpiry => true,
        _ => false,
    };
    for_entity == message.target.is_entity()
}
