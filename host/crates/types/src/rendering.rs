//! A history as people read it: one event a line, with what matters of it.
//!
//! ```text
//! 12:00:00.000      ExecutionStarted Approval <- {"amount":7}
//! 12:00:00.000  #0  TimerCreated 2026-11-23T12:05:00Z
//! 12:00:03.120      EventRaised approved <- true
//! ```
//!
//! A number is that of the action which the event confirms; `of #0` points back to one.

use std::fmt;

use crate::history::{EventKind, HistoryEvent, NO_EVENT_ID};
use crate::payload::Payload;

/// Characters that are shown of a payload.
const PAYLOAD_CHARS_SHOWN: usize = 60;

/// Entities that are shown of a lock set.
const ENTITIES_SHOWN: usize = 8;

/// Renders a history, one line an event.
#[must_use]
pub fn render_history(history: &[HistoryEvent]) -> String {
    history.iter().map(|event| format!("{event}\n")).collect()
}

/// Time of day, number, kind and content on one line.
impl fmt::Display for HistoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.timestamp.as_millis();
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}.{millis:03} ")?;
        if self.event_id == NO_EVENT_ID {
            write!(f, "     ")?;
        } else {
            write!(f, "{:>4} ", format!("#{}", self.event_id))?;
        }
        write!(f, "{}", self.kind)
    }
}

/// Kind and content on one line.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExecutionStarted { .. }
            | Self::ExecutionCompleted { .. }
            | Self::ExecutionTerminated { .. }
            | Self::ExecutionSuspended { .. }
            | Self::ExecutionResumed { .. }
            | Self::ExecutionRewound { .. }
            | Self::ContinuedAsNew { .. }
            | Self::OrchestratorStarted
            | Self::OrchestratorCompleted
            | Self::GenericEvent { .. }
            | Self::HistoryState { .. } => self.fmt_execution(f),
            Self::EntityOperationSignaled { .. }
            | Self::EntityOperationCalled { .. }
            | Self::EntityOperationCompleted { .. }
            | Self::EntityOperationFailed { .. }
            | Self::EntityLockRequested { .. }
            | Self::EntityLockGranted { .. }
            | Self::EntityUnlockSent { .. } => self.fmt_entity(f),
            _ => self.fmt_call(f),
        }
    }
}

impl EventKind {
    /// Events of the execution itself.
    fn fmt_execution(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExecutionStarted { name, input, parent, tags, scheduled_start, .. } => {
                write!(f, "ExecutionStarted {name} <- {}", shown(input))?;
                if let Some(parent) = parent {
                    write!(f, " for {} of #{}", parent.instance_id, parent.scheduled_id)?;
                }
                for (name, value) in tags {
                    write!(f, " {name}={value}")?;
                }
                match scheduled_start {
                    Some(start) => write!(f, " not before {start}"),
                    None => Ok(()),
                }
            }
            Self::ExecutionCompleted { status, result, failure } => {
                write!(f, "ExecutionCompleted {status:?}")?;
                if let Some(result) = result {
                    write!(f, " -> {}", shown(result))?;
                }
                match failure {
                    Some(failure) => {
                        write!(f, " {}: {}", failure.error_type, failure.error_message)
                    }
                    None => Ok(()),
                }
            }
            Self::ExecutionTerminated { reason, recurse } => {
                let whom = if *recurse { " with its children" } else { "" };
                write!(f, "ExecutionTerminated{whom}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {}", shown(reason)))
            }
            Self::ExecutionSuspended { reason } => because(f, "ExecutionSuspended", reason),
            Self::ExecutionResumed { reason } => because(f, "ExecutionResumed", reason),
            Self::ExecutionRewound { reason } => because(f, "ExecutionRewound", reason),
            Self::ContinuedAsNew { input } => write!(f, "ContinuedAsNew <- {}", shown(input)),
            Self::OrchestratorStarted => f.write_str("OrchestratorStarted"),
            Self::OrchestratorCompleted => f.write_str("OrchestratorCompleted"),
            Self::GenericEvent { data } => write!(f, "GenericEvent {data}"),
            Self::HistoryState { state } => write!(f, "HistoryState {}", shown(state)),
            _ => Ok(()),
        }
    }

    /// Events of activities, children, timers and events.
    fn fmt_call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActivityScheduled { name, input, first_attempt, attempt, .. } => {
                write!(f, "ActivityScheduled {name} <- {}", shown(input))?;
                match first_attempt {
                    Some(first) => write!(f, " attempt {attempt} of #{first}"),
                    None => Ok(()),
                }
            }
            Self::ActivityCompleted { scheduled_id, result } => {
                write!(f, "ActivityCompleted of #{scheduled_id} -> {}", shown(result))
            }
            Self::ActivityFailed { scheduled_id, failure } => {
                let (class, text) = (&failure.error_type, &failure.error_message);
                write!(f, "ActivityFailed of #{scheduled_id} {class}: {text}")
            }
            Self::SubOrchestrationCreated { name, instance_id, input, .. } => {
                write!(f, "SubOrchestrationCreated {name} as {instance_id} <- {}", shown(input))
            }
            Self::SubOrchestrationCompleted { scheduled_id, result } => {
                write!(f, "SubOrchestrationCompleted of #{scheduled_id} -> {}", shown(result))
            }
            Self::SubOrchestrationFailed { scheduled_id, failure } => {
                let (class, text) = (&failure.error_type, &failure.error_message);
                write!(f, "SubOrchestrationFailed of #{scheduled_id} {class}: {text}")
            }
            Self::TimerCreated { fire_at } => write!(f, "TimerCreated {fire_at}"),
            Self::TimerFired { timer_id, .. } => write!(f, "TimerFired of #{timer_id}"),
            Self::EventSent { instance_id, name, input } => {
                write!(f, "EventSent {name} to {instance_id} <- {}", shown(input))
            }
            Self::EventRaised { name, input } => {
                write!(f, "EventRaised {name} <- {}", shown(input))
            }
            Self::OrchestrationStartSent { name, instance_id, input } => {
                write!(f, "OrchestrationStartSent {name} as {instance_id} <- {}", shown(input))
            }
            _ => Ok(()),
        }
    }

    /// Events of entities.
    fn fmt_entity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntityOperationSignaled {
                entity,
                operation,
                input,
                scheduled_time,
                refusal,
                ..
            } => {
                write!(f, "EntityOperationSignaled {operation} of {entity}")?;
                if let Some(input) = input {
                    write!(f, " <- {}", shown(input))?;
                }
                if let Some(time) = scheduled_time {
                    write!(f, " not before {time}")?;
                }
                refusal.as_ref().map_or(Ok(()), |refusal| write!(f, " refused: {refusal}"))
            }
            Self::EntityOperationCalled { entity, operation, input, .. } => {
                write!(f, "EntityOperationCalled {operation} of {entity}")?;
                input.as_ref().map_or(Ok(()), |input| write!(f, " <- {}", shown(input)))
            }
            Self::EntityOperationCompleted { scheduled_id, output, .. } => {
                write!(f, "EntityOperationCompleted of #{scheduled_id}")?;
                output.as_ref().map_or(Ok(()), |output| write!(f, " -> {}", shown(output)))
            }
            Self::EntityOperationFailed { scheduled_id, failure, .. } => {
                let (class, text) = (&failure.error_type, &failure.error_message);
                write!(f, "EntityOperationFailed of #{scheduled_id} {class}: {text}")
            }
            Self::EntityLockRequested { lock_set, .. } => {
                f.write_str("EntityLockRequested")?;
                for entity in lock_set.iter().take(ENTITIES_SHOWN) {
                    write!(f, " {entity}")?;
                }
                match lock_set.len().saturating_sub(ENTITIES_SHOWN) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::EntityLockGranted { scheduled_id, .. } => {
                write!(f, "EntityLockGranted of #{scheduled_id}")
            }
            Self::EntityUnlockSent { entity, .. } => write!(f, "EntityUnlockSent {entity}"),
            _ => Ok(()),
        }
    }
}

