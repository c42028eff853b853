//! [`check_history`]: whether a history is one that the engine could have written, and fits its record.
//!
//! For data that comes from elsewhere: an import, or a disk that is examined. Not for the work of every
//! day, in which histories are only ever added to.

use std::collections::HashMap;

use crate::history::{EventKind, HistoryEvent, NO_EVENT_ID, OrchestrationStatus};
use crate::record::OrchestrationRecord;
use crate::status::RuntimeStatus;

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryProblem {
    /// With one event.
    #[error("event {index} {reason}")]
    Event {
        /// Which; the first is 0.
        index: usize,
        /// What is wrong with it, as the rest of a sentence.
        reason: String,
    },
    /// With the whole, or with the record.
    #[error("{0}")]
    Whole(String),
}

/// Checks that times and numbers of a history ascend, that each result belongs to something that was asked for,
/// and that beginning and end are as the record says.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_history(
    record: &OrchestrationRecord,
    history: &[HistoryEvent],
) -> Result<(), HistoryProblem> {
    check_order(history)?;
    check_results(history)?;
    check_start(record, history)?;
    check_end(record, history)
}

fn check_order(history: &[HistoryEvent]) -> Result<(), HistoryProblem> {
    let mut time = None;
    let mut last_number = NO_EVENT_ID;
    for (index, event) in history.iter().enumerate() {
        if time.is_some_and(|time| event.timestamp < time) {
            return Err(wrong(index, "is older than the one before it"));
        }
        time = Some(event.timestamp);
        if event.event_id == NO_EVENT_ID {
            continue;
        }
        if event.event_id <= last_number {
            let reason = format!("has the number {} behind {last_number}", event.event_id);
            return Err(wrong(index, reason));
        }
        last_number = event.event_id;
    }
    Ok(())
}

fn check_results(history: &[HistoryEvent]) -> Result<(), HistoryProblem> {
    let mut asked: HashMap<i32, &EventKind> = HashMap::new();
    for (index, event) in history.iter().enumerate() {
        if event.event_id != NO_EVENT_ID {
            asked.insert(event.event_id, &event.kind);
        }
        let Some(number) = event.kind.completed_action() else { continue };
        let is_answer = asked.get(&number).is_some_and(|asked| answers(&event.kind, asked));
        if !is_answer {
            return Err(wrong(index, format!("is the result of action {number}, which is none")));
        }
    }
    Ok(())
}

fn check_start(
    record: &OrchestrationRecord,
    history: &[HistoryEvent],
) -> Result<(), HistoryProblem> {
    let mut has_started = false;
    for (index, event) in history.iter().enumerate() {
        let EventKind::ExecutionStarted { name, input, .. } = &event.kind else { continue };
        if has_started {
            return Err(wrong(index, "starts what has started before"));
        }
        has_started = true;
        if *name != record.name || *input != record.input {
            return Err(wrong(index, "starts another orchestrator, or with another input"));
        }
    }
    Ok(())
}

fn check_end(record: &OrchestrationRecord, history: &[HistoryEvent]) -> Result<(), HistoryProblem> {
    let mut ends = history.iter().enumerate().filter_map(|(index, event)| match &event.kind {
        EventKind::ExecutionCompleted { status, result, failure } => {
            Some((index, (status, result, failure)))
        }
        _ => None,
    });
    let end = ends.next();
    if let Some((index, _)) = ends.next() {
        return Err(wrong(index, "ends what has ended before"));
    }
    let wanted = match record.status {
        RuntimeStatus::Completed => Some(OrchestrationStatus::Completed),
        RuntimeStatus::Failed => Some(OrchestrationStatus::Failed),
        RuntimeStatus::Terminated => Some(OrchestrationStatus::Terminated),
        RuntimeStatus::Pending | RuntimeStatus::Running | RuntimeStatus::Suspended => None,
    };
    match (end, wanted) {
        (None, None) => Ok(()),
        (None, Some(_)) => {
            let status = record.status;
            Err(HistoryProblem::Whole(format!("the status is {status}, the history has no end")))
        }
        (Some((index, _)), None) => {
            Err(wrong(index, format!("is an end, the status is {}", record.status)))
        }
        (Some((index, (status, result, failure))), Some(wanted)) => {
            if *status != wanted {
                return Err(wrong(index, format!("ends it otherwise than as {}", record.status)));
            }
            if *result != record.output || *failure != record.failure {
                return Err(wrong(index, "has another output or failure than the record"));
            }
            Ok(())
        }
    }
}

/// Whether a result is one of what was asked for.
fn answers(result: &EventKind, asked: &EventKind) -> bool {
    match asked {
        EventKind::ActivityScheduled { .. } => {
            matches!(result, EventKind::ActivityCompleted { .. } | EventKind::ActivityFailed { .. })
        }
        EventKind::SubOrchestrationCreated { .. } => matches!(
            result,
            EventKind::SubOrchestrationCompleted { .. } | EventKind::SubOrchestrationFailed { .. }
        ),
        EventKind::EntityOperationCalled { .. } => matches!(
            result,
            EventKind::EntityOperationCompleted { .. } | EventKind::EntityOperationFailed { .. }
        ),
        // A lock that cannot be had is told as the failure of an operation.
        EventKind::EntityLockRequested { .. } => matches!(
            result,
            EventKind::EntityLockGranted { .. } | EventKind::EntityOperationFailed { .. }
        ),
        EventKind::TimerCreated { .. } => matches!(result, EventKind::TimerFired { .. }),
        _ => false,
    }
}

