//! What an orchestration sends to the entities of its critical section, and in which order.

use everstate_types::{
    Action, EntityId, Failure, LockRequest, Message, MessageBody, MessageId, MessageKey, Payload,
};

use super::super::{Input, LifecycleChange, Request};
use super::{Bench, Caller, Turn, orchestration, register, waits};
use crate::commit::Change;
use crate::guest::{OrchestrationOutcome, OrchestrationResult};

/// The action that asks for the lock is the first of its execution.
const LOCK: i32 = 0;
/// Messages of these keys are sent by nobody else.
const GRANT: MessageKey = MessageKey::Sent(MessageId(1_000));
const EVENT: MessageKey = MessageKey::Sent(MessageId(1_001));

fn second() -> EntityId {
    EntityId::new("register", "2").expect("a valid id")
}

fn lock_both() -> Action {
    Action::LockEntities { entities: vec![register(), second()], refusal: None }
}

/// An orchestration that has asked for the lock of two entities in its first turn, and may have done
/// more; the request that it sent.
fn asks(bench: &mut Bench, more: Vec<Action>) -> (Turn, LockRequest) {
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    let asked = bench.ran(&first, waits([vec![lock_both()], more].concat()));
    let requests = |(_, message): &(MessageKey, Message)| match &message.body {
        MessageBody::LockRequest(request) => Some((**request).clone()),
        _ => None,
    };
    let request = asked.messages.iter().find_map(requests).expect("a request for the lock");
    (asked, request)
}

/// The answer to a request of the orchestration: all entities are held.
fn grant(bench: &mut Bench, request: &LockRequest) -> Turn {
    let body = MessageBody::LockReply {
        execution_id: request.reply_to.execution_id,
        scheduled_id: LOCK,
        request_id: request.request_id,
        result: Ok(()),
    };
    receive(bench, GRANT, body)
}

fn receive(bench: &mut Bench, key: MessageKey, body: MessageBody) -> Turn {
    bench.turn(Input::Message(key, Message { target: orchestration("a"), body }))
}

fn change(bench: &mut Bench, change: LifecycleChange) -> Turn {
    let (instance_id, reply_to) = (orchestration("a"), Caller(2));
    bench.turn(Input::Request(Request::Change { instance_id, change, reply_to }))
}

/// What a turn gives back: to which entity, and to whom it is passed on from there.
fn released(turn: &Turn) -> Vec<(String, Vec<EntityId>)> {
    let released = |(_, message): &(MessageKey, Message)| match &message.body {
        MessageBody::ReleaseLock { rest, .. } => Some((message.target.to_string(), rest.clone())),
        _ => None,
    };
    turn.messages.iter().filter_map(released).collect()
}

/// A message of its own to each entity could reach the second before the request does, which would
/// then take a lock that nobody gives back.
#[test]
fn lock_that_is_asked_for_again_is_given_up_on_the_way_of_its_request() {
    let mut bench = Bench::new();
    let (_, request) = asks(&mut bench, Vec::new());
    let granted = grant(&mut bench, &request);
    bench.ran(&granted, waits(Vec::new()));
    let body = MessageBody::RaiseEvent { name: "go".to_owned(), input: Payload::null() };
    let raised = receive(&mut bench, EVENT, body);
    let failure = Failure::new("NonDeterminism", "event #1 differs");
    let diverged =
        bench.ran(&raised, OrchestrationOutcome::of(OrchestrationResult::Diverged(failure)));
    let entities = [register(), second()].map(|entity| entity.instance_id().to_string());
    let each = entities.clone().map(|entity| (entity, Vec::new()));
    assert_eq!(released(&diverged), each, "it is held, so each is given back by itself");

    change(&mut bench, LifecycleChange::Resume { reason: None });
    let reason = None;
    let ended = change(&mut bench, LifecycleChange::Terminate { reason, recurse: false });
    let [first, _] = entities;
    assert_eq!(released(&ended), [(first, vec![second()])]);
}

#[test]
fn grant_of_a_lock_that_was_given_up_is_consumed_and_told_to_nobody() {
    let mut bench = Bench::new();
    let give_up = Action::UnlockEntity { lock: LOCK, entity: register() };
    let (asked, request) = asks(&mut bench, vec![give_up]);
    assert_eq!(released(&asked), [(register().instance_id().to_string(), vec![second()])]);
    let late = grant(&mut bench, &request);
    assert_eq!(late.changes, [Change::Consumed(GRANT)]);
    assert!(late.effects.work.is_empty(), "nothing happened that the code could see");
}
