//! Instances that leave one partition and come into another.

use everstate_types::{
    Action, EntityRecord, FunctionName, LargeId, Message, MessageBody, MessageId, MessageKey,
    Payload, RuntimeStatus, Timestamp,
};

use super::super::{Input, Reply, Request, Transfer, delayed_of};
use super::{
    Bench, Caller, Turn, call_register, completes, gives, kind, orchestration, register, state_of,
    waits,
};
use crate::client::ExportedOrchestration;
use crate::commit::Change;
use crate::error::ClientError;

fn activity() -> Action {
    Action::CallActivity {
        name: FunctionName::new("Hello").expect("a valid name"),
        input: Payload::from("1"),
        tags: Vec::new(),
        first_attempt: None,
        attempt: 1,
    }
}

fn timer() -> Action {
    Action::CreateTimer { fire_at: Timestamp::from_millis(5_000) }
}

/// An orchestration that waits for these.
fn waiting_for(bench: &mut Bench, actions: Vec<Action>) -> Turn {
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    bench.ran(&first, waits(actions))
}

/// The request that raises an event for it.
fn raise(bench: &mut Bench) -> Turn {
    bench.turn(Input::Request(Request::RaiseEvent {
        instance_id: orchestration("a"),
        name: "go".to_owned(),
        input: Payload::from("1"),
        reply_to: Caller(2),
    }))
}

fn export(bench: &mut Bench) -> Box<ExportedOrchestration> {
    let (instance_id, reply_to) = (orchestration("a"), Caller(7));
    let transfer = Transfer::Export { instance_id, reply_to };
    let mut turn = bench.turn(Input::Request(Request::Transfer(Box::new(transfer))));
    assert!(turn.changes.is_empty() && turn.messages.is_empty());
    match turn.effects.replies.pop() {
        Some((Caller(7), Reply::Exported(Some(exported)), _)) => exported,
        other => panic!("exported, not {other:?}"),
    }
}

fn import(bench: &mut Bench, exported: &ExportedOrchestration, is_replacing: bool) -> Turn {
    let transfer = Transfer::Orchestration {
        instance_id: orchestration("a"),
        exported: Box::new(exported.clone()),
        is_replacing,
        reply_to: Caller(8),
    };
    let asked = bench.turn(Input::Request(Request::Transfer(Box::new(transfer))));
    match asked.effects.loads.is_empty() {
        true => asked,
        false => bench.turn(Input::Loaded(orchestration("a"), None)),
    }
}

fn is_accepted(turn: &Turn) -> bool {
    matches!(turn.effects.replies.last(), Some((Caller(8), Reply::Accepted, _)))
}

fn refusal(turn: &Turn) -> &ClientError {
    match turn.effects.replies.last() {
        Some((Caller(8), Reply::Refused(error), _)) => error,
        other => panic!("refused, not {other:?}"),
    }
}

#[test]
fn what_can_be_asked_for_again_is_and_the_history_stays() {
    let mut from = Bench::new();
    let asked = waiting_for(&mut from, vec![activity(), timer()]);
    let exported = export(&mut from);
    assert_eq!(exported.waiting, []);
    let mut to = Bench::new();
    let imported = import(&mut to, &exported, false);
    assert!(is_accepted(&imported));
    // The same activity, with the same idempotency key, and the same timer.
    assert_eq!(imported.effects.sent, asked.effects.sent);
    assert_eq!(imported.effects.delayed, asked.effects.delayed);
    let names: Vec<_> = imported.effects.delayed.iter().map(|(name, _)| *name).collect();
    assert_eq!((delayed_of(&exported), names.len()), (names, 1));
    let [Change::Orchestration(_, row)] = imported.changes.as_slice() else {
        panic!("a row, not {:?}", imported.changes)
    };
    assert_eq!((row.history_stored, row.replaces, row.indexed.as_ref()), (0, None, None));
    assert_eq!((&row.record, &row.events), (&exported.record, &exported.history));
    assert_eq!(*export(&mut to), *exported);
}