fn wrong(index: usize, reason: impl Into<String>) -> HistoryProblem {
    HistoryProblem::Event { index, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::check_history;
    use crate::{
        EventKind, ExecutionId, FunctionName, HistoryEvent, OrchestrationRecord,
        OrchestrationStatus, Payload, RuntimeStatus, Timestamp,
    };

    fn record(status: RuntimeStatus) -> OrchestrationRecord {
        OrchestrationRecord {
            status,
            output: status.is_finished().then(Payload::null),
            updated_at: Timestamp::from_millis(9),
            ..OrchestrationRecord::pending(
                FunctionName::new("Nap").expect("a name"),
                ExecutionId::new(Uuid::from_u128(1)),
                Timestamp::from_millis(1),
            )
        }
    }

    /// A nap that has ended.
    fn history() -> Vec<HistoryEvent> {
        let at = Timestamp::from_millis;
        let started = EventKind::ExecutionStarted {
            name: FunctionName::new("Nap").expect("a name"),
            version: None,
            input: Payload::null(),
            parent: None,
            tags: Vec::new(),
            scheduled_start: None,
        };
        let completed = EventKind::ExecutionCompleted {
            status: OrchestrationStatus::Completed,
            result: Some(Payload::null()),
            failure: None,
        };
        vec![
            HistoryEvent::new(at(1), EventKind::OrchestratorStarted),
            HistoryEvent::new(at(1), started),
            HistoryEvent::of_action(0, at(2), EventKind::TimerCreated { fire_at: at(5) }),
            HistoryEvent::new(at(2), EventKind::OrchestratorCompleted),
            HistoryEvent::new(at(5), EventKind::OrchestratorStarted),
            HistoryEvent::new(at(5), EventKind::TimerFired { timer_id: 0, fire_at: at(5) }),
            HistoryEvent::of_action(1, at(6), completed),
            HistoryEvent::new(at(6), EventKind::OrchestratorCompleted),
        ]
    }

    #[test]
    fn history_as_the_engine_writes_it_is_good() {
        assert_eq!(check_history(&record(RuntimeStatus::Completed), &history()), Ok(()));
        assert_eq!(check_history(&record(RuntimeStatus::Running), &history()[..4]), Ok(()));
        assert_eq!(check_history(&record(RuntimeStatus::Pending), &[]), Ok(()));
    }

    #[test]
    fn each_thing_that_does_not_fit_is_named_with_its_event() {
        type Break = fn(&mut Vec<HistoryEvent>);
        let breaks: [(Break, &str); 9] = [
            (|events| events.swap(3, 4), "event 4 is older than the one before it"),
            (|events| events[6].event_id = 0, "event 6 has the number 0 behind 0"),
            (|events| drop(events.remove(2)), "event 4 is the result of action 0, which is none"),
            (
                |events| {
                    events[5].kind =
                        EventKind::TimerFired { timer_id: 1, fire_at: events[5].timestamp }
                },
                "event 5 is the result of action 1, which is none",
            ),
            (
                |events| {
                    let result = Payload::null();
                    events[5].kind = EventKind::ActivityCompleted { scheduled_id: 0, result };
                },
                "event 5 is the result of action 0, which is none",
            ),
            (
                |events| events[4].kind = events[1].kind.clone(),
                "event 4 starts what has started before",
            ),
            (|events| drop(events.split_off(6)), "the status is Completed, the history has no end"),
            (
                |events| {
                    if let EventKind::ExecutionCompleted { status, .. } = &mut events[6].kind {
                        *status = OrchestrationStatus::Failed;
                    }
                },
                "event 6 ends it otherwise than as Completed",
            ),
            (
                |events| {
                    if let EventKind::ExecutionCompleted { result, .. } = &mut events[6].kind {
                        *result = None;
                    }
                },
                "event 6 has another output or failure than the record",
            ),
        ];
        for (damage, expected) in breaks {
            let mut events = history();
            damage(&mut events);
            let problem = check_history(&record(RuntimeStatus::Completed), &events);
            assert_eq!(problem.map_err(|problem| problem.to_string()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn record_of_another_orchestrator_or_another_place_in_life_does_not_fit() {
        let mut other = record(RuntimeStatus::Completed);
        other.input = Payload::from("1");
        let problem = check_history(&other, &history()).map_err(|problem| problem.to_string());
        let expected = "event 1 starts another orchestrator, or with another input";
        assert_eq!(problem, Err(expected.to_owned()));
        let problem = check_history(&record(RuntimeStatus::Running), &history());
        let expected = "event 6 is an end, the status is Running";
        assert_eq!(problem.map_err(|problem| problem.to_string()), Err(expected.to_owned()));
    }
}
