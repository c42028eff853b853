//! Looking into instances: waiting for whatever comes next, why an orchestration waits, and entities that
//! are removed from outside.

use everstate_types::{
    Action, EntityId, EventKind, FunctionName, InstanceId, Payload, Tags, Timestamp,
};

use super::{
    Bench, Caller, GONE, Turn, call_register, gives, limits, orchestration, register, waits,
};
use crate::commit::Change;
use crate::error::ClientError;
use crate::explain::ReasonKind;
use crate::guest::{OrchestrationOutcome, OrchestrationResult};
use crate::partition::{
    Effects, Explained, Gate, Input, LifecycleChange, PartitionLimits, Reply, Request, Seen,
    WaitFor,
};

fn wait(bench: &mut Bench, seen: Seen, caller: u32) -> Turn {
    bench.turn(Input::Request(Request::Wait {
        instance_id: orchestration("a"),
        wait_for: WaitFor::Change(seen),
        reply_to: Caller(caller),
    }))
}

/// All that is to be told of the orchestration now.
fn seen(bench: &mut Bench) -> Seen {
    let instance_id = orchestration("a");
    let turn = bench.turn(Input::Request(Request::GetStatus { instance_id, reply_to: Caller(9) }));
    match turn.effects.replies.into_iter().next() {
        Some((_, Reply::Status(Some(status)), _)) => Seen::of(&status.record, &status.history),
        other => panic!("a status, not {other:?}"),
    }
}

fn change(bench: &mut Bench, change: LifecycleChange) -> Turn {
    let instance_id = orchestration("a");
    bench.turn(Input::Request(Request::Change { instance_id, change, reply_to: Caller(8) }))
}

/// Whether this caller was answered, and by what.
fn told(effects: &Effects<Caller>, caller: u32) -> Option<&(Caller, Reply, Gate)> {
    effects.replies.iter().find(|(to, ..)| *to == Caller(caller))
}

fn explain(bench: &mut Bench) -> Explained {
    let instance_id = orchestration("a");
    let turn = bench.turn(Input::Request(Request::Explain { instance_id, reply_to: Caller(7) }));
    match turn.effects.replies.into_iter().next() {
        Some((_, Reply::Explained(Some(explained)), _)) => *explained,
        other => panic!("an explanation, not {other:?}"),
    }
}

fn kinds(explained: &Explained) -> Vec<ReasonKind> {
    explained.reasons.iter().map(|reason| reason.kind).collect()
}

fn purge(bench: &mut Bench, caller: u32) -> Turn {
    purge_for(bench, Caller(caller))
}

fn purge_for(bench: &mut Bench, reply_to: Caller) -> Turn {
    let instance_id = register().instance_id();
    bench.turn(Input::Request(Request::PurgeEntity { instance_id, reply_to }))
}

#[test]
fn waiter_for_a_change_is_told_when_the_history_grows_and_not_before() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let pending = seen(&mut bench);
    assert!(wait(&mut bench, pending, 2).effects.replies.is_empty());
    let first = bench.deliver(&started);
    assert!(told(&first.effects, 2).is_none(), "a turn that runs is nothing to tell");
    let asked = bench.ran(&first, waits(vec![call_register()]));
    let Some((_, Reply::Status(Some(status)), Gate::ThisTurn)) = told(&asked.effects, 2) else {
        panic!("told with the turn, not {:?}", asked.effects.replies)
    };
    assert!(status.history.len() > pending.history_count);
    // What was missed is told at once.
    assert!(told(&wait(&mut bench, pending, 3).effects, 3).is_some());
}

#[test]
fn waiter_for_a_change_is_told_of_every_way_to_change() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    bench.ran(&first, waits(vec![call_register()]));
    let failure = everstate_types::Failure::new("Scripted", "no");
    let changes = [
        LifecycleChange::Suspend { reason: None },
        LifecycleChange::Resume { reason: None },
        LifecycleChange::Terminate { reason: None, recurse: false },
        LifecycleChange::Purge { recurse: false },
    ];
    for (caller, of) in (10..).zip(changes) {
        let now = seen(&mut bench);
        wait(&mut bench, now, caller);
        let changed = change(&mut bench, of.clone());
        assert!(told(&changed.effects, caller).is_some(), "nobody was told of {of:?}");
    }
    let started = bench.start("a", 2);
    let first = bench.deliver(&started);
    bench.ran(&first, OrchestrationOutcome::of(OrchestrationResult::Failed(failure)));
    let failed = seen(&mut bench);
    wait(&mut bench, failed, 20);
    let rewound = change(&mut bench, LifecycleChange::Rewind { reason: None });
    assert!(told(&rewound.effects, 20).is_some(), "nobody was told of the rewind");
}