#[test]
fn event_that_no_turn_has_seen_comes_along_and_makes_a_turn() {
    let mut from = Bench::new();
    waiting_for(&mut from, vec![activity()]);
    let raised = raise(&mut from);
    from.deliver(&raised);
    let exported = export(&mut from);
    assert_eq!(exported.waiting.iter().map(kind).collect::<Vec<_>>(), ["EventRaised"]);
    let mut to = Bench::new();
    let imported = import(&mut to, &exported, false);
    let is_proceed = |body: &MessageBody| matches!(body, MessageBody::Proceed { component, .. } if *component == exported.record.component);
    let (key, message) = imported
        .messages
        .iter()
        .find(|(_, message)| is_proceed(&message.body))
        .expect("it goes on with the code that it is pinned to")
        .clone();
    let running = to.turn(Input::Message(key, message));
    let ended = to.ran(&running, completes("1"));
    let Some(Change::Orchestration(_, row)) = ended.changes.last() else { panic!("a row") };
    assert_eq!(row.record.status, RuntimeStatus::Completed);
    assert!(row.events.iter().any(|event| kind(&event.kind) == "EventRaised"));
}

#[test]
fn result_that_no_turn_has_seen_comes_along_once_and_is_not_asked_for_again() {
    let mut from = Bench::new();
    let asked = waiting_for(&mut from, vec![activity(), timer()]);
    let raised = raise(&mut from);
    // A turn runs while the result comes, and comes again after a crash of who sent it.
    from.deliver(&raised);
    let task = asked.messages.iter().find_map(|(_, message)| match &message.body {
        MessageBody::ActivityTask(task) => Some(task.clone()),
        _ => None,
    });
    let task = task.expect("an activity");
    let body = MessageBody::ActivityResult {
        execution_id: task.execution_id,
        scheduled_id: task.scheduled_id,
        request_id: task.request_id,
        result: Ok(Payload::from("2")),
    };
    for key in [1_000, 1_001] {
        let message = Message { target: orchestration("a"), body: body.clone() };
        from.turn(Input::Message(MessageKey::Sent(MessageId(key)), message));
    }
    let exported = export(&mut from);
    let told: Vec<_> = exported.waiting.iter().map(kind).collect();
    assert_eq!(told, ["EventRaised", "ActivityCompleted"]);
    let mut to = Bench::new();
    let imported = import(&mut to, &exported, false);
    let is_asked =
        |(_, message): &(_, Message)| matches!(message.body, MessageBody::ActivityTask(_));
    assert!(!imported.messages.iter().any(is_asked), "{:?}", imported.messages);
    assert_eq!(imported.effects.delayed, asked.effects.delayed, "the timer is");
}

#[test]
fn one_that_has_not_begun_begins_elsewhere() {
    let mut from = Bench::new();
    from.start("a", 1);
    let exported = export(&mut from);
    let mut to = Bench::new();
    let imported = import(&mut to, &exported, false);
    let running = to.deliver(&imported);
    let ended = to.ran(&running, completes("1"));
    let Some(Change::Orchestration(_, row)) = ended.changes.last() else { panic!("a row") };
    assert_eq!(row.record.execution_id, exported.record.execution_id);
    assert_eq!(row.record.status, RuntimeStatus::Completed);
}

#[test]
fn what_waits_for_somebody_there_is_refused_and_changes_nothing() {
    let child = Action::CallSubOrchestration {
        name: FunctionName::new("Put").expect("a valid name"),
        instance_id: orchestration("child"),
        input: Payload::null(),
        tags: Vec::new(),
        start_at: None,
    };
    let lock = Action::LockEntities { entities: vec![register()], refusal: None };
    for (action, reason) in [
        (call_register(), "it waits for the operation 'set' of @register@1"),
        (child, "it waits for its child 'child'"),
        (lock, "it holds locks, or has asked for some"),
    ] {
        let mut from = Bench::new();
        waiting_for(&mut from, vec![timer(), action]);
        let exported = export(&mut from);
        let mut to = Bench::new();
        let imported = import(&mut to, &exported, true);
        let expected = ClientError::Conflict(format!("'a' is not imported: {reason}."));
        assert_eq!(*refusal(&imported), expected);
        assert!(imported.changes.is_empty() && imported.messages.is_empty());
    }
}

