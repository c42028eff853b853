//! Actions and the events that confirm them, for people: what a previous execution did, and what
//! the current one asks for instead.

use everstate_types::{Action, EventKind, Payload};

/// What an orchestrator asks for, as in "asked to …".
pub(super) fn describe_action(action: &Action) -> String {
    match action {
        Action::CallActivity { name, input, .. } => {
            format!("schedule activity '{name}'{}", with(Some(input)))
        }
        Action::CallSubOrchestration { name, instance_id, input, .. } => {
            format!("call orchestrator '{name}' as '{instance_id}'{}", with(Some(input)))
        }
        Action::StartOrchestration { name, instance_id, input, .. } => {
            format!("start orchestrator '{name}' as '{instance_id}'{}", with(Some(input)))
        }
        Action::CallEntity { entity, operation, input } => {
            format!("call operation '{operation}' of entity '{entity}'{}", with(input.as_ref()))
        }
        Action::SignalEntity { entity, operation, input } => {
            format!("signal operation '{operation}' to entity '{entity}'{}", with(input.as_ref()))
        }
        Action::CreateTimer { fire_at } => {
            format!("create a timer for {fire_at} ({} ms)", fire_at.as_millis())
        }
        Action::SendEvent { instance_id, name, input } => {
            format!("send the event '{name}' to '{instance_id}'{}", with(Some(input)))
        }
    }
}

/// What an event that confirms an action says was done, as in "a previous execution …".
pub(super) fn describe_event(event: &EventKind) -> String {
    match event {
        EventKind::ActivityScheduled { name, input, .. } => {
            format!("scheduled activity '{name}'{}", with(Some(input)))
        }
        EventKind::SubOrchestrationCreated { name, instance_id, input, .. } => {
            format!("called orchestrator '{name}' as '{instance_id}'{}", with(Some(input)))
        }
        EventKind::OrchestrationStartSent { name, instance_id, input } => {
            format!("started orchestrator '{name}' as '{instance_id}'{}", with(Some(input)))
        }
        EventKind::EntityOperationCalled { entity, operation, input, .. } => {
            format!("called operation '{operation}' of entity '{entity}'{}", with(input.as_ref()))
        }
        EventKind::EntityOperationSignaled { entity, operation, input, .. } => {
            let input = with(input.as_ref());
            format!("signaled operation '{operation}' to entity '{entity}'{input}")
        }
        EventKind::TimerCreated { fire_at } => {
            format!("created a timer for {fire_at} ({} ms)", fire_at.as_millis())
        }
        EventKind::EventSent { instance_id, name, input } => {
            format!("sent the event '{name}' to '{instance_id}'{}", with(Some(input)))
        }
        EventKind::EntityLockRequested { lock_set, .. } => {
            format!("asked to lock {} entities", lock_set.len())
        }
        EventKind::EntityUnlockSent { entity, .. } => format!("unlocked entity '{entity}'"),
        _ => "did something else".to_owned(),
    }
}

/// The beginning of an input.
fn with(input: Option<&Payload>) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let Some(input) = input else { return " without input".to_owned() };
    let mut text: String = input.as_str().chars().take(SHOWN_CHARS_MAX).collect();
    if text.len() < input.len() {
        text.push('…');
    }
    format!(" with {text}")
}
