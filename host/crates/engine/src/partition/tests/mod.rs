//! Scenarios of one partition, driven by hand.

mod entities;
mod inspect;
mod lifecycle;
mod locks;
mod rewind;
mod sections;
mod spans;
mod transfer;

use everstate_types::{
    Action, ComponentHash, EntityId, EntityState, EventKind, ExecutionId, ExecutionStart, Failure,
    FunctionName, InstanceId, Message, MessageId, MessageKey, Payload, RequestId, RuntimeStatus,
    Timestamp, TraceContext,
};

use super::{
    Effects, Gate, Input, Moment, OperationCall, Partition, PartitionLimits, Reply, ReplyTo,
    Request, StartRequest, Work,
};
use crate::client::ConflictPolicy;
use crate::clock::ExactTime;
use crate::commit::{Change, CommitQueue};
use crate::error::ClientError;
use crate::guest::{EntityOutcome, OperationOutcome, OrchestrationOutcome, OrchestrationResult};
use crate::storage::CommitSeq;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller(u32);

/// A client that has gone by the time it could be answered.
const GONE: Caller = Caller(u32::MAX);

impl ReplyTo for Caller {
    fn is_abandoned(&self) -> bool {
        *self == GONE
    }
}

/// One partition with its commit queue. Messages come back into the same partition.
struct Bench {
    partition: Partition<Caller>,
    commits: CommitQueue,
    durable: CommitSeq,
    /// Milliseconds.
    now: u64,
    /// By how many nanoseconds it is later, if somebody wants spans.
    nanos: Option<u64>,
}

/// What a turn gave, after its messages were staged.
struct Turn {
    effects: Effects<Caller>,
    changes: Vec<Change>,
    seq: CommitSeq,
    messages: Vec<(MessageKey, Message)>,
}

impl Bench {
    fn new() -> Self {
        Self::with_limits(limits())
    }

    fn with_limits(limits: PartitionLimits) -> Self {
        Self {
            partition: Partition::new(limits),
            commits: CommitQueue::new(MessageId(1), [], []),
            durable: CommitSeq(0),
            now: 1_000,
            nanos: None,
        }
    }

    fn turn(&mut self, input: Input<Caller>) -> Turn {
        let exact = self.nanos.map(|nanos| ExactTime::from_nanos(self.now * 1_000_000 + nanos));
        let now = Timestamp::from_millis(self.now);
        let moment = Moment { now, exact, durable: self.durable };
        let mut effects = Effects::default();
        self.partition.apply(moment, input, &mut effects);
        let changes = std::mem::take(&mut effects.changes);
        let staged = self.commits.stage(changes.clone(), &effects.sent, &effects.delayed);
        self.partition.end_turn(moment, staged.seq);
        let messages = (staged.first_message_id.0..)
            .map(|id| MessageKey::Sent(MessageId(id)))
            .zip(effects.sent.iter().cloned())
            .collect();
        Turn { effects, changes, seq: staged.seq, messages }
    }

    fn start(&mut self, id: &str, execution: u128) -> Turn {
        self.start_in(None, id, execution)
    }

    fn start_in(&mut self, trace: Option<TraceContext>, id: &str, execution: u128) -> Turn {
        self.turn(Input::Request(Request::Start(Box::new(StartRequest {
            instance_id: orchestration(id),
            is_new_id: true,
            start: ExecutionStart {
                name: FunctionName::new("Put").expect("a valid name"),
                component: Some(ComponentHash([1; 32])),
                execution_id: ExecutionId::new(RequestId::from_u128(execution)),
                input: Payload::from("7"),
                tags: Vec::new(),
                parent: None,
                start_at: None,
                events: Vec::new(),
                is_recorded: true,
                trace: trace.map(Box::new),
            },
            on_conflict: ConflictPolicy::Fail,
            reply_to: Caller(1),
        }))))
    }

    /// Brings the only message of a turn to where it goes.
    fn deliver(&mut self, turn: &Turn) -> Turn {
        let [(id, message)] = turn.messages.as_slice() else {
            panic!("one message, not {:?}", turn.messages)
        };
        self.turn(Input::Message(*id, message.clone()))
    }

    fn ran(&mut self, turn: &Turn, outcome: OrchestrationOutcome) -> Turn {
        let [Work::Orchestration { token, item }] = turn.effects.work.as_slice() else {
            panic!("one turn of an orchestration, not {:?}", turn.effects.work)
        };
        let instance_id = item.instance_id.clone();
        self.turn(Input::OrchestrationRan { instance_id, token: *token, outcome })
    }