/// Runs the turn, which calls the register and goes on with the next generation; gives its first turn.
fn continue_as_new(bench: &mut Bench, running: &Turn, input: &Payload) -> (Turn, Turn) {
    let result = OrchestrationResult::ContinuedAsNew { input: input.clone(), events: Vec::new() };
    let outcome =
        OrchestrationOutcome { actions: vec![call_register()], ..OrchestrationOutcome::of(result) };
    let ended = bench.ran(running, outcome);
    let to_itself =
        |(_, message): &&(_, everstate_types::Message)| message.target == orchestration("a");
    let (key, start) = ended.messages.iter().find(to_itself).expect("the next start").clone();
    let next = bench.turn(Input::Message(key, start));
    (ended, next)
}

/// What this caller was answered.
fn status_for(turn: &Turn, caller: u32) -> std::sync::Arc<crate::client::InstanceStatus> {
    match told(&turn.effects, caller) {
        Some((_, Reply::Status(Some(status)), _)) => std::sync::Arc::clone(status),
        other => panic!("a status, not {other:?}"),
    }
}

#[test]
fn waiter_for_a_change_is_told_the_last_turn_of_a_generation_before_the_next_one() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    let before = seen(&mut bench);
    wait(&mut bench, before, 2);
    let input = Payload::from("8");
    let (ended, _) = continue_as_new(&mut bench, &first, &input);
    let status = status_for(&ended, 2);
    assert_eq!(status.record.execution_id, before.execution_id);
    let kinds: Vec<_> = status.history.iter().map(|event| &event.kind).collect();
    let [
        EventKind::OrchestratorStarted,
        EventKind::ExecutionStarted { .. },
        EventKind::EntityOperationCalled { .. },
        EventKind::ContinuedAsNew { input: carried },
        EventKind::OrchestratorCompleted,
    ] = kinds.as_slice()
    else {
        panic!("the whole generation, not {kinds:?}")
    };
    assert_eq!(*carried, input);
    // The next generation is news to who has seen this one.
    let closing = Seen::of(&status.record, &status.history);
    let next = status_for(&wait(&mut bench, closing, 3), 3);
    assert_ne!(next.record.execution_id, closing.execution_id);
}

#[test]
fn who_follows_is_told_generations_that_ended_on_the_way_back() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let mut running = bench.deliver(&started);
    let mut last = seen(&mut bench);
    wait(&mut bench, last, 2);
    for input in ["1", "2", "3"] {
        (_, running) = continue_as_new(&mut bench, &running, &Payload::from(input));
    }
    let mut inputs = Vec::new();
    for caller in 10..14 {
        let status = status_for(&wait(&mut bench, last, caller), caller);
        last = Seen::of(&status.record, &status.history);
        inputs.push(status.record.input.clone());
    }
    assert_eq!(inputs, ["7", "1", "2", "3"].map(Payload::from));
}

#[test]
fn generations_are_not_kept_for_who_does_not_come_back() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let mut running = bench.deliver(&started);
    let before = seen(&mut bench);
    wait(&mut bench, before, 2);
    for _ in 0..20 {
        (_, running) = continue_as_new(&mut bench, &running, &Payload::from("1"));
    }
    let now = status_for(&wait(&mut bench, before, 3), 3);
    assert_eq!(Seen::of(&now.record, &now.history), seen(&mut bench));
}

#[test]
fn explanation_names_what_is_open_since_it_was_asked_for() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    assert_eq!(kinds(&explain(&mut bench)), [ReasonKind::Start]);
    let first = bench.deliver(&started);
    let running = explain(&mut bench);
    assert_eq!(kinds(&running), [ReasonKind::Turn]);
    assert!(running.replay.is_none(), "what it waits for is being decided");
    bench.now = 2_000;
    let due = Timestamp::from_millis(9_000);
    let other = EntityId::new("register", "2").expect("a valid id");
    let activity = Action::CallActivity {
        name: FunctionName::new("Work").expect("a valid name"),
        input: Payload::null(),
        tags: Tags::new(),
        first_attempt: None,
        attempt: 1,
    };
    let child = Action::CallSubOrchestration {
        name: FunctionName::new("Child").expect("a valid name"),
        instance_id: orchestration("child"),
        input: Payload::null(),
        tags: Tags::new(),
        start_at: None,
    };
    let lock = Action::LockEntities { entities: vec![register(), other], refusal: None };
    let timer = Action::CreateTimer { fire_at: due };
    bench.ran(&first, waits(vec![activity, timer, call_register(), child, lock]));
    bench.now = 3_000;
    let explained = explain(&mut bench);
    assert!(explained.reasons.is_empty());
    let open: Vec<_> = explained.open.iter().map(|open| (open.number, open.reason.kind)).collect();
    let expected = [
        (0, ReasonKind::Activity),
        (1, ReasonKind::Timer),
        (2, ReasonKind::Entity),
        (3, ReasonKind::SubOrchestration),
        (4, ReasonKind::Lock),
    ];
    assert_eq!(open, expected);
    let since = Timestamp::from_millis(2_000);
    assert!(explained.open.iter().all(|open| open.reason.since == since));
    assert_eq!(explained.open[1].reason.due, Some(due));
    assert_eq!(explained.open[2].reason.entity, Some(register()));
    assert_eq!(explained.open[3].reason.instance_id, Some(orchestration("child")));
    assert_eq!(explained.lock_sought.expect("it asks").entities.len(), 2);
    assert!(explained.locks_held.is_none());
    let replay = explained.replay.expect("the guest can be asked");
    assert!(replay.new_events.is_empty() && !replay.history.is_empty());
}

