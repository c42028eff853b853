//! Which instances stay loaded.
//!
//! Whatever is idle stands in a queue. While the partition is over its limits, the oldest one goes,
//! unless it was used since it was queued: then it gets a second chance at the end. What has ended, and
//! what does not exist, goes first, as soon as its last change is durable.

use std::collections::VecDeque;

use everstate_types::InstanceId;

use super::input::ReplyTo;
use super::slot::SlotState;
use super::Partition;
use crate::storage::CommitSeq;

/// The queues of idle instances, and what is loaded in bytes.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    idle: VecDeque<InstanceId>,
    /// Instances at which nothing more can happen.
    settled: VecDeque<InstanceId>,
    bytes: usize,
}

impl<R: ReplyTo> Partition<R> {
    /// Takes note of an instance after something happened at it.
    pub(super) fn settle(&mut self, id: &InstanceId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let weight = slot.bytes();
        self.eviction.bytes = self.eviction.bytes + weight - slot.weight;
        slot.weight = weight;
        slot.is_used = true;
        if slot.is_queued || slot.is_busy() {
            return;
        }
        slot.is_queued = true;
        slot.is_used = false;
        if slot.is_settled() {
            self.eviction.settled.push_back(id.clone());
        } else {
            self.eviction.idle.push_back(id.clone());
        }
    }

    /// Lets go of what need not stay. Returns the orchestrations among it that have not ended.
    pub(super) fn evict(&mut self, durable: CommitSeq) -> Vec<InstanceId> {
        while let Some(id) = self.eviction.settled.front()
            && self.slots.get(id).is_none_or(|slot| slot.last_seq <= durable && !slot.is_changed)
        {
            let id = self.eviction.settled.pop_front().expect("it was just there");
            self.let_go(&id, durable);
        }
        let mut forgotten = Vec::new();
        let mut chances = self.eviction.idle.len();
        while chances > 0 && self.is_over_limits() {
            chances -= 1;
            let Some(id) = self.eviction.idle.pop_front() else { break };
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            if slot.is_used && !slot.is_busy() {
                slot.is_used = false;
                self.eviction.idle.push_back(id);
            } else if self.let_go(&id, durable) && !id.is_entity() {
                forgotten.push(id);
            }
        }
        forgotten
    }

    fn is_over_limits(&self) -> bool {
        self.slots.len() > self.limits.loaded_instances_max
            || self.eviction.bytes > self.limits.loaded_bytes_max
    }

    /// Removes an instance that has left its queue, or queues it again if it cannot go yet.
    fn let_go(&mut self, id: &InstanceId, durable: CommitSeq) -> bool {
        let Some(slot) = self.slots.get_mut(id) else { return false };
        slot.is_queued = false;
        if slot.is_busy() {
            // It is queued again when it has come to rest.
            return false;
        }
        if slot.last_seq > durable || slot.is_changed {
            slot.is_queued = true;
            self.eviction.idle.push_back(id.clone());
            return false;
        }
        debug_assert!(!matches!(slot.state, SlotState::Loading { .. }), "loading is busy");
        self.eviction.bytes -= slot.weight;
        self.slots.remove(id);
        true
    }
}
