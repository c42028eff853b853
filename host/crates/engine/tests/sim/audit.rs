//! What must hold of everything that is stored, whatever clients did: histories are well-formed and
//! replay to the same end, parents were told, and what has not ended waits for something that can be
//! named.

mod rest;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use everstate_engine::guest::OrchestrationResult;
use everstate_types::{
    EventKind, HistoryEvent, InstanceId, NO_EVENT_ID, OrchestrationRecord, Payload, RequestId,
    RuntimeStatus,
};

pub(crate) use self::rest::{check_locks, check_rest, is_locked};
use crate::entities::{nobody, number, split_due};

use crate::guests::{NOBODY, run_script};
use crate::storage::SimStorage;
use crate::world::SideEffect;

/// What is left of orchestrations when all have ended.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// By id.
    pub(crate) ends: BTreeMap<String, Ended>,
    /// The tokens that histories say were appended, and where.
    pub(crate) asked: BTreeSet<(usize, String)>,
    /// The tokens of events that counters say they have counted.
    pub(crate) counted: HashSet<String>,
}

/// How an orchestration has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) token: String,
    pub(crate) status: RuntimeStatus,
    pub(crate) output: Option<String>,
    pub(crate) rewinds: u32,
}

/// Whoever was terminated with its children has none that goes on.
fn check_terminated_children(
    storage: &SimStorage,
    id: &InstanceId,
    record: &OrchestrationRecord,
    history: &[HistoryEvent],
) {
    let is_recursive = |event: &HistoryEvent| {
        matches!(event.kind, EventKind::ExecutionTerminated { recurse: true, .. })
    };
    if !history.iter().any(is_recursive) {
        return;
    }
    for event in history {
        let EventKind::SubOrchestrationCreated { instance_id, .. } = &event.kind else { continue };
        let (_, guid) = action(record, history, event.event_id);
        let is_told =
            history.iter().any(|other| other.kind.completed_action() == Some(event.event_id));
        let child = storage.orchestration(instance_id);
        if let Some(child) = child.filter(|child| !is_told && is_child(child, id, record, guid)) {
            assert!(child.status.is_finished(), "{instance_id} goes on after the end of {id}");
        }
    }
}

/// Checks what is stored when everything has ended, and tells what there is.
pub(crate) fn check_end(ledgers: usize, storage: &SimStorage) -> Left {
    let mut left = Left::default();
    for (id, record, history) in storage.orchestrations() {
        assert!(record.status.is_finished(), "{id} is left {}", record.status);
        check_history(id, record, history);
        check_replay(ledgers, id, record, history);
        check_children(storage, id, record, history);
        note_asked(history, &mut left);
        let output = record.output.as_ref().map(|output| output.as_str().to_owned());
        if record.name.as_str() == "Counter" {
            note_counted(record, history, &mut left);
        }
        let (_, token) = crate::scripts::target(record.input.as_str());
        let token = token.split('|').next().unwrap_or(token).to_owned();
        let ended = Ended { token, status: record.status, output, rewinds: record.rewinds };
        left.ends.insert(id.as_str().to_owned(), ended);
    }
    left
}

/// Notes what a counter has counted: in the generations before, which its input has, and in this one.
fn note_counted(record: &OrchestrationRecord, history: &[HistoryEvent], left: &mut Left) {
    let mut counted = HashSet::new();
    let before = record.input.as_str().split_once('|').map_or("", |(_, received)| received);
    counted.extend(crate::entities::tokens(before));
    for event in history {
        if let EventKind::EntityOperationCalled { input: Some(input), .. } = &event.kind {
            counted.insert(input.as_str().to_owned());
        }
    }
    left.counted.extend(counted);
}

fn note_asked(history: &[HistoryEvent], left: &mut Left) {
    let is_told = |number: i32| {
        history.iter().any(|event| matches!(event.kind, EventKind::EntityOperationCompleted { scheduled_id, .. } if scheduled_id == number))
    };
    for event in history {
        let (EventKind::EntityOperationCalled { entity, operation, input, .. }
        | EventKind::EntityOperationSignaled { entity, operation, input, .. }) = &event.kind
        else {
            continue;
        };
        let is_done = match operation.as_str() {
            "append-and-fail" | "list" | "touch" => false,
            "mend" => is_told(event.event_id),
            _ => *entity != nobody(),
        };
        if is_done {
            let (token, _) = split_due(input.as_ref().map_or("", Payload::as_str));
            left.asked.insert((number(entity), token.to_owned()));
        }
    }
}

