//! [`OpenActions`]: what an execution has asked for and not been told.

use std::collections::HashMap;

use everstate_types::{
    DelayedKey, EventKind, ExecutionId, HistoryEvent, InstanceId, MessageKey, OrchestrationRecord,
    RequestId, Timestamp,
};

use crate::commit::Change;

/// By the number of the action.
#[derive(Debug, Default)]
pub(in crate::partition) struct OpenActions(HashMap<i32, OpenAction>);

/// Something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenAction {
    /// The GUID of the action: what comes for another one under the same number is not meant.
    pub(super) request_id: RequestId,
    pub(super) kind: OpenKind,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OpenKind {
    Entity,
    Activity,
    SubOrchestration(InstanceId),
    Timer(Timestamp),
    Lock,
}

impl OpenActions {
    /// What the events of this execution leave open. The GUID of an action depends on how often the
    /// execution had been rewound when it was asked for, that of an activity when it was last run: the
    /// result of a run before the rewind is not meant.
    pub(super) fn of(record: &OrchestrationRecord, history: &[HistoryEvent]) -> Self {
        let execution_id = record.execution_id;
        let mut open = Self::default();
        let mut rewinds = 0;
        for event in history {
            let number = event.event_id;
            let request_id = || execution_id.request_guid(number, rewinds);
            match &event.kind {
                EventKind::ExecutionRewound { .. } => {
                    rewinds += 1;
                    open.run_again(execution_id, rewinds);
                }
                EventKind::EntityOperationCalled { request_id, .. } => {
                    open.insert(number, *request_id, OpenKind::Entity);
                }
                EventKind::ActivityScheduled { .. } => {
                    open.insert(number, request_id(), OpenKind::Activity);
                }
                EventKind::SubOrchestrationCreated { instance_id, .. } => {
                    let kind = OpenKind::SubOrchestration(instance_id.clone());
                    open.insert(number, request_id(), kind);
                }
                EventKind::TimerCreated { fire_at } => {
                    open.insert(number, request_id(), OpenKind::Timer(*fire_at));
                }
                EventKind::EntityLockRequested { .. } => {
                    let guid = execution_id.lock_guid(number, record.lock_epoch);
                    open.insert(number, guid, OpenKind::Lock);
                }
                // One that was not granted was given up; at most one is open.
                EventKind::EntityUnlockSent { .. } => {
                    open.0.retain(|_, action| action.kind != OpenKind::Lock);
                }
                kind => {
                    if let Some(number) = kind.completed_action() {
                        open.0.remove(&number);
                    }
                }
            }
        }
        if rewinds < record.rewinds {
            // The turn that begins with the rewind has not ended.
            open.run_again(execution_id, record.rewinds);
        }
        open
    }

    /// Has activities wait for a run after so many rewinds.
    fn run_again(&mut self, execution_id: ExecutionId, rewinds: u32) {
        for (number, open) in &mut self.0 {
            if open.kind == OpenKind::Activity {
                open.request_id = execution_id.request_guid(*number, rewinds);
            }
        }
    }

    pub(super) fn insert(&mut self, number: i32, request_id: RequestId, kind: OpenKind) {
        self.0.insert(number, OpenAction { request_id, kind });
    }

    /// Whether this was asked for and not told.
    pub(super) fn awaits(&self, number: i32, request_id: RequestId) -> bool {
        self.0.get(&number).is_some_and(|open| open.request_id == request_id)
    }

    /// Takes note that it was told; `None`: nobody waits for it any more.
    pub(super) fn take(&mut self, number: i32, request_id: RequestId) -> Option<OpenAction> {
        if !self.awaits(number, request_id) {
            return None;
        }
        self.0.remove(&number)
    }

    /// Forgets what was told.
    pub(super) fn forget(&mut self, number: Option<i32>) {
        if let Some(number) = number {
            self.0.remove(&number);
        }
    }

    /// Gives up on a timer: its message is taken back.
    pub(super) fn cancel_timer(&mut self, number: i32) -> Option<Change> {
        let OpenKind::Timer(due) = self.0.get(&number)?.kind else { return None };
        let open = self.0.remove(&number)?;
        Some(taken_back(due, open.request_id))
    }

    /// Gives up on all timers.
    pub(super) fn cancel_timers(&mut self, changes: &mut Vec<Change>) {
        self.0.retain(|_, open| {
            if let OpenKind::Timer(due) = open.kind {
                changes.push(taken_back(due, open.request_id));
            }
            !matches!(open.kind, OpenKind::Timer(_))
        });
    }

    /// The children that have not ended, as far as is known: number, GUID and id, in the order in
    /// which they were started.
    pub(super) fn children(&self) -> Vec<(i32, RequestId, InstanceId)> {
        let child = |(number, open): (&i32, &OpenAction)| match &open.kind {
            OpenKind::SubOrchestration(id) => Some((*number, open.request_id, id.clone())),
            _ => None,
        };
        let mut children: Vec<_> = self.0.iter().filter_map(child).collect();
        children.sort_unstable_by_key(|(number, ..)| *number);
        children
    }

    /// All of it, in the order in which it was asked for.
    pub(super) fn in_order(&self) -> Vec<(i32, OpenAction)> {
        let mut open: Vec<_> =
            self.0.iter().map(|(number, open)| (*number, open.clone())).collect();
        open.sort_unstable_by_key(|(number, _)| *number);
        open
    }
}

/// The delayed messages of the timers that a history leaves open. One that has ended has none.
#[must_use]
pub fn open_timers(record: &OrchestrationRecord, history: &[HistoryEvent]) -> Vec<DelayedKey> {
    if record.status.is_finished() {
        return Vec::new();
    }
    let open = OpenActions::of(record, history).in_order();
    let timer = |open: OpenAction| match open.kind {
        OpenKind::Timer(due) => Some(DelayedKey { due, guid: open.request_id }),
        _ => None,
    };
    open.into_iter().filter_map(|(_, open)| timer(open)).collect()
}

fn taken_back(due: Timestamp, guid: RequestId) -> Change {
    Change::Consumed(MessageKey::Delayed(DelayedKey { due, guid }))
}
