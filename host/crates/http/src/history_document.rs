//! The history of an orchestration as the management API shows it.
//!
//! The shape is that of the original, so that its tools can read it: its names of events (`TaskCompleted`
//! for an activity), no turns, no numbers, and what was asked for merged into what came of it. Events
//! that the original does not have (calls of entities, starts) follow the same rules.

use std::collections::{HashMap, HashSet};

use everstate_types::{EntityId, EventKind, Failure, HistoryEvent, OrchestrationStatus};

use crate::json::{ObjectWriter, push_string};
use crate::status_document::Shown;
use crate::time::with_millis;

/// Writes the array of events.
pub(crate) fn push_history(out: &mut Vec<u8>, history: &[HistoryEvent], shown: Shown) {
    let mut scheduled = Scheduled::default();
    scheduled.extend(history);
    let ended: HashSet<i32> = history.iter().filter_map(ended_id).collect();
    let writer = EventWriter { history, scheduled: &scheduled, shown };
    out.push(b'[');
    let start = out.len();
    for event in history {
        if is_hidden(event, &ended) {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        writer.push(out, event);
    }
    out.push(b']');
}

/// Tells the events of a history one by one as they happen: nothing is left out because of what came
/// later. It knows the events up to the last one that it was shown, so that a history that grows is not
/// read from its beginning each time.
#[derive(Debug, Default)]
pub(crate) struct HistoryTeller(Scheduled);

impl HistoryTeller {
    /// The event at this place, with inputs and results; turns are not shown. The history is the one of
    /// the last call, with what was added to it.
    pub(crate) fn tell(&mut self, history: &[HistoryEvent], index: usize) -> Option<Vec<u8>> {
        let event = history.get(index)?;
        if is_turn(event) {
            return None;
        }
        self.0.extend(history);
        let shown = Shown { input: true, history: true, history_output: true };
        let mut out = Vec::with_capacity(256);
        EventWriter { history, scheduled: &self.0, shown }.push(&mut out, event);
        Some(out)
    }
}

fn is_turn(event: &HistoryEvent) -> bool {
    matches!(event.kind, EventKind::OrchestratorStarted | EventKind::OrchestratorCompleted)
}

/// Where in a history is what was asked for, by the numbers of the actions.
#[derive(Debug, Default)]
struct Scheduled {
    places: HashMap<i32, usize>,
    /// How many events of the history are in it.
    read: usize,
}

impl Scheduled {
    /// Takes note of what was added to the history.
    fn extend(&mut self, history: &[HistoryEvent]) {
        for (place, event) in history.iter().enumerate().skip(self.read) {
            if event.event_id >= 0 {
                self.places.insert(event.event_id, place);
            }
        }
        self.read = history.len();
    }
}

/// Turns are not shown, nor what is merged into what came of it. `ended`: the numbers of the actions
/// that something came of.
fn is_hidden(event: &HistoryEvent, ended: &HashSet<i32>) -> bool {
    match event.kind {
        _ if is_turn(event) => true,
        EventKind::ActivityScheduled { .. }
        | EventKind::SubOrchestrationCreated { .. }
        | EventKind::EntityOperationCalled { .. }
        | EventKind::EntityLockRequested { .. } => ended.contains(&event.event_id),
        _ => false,
    }
}

/// The number of the action that came to its end with this event, timers aside: those are shown
/// as two events.
fn ended_id(event: &HistoryEvent) -> Option<i32> {
    match event.kind {
        EventKind::TimerFired { .. } => None,
        ref kind => kind.completed_action(),
    }
}

/// The name of an event in the management API.
fn event_type(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::ExecutionStarted { .. } => "ExecutionStarted",
        EventKind::ExecutionCompleted { .. } => "ExecutionCompleted",
        EventKind::ExecutionTerminated { .. } => "ExecutionTerminated",
        EventKind::ActivityScheduled { .. } => "TaskScheduled",
        EventKind::ActivityCompleted { .. } => "TaskCompleted",
        EventKind::ActivityFailed { .. } => "TaskFailed",
        EventKind::SubOrchestrationCreated { .. } => "SubOrchestrationInstanceCreated",
        EventKind::SubOrchestrationCompleted { .. } => "SubOrchestrationInstanceCompleted",
        EventKind::SubOrchestrationFailed { .. } => "SubOrchestrationInstanceFailed",
        EventKind::TimerCreated { .. } => "TimerCreated",
        EventKind::TimerFired { .. } => "TimerFired",
        EventKind::OrchestratorStarted => "OrchestratorStarted",
        EventKind::OrchestratorCompleted => "OrchestratorCompleted",
        EventKind::EventSent { .. } => "EventSent",
        EventKind::EventRaised { .. } => "EventRaised",
        EventKind::GenericEvent { .. } => "GenericEvent",
        EventKind::HistoryState { .. } => "HistoryState",
        EventKind::ContinuedAsNew { .. } => "ContinueAsNew",
        EventKind::ExecutionSuspended { .. } => "ExecutionSuspended",
        EventKind::ExecutionResumed { .. } => "ExecutionResumed",
        EventKind::ExecutionRewound { .. } => "ExecutionRewound",
        EventKind::EntityOperationSignaled { .. } => "EntityOperationSignaled",
        EventKind::EntityOperationCalled { .. } => "EntityOperationCalled",
        EventKind::EntityOperationCompleted { .. } => "EntityOperationCompleted",
        EventKind::EntityOperationFailed { .. } => "EntityOperationFailed",
        EventKind::EntityLockRequested { .. } => "EntityLockRequested",
        EventKind::EntityLockGranted { .. } => "EntityLockGranted",
        EventKind::EntityUnlockSent { .. } => "EntityUnlockSent",
        EventKind::OrchestrationStartSent { .. } => "OrchestrationStartSent",
    }
}

