//! Scripts without guests: the tests play the orchestrator, and the engine that keeps its history.

mod completions;
mod critical_sections;
mod divergence;
mod ending;
mod events;
mod random;
mod turns;

use std::sync::Arc;

use everstate_engine::guest::{OrchestrationOutcome, OrchestrationWorkItem};
use everstate_types::{
    Action, ComponentHash, EntityId, EventKind, ExecutionId, Failure, FunctionName, HistoryEvent,
    InstanceId, Payload, Timestamp,
};
use uuid::Uuid;

use super::script::Script;

/// A first turn, at second 1.
pub(crate) fn work_item() -> OrchestrationWorkItem {
    OrchestrationWorkItem {
        instance_id: InstanceId::orchestration("an-instance").expect("a valid id"),
        execution_id: ExecutionId::new(Uuid::nil()),
        name: name("Test"),
        component: ComponentHash([0; 32]),
        parent_instance_id: None,
        tags: Vec::new(),
        trace_id: None,
        history: Arc::default(),
        new_events: Arc::new(vec![turn(1), started()]),
    }
}

/// What the engine keeps of an execution: it runs turns and records what they gave.
struct Recorder {
    item: OrchestrationWorkItem,
}

impl Recorder {
    fn new() -> Self {
        Self { item: work_item() }
    }

    /// An execution that has recorded these turns, and what comes next.
    fn after(turns: Vec<Vec<HistoryEvent>>, new_events: Vec<HistoryEvent>) -> Self {
        let history = turns.into_iter().zip(1..).flat_map(|(events, second)| {
            let first = if second == 1 { vec![started()] } else { Vec::new() };
            [vec![turn(second)], first, events, vec![turn_end(second)]].concat()
        });
        let mut item = work_item();
        item.history = Arc::new(history.collect());
        item.new_events = Arc::new(new_events);
        Self { item }
    }

    /// A script that begins from the start.
    fn script(&self) -> Script {
        Script::new(self.item.clone())
    }

    /// Records the turn, and what happens next.
    fn record(&mut self, outcome: &OrchestrationOutcome, new_events: Vec<HistoryEvent>) {
        let mut history = self.item.history.to_vec();
        let first = history.iter().map(|event| event.event_id + 1).max().unwrap_or(0).max(0);
        history.extend(self.item.new_events.iter().cloned());
        let time = history.last().expect("a turn is not empty").timestamp;
        for (action, number) in outcome.actions.iter().zip(first..) {
            history.push(HistoryEvent::of_action(number, time, confirmation(action)));
        }
        let note = |data: &String| EventKind::GenericEvent { data: data.clone() };
        history.extend(outcome.logs.iter().map(|line| HistoryEvent::new(time, note(line))));
        history.push(HistoryEvent::new(time, EventKind::OrchestratorCompleted));
        self.item.history = Arc::new(history);
        self.item.new_events = Arc::new(new_events);
    }
}

/// The event that the engine records for an action.
fn confirmation(action: &Action) -> EventKind {
    let request_id = Uuid::nil();
    match action.clone() {
        Action::CallActivity { name, input, tags, first_attempt, attempt } => {
            let version = None;
            EventKind::ActivityScheduled { name, version, input, tags, first_attempt, attempt }
        }
        Action::CallSubOrchestration { name, instance_id, input, tags, .. } => {
            EventKind::SubOrchestrationCreated { name, version: None, instance_id, input, tags }
        }
        Action::StartOrchestration { name, instance_id, input, .. } => {
            EventKind::OrchestrationStartSent { name, instance_id, input }
        }
        Action::CallEntity { entity, operation, input } => {
            EventKind::EntityOperationCalled { request_id, entity, operation, input }
        }
        Action::SignalEntity { entity, operation, input, at, refusal } => {
            EventKind::EntityOperationSignaled {
                request_id,
                entity,
                operation,
                input,
                scheduled_time: at,
                refusal,
            }
        }
        Action::LockEntities { entities, .. } => {
            EventKind::EntityLockRequested { critical_section_id: request_id, lock_set: entities }
        }
        Action::UnlockEntity { entity, .. } => {
            EventKind::EntityUnlockSent { critical_section_id: request_id, entity }
        }
        Action::CreateTimer { fire_at } => EventKind::TimerCreated { fire_at },
        Action::SendEvent { instance_id, name, input } => {
            EventKind::EventSent { instance_id, name, input }
        }
    }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(second * 1_000)
}

fn turn(second: u64) -> HistoryEvent {
    HistoryEvent::new(at(second), EventKind::OrchestratorStarted)
}