#[test]
fn one_that_is_alive_is_replaced_only_if_asked_to_and_one_that_has_ended_always() {
    let mut from = Bench::new();
    waiting_for(&mut from, vec![timer()]);
    let exported = export(&mut from);
    let mut to = Bench::new();
    to.start("a", 2);
    let refused = import(&mut to, &exported, false);
    let (instance_id, status) = (orchestration("a"), RuntimeStatus::Pending);
    assert_eq!(*refusal(&refused), ClientError::AlreadyExists { instance_id, status });
    assert!(refused.changes.is_empty());
    let replaced = import(&mut to, &exported, true);
    assert!(is_accepted(&replaced));
    assert_eq!(*export(&mut to), *exported);

    let mut busy = Bench::new();
    let waiting = waiting_for(&mut busy, vec![activity(), timer()]);
    let [(key, _)] = waiting.effects.delayed.as_slice() else { panic!("a timer") };
    let replaced = import(&mut busy, &exported, true);
    assert!(is_accepted(&replaced));
    let taken_back = Change::Consumed(MessageKey::Delayed(*key));
    assert!(replaced.changes.contains(&taken_back), "what was there is terminated");

    let mut ended = Bench::new();
    let started = ended.start("a", 3);
    let first = ended.deliver(&started);
    ended.ran(&first, completes("1"));
    ended.commits.take();
    let imported = import(&mut ended, &exported, false);
    assert!(is_accepted(&imported));
    let batch = ended.commits.take().expect("something was staged");
    let (_, row) = &batch.orchestrations[0];
    assert!(row.replaces.is_some_and(|replaced| replaced != exported.record.execution_id));
    assert!(row.indexed.is_some());
}

fn import_entity(bench: &mut Bench, record: EntityRecord, is_replacing: bool) -> Turn {
    let transfer = Transfer::Entity {
        instance_id: register().instance_id(),
        record: Box::new(record),
        is_replacing,
        reply_to: Caller(8),
    };
    let asked = bench.turn(Input::Request(Request::Transfer(Box::new(transfer))));
    match asked.effects.loads.is_empty() {
        true => asked,
        false => bench.turn(Input::Loaded(register().instance_id(), None)),
    }
}

fn entity_record(value: &str, large: Option<u64>) -> EntityRecord {
    let state = state_of(Some(value));
    EntityRecord { state, large: large.map(LargeId), ..EntityRecord::default() }
}

fn freed(turn: &Turn) -> &[LargeId] {
    match turn.changes.as_slice() {
        [Change::Entity { row, .. }] => &row.freed,
        other => panic!("a row, not {other:?}"),
    }
}

#[test]
fn entity_takes_on_a_state_and_frees_what_nobody_refers_to() {
    let mut bench = Bench::new();
    let first = import_entity(&mut bench, entity_record("1", Some(1)), false);
    assert!(is_accepted(&first));
    assert_eq!(freed(&first), []);
    // It was stored for nothing, and goes.
    let refused = import_entity(&mut bench, entity_record("2", Some(2)), false);
    let expected = "'@register@1' is not imported: it has a state here.";
    assert_eq!(*refusal(&refused), ClientError::Conflict(expected.to_owned()));
    assert_eq!(freed(&refused), [LargeId(2)]);
    let replaced = import_entity(&mut bench, entity_record("3", Some(3)), true);
    assert_eq!(freed(&replaced), [LargeId(1)]);
    let same = import_entity(&mut bench, entity_record("3", Some(4)), true);
    assert_eq!(freed(&same), [LargeId(4)]);
}

#[test]
fn entity_at_work_is_left_alone() {
    let mut bench = Bench::new();
    bench.call("set", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let refused = import_entity(&mut bench, entity_record("2", None), true);
    let expected = "'@register@1' is not imported: it is at work or locked here.";
    assert_eq!(*refusal(&refused), ClientError::Conflict(expected.to_owned()));
    assert!(refused.changes.is_empty());
    bench.operated(&operation, gives(Some("7"), Ok(None)));
    assert!(is_accepted(&import_entity(&mut bench, entity_record("2", None), true)));
}
