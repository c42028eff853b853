//! Actions and the events that confirm them, for people: what a previous execution did, and what
//! the current one asks for instead.

use everstate_types::{Action, EntityId, EventKind, Payload, Timestamp};

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
        Action::SignalEntity { entity, operation, input, at, .. } => {
            let (input, at) = (with(input.as_ref()), not_before(*at));
            format!("signal operation '{operation}' to entity '{entity}'{input}{at}")
        }
        Action::LockEntities { entities, .. } => format!("lock {}", list(entities)),
        Action::UnlockEntity { entity, .. } => format!("unlock entity '{entity}'"),
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
        EventKind::EntityOperationSignaled { entity, operation, input, scheduled_time, .. } => {
            let (input, at) = (with(input.as_ref()), not_before(*scheduled_time));
            format!("signaled operation '{operation}' to entity '{entity}'{input}{at}")
        }
        EventKind::TimerCreated { fire_at } => {
            format!("created a timer for {fire_at} ({} ms)", fire_at.as_millis())
        }
        EventKind::EventSent { instance_id, name, input } => {
            format!("sent the event '{name}' to '{instance_id}'{}", with(Some(input)))
        }
        EventKind::EntityLockRequested { lock_set, .. } => {
            format!("asked to lock {}", list(lock_set))
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

/// The time of a signal that is not sent at once.
fn not_before(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(" not before {at} ({} ms)", at.as_millis()))
}

/// The beginning of a lock set.
fn list(entities: &[EntityId]) -> String {
    const SHOWN_MAX: usize = 8;
    let shown: Vec<String> =
        entities.iter().take(SHOWN_MAX).map(|entity| format!("'{entity}'")).collect();
    let more = match entities.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = if entities.len() == 1 { "entity" } else { "entities" };
    format!("{what} {}{more}", shown.join(", "))
}
