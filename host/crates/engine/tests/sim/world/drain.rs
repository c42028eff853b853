//! The end of a run: no more faults, until nothing is left to do; and all checks.

use std::collections::BTreeMap;

use everstate_engine::partition::Request;
use everstate_types::{DelayedKey, Message, MessageBody, Payload};

use super::{ReplyId, World};
use crate::audit;
use crate::entities::{is_lease, number, text_of, tokens};
use crate::guests::SOUND;
use crate::model::{ChangeKind, Noted};
use crate::scripts::FAR;

impl World {
    /// Lets everything that is under way come to its end; with `to_the_end`, what waits too.
    pub(super) fn drain(&mut self, to_the_end: bool) {
        let mut idle = 0;
        while idle < 3 {
            self.step += 1;
            idle += 1;
            for lane in 0..self.lanes.len() {
                let before = &self.lanes[lane];
                let is_idle = before.inputs.is_empty()
                    && before.loads.is_empty()
                    && before.work.is_empty()
                    && before.reads.is_empty();
                if !is_idle {
                    idle = 0;
                }
                self.turn(lane);
                self.run_guest(lane);
                self.finish_load(lane);
            }
            self.commit();
            self.durable = self.durable.max(self.storage.sync(self.storage.unsynced_count()));
            self.release();
            if self.is_due() {
                idle = 0;
            }
            self.deliver_due();
            if idle == 3 && self.stir(to_the_end) {
                idle = 0;
            }
            assert!(self.step < 1_000_000, "it never comes to rest");
        }
        assert!(self.gated.is_empty(), "an answer was never let out");
        assert!(self.queries.is_empty(), "a query was never answered");
        self.storage.check_large();
        let is_held_up = |noted: &&Noted| {
            let awaited = noted.operation.awaited();
            awaited.is_some_and(|entity| audit::is_locked(&self.storage, &entity))
        };
        let unanswered = self.awaiting.keys().filter_map(|client| self.model.unanswered(client));
        let unanswered: Vec<_> = unanswered.filter(|noted| !is_held_up(noted)).collect();
        assert!(unanswered.is_empty(), "clients were never answered: {unanswered:?}");
        if to_the_end {
            for lane in &self.lanes {
                assert!(!lane.partition.is_busy(), "something is stuck: {:?}", lane.partition);
            }
            assert!(self.awaiting.is_empty(), "clients were never told: {:?}", self.awaiting);
            assert_eq!(self.storage.message_count(), 0, "a message was never consumed");
            audit::check_locks(self);
            let left = self.storage.delayed();
            assert!(left.is_empty(), "delayed messages are left: {left:?}");
        }
    }

    /// Gives what waits a reason to go on; false: there is none.
    fn stir(&mut self, to_the_end: bool) -> bool {
        if to_the_end {
            self.newest = SOUND;
            let counters: Vec<_> = self
                .storage
                .orchestrations()
                .filter(|(_, record, _)| {
                    record.name.as_str() == "Counter" && !record.status.is_finished()
                })
                .map(|(id, ..)| id.clone())
                .filter(|id| !self.told_to_end.contains(id))
                .collect();
            let is_resumed = self.resume(|_| true);
            for instance_id in &counters {
                self.told_to_end.insert(instance_id.clone());
                self.request(Request::RaiseEvent {
                    instance_id: instance_id.clone(),
                    name: "end".to_owned(),
                    input: Payload::null(),
                    reply_to: ReplyId::nobody(),
                });
            }
            if is_resumed || !counters.is_empty() {
                return true;
            }
        }
        // What is locked looks whether it was used for ever.
        let is_moving = |(_, message): &(&DelayedKey, &Message)| {
            let id = &message.target;
            let is_expiry = matches!(message.body, MessageBody::EntityExpiry);
            !is_expiry || self.entity(id).lock.is_none()
        };
        let Some((next, _)) = self.delayed.iter().find(is_moving) else {
            return to_the_end && self.scope.breaks_locks && self.break_all_locks();
        };
        let is_near = next.due.as_millis() < self.now + FAR / 2;
        if is_near || to_the_end {
            self.now = self.now.max(next.due.as_millis());
        }
        is_near || to_the_end
    }

    /// Where locks were broken, those that are left may be waited for in a circle. Breaks them as well.
    fn break_all_locks(&mut self) -> bool {
        let locked = self.storage.entities().filter(|(_, record)| record.lock.is_some());
        let locked: Vec<_> = locked.map(|(id, _)| id.clone()).collect();
        for instance_id in locked.iter().cloned() {
            self.request(Request::BreakLock { instance_id, reply_to: ReplyId::nobody() });
        }
        !locked.is_empty()
    }

    pub(super) fn check(&self) {
        self.storage.check();
        let mut lists = BTreeMap::new();
        for (id, record) in self.storage.entities() {
            assert!(!id.is_receipt(), "{id} is kept for ever");
            let entity = id.as_entity().expect("an entity's id");
            if is_lease(&entity) {
                let lives = record.state.time_to_live_ms;
                assert_eq!(lives, Some(u64::MAX), "{id} is kept for ever");
            } else {
                lists.insert(number(&entity), tokens(text_of(&record.state)));
            }
        }
        let left = audit::check_end(self.ledgers, &self.storage);
        audit::check_side_effects(&self.side_effects, &self.storage);
        self.model.check(&lists, &left, &self.view.broken);
        let repeated = self.model.targets_of(ChangeKind::Rewind);
        self.model.check_leases(self.view.all_lease_changes(), &repeated);
    }
}