#[test]
fn explanation_of_what_is_stopped_says_by_whom() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    bench.ran(&first, waits(vec![call_register()]));
    change(&mut bench, LifecycleChange::Suspend { reason: Some("look".to_owned()) });
    let paused = explain(&mut bench);
    assert_eq!(kinds(&paused), [ReasonKind::Suspended]);
    assert_eq!(paused.reasons[0].message.as_deref(), Some("look"));
    assert_eq!(paused.open.len(), 1, "it waits for that all the same");
    let resumed = change(&mut bench, LifecycleChange::Resume { reason: None });
    assert!(resumed.effects.work.is_empty());
    change(&mut bench, LifecycleChange::Terminate { reason: None, recurse: false });
    let ended = explain(&mut bench);
    assert!(ended.reasons.is_empty() && ended.open.is_empty() && ended.replay.is_none());
}

#[test]
fn explanation_of_code_that_does_not_fit_says_where() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    let failure = everstate_types::Failure::new("NonDeterminism", "event 3");
    bench.ran(&first, OrchestrationOutcome::of(OrchestrationResult::Diverged(failure)));
    let explained = explain(&mut bench);
    assert_eq!(explained.reasons[0].kind, ReasonKind::NotFitting);
    assert_eq!(explained.reasons[0].message.as_deref(), Some("event 3"));
    assert!(explained.replay.is_none(), "its code would not tell");
}

#[test]
fn purged_entity_is_gone_when_what_came_before_is_done() {
    let mut bench = Bench::with_limits(PartitionLimits { entity_inbox_count_max: 3, ..limits() });
    bench.call("set", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    assert!(purge(&mut bench, 2).effects.replies.is_empty(), "an operation runs");
    bench.call("get", 3);
    let done = bench.operated(&operation, gives(Some("7"), Ok(None)));
    let Some((_, Reply::EntityPurged(true), Gate::ThisTurn)) = told(&done.effects, 2) else {
        panic!("purged behind the operation, not {:?}", done.effects.replies)
    };
    let Some(Change::Entity { row, .. }) = done.changes.last() else { panic!("a row") };
    assert!(row.record.is_none());
    let [crate::partition::Work::Entity { item, .. }] = done.effects.work.as_slice() else {
        panic!("the operation behind runs")
    };
    assert_eq!(item.state.value, None, "it finds nothing");
}

/// It was told that nothing happened, or that nobody knows: it may have put something there since.
#[test]
fn purge_of_a_client_that_has_gone_is_left_out_when_its_turn_comes() {
    let mut bench = Bench::new();
    bench.call("set", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    purge_for(&mut bench, GONE);
    let done = bench.operated(&operation, gives(Some("7"), Ok(None)));
    let [Change::Entity { row, .. }] = done.changes.as_slice() else { panic!("one row") };
    assert!(row.record.is_some(), "the state stays");
}

#[test]
fn purge_of_nothing_changes_nothing() {
    let mut bench = Bench::new();
    purge(&mut bench, 1);
    let purged = bench.turn(Input::Loaded(register().instance_id(), None));
    assert!(matches!(told(&purged.effects, 1), Some((_, Reply::EntityPurged(false), _))));
    assert!(purged.changes.is_empty());
}

#[test]
fn purge_of_a_locked_entity_is_refused_by_the_name_of_its_holder() {
    let mut bench = Bench::new();
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    let lock = Action::LockEntities { entities: vec![register()], refusal: None };
    let asked = bench.ran(&first, waits(vec![lock]));
    bench.deliver(&asked);
    bench.turn(Input::Loaded(register().instance_id(), None));
    let refused = purge(&mut bench, 2);
    let Some((_, Reply::Refused(ClientError::EntityLocked { holder, .. }), _)) =
        told(&refused.effects, 2)
    else {
        panic!("refused, not {:?}", refused.effects.replies)
    };
    assert_eq!(*holder, InstanceId::orchestration("a").expect("a valid id"));
    assert!(refused.changes.is_empty());
}
