//! Clients that wait for an orchestration: until it has begun, until it has ended, or until there is more
//! to be told of it than they have seen. They are answered at the end of the input that brings it, or where
//! a generation ends. Who follows an orchestration asks again after each answer; the last turns of
//! generations that end in between are kept for that.

use std::collections::VecDeque;
use std::sync::Arc;

use everstate_types::{EventKind, HistoryEvent, InstanceId, Payload, RuntimeStatus};

use super::super::SlotTurn;
use super::super::input::{Effects, Reply, ReplyTo, Seen, WaitFor};
use super::super::slot::{Orchestration, OrchestrationSlot, Waiter};
use crate::client::InstanceStatus;

/// Waiters that gave up are looked for when so many have come.
const WAITERS_CHECKED_AT: usize = 64;

/// So many generations may end while who follows them is on the way back for the next one.
const CLOSINGS_MAX: usize = 16;

/// Events that all of them have together, so that they do not take the memory.
const CLOSING_EVENTS_MAX: usize = 10_000;

/// How generations ended that somebody follows. Nothing stored says so later.
#[derive(Debug, Default)]
pub(in crate::partition) struct Closings {
    /// The last one last; each is the whole history of its generation.
    kept: VecDeque<Arc<InstanceStatus>>,
    /// Generations that have ended since somebody asked.
    unasked: usize,
}

impl Closings {
    fn keep(&mut self, status: Arc<InstanceStatus>) {
        self.unasked += 1;
        self.kept.push_back(status);
        let events = |kept: &VecDeque<Arc<InstanceStatus>>| -> usize {
            kept.iter().map(|status| status.history.len()).sum()
        };
        while self.kept.len() > CLOSINGS_MAX || events(&self.kept) > CLOSING_EVENTS_MAX {
            self.kept.pop_front();
        }
    }

    /// What comes behind what somebody has seen; `None`: what is now, or what is kept no more.
    fn behind(&mut self, seen: Seen) -> Option<Arc<InstanceStatus>> {
        self.unasked = 0;
        let is_of = |status: &Arc<InstanceStatus>| status.record.execution_id == seen.execution_id;
        let place = self.kept.iter().position(is_of)?;
        let is_seen = Seen::of(&self.kept[place].record, &self.kept[place].history) == seen;
        self.kept.get(if is_seen { place + 1 } else { place }).cloned()
    }
}

impl<R: ReplyTo> OrchestrationSlot<R> {
    /// Answers a client when what it waits for has come, which may be now.
    pub(super) fn wait(
        &mut self,
        waiter: Waiter<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let closing = match waiter.wait_for {
            WaitFor::Change(seen) => self.closings.get_or_insert_default().behind(seen),
            WaitFor::Start | WaitFor::Completion => None,
        };
        if closing.is_some() || self.has_come(waiter.wait_for) {
            let status = closing.or_else(|| self.status(turn.id));
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

    /// Keeps how a generation ended for those who follow it, before the next one, which goes on with this
    /// input, takes its place. The events are those of its last turn. Without followers nothing is done.
    pub(super) fn tell_followers(
        &mut self,
        input: &Payload,
        events: Vec<HistoryEvent>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let (Some(state), Some(closings)) = (self.state.as_ref(), self.closings.as_mut()) else {
            return;
        };
        let execution_id = state.record.execution_id;
        let follows = |waiter: &mut Waiter<R>| matches!(waiter.wait_for, WaitFor::Change(seen) if seen.execution_id == execution_id);
        let followers: Vec<_> = self.waiters.extract_if(.., follows).collect();
        if followers.is_empty() && closings.unasked >= CLOSINGS_MAX {
            self.closings = None;
            return;
        }
        let now = state.record.updated_at;
        let ended = EventKind::ContinuedAsNew { input: input.clone() };
        let mut history = state.history.to_vec();
        history.extend(events);
        history.push(HistoryEvent::of_action(state.next_action, now, ended));
        history.push(HistoryEvent::new(now, EventKind::OrchestratorCompleted));
        let status = Arc::new(InstanceStatus {
            instance_id: turn.id.clone(),
            record: state.record.clone(),
            history: Arc::new(history),
        });
        closings.keep(Arc::clone(&status));
        for follower in followers {
            let reply = Reply::Status(Some(Arc::clone(&status)));
            effects.replies.push((follower.reply_to, reply, turn.gate()));
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
