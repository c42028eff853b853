//! Clients that wait for an orchestration: until it has begun, until it has ended, or until there is more
//! to be told of it than they have seen. They are answered at the end of the input that brings it.

use std::sync::Arc;

use everstate_types::{InstanceId, RuntimeStatus};

use super::super::SlotTurn;
use super::super::input::{Effects, Reply, ReplyTo, Seen, WaitFor};
use super::super::slot::{Orchestration, OrchestrationSlot, Waiter};
use crate::client::InstanceStatus;

/// Waiters that gave up are looked for when so many have come.
const WAITERS_CHECKED_AT: usize = 64;

impl<R: ReplyTo> OrchestrationSlot<R> {
    /// Answers a client when what it waits for has come, which may be now.
    pub(super) fn wait(
        &mut self,
        waiter: Waiter<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        if self.has_come(waiter.wait_for) {
            let status = self.status(turn.id);
            effects.replies.push((waiter.reply_to, Reply::Status(status), turn.gate()));
            return;
        }
        if self.waiters.len() >= WAITERS_CHECKED_AT {
            self.waiters.retain(|waiter| !waiter.reply_to.is_abandoned());
        }
        self.waiters.push(waiter);
    }

    /// Whether nobody has to wait for this any more: it is so, or there is no orchestration.
    fn has_come(&self, wait_for: WaitFor) -> bool {
        self.state.as_ref().is_none_or(|state| match wait_for {
            WaitFor::Start => state.record.status != RuntimeStatus::Pending,
            WaitFor::Completion => state.record.status.is_finished(),
            WaitFor::Change(seen) => seen != state.seen(),
        })
    }

    /// Answers those whose time has come. Every input ends with it; who ends an execution and goes on
    /// within one input does it in between, so that nobody misses the end.
    pub(in crate::partition) fn answer_waiters(
        &mut self,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        if !self.waiters.iter().any(|waiter| self.has_come(waiter.wait_for)) {
            return;
        }
        let status = self.status(turn.id);
        for waiter in std::mem::take(&mut self.waiters) {
            if self.has_come(waiter.wait_for) {
                let reply = Reply::Status(status.clone());
                effects.replies.push((waiter.reply_to, reply, turn.gate()));
            } else {
                self.waiters.push(waiter);
            }
        }
    }

    /// What is known of the orchestration.
    pub(super) fn status(&self, id: &InstanceId) -> Option<Arc<InstanceStatus>> {
        let state = self.state.as_ref()?;
        Some(Arc::new(InstanceStatus {
            instance_id: id.clone(),
            record: state.record.clone(),
            history: Arc::clone(&state.history),
        }))
    }
}

impl Orchestration {
    fn seen(&self) -> Seen {
        Seen::of(&self.record, &self.history)
    }
}
