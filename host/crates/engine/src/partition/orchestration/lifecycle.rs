//! What clients do with an orchestration: terminate, suspend, resume, rewind, purge, migrate.
//!
//! A change that came while a turn runs is done after it, so that the history has one order; a
//! termination is done at once, and the turn is dropped.

use everstate_types::{
    ComponentHash, EventKind, HistoryEvent, Message, MessageBody, ParentInstance, RuntimeStatus,
};

use super::super::input::{Effects, LifecycleChange, Reply, ReplyTo};
use super::super::slot::OrchestrationSlot;
use super::super::{Moment, SlotTurn};
use crate::commit::Change;
use crate::error::ClientError;
use crate::storage::{Indexed, PurgedRow};

impl<R: ReplyTo> OrchestrationSlot<R> {
    pub(super) fn change(
        &mut self,
        moment: Moment,
        change: LifecycleChange,
        reply_to: R,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        if self.running.is_some() && !matches!(change, LifecycleChange::Terminate { .. }) {
            self.deferred.push((change, reply_to));
            return;
        }
        if let Some(error) = self.refused_change(&change, turn) {
            effects.replies.push((reply_to, Reply::Refused(error), turn.gate()));
            return;
        }
        match change {
            LifecycleChange::Terminate { reason, recurse } => {
                self.terminate(moment, reason, recurse, turn, effects);
            }
            LifecycleChange::Suspend { reason } => {
                let kind = EventKind::ExecutionSuspended { reason };
                self.pass_to(moment, RuntimeStatus::Suspended, kind, turn, effects);
            }
            LifecycleChange::Resume { reason } => self.resume(moment, reason, turn, effects),
            LifecycleChange::Rewind { reason } => self.rewind(moment, reason, turn, effects),
            LifecycleChange::Purge { recurse } => self.purge(recurse, turn, effects),
            LifecycleChange::Migrate { component } => {
                self.migrate(moment, component, turn, effects);
            }
            LifecycleChange::PurgeEnded { .. } => self.purge(false, turn, effects),
        }
        effects.replies.push((reply_to, Reply::Accepted, turn.gate()));
    }

    /// Why the orchestration cannot be changed so as it is.
    fn refused_change(&self, change: &LifecycleChange, turn: &SlotTurn<'_>) -> Option<ClientError> {
        let Some(state) = &self.state else { return Some(ClientError::NotFound(turn.id.clone())) };
        let status = state.record.status;
        let is_allowed = match change {
            LifecycleChange::Terminate { .. } | LifecycleChange::Migrate { .. } => {
                !status.is_finished()
            }
            LifecycleChange::Suspend { .. } => {
                !status.is_finished() && status != RuntimeStatus::Suspended
            }
            LifecycleChange::Resume { .. } => status == RuntimeStatus::Suspended,
            LifecycleChange::Rewind { .. } => status == RuntimeStatus::Failed,
            LifecycleChange::Purge { .. } => status.is_finished(),
            LifecycleChange::PurgeEnded { before } => {
                status.is_finished() && state.record.updated_at <= *before
            }
        };
        let (operation, instance_id) = (change.verb(), turn.id.clone());
        (!is_allowed).then_some(ClientError::WrongState { operation, instance_id, status })
    }

    /// Writes down that the orchestration has passed to another status.
    fn pass_to(
        &mut self,
        moment: Moment,
        status: RuntimeStatus,
        kind: EventKind,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.as_mut() else { return };
        turn.mark_changed();
        state.record.status = status;
        let now = moment.now.max(state.record.updated_at);
        let row = state.append(vec![HistoryEvent::new(now, kind)]);
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
    }

    fn resume(
        &mut self,
        moment: Moment,
        reason: Option<String>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.as_mut() else { return };
        let status =
            if state.has_started { RuntimeStatus::Running } else { RuntimeStatus::Pending };
        // The failure stays until the newest code is known: see `awaits_proceed`.
        let has_diverged = state.record.failure.is_some();
        if has_diverged {
            state.awaits_proceed = true;
            // It was given back when the code diverged. It may have been resumed and paused since.
            state.request_lock_again(turn.id, effects);
            effects.sent.push(state.proceed(turn.id, Vec::new()));
        }
        self.pass_to(moment, status, EventKind::ExecutionResumed { reason }, turn, effects);
        if !has_diverged {
            self.run(moment, turn, effects);
        }
    }

    /// Pins the orchestration to other code, with which it goes on from its next turn on. Whether that
    /// follows the history was looked at before; if it does not after all, the orchestration stops then.
    fn migrate(
        &mut self,
        moment: Moment,
        component: ComponentHash,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.as_mut() else { return };
        let is_stopped =
            state.record.status == RuntimeStatus::Suspended && state.record.failure.is_some();
        if is_stopped {
            let reason = format!("it is moved to the code {component}");
            return self.resume(moment, Some(reason), turn, effects);
        }
        if state.record.component == Some(component) {
            return;
        }
        turn.mark_changed();
        state.record.component = Some(component);
        let mut events = Vec::new();
        if state.has_started {
            let now = moment.now.max(state.record.updated_at);
            let data = format!("information: moved to the code {component}");
            events.push(HistoryEvent::new(now, EventKind::GenericEvent { data }));
        } else {
            // The start that is under way names the code of its time; this comes after it.
            let body = state.proceed_with(Some(component), Vec::new());
            effects.sent.push(Message { target: turn.id.clone(), body });
        }
        let row = state.append(events);
        effects.changes.push(Change::Orchestration(turn.id.clone(), Box::new(row)));
        effects.forgotten.push(turn.id.clone());
        self.look_for_newer_code(turn.id, effects);
    }

    /// Removes the orchestration, and the children that it waited for if `recurse`.
    pub(super) fn purge(
        &mut self,
        recurse: bool,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(state) = self.state.take() else { return };
        turn.mark_changed();
        self.closings = None;
        if recurse {
            for event in state.history.iter() {
                if let EventKind::SubOrchestrationCreated { instance_id, .. } = &event.kind {
                    let guid = state.recorded_guid(event.event_id);
                    let parent = Box::new(state.as_parent(turn.id, event.event_id, guid));
                    let body = MessageBody::Purge { parent };
                    effects.sent.push(Message { target: instance_id.clone(), body });
                }
            }
        }
        let execution_id = state.record.execution_id;
        let indexed = state.indexed.unwrap_or_else(|| Box::new(Indexed::of(&state.record)));
        let row = PurgedRow { execution_id, indexed };
        effects.changes.push(Change::Purged(turn.id.clone(), row));
    }

    /// Whether this is the parent that waits, or waited, for the orchestration.
    pub(super) fn is_child_of(&self, parent: &ParentInstance) -> bool {
        self.state.as_ref().is_some_and(|state| state.record.parent.as_ref() == Some(parent))
    }
}