struct EventWriter<'a> {
    history: &'a [HistoryEvent],
    scheduled: &'a Scheduled,
    shown: Shown,
}

impl EventWriter<'_> {
    /// Writes one event: its type, how it ended, its time, and what was asked for.
    fn push(&self, out: &mut Vec<u8>, event: &HistoryEvent) {
        let mut object = ObjectWriter::new(out);
        object.string("EventType", event_type(&event.kind));
        self.push_end(&mut object, &event.kind);
        object.string("Timestamp", &with_millis(event.timestamp));
        self.push_request(&mut object, &event.kind);
        let place = ended_id(event).and_then(|id| self.scheduled.places.get(&id));
        if let Some(scheduled) = place.and_then(|place| self.history.get(*place)) {
            object.string("ScheduledTime", &with_millis(scheduled.timestamp));
            self.push_request(&mut object, &scheduled.kind);
        }
        object.end();
    }

    /// How something ended: results only where they are asked for.
    fn push_end(&self, object: &mut ObjectWriter<'_>, kind: &EventKind) {
        let result = match kind {
            EventKind::ExecutionCompleted { status, result, failure } => {
                object.string("OrchestrationStatus", status_name(*status));
                failure.iter().for_each(|failure| push_failure(object, failure));
                result.as_ref()
            }
            EventKind::ActivityCompleted { result, .. }
            | EventKind::SubOrchestrationCompleted { result, .. } => Some(result),
            EventKind::EntityOperationCompleted { output, .. } => output.as_ref(),
            EventKind::ContinuedAsNew { input } => Some(input),
            EventKind::ActivityFailed { failure, .. }
            | EventKind::SubOrchestrationFailed { failure, .. }
            | EventKind::EntityOperationFailed { failure, .. } => {
                push_failure(object, failure);
                None
            }
            _ => None,
        };
        if let Some(result) = result.filter(|_| self.shown.history_output) {
            object.payload("Result", Some(result));
        }
    }

    /// What was asked for, of whom, with what.
    fn push_request(&self, object: &mut ObjectWriter<'_>, kind: &EventKind) {
        let input = match kind {
            // The input stands in the document already.
            EventKind::ExecutionStarted { name, .. } => {
                object.string("FunctionName", name.as_str());
                None
            }
            EventKind::ActivityScheduled { name, input, .. } => {
                object.string("FunctionName", name.as_str());
                Some(input)
            }
            EventKind::SubOrchestrationCreated { name, instance_id, input, .. }
            | EventKind::OrchestrationStartSent { name, instance_id, input } => {
                object.string("FunctionName", name.as_str());
                object.string("InstanceId", instance_id.as_str());
                Some(input)
            }
            EventKind::EntityOperationCalled { entity, operation, input, .. } => {
                object.string("EntityId", &entity.to_string()).string("Operation", operation);
                input.as_ref()
            }
            EventKind::EntityOperationSignaled {
                entity,
                operation,
                input,
                scheduled_time,
                refusal,
                ..
            } => {
                object.string("EntityId", &entity.to_string()).string("Operation", operation);
                if let Some(time) = scheduled_time {
                    object.string("ScheduledTime", &with_millis(*time));
                }
                if let Some(refusal) = refusal {
                    object.string("Reason", refusal);
                }
                input.as_ref()
            }
            EventKind::EventSent { instance_id, name, input } => {
                object.string("InstanceId", instance_id.as_str()).string("Name", name);
                Some(input)
            }
            EventKind::EventRaised { name, input } => {
                object.string("Name", name);
                Some(input)
            }
            _ => {
                push_facts(object, kind);
                None
            }
        };
        if let Some(input) = input.filter(|_| self.shown.input) {
            object.payload("Input", Some(input));
        }
    }
}

