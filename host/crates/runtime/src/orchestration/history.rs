//! How actions and history events belong together: which event confirms which action, which
//! completes it, and how to say so. Covers every kind of event, also those whose actions no guest
//! can ask for yet.

use everstate_types::{Action, EventKind, Failure, Payload};

/// The action that an event completes, and how.
pub(super) fn completion_of(event: &EventKind) -> Option<(usize, Result<Payload, Failure>)> {
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

/// Whether an event confirms an action: the same kind, target and content.
pub(super) fn confirms(event: &EventKind, action: &Action) -> bool {
    match (event, action) {
        (
            EventKind::EntityOperationCalled { entity, operation, input, .. },
            Action::CallEntity { entity: to, operation: asked, input: with },
        )
        | (
            EventKind::EntityOperationSignaled { entity, operation, input, .. },
            Action::SignalEntity { entity: to, operation: asked, input: with },
        ) => entity == to && operation == asked && input == with,
        (
            EventKind::OrchestrationStartSent { name, instance_id, input },
            Action::StartOrchestration { name: asked, instance_id: id, input: with, .. },
        ) => {
            name.as_str().eq_ignore_ascii_case(asked.as_str()) && instance_id == id && input == with
        }
        _ => false,
    }
}

/// What an orchestrator asks for, as in "asked to …".
pub(super) fn describe_action(action: &Action) -> String {
    match action {
        Action::CallEntity { entity, operation, input } => {
            format!("call operation '{operation}' of entity '{entity}'{}", with(input.as_ref()))
        }
        Action::SignalEntity { entity, operation, input } => {
            format!("signal operation '{operation}' to entity '{entity}'{}", with(input.as_ref()))
        }
        Action::StartOrchestration { name, instance_id, input, .. } => {
            format!("start orchestrator '{name}' as '{instance_id}'{}", with(Some(input)))
        }
    }
}

/// What an event that confirms an action says was done, as in "a previous execution …".
pub(super) fn describe_event(event: &EventKind) -> String {
    match event {
        EventKind::EntityOperationCalled { entity, operation, input, .. } => {
            format!("called operation '{operation}' of entity '{entity}'{}", with(input.as_ref()))
        }
        EventKind::EntityOperationSignaled { entity, operation, input, .. } => {
            let input = with(input.as_ref());
            format!("signaled operation '{operation}' to entity '{entity}'{input}")
        }
        EventKind::OrchestrationStartSent { name, instance_id, input } => {
            format!("started orchestrator '{name}' as '{instance_id}'{}", with(Some(input)))
        }
        EventKind::ActivityScheduled { name, .. } => format!("scheduled activity '{name}'"),
        EventKind::SubOrchestrationCreated { name, instance_id, .. } => {
            format!("called orchestrator '{name}' as '{instance_id}'")
        }
        EventKind::TimerCreated { fire_at } => format!("created a timer for {fire_at}"),
        EventKind::EventSent { instance_id, name, .. } => {
            format!("sent the event '{name}' to '{instance_id}'")
        }
        EventKind::EntityLockRequested { lock_set, .. } => {
            format!("asked to lock {} entities", lock_set.len())
        }
        EventKind::EntityUnlockSent { entity, .. } => format!("unlocked entity '{entity}'"),
        _ => "did something else".to_owned(),
    }
}

/// The beginning of an input, for people.
fn with(input: Option<&Payload>) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let Some(input) = input else { return " without input".to_owned() };
    let mut text: String = input.as_str().chars().take(SHOWN_CHARS_MAX).collect();
    if text.len() < input.len() {
        text.push('…');
    }
    format!(" with {text}")
}