/// Whether the history leads to the end that it had.
fn check_replay(
    ledgers: usize,
    id: &InstanceId,
    record: &OrchestrationRecord,
    history: &[HistoryEvent],
) {
    if record.status == RuntimeStatus::Terminated || record.name.as_str() == NOBODY {
        return;
    }
    let replayed = run_script(ledgers, (id, &record.name), history, &[]);
    match (&replayed.outcome.result, record.status) {
        (OrchestrationResult::Completed(output), RuntimeStatus::Completed) => {
            assert_eq!(record.output.as_ref(), Some(output), "{id} ended otherwise");
        }
        (OrchestrationResult::Failed(failure), RuntimeStatus::Failed) => {
            assert_eq!(record.failure.as_ref(), Some(failure), "{id} failed otherwise");
        }
        (result, status) => panic!("{id} is {status}, and replays to {result:?}"),
    }
    if replayed.custom_status.is_some() {
        assert_eq!(record.custom_status, replayed.custom_status, "{id} shows something else");
    }
}

/// Whether each child that somebody waited for has told its end, as it was.
fn check_children(
    storage: &SimStorage,
    id: &InstanceId,
    record: &OrchestrationRecord,
    history: &[HistoryEvent],
) {
    for event in history {
        let EventKind::SubOrchestrationCreated { instance_id, .. } = &event.kind else { continue };
        let told =
            history.iter().find(|other| other.kind.completed_action() == Some(event.event_id));
        let Some(told) = told else {
            let is_cut_short = record.status == RuntimeStatus::Terminated;
            assert!(is_cut_short, "{id} was never told of the end of {instance_id}");
            continue;
        };
        let (_, guid) = action(record, history, event.event_id);
        let child = storage.orchestration(instance_id);
        let child = child.filter(|child| child.rewinds == 0 && is_child(child, id, record, guid));
        let Some(child) = child else { continue };
        let fits = match (&told.kind, child.status) {
            (EventKind::SubOrchestrationCompleted { result, .. }, RuntimeStatus::Completed) => {
                child.output.as_ref() == Some(result)
            }
            (EventKind::SubOrchestrationFailed { failure, .. }, RuntimeStatus::Failed) => {
                child.failure.as_ref() == Some(failure)
            }
            (EventKind::SubOrchestrationFailed { failure, .. }, RuntimeStatus::Terminated) => {
                failure.error_type == "OrchestrationTerminated"
            }
            _ => false,
        };
        assert!(fits, "{id} was told {told:?} of {instance_id}, which is {child:?}");
    }
}

fn is_child(
    child: &OrchestrationRecord,
    parent_id: &InstanceId,
    parent: &OrchestrationRecord,
    guid: RequestId,
) -> bool {
    child.parent.as_ref().is_some_and(|named| {
        named.instance_id == *parent_id
            && named.execution_id == parent.execution_id
            && named.request_id == guid
    })
}

/// The event that confirms an action, and the action's GUID.
fn action<'a>(
    record: &OrchestrationRecord,
    history: &'a [HistoryEvent],
    number: i32,
) -> (&'a EventKind, RequestId) {
    let mut rewinds = 0;
    for event in history {
        if event.event_id == number {
            return (&event.kind, record.execution_id.request_guid(number, rewinds));
        }
        rewinds += u32::from(matches!(event.kind, EventKind::ExecutionRewound { .. }));
    }
    panic!("no event has the number {number}")
}

fn is_start(event: &HistoryEvent) -> bool {
    matches!(event.kind, EventKind::ExecutionStarted { .. })
}

