//! Entities beside their locks: reads that do not wait, receipts, times to live, what is noted of use.

use everstate_types::{
    EntityState, InstanceId, Message, MessageBody, MessageKey, Payload, Timestamp,
};

use super::{Bench, Caller, Turn, gives, operation_call, register, state_of};
use crate::client::EntityStatus;
use crate::commit::Change;
use crate::guest::{EntityEffect, EntityOutcome, OperationOutcome};
use crate::partition::{Gate, Input, Reply, Request, Work};
use crate::storage::{CommitSeq, StoredInstance};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// An entity with state, which lives so long.
fn living(bench: &mut Bench, time_to_live_ms: Option<u64>) -> Turn {
    bench.call("set", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let outcome = gives(Some("7"), Ok(None));
    bench.operated(&operation, EntityOutcome { time_to_live_ms, ..outcome })
}

fn read(bench: &mut Bench, caller: u32) -> Turn {
    bench.turn(Input::Request(Request::ReadEntity {
        instance_id: register().instance_id(),
        call: operation_call("get", caller),
        reply_to: Caller(caller),
    }))
}

fn status(bench: &mut Bench, id: InstanceId) -> Option<Box<EntityStatus>> {
    let turn =
        bench.turn(Input::Request(Request::GetEntity { instance_id: id, reply_to: Caller(9) }));
    match turn.effects.replies.into_iter().next() {
        Some((_, Reply::Entity(status), _)) => status,
        other => panic!("a status, not {other:?}"),
    }
}

/// Brings the delayed message of a turn to the entity, at its time.
fn expire(bench: &mut Bench, armed: &Turn) -> Turn {
    let [(key, message)] = armed.effects.delayed.as_slice() else {
        panic!("one delayed message, not {:?}", armed.effects.delayed)
    };
    bench.now = bench.now.max(key.due.as_millis());
    bench.turn(Input::Message(MessageKey::Delayed(*key), message.clone()))
}

#[test]
fn read_runs_beside_a_writer_on_the_state_as_it_is() {
    let mut bench = Bench::new();
    let written = living(&mut bench, None);
    let writing = bench.call("set", 2);
    assert!(matches!(writing.effects.work.as_slice(), [Work::Entity { .. }]));
    let reading = read(&mut bench, 3);
    let [read] = reading.effects.reads.as_slice() else { panic!("one read") };
    assert_eq!(read.item.state, state_of(Some("7")));
    assert_eq!((read.reply_to, read.gate), (Caller(3), Gate::Turn(written.seq)));
    assert!(reading.changes.is_empty(), "a read costs no write: {:?}", reading.changes);
}

#[test]
fn use_that_changes_nothing_is_written_down_once_a_minute() {
    let mut bench = Bench::new();
    living(&mut bench, None);
    bench.now += 60_000;
    assert!(read(&mut bench, 2).changes.is_empty());
    bench.now += 1;
    let noted = read(&mut bench, 3);
    let [Change::Entity { row, .. }] = noted.changes.as_slice() else { panic!("one row") };
    let record = row.record.as_ref().expect("it exists");
    assert_eq!(record.last_operation_at, Timestamp::from_millis(bench.now));
    let reads: Vec<_> = noted.effects.reads.iter().map(|read| read.gate).collect();
    assert_ne!(reads, [Gate::ThisTurn], "the read does not wait for the note");
    assert!(read(&mut bench, 4).changes.is_empty());
}

#[test]
fn entity_that_is_used_outlives_its_time_to_live_and_is_deleted_when_it_is_not() {
    let mut bench = Bench::new();
    let armed = living(&mut bench, Some(DAY_MS));
    bench.now += DAY_MS / 2;
    read(&mut bench, 2);
    let again = expire(&mut bench, &armed);
    assert!(status(&mut bench, register().instance_id()).is_some());
    let [(key, _)] = again.effects.delayed.as_slice() else { panic!("sent again") };
    assert_eq!(key.due, Timestamp::from_millis(1_000 + DAY_MS / 2 + DAY_MS));
    let gone = expire(&mut bench, &again);
    assert!(gone.effects.delayed.is_empty());
    assert!(status(&mut bench, register().instance_id()).is_none());
    let deleted =
        |change: &Change| matches!(change, Change::Entity { row, .. } if row.record.is_none());
    assert!(gone.changes.iter().any(deleted), "{:?}", gone.changes);
}

#[test]
fn entity_with_something_waiting_is_not_deleted() {
    let mut bench = Bench::new();
    let armed = living(&mut bench, Some(DAY_MS));
    bench.call("set", 2);
    let again = expire(&mut bench, &armed);
    assert_eq!(again.effects.delayed.len(), 1);
    assert!(status(&mut bench, register().instance_id()).is_some());
}

#[test]
fn time_to_live_of_the_entity_wins_and_a_deletion_takes_its_message_back() {
    let mut bench = Bench::new();
    let armed = living(&mut bench, Some(DAY_MS));
    let shorter = EntityState { time_to_live_ms: Some(10), ..state_of(Some("7")) };
    let call = bench.call("hurry", 2);
    let outcome =
        EntityOutcome { state: shorter, time_to_live_ms: Some(DAY_MS), ..gives(None, Ok(None)) };
    let hurried = bench.operated(&call, outcome);
    let taken_back = Change::Consumed(MessageKey::Delayed(armed.effects.delayed[0].0));
    assert!(hurried.changes.contains(&taken_back));
    assert_eq!(hurried.effects.delayed[0].0.due, Timestamp::from_millis(1_010));
    let call = bench.call("delete", 3);
    let outcome = EntityOutcome { time_to_live_ms: Some(DAY_MS), ..gives(None, Ok(None)) };
    let deleted = bench.operated(&call, outcome);
    let taken_back = Change::Consumed(MessageKey::Delayed(hurried.effects.delayed[0].0));
    assert!(deleted.changes.contains(&taken_back));
    assert!(deleted.effects.delayed.is_empty());
}

#[test]
fn signal_with_a_key_counts_once_until_the_key_is_forgotten() {
    let mut bench = Bench::new();
    let receipt = InstanceId::receipt(&register(), "order 7");
    let signal = |bench: &mut Bench| {
        bench.turn(Input::Request(Request::SignalOnce {
            receipt: receipt.clone(),
            target: register().instance_id(),
            call: operation_call("add", 1),
            at: None,
            reply_to: Caller(1),
        }))
    };
    assert_eq!(signal(&mut bench).effects.loads, std::slice::from_ref(&receipt));
    let first = bench.turn(Input::Loaded(receipt.clone(), None));
    let [(_, Message { target, body: MessageBody::EntityOperation { .. } })] =
        first.messages.as_slice()
    else {
        panic!("one signal, not {:?}", first.messages)
    };
    assert_eq!(*target, register().instance_id());
    assert_eq!(first.effects.replies[0].2, Gate::ThisTurn);
    let second = signal(&mut bench);
    assert!(second.messages.is_empty());
    assert!(matches!(second.effects.replies.as_slice(), [(_, Reply::Accepted, gate)]
        if *gate == Gate::Turn(first.seq)));
    expire(&mut bench, &first);
    assert_eq!(signal(&mut bench).messages.len(), 1);
}

#[test]
fn scheduled_signal_of_an_operation_waits_for_its_time() {
    let mut bench = Bench::new();
    let (entity, at) = (register(), Timestamp::from_millis(1_500));
    bench.call("tick", 1);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let signal = |at| EntityEffect::Signal {
        entity: entity.clone(),
        operation: "tick".to_owned(),
        input: None,
        at,
    };
    let past = Some(Timestamp::from_millis(999));
    let effects = vec![signal(Some(at)), signal(past), signal(None)];
    let results = vec![OperationOutcome { result: Ok(None), effects }];
    let ran = bench.operated(&operation, EntityOutcome { results, ..gives(Some("1"), Ok(None)) });
    assert_eq!(ran.messages.len(), 2);
    let [(key, message)] = ran.effects.delayed.as_slice() else { panic!("one waits") };
    assert_eq!((key.due, &message.target), (at, &register().instance_id()));
}

#[test]
fn large_value_is_freed_when_another_takes_its_place() {
    let mut bench = Bench::new();
    bench.call("set", 1);
    let stored = everstate_types::EntityRecord {
        state: state_of(Some("old")),
        large: Some(everstate_types::LargeId(3)),
        ..Default::default()
    };
    let loaded = Some(StoredInstance::Entity(stored));
    let operation = bench.turn(Input::Loaded(register().instance_id(), loaded));
    let same = bench.operated(&operation, gives(Some("old"), Ok(None)));
    assert!(same.changes.iter().all(|change| !frees(change)), "{:?}", same.changes);
    let call = bench.call("set", 2);
    let other = bench.operated(&call, gives(Some("new"), Ok(Some(Payload::null()))));
    assert!(other.changes.iter().any(frees), "{:?}", other.changes);
    assert!(other.seq > CommitSeq(0));
}

fn frees(change: &Change) -> bool {
    matches!(change, Change::Entity { row, .. } if !row.freed.is_empty())
}