/// The facts of the events that carry no payload of a function.
fn push_facts(object: &mut ObjectWriter<'_>, kind: &EventKind) {
    match kind {
        EventKind::TimerCreated { fire_at } | EventKind::TimerFired { fire_at, .. } => {
            object.string("FireAt", &with_millis(*fire_at));
        }
        EventKind::GenericEvent { data } => {
            object.string("Data", data);
        }
        EventKind::ExecutionTerminated { reason, .. } => {
            object.payload("Reason", reason.as_ref());
        }
        EventKind::ExecutionSuspended { reason: Some(reason) }
        | EventKind::ExecutionResumed { reason: Some(reason) }
        | EventKind::ExecutionRewound { reason: Some(reason) } => {
            object.string("Reason", reason);
        }
        // What was granted says which section it is by what was asked for.
        EventKind::EntityLockRequested { critical_section_id, lock_set } => {
            object.string("CriticalSectionId", &critical_section_id.to_string());
            push_lock_set(object, lock_set);
        }
        EventKind::EntityUnlockSent { critical_section_id, entity } => {
            object.string("CriticalSectionId", &critical_section_id.to_string());
            object.string("EntityId", &entity.to_string());
        }
        _ => {}
    }
}

fn push_lock_set(object: &mut ObjectWriter<'_>, lock_set: &[EntityId]) {
    let out = object.key("LockSet");
    out.push(b'[');
    for (index, entity) in lock_set.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(out, &entity.to_string());
    }
    out.push(b']');
}

fn push_failure(object: &mut ObjectWriter<'_>, failure: &Failure) {
    object.string("Reason", &failure.error_message);
    if let Some(stack_trace) = &failure.stack_trace {
        object.string("Details", stack_trace);
    }
}

fn status_name(status: OrchestrationStatus) -> &'static str {
    match status {
        OrchestrationStatus::Completed => "Completed",
        OrchestrationStatus::Failed => "Failed",
        OrchestrationStatus::Terminated => "Terminated",
        OrchestrationStatus::ContinuedAsNew => "ContinuedAsNew",
    }
}

#[cfg(test)]
#[path = "history_document_tests.rs"]
mod tests;