    fn operated(&mut self, turn: &Turn, outcome: EntityOutcome) -> Turn {
        let [Work::Entity { instance_id, token, .. }] = turn.effects.work.as_slice() else {
            panic!("one work item of an entity, not {:?}", turn.effects.work)
        };
        let instance_id = instance_id.clone();
        let outcome = Box::new(outcome);
        self.turn(Input::EntityRan { instance_id, token: *token, outcome, spans: Vec::new() })
    }

    fn call(&mut self, operation: &str, caller: u32) -> Turn {
        self.turn(Input::Request(Request::CallEntity {
            instance_id: register().instance_id(),
            call: operation_call(operation, caller),
            reply_to: Caller(caller),
        }))
    }
}

fn limits() -> PartitionLimits {
    PartitionLimits {
        entity_inbox_count_max: 2,
        entity_inbox_bytes_max: 1_000,
        entity_batch_count_max: 10,
        idempotency_window_ms: 5_000,
        loaded_instances_max: 100,
        loaded_bytes_max: 1 << 20,
    }
}

fn operation_call(operation: &str, caller: u32) -> OperationCall {
    OperationCall {
        request_id: RequestId::from_u128(u128::from(caller)),
        operation: operation.to_owned(),
        input: None,
        trace: None,
    }
}

fn orchestration(id: &str) -> InstanceId {
    InstanceId::orchestration(id).expect("a valid id")
}

fn register() -> EntityId {
    EntityId::new("register", "1").expect("a valid id")
}

fn waits(actions: Vec<Action>) -> OrchestrationOutcome {
    OrchestrationOutcome { actions, ..OrchestrationOutcome::of(OrchestrationResult::Waiting) }
}

fn completes(output: &str) -> OrchestrationOutcome {
    OrchestrationOutcome::of(OrchestrationResult::Completed(Payload::from(output)))
}

fn call_register() -> Action {
    Action::CallEntity { entity: register(), operation: "set".to_owned(), input: None }
}

fn gives(state: Option<&str>, result: Result<Option<Payload>, Failure>) -> EntityOutcome {
    let results = vec![OperationOutcome { result, effects: Vec::new() }];
    EntityOutcome { results, state: state_of(state), time_to_live_ms: None, large: None }
}

fn state_of(value: Option<&str>) -> EntityState {
    EntityState { value: value.map(Payload::from), ..EntityState::default() }
}

#[test]
fn put_through_orchestration_and_entity_costs_two_rows_in_one_window() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    let asked = bench.ran(&first, waits(vec![call_register()]));
    let loading = bench.deliver(&asked);
    assert_eq!(loading.effects.loads, [register().instance_id()]);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let replied = bench.operated(&operation, gives(Some("7"), Ok(Some(Payload::from("7")))));
    let second = bench.deliver(&replied);
    bench.ran(&second, completes("7"));
    let batch = bench.commits.take().expect("something was staged");
    assert_eq!(batch.orchestrations.len(), 1);
    assert_eq!(batch.entities.len(), 1);
    assert!(batch.messages_sent.is_empty() && batch.messages_consumed.is_empty());
    let (_, row) = &batch.orchestrations[0];
    assert_eq!((row.history_stored, row.record.status), (0, RuntimeStatus::Completed));
    let kinds: Vec<_> = row.events.iter().map(|event| kind(&event.kind)).collect();
    let expected = [
        "OrchestratorStarted",
        "ExecutionStarted",
        "EntityOperationCalled",
        "OrchestratorCompleted",
        "OrchestratorStarted",
        "EntityOperationCompleted",
        "ExecutionCompleted",
        "OrchestratorCompleted",
    ];
    assert_eq!(kinds, expected);
}

fn kind(kind: &EventKind) -> String {
    let text = format!("{kind:?}");
    text.split([' ', '{']).next().expect("a first word").to_owned()
}

#[test]
fn start_of_living_id_is_refused_and_changes_nothing() {
    let mut bench = Bench::new();
    bench.start("a", 1);
    let again = bench.start("a", 2);
    assert!(again.changes.is_empty() && again.messages.is_empty());
    let [(_, Reply::Refused(error), _)] = again.effects.replies.as_slice() else {
        panic!("refused, not {:?}", again.effects.replies)
    };
    let (instance_id, status) = (orchestration("a"), RuntimeStatus::Pending);
    assert_eq!(*error, ClientError::AlreadyExists { instance_id, status });
}

