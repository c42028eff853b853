//! Which instances stay loaded.
//!
//! Whatever is idle stands in a queue. While the partition is over its limits, the oldest one goes,
//! unless it was used since it was queued: then it gets a second chance at the end. What has ended, and
//! what does not exist, goes first, as soon as its last change is durable.

use std::collections::{HashSet, VecDeque};

use everstate_types::InstanceId;

use super::Partition;
use super::input::ReplyTo;
use crate::storage::CommitSeq;

/// The queue is cleaned when it is so much longer than what is loaded.
const STALE_MAX: usize = 1_024;

/// Idle instances that one turn looks at: more than a turn can load, so that it keeps up.
const CHANCES_PER_TURN: usize = 1_024;

/// The queues of idle instances, and what is loaded in bytes.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    /// Instances that were idle when they were put here. Some are gone since.
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
        if slot.is_busy() {
            return;
        }
        if slot.is_settled() {
            if !slot.is_settled_queued {
                slot.is_settled_queued = true;
                self.eviction.settled.push_back(id.clone());
            }
        } else if !slot.is_idle_queued {
            slot.is_idle_queued = true;
            self.eviction.idle.push_back(id.clone());
        }
    }

    /// Lets go of what need not stay. Returns the orchestrations among it that have not ended.
    pub(super) fn evict(&mut self, durable: CommitSeq) -> Vec<InstanceId> {
        self.evict_settled(durable);
        self.drop_stale();
        let mut forgotten = Vec::new();
        let mut chances = CHANCES_PER_TURN;
        while chances > 0 && self.is_over_limits() {
            chances -= 1;
            let Some(id) = self.eviction.idle.pop_front() else { break };
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            if slot.is_busy() {
                // It is queued again when it has come to rest.
                slot.is_idle_queued = false;
            } else if slot.is_used || slot.is_changed || slot.last_seq > durable {
                slot.is_used = false;
                self.eviction.idle.push_back(id);
            } else {
                self.remove(&id);
                if !id.is_entity() {
                    forgotten.push(id);
                }
            }
        }
        forgotten
    }

    /// Lets go of instances at which nothing more can happen, up to the first that is not durable.
    fn evict_settled(&mut self, durable: CommitSeq) {
        while let Some(id) = self.eviction.settled.pop_front() {
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.is_settled_queued = false;
            if slot.is_busy() || !slot.is_settled() {
                continue;
            }
            if slot.is_changed || slot.last_seq > durable {
                slot.is_settled_queued = true;
                return self.eviction.settled.push_front(id);
            }
            self.remove(&id);
        }
    }

    /// Takes out of the idle queue what is not loaded any more, or stands in it twice.
    fn drop_stale(&mut self) {
        if self.eviction.idle.len() < 2 * self.slots.len() + STALE_MAX {
            return;
        }
        let idle = std::mem::take(&mut self.eviction.idle);
        let mut seen = HashSet::with_capacity(self.slots.len());
        self.eviction.idle = idle
            .into_iter()
            .filter(|id| self.slots.contains_key(id) && seen.insert(id.clone()))
            .collect();
    }

    fn is_over_limits(&self) -> bool {
        self.slots.len() > self.limits.loaded_instances_max
            || self.eviction.bytes > self.limits.loaded_bytes_max
    }

    fn remove(&mut self, id: &InstanceId) {
        if let Some(slot) = self.slots.remove(id) {
            self.eviction.bytes -= slot.weight;
        }
    }
}
