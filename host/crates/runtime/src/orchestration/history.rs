//! How actions and history events belong together: which event confirms which action, and which
//! completes it. How they are told to people is in `description.rs`.

use everstate_types::{Action, EventKind, FunctionName, Payload};

use super::handles::Outcome;

/// The action that an event completes, and how.
pub(super) fn completion_of(event: &EventKind) -> Option<(usize, Outcome)> {
    let (number, outcome) = match event {
        EventKind::ActivityCompleted { scheduled_id, result }
        | EventKind::SubOrchestrationCompleted { scheduled_id, result } => {
            (scheduled_id, Ok(result.clone()))
        }
        EventKind::ActivityFailed { scheduled_id, failure }
        | EventKind::SubOrchestrationFailed { scheduled_id, failure }
        | EventKind::EntityOperationFailed { scheduled_id, failure, .. } => {
            (scheduled_id, Err(failure.clone()))
        }
        EventKind::EntityOperationCompleted { scheduled_id, output, .. } => {
            (scheduled_id, Ok(output.clone().unwrap_or_else(Payload::null)))
        }
        EventKind::TimerFired { timer_id, .. } => (timer_id, Ok(Payload::null())),
        EventKind::EntityLockGranted { scheduled_id, .. } => (scheduled_id, Ok(Payload::null())),
        _ => return None,
    };
    Some((usize::try_from(*number).ok()?, outcome))
}

/// Why nothing came of an action, where the event that confirms it says so and the guest was told at
/// once.
pub(super) fn recorded_refusal(event: &EventKind) -> Option<&str> {
    match event {
        EventKind::EntityOperationSignaled { refusal, .. } => refusal.as_deref(),
        _ => None,
    }
}

/// Whether an event confirms an action: the same kind, name, target and input, and the same time for
/// a timer and for a signal, which are made of the orchestrator's clock and so must agree. What only
/// says how something is done, and is not in the event as it was asked for (tags, attempts, the time
/// of a start), may differ, and so may what the host found out (a refusal).
pub(super) fn confirms(event: &EventKind, action: &Action) -> bool {
    match (event, action) {
        (
            EventKind::ActivityScheduled { name, input, .. },
            Action::CallActivity { name: asked, input: with, .. },
        ) => is_same(name, asked) && input == with,
        (
            EventKind::SubOrchestrationCreated { name, instance_id, input, .. },
            Action::CallSubOrchestration { name: asked, instance_id: id, input: with, .. },
        )
        | (
            EventKind::OrchestrationStartSent { name, instance_id, input },
            Action::StartOrchestration { name: asked, instance_id: id, input: with, .. },
        ) => is_same(name, asked) && instance_id == id && input == with,
        (
            EventKind::EntityOperationCalled { entity, operation, input, .. },
            Action::CallEntity { entity: to, operation: asked, input: with },
        ) => entity == to && operation == asked && input == with,
        (
            EventKind::EntityOperationSignaled { entity, operation, input, scheduled_time, .. },
            Action::SignalEntity { entity: to, operation: asked, input: with, at, .. },
        ) => entity == to && operation == asked && input == with && scheduled_time == at,
        (
            EventKind::EntityLockRequested { lock_set, .. },
            Action::LockEntities { entities, .. },
        ) => lock_set == entities,
        (
            EventKind::EntityUnlockSent { entity, .. },
            Action::UnlockEntity { entity: asked, .. },
        ) => entity == asked,
        (EventKind::TimerCreated { fire_at }, Action::CreateTimer { fire_at: asked }) => {
            fire_at == asked
        }
        (
            EventKind::EventSent { instance_id, name, input },
            Action::SendEvent { instance_id: to, name: asked, input: with },
        ) => instance_id == to && name.to_lowercase() == asked.to_lowercase() && input == with,
        _ => false,
    }
}

fn is_same(name: &FunctionName, asked: &FunctionName) -> bool {
    name.as_str().eq_ignore_ascii_case(asked.as_str())
}