fn turn_end(second: u64) -> HistoryEvent {
    HistoryEvent::new(at(second), EventKind::OrchestratorCompleted)
}

fn started() -> HistoryEvent {
    let kind = EventKind::ExecutionStarted {
        name: name("Test"),
        version: None,
        input: Payload::from("7"),
        parent: None,
        tags: Vec::new(),
        scheduled_start: None,
    };
    HistoryEvent::new(at(1), kind)
}

/// An event that comes in.
fn came(kind: EventKind) -> HistoryEvent {
    HistoryEvent::new(at(9), kind)
}

/// The event that confirms an action.
fn done(number: i32, action: &Action) -> HistoryEvent {
    HistoryEvent::of_action(number, at(1), confirmation(action))
}

fn name(name: &str) -> FunctionName {
    FunctionName::new(name).expect("a valid name")
}

fn instance(id: &str) -> InstanceId {
    InstanceId::orchestration(id).expect("a valid id")
}

pub(super) fn entity(key: &str) -> EntityId {
    EntityId::new("register", key).expect("a valid id")
}

fn activity(input: &str) -> Action {
    Action::CallActivity {
        name: name("Work"),
        input: Payload::from(input),
        tags: Vec::new(),
        first_attempt: None,
        attempt: 1,
    }
}

pub(super) fn child(id: &str) -> Action {
    Action::CallSubOrchestration {
        name: name("Child"),
        instance_id: instance(id),
        input: Payload::null(),
        tags: Vec::new(),
        start_at: None,
    }
}

pub(super) fn start(id: &str) -> Action {
    Action::StartOrchestration {
        name: name("Child"),
        instance_id: instance(id),
        input: Payload::null(),
        tags: Vec::new(),
        start_at: None,
    }
}

pub(super) fn call(key: &str) -> Action {
    Action::CallEntity { entity: entity(key), operation: "get".to_owned(), input: None }
}

pub(super) fn signal(key: &str) -> Action {
    signal_at(key, None, None)
}

/// A signal not before a second, which the host may refuse.
fn signal_at(key: &str, second: Option<u64>, refusal: Option<&str>) -> Action {
    Action::SignalEntity {
        entity: entity(key),
        operation: "get".to_owned(),
        input: None,
        at: second.map(at),
        refusal: refusal.map(str::to_owned),
    }
}

/// A request for locks; the keys are in order.
pub(super) fn lock(keys: &[&str]) -> Action {
    assert!(keys.is_sorted(), "as the host gives them: {keys:?}");
    let entities = keys.iter().map(|key| entity(key)).collect();
    Action::LockEntities { entities, refusal: None }
}

fn unlock(lock: i32, key: &str) -> Action {
    Action::UnlockEntity { lock, entity: entity(key) }
}

pub(super) fn timer(second: u64) -> Action {
    Action::CreateTimer { fire_at: at(second) }
}

fn send(event: &str) -> Action {
    let (name, input) = (event.to_owned(), Payload::null());
    Action::SendEvent { instance_id: instance("other"), name, input }
}

fn completed(scheduled_id: i32, result: &str) -> HistoryEvent {
    came(EventKind::ActivityCompleted { scheduled_id, result: Payload::from(result) })
}

fn failed(scheduled_id: i32, failure: Failure) -> HistoryEvent {
    came(EventKind::ActivityFailed { scheduled_id, failure })
}

fn fired(timer_id: i32) -> HistoryEvent {
    came(EventKind::TimerFired { timer_id, fire_at: at(1) })
}

fn granted(scheduled_id: i32) -> HistoryEvent {
    came(EventKind::EntityLockGranted { scheduled_id, critical_section_id: Uuid::nil() })
}

/// The result of an operation, `null`.
fn replied(scheduled_id: i32) -> HistoryEvent {
    came(EventKind::EntityOperationCompleted {
        scheduled_id,
        request_id: Uuid::nil(),
        output: None,
    })
}

/// The failure of an operation or of a request for locks.
fn refused(scheduled_id: i32, failure: Failure) -> HistoryEvent {
    let request_id = Uuid::nil();
    came(EventKind::EntityOperationFailed { scheduled_id, request_id, failure })
}

fn raised(name: &str, input: &str) -> HistoryEvent {
    came(EventKind::EventRaised { name: name.to_owned(), input: Payload::from(input) })
}

/// Takes a result that must be there.
fn take(script: &mut Script, handles: &[u32]) -> (u32, String) {
    let (handle, outcome) =
        script.wait_any(handles).expect("handles are right").expect("something has completed");
    (handle, outcome.expect("it went well").as_str().to_owned())
}