#[test]
fn ended_orchestration_makes_way_for_a_new_one_under_its_id() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    bench.ran(&first, completes("1"));
    bench.commits.take();
    let again = bench.start("a", 2);
    let [(_, Reply::Started(_), Gate::ThisTurn)] = again.effects.replies.as_slice() else {
        panic!("started, not {:?}", again.effects.replies)
    };
    let Some(Change::Orchestration(_, row)) = again.changes.first() else { panic!("a new row") };
    assert!(row.replaces.is_some() && row.record.status == RuntimeStatus::Pending);
}

#[test]
fn late_outcome_is_dropped() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    bench.ran(&first, completes("1"));
    let late = bench.ran(&first, completes("2"));
    assert!(late.changes.is_empty() && late.messages.is_empty());
}

#[test]
fn reply_to_an_ended_execution_is_consumed_without_effect() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    let asked = bench.ran(&first, waits(vec![call_register()]));
    bench.deliver(&asked);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let replied = bench.operated(&operation, gives(Some("7"), Ok(None)));
    let second = bench.deliver(&replied);
    bench.ran(&second, completes("1"));
    let copy = bench.deliver(&replied);
    assert_eq!(copy.changes, [Change::Consumed(replied.messages[0].0)]);
    assert!(copy.effects.work.is_empty());
}

#[test]
fn failed_operation_leaves_state_and_tells_its_caller() {
    let mut bench = Bench::new();
    bench.call("set", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let failure = Failure::new("Scripted", "no");
    let failed = bench.operated(&operation, gives(None, Err(failure.clone())));
    assert!(failed.changes.is_empty());
    let [(Caller(1), Reply::Operation(Err(told)), _)] = failed.effects.replies.as_slice() else {
        panic!("told, not {:?}", failed.effects.replies)
    };
    assert_eq!(*told, failure);
}

#[test]
fn read_of_clean_entity_waits_for_no_turn_and_of_changed_one_for_its_change() {
    let mut bench = Bench::new();
    let read = |bench: &mut Bench| {
        let instance_id = register().instance_id();
        bench.turn(Input::Request(Request::GetEntity { instance_id, reply_to: Caller(2) }))
    };
    bench.call("set", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let clean = read(&mut bench);
    assert_eq!(clean.effects.replies[0].2, Gate::Turn(CommitSeq(0)));
    let changed = bench.operated(&operation, gives(Some("7"), Ok(None)));
    let dirty = read(&mut bench);
    assert_eq!(dirty.effects.replies[0].2, Gate::Turn(changed.seq));
    assert!(changed.seq > CommitSeq(0));
}

#[test]
fn full_inbox_refuses_clients() {
    let mut bench = Bench::new();
    bench.call("set", 1);
    bench.turn(Input::Loaded(register().instance_id(), None));
    bench.call("set", 2);
    let third = bench.call("set", 3);
    let [(Caller(3), Reply::Refused(ClientError::Busy(_)), _)] = third.effects.replies.as_slice()
    else {
        panic!("refused, not {:?}", third.effects.replies)
    };
}

#[test]
fn operations_that_did_not_run_are_put_back_in_order() {
    let mut bench = Bench::new();
    let first = bench.call("a", 1);
    assert!(first.effects.work.is_empty());
    bench.call("b", 2);
    let both = bench.turn(Input::Loaded(register().instance_id(), None));
    // The first call began alone, when the entity was loaded.
    let rest = bench.operated(&both, gives(None, Ok(None)));
    let [Work::Entity { item, .. }] = rest.effects.work.as_slice() else { panic!("the rest") };
    assert_eq!(item.operations.len(), 1);
    assert_eq!(item.operations[0].operation, "b");
}

#[test]
fn instance_leaves_memory_only_when_its_change_is_durable() {
    let limits = PartitionLimits { loaded_instances_max: 0, loaded_bytes_max: 0, ..limits() };
    let mut bench = Bench::with_limits(limits);
    bench.call("set", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let changed = bench.operated(&operation, gives(Some("7"), Ok(None)));
    let elsewhere = || Input::Loaded(orchestration("nobody"), None);
    bench.turn(elsewhere());
    assert_eq!(bench.partition.loaded_count(), 1);
    bench.durable = changed.seq;
    bench.turn(elsewhere());
    bench.turn(elsewhere());
    assert_eq!(bench.partition.loaded_count(), 0);
}