fn because(f: &mut fmt::Formatter<'_>, what: &str, reason: &Option<String>) -> fmt::Result {
    f.write_str(what)?;
    reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
}

/// The beginning of a payload.
fn shown(payload: &Payload) -> String {
    let mut text: String = payload.as_str().chars().take(PAYLOAD_CHARS_SHOWN).collect();
    if text.len() < payload.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::render_history;
    use crate::{EntityId, EventKind, Failure, HistoryEvent, Payload, Timestamp};

    fn entity(key: &str) -> EntityId {
        EntityId::new("Account", key).expect("a valid id")
    }

    fn signaled(
        input: Option<&str>,
        scheduled_time: Option<u64>,
        refusal: Option<&str>,
    ) -> EventKind {
        EventKind::EntityOperationSignaled {
            request_id: Uuid::nil(),
            entity: entity("a"),
            operation: "add".to_owned(),
            input: input.map(Payload::from),
            scheduled_time: scheduled_time.map(Timestamp::from_millis),
            refusal: refusal.map(str::to_owned),
        }
    }

    #[test]
    fn critical_section_and_signals_are_told_line_by_line() {
        let critical_section_id = Uuid::nil();
        let of_action = |id, kind| HistoryEvent::of_action(id, Timestamp::from_millis(1_500), kind);
        let came = |kind| HistoryEvent::new(Timestamp::from_millis(61_000), kind);
        let many = (0..10).map(|key| entity(&key.to_string())).collect();
        let lock = |lock_set| EventKind::EntityLockRequested { critical_section_id, lock_set };
        let failure = Failure::new("FunctionNotFound", "no");
        let history = [
            of_action(0, lock(vec![entity("a"), entity("b")])),
            came(EventKind::EntityLockGranted { scheduled_id: 0, critical_section_id }),
            of_action(1, EventKind::EntityUnlockSent { critical_section_id, entity: entity("a") }),
            of_action(2, lock(many)),
            came(EventKind::EntityOperationFailed {
                scheduled_id: 2,
                request_id: critical_section_id,
                failure,
            }),
            of_action(3, signaled(Some("7"), None, None)),
            of_action(4, signaled(None, Some(5_000), None)),
            of_action(5, signaled(None, None, Some("not there"))),
        ];
        let lines = [
            "00:00:01.500   #0 EntityLockRequested @account@a @account@b",
            "00:01:01.000      EntityLockGranted of #0",
            "00:00:01.500   #1 EntityUnlockSent @account@a",
            "00:00:01.500   #2 EntityLockRequested @account@0 @account@1 @account@2 @account@3 \
             @account@4 @account@5 @account@6 @account@7 and 2 more",
            "00:01:01.000      EntityOperationFailed of #2 FunctionNotFound: no",
            "00:00:01.500   #3 EntityOperationSignaled add of @account@a <- 7",
            "00:00:01.500   #4 EntityOperationSignaled add of @account@a not before \
             1970-01-01T00:00:05Z",
            "00:00:01.500   #5 EntityOperationSignaled add of @account@a refused: not there",
        ];
        assert_eq!(render_history(&history), lines.map(|line| format!("{line}\n")).concat());
    }
}