/// Whether the history of an execution is one.
fn check_history(id: &InstanceId, record: &OrchestrationRecord, history: &[HistoryEvent]) {
    let mut next = 0;
    let mut in_turn = false;
    let mut is_suspended = false;
    let mut ends = 0;
    let mut has_begun = false;
    let mut told = HashSet::new();
    let mut rewinds = 0;
    for (index, event) in history.iter().enumerate() {
        let context = || format!("event {index} of {id} in {history:#?}");
        if event.event_id != NO_EVENT_ID {
            assert_eq!(event.event_id, next, "a gap: {}", context());
            next += 1;
        }
        if let Some(number) = event.kind.completed_action() {
            assert!(number < next, "never asked for: {}", context());
            assert!(told.insert(number), "told twice: {}", context());
        }
        match &event.kind {
            EventKind::OrchestratorStarted => {
                assert!(!in_turn && !is_suspended && ends == 0, "no turn: {}", context());
                in_turn = true;
            }
            EventKind::OrchestratorCompleted => {
                assert!(in_turn, "no turn to end: {}", context());
                in_turn = false;
            }
            EventKind::ExecutionSuspended { .. } => {
                assert!(!in_turn && !is_suspended, "cannot pause: {}", context());
                is_suspended = true;
            }
            EventKind::ExecutionResumed { .. } => {
                assert!(!in_turn && is_suspended, "cannot go on: {}", context());
                is_suspended = false;
            }
            EventKind::ExecutionCompleted { .. } => ends += 1,
            EventKind::ExecutionTerminated { .. } => {
                assert!(!in_turn, "within a turn: {}", context());
                is_suspended = false;
            }
            EventKind::ExecutionRewound { .. } => rewinds += 1,
            EventKind::TimerFired { fire_at, .. } => {
                assert!(event.timestamp >= *fire_at, "early: {}", context());
            }
            EventKind::ExecutionStarted { scheduled_start, .. } => {
                has_begun = true;
                let is_early = scheduled_start.is_some_and(|start| start > event.timestamp);
                assert!(!is_early, "early: {}", context());
            }
            EventKind::EventRaised { .. } => {
                assert!(in_turn && has_begun, "before the start: {}", context());
            }
            // It was moved to other code.
            EventKind::GenericEvent { .. } => assert!(!in_turn && has_begun, "note: {}", context()),
            kind => assert!(in_turn || kind.completed_action().is_some(), "no turn: {}", context()),
        }
    }
    assert!(!in_turn, "a turn of {id} never ended");
    assert_eq!(is_suspended, record.status == RuntimeStatus::Suspended, "{id}: {record:?}");
    assert_eq!(ends, usize::from(record.status.is_finished()), "{id} ended once");
    let starts = history.iter().filter(|event| is_start(event)).count();
    assert!(starts <= 1, "{id} began twice");
    let is_begun = starts == 1 || record.status == RuntimeStatus::Terminated;
    assert!(is_begun || !record.status.is_finished(), "{id} ended and was never begun");
    let has_run_since = matches!(record.status, RuntimeStatus::Completed | RuntimeStatus::Failed);
    let fits = rewinds == record.rewinds || (rewinds < record.rewinds && !has_run_since);
    assert!(fits, "{id} was rewound {} times, its history has {rewinds}", record.rewinds);
    let is_ordered = history.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp);
    assert!(is_ordered, "time went back in {id}");
}

/// Each piece of work has one idempotency key, which nothing else has, and its attempts count up.
pub(crate) fn check_side_effects(side_effects: &BTreeSet<SideEffect>, storage: &SimStorage) {
    let mut works: HashMap<RequestId, (&str, &str)> = HashMap::new();
    for effect in side_effects {
        // A result that a crash has lost may have been another one.
        let input = effect.input.split('.').next().unwrap_or_default();
        let work = (effect.name.as_str(), input);
        let before = works.insert(effect.idempotency_key, work);
        assert!(before.is_none_or(|before| before == work), "{before:?} has the key of {effect:?}");
        if effect.attempt > 1 {
            let first = SideEffect { attempt: effect.attempt - 1, ..effect.clone() };
            assert!(side_effects.contains(&first), "no attempt before {effect:?}");
        }
    }
    for (id, record, history) in storage.orchestrations() {
        for event in history {
            let Some(number) = event.kind.completed_action() else { continue };
            let (asked, guid) = action(record, history, number);
            let EventKind::ActivityScheduled { first_attempt, attempt, .. } = asked else {
                continue;
            };
            let first = first_attempt.map(|first| action(record, history, first).1);
            let key = first.unwrap_or(guid);
            let has_run = side_effects
                .iter()
                .any(|effect| effect.idempotency_key == key && effect.attempt == *attempt);
            assert!(has_run, "{id} was told of {asked:?}, which never ran");
        }
    }
}
