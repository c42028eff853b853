//! The end of a run: no more faults, until nothing is left to do; and all checks.

use std::collections::{BTreeMap, HashSet};

use everstate_engine::partition::Request;
use everstate_types::Payload;

use super::{ReplyId, World};
use crate::guests::SOUND;
use crate::scripts::FAR;
use crate::{audit, clients};

impl World {
    /// Lets everything that is under way come to its end; with `to_the_end`, what waits too.
    pub(super) fn drain(&mut self, to_the_end: bool) {
        let mut idle = 0;
        while idle < 3 {
            self.step += 1;
            idle += 1;
            for lane in 0..self.lanes.len() {
                let before = &self.lanes[lane];
                if !(before.inputs.is_empty() && before.loads.is_empty() && before.work.is_empty())
                {
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
        let unanswered = self.awaiting.iter().filter_map(|client| self.model.unanswered(client));
        let unanswered: Vec<_> = unanswered.collect();
        assert!(unanswered.is_empty(), "clients were never answered: {unanswered:?}");
        if to_the_end {
            for lane in &self.lanes {
                assert!(!lane.partition.is_busy(), "something is stuck: {:?}", lane.partition);
            }
            assert_eq!(self.awaiting, HashSet::new(), "clients were never told");
            assert_eq!(self.storage.message_count(), 0, "a message was never consumed");
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
                    reply_to: ReplyId(None),
                });
            }
            if is_resumed || !counters.is_empty() {
                return true;
            }
        }
        let Some((next, _)) = self.delayed.first_key_value() else { return false };
        let is_near = next.due.as_millis() < self.now + FAR / 2;
        if is_near || to_the_end {
            self.now = self.now.max(next.due.as_millis());
        }
        is_near || to_the_end
    }

    pub(super) fn check(&self) {
        self.storage.check();
        let mut lists = BTreeMap::new();
        for (id, record) in self.storage.entities() {
            let entity = id.as_entity().expect("an entity's id");
            let number: usize = entity.key().parse().expect("a ledger");
            lists.insert(number, clients::tokens(record.state.as_str()));
        }
        let left = audit::check_end(self.ledgers, &self.storage);
        audit::check_side_effects(&self.side_effects, &self.storage);
        self.model.check(&lists, &left);
    }
}
