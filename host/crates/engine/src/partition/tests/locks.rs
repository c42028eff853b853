//! Locks of entities: who is let in, in which order, and how a lock comes back.

use everstate_types::{
    EntityId, ExecutionId, LockRequest, Message, MessageBody, MessageId, MessageKey, ReplyAddress,
    RequestId,
};

use super::{Bench, Caller, Turn, gives, orchestration, register};
use crate::client::EntityStatus;
use crate::partition::{Input, Reply, Request, Work};

fn sender(name: &str) -> ReplyAddress {
    let guid = RequestId::new_v5(&RequestId::nil(), name.as_bytes());
    let execution_id = ExecutionId::new(guid);
    ReplyAddress { instance_id: orchestration(name), execution_id, scheduled_id: 0 }
}

fn request_id(name: &str) -> RequestId {
    sender(name).execution_id.lock_guid(0, 0)
}

fn other() -> EntityId {
    EntityId::new("register", "2").expect("a valid id")
}

/// A bench whose register is loaded; messages get numbers that no other message has.
struct Locks {
    bench: Bench,
    next: u64,
}

impl Locks {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.call("set", 1);
        let operation = bench.turn(Input::Loaded(register().instance_id(), None));
        bench.operated(&operation, gives(Some("0"), Ok(None)));
        Self { bench, next: 1_000 }
    }

    fn send(&mut self, body: MessageBody) -> Turn {
        self.next += 1;
        let key = MessageKey::Sent(MessageId(self.next));
        let target = register().instance_id();
        self.bench.turn(Input::Message(key, Message { target, body }))
    }

    fn lock(&mut self, name: &str, rest: &[EntityId]) -> Turn {
        let (reply_to, request_id, rest) = (sender(name), request_id(name), rest.to_vec());
        let request = LockRequest { reply_to, request_id, rest };
        self.send(MessageBody::LockRequest(Box::new(request)))
    }

    fn call(&mut self, name: &str, operation: &str) -> Turn {
        self.send(MessageBody::EntityOperation {
            request_id: RequestId::new_v5(&RequestId::nil(), operation.as_bytes()),
            operation: operation.to_owned(),
            input: None,
            reply_to: Some(Box::new(sender(name))),
            trace: None,
        })
    }

    fn release(&mut self, name: &str, rest: &[EntityId]) -> Turn {
        let rest = rest.to_vec();
        self.send(MessageBody::ReleaseLock { request_id: request_id(name), rest })
    }

    fn status(&mut self) -> EntityStatus {
        let instance_id = register().instance_id();
        let request = Request::GetEntity { instance_id, reply_to: Caller(9) };
        let turn = self.bench.turn(Input::Request(request));
        match turn.effects.replies.into_iter().next() {
            Some((_, Reply::Entity(Some(status)), _)) => *status,
            other => panic!("a status, not {other:?}"),
        }
    }

    fn holder(&mut self) -> Option<String> {
        self.status().record.lock.map(|lock| lock.instance_id.to_string())
    }
}

/// The operations that a turn has run.
fn running(turn: &Turn) -> Vec<String> {
    let [Work::Entity { item, .. }] = turn.effects.work.as_slice() else { return Vec::new() };
    item.operations.iter().map(|operation| operation.operation.clone()).collect()
}

/// To whom a turn grants the lock.
fn granted(turn: &Turn) -> Vec<String> {
    let granted = |(_, message): &(MessageKey, Message)| match &message.body {
        MessageBody::LockReply { result: Ok(()), .. } => Some(message.target.to_string()),
        _ => None,
    };
    turn.messages.iter().filter_map(granted).collect()
}

#[test]
fn lock_is_granted_when_all_that_came_before_is_done() {
    let mut locks = Locks::new();
    let before = locks.call("x", "before");
    assert_eq!(running(&before), ["before"]);
    assert!(granted(&locks.lock("a", &[])).is_empty());
    locks.call("x", "after");
    let done = locks.bench.operated(&before, gives(Some("1"), Ok(None)));
    assert_eq!(granted(&done), ["a"]);
    assert!(running(&done).is_empty(), "what came behind the request waits");
    assert_eq!(locks.holder().as_deref(), Some("a"));
}

#[test]
fn holder_goes_before_all_that_waits_and_others_go_on_when_it_gives_back() {
    let mut locks = Locks::new();
    locks.lock("a", &[]);
    assert!(running(&locks.call("x", "theirs")).is_empty());
    assert!(granted(&locks.lock("b", &[])).is_empty());
    let own = locks.call("a", "own");
    assert_eq!(running(&own), ["own"]);
    locks.bench.operated(&own, gives(Some("1"), Ok(None)));
    let released = locks.release("a", &[]);
    assert_eq!(running(&released), ["theirs"]);
    let next = locks.bench.operated(&released, gives(Some("2"), Ok(None)));
    assert_eq!(granted(&next), ["b"]);
}

#[test]
fn lock_goes_back_behind_what_its_holder_has_asked_for() {
    let mut locks = Locks::new();
    locks.lock("a", &[]);
    let own = locks.call("a", "own");
    locks.release("a", &[]);
    assert_eq!(locks.holder().as_deref(), Some("a"));
    locks.bench.operated(&own, gives(Some("1"), Ok(None)));
    assert_eq!(locks.holder(), None);
}

#[test]
fn request_is_passed_on_to_the_next_entity_and_so_is_giving_it_up() {
    let mut locks = Locks::new();
    let passed = locks.lock("a", &[other()]);
    let [(_, Message { target, body: MessageBody::LockRequest(request) })] =
        passed.messages.as_slice()
    else {
        panic!("the request goes on, not {:?}", passed.messages)
    };
    assert_eq!((target, request.rest.as_slice()), (&other().instance_id(), [].as_slice()));
    let given_up = locks.release("a", &[other()]);
    let [(_, Message { target, body: MessageBody::ReleaseLock { rest, .. } })] =
        given_up.messages.as_slice()
    else {
        panic!("it goes after the request, not {:?}", given_up.messages)
    };
    assert_eq!((target, rest.as_slice()), (&other().instance_id(), [].as_slice()));
    assert_eq!(locks.holder(), None);
}

#[test]
fn request_that_waits_is_taken_out_when_it_is_given_up_and_nothing_is_passed_on() {
    let mut locks = Locks::new();
    locks.lock("a", &[]);
    locks.lock("b", &[other()]);
    let given_up = locks.release("b", &[other()]);
    assert!(given_up.messages.is_empty(), "{:?}", given_up.messages);
    locks.release("a", &[]);
    assert_eq!(locks.holder(), None);
    assert_eq!(locks.status().waiting, 0);
}

#[test]
fn lock_of_somebody_else_stays() {
    let mut locks = Locks::new();
    locks.lock("a", &[]);
    locks.release("b", &[]);
    assert_eq!(locks.holder().as_deref(), Some("a"));
}

#[test]
fn broken_lock_lets_others_in_before_what_the_holder_sends_next() {
    let mut locks = Locks::new();
    locks.lock("a", &[]);
    locks.call("x", "theirs");
    let own = locks.call("a", "own");
    locks.call("a", "late");
    let instance_id = register().instance_id();
    let broken =
        locks.bench.turn(Input::Request(Request::BreakLock { instance_id, reply_to: Caller(8) }));
    assert!(matches!(broken.effects.replies.as_slice(), [(_, Reply::LockBroken(true), _)]));
    let next = locks.bench.operated(&own, gives(Some("1"), Ok(None)));
    assert_eq!(running(&next), ["theirs", "late"]);
    assert_eq!(locks.holder(), None);
}

#[test]
fn broken_lock_forgets_no_call_of_the_batch_that_ran_in_part() {
    let mut locks = Locks::new();
    locks.lock("a", &[]);
    let first = locks.call("a", "first");
    locks.call("a", "second");
    locks.call("a", "third");
    let both = locks.bench.operated(&first, gives(Some("1"), Ok(None)));
    assert_eq!(running(&both), ["second", "third"]);
    let instance_id = register().instance_id();
    locks.bench.turn(Input::Request(Request::BreakLock { instance_id, reply_to: Caller(8) }));
    let left = locks.bench.operated(&both, gives(Some("2"), Ok(None)));
    assert_eq!(running(&left), ["third"]);
}

#[test]
fn locked_entity_without_state_is_kept_and_goes_when_it_is_unlocked() {
    let mut locks = Locks::new();
    let deleting = locks.call("x", "delete");
    locks.bench.operated(&deleting, gives(None, Ok(None)));
    locks.lock("a", &[]);
    let status = locks.status();
    assert!(status.record.state.value.is_none() && status.record.lock.is_some());
    locks.release("a", &[]);
    let batch = locks.bench.commits.take().expect("something was staged");
    assert!(batch.entities.iter().all(|(_, row)| row.record.is_none()), "{:?}", batch.entities);
}

#[test]
fn calls_of_a_holder_whose_lock_was_broken_are_done_behind_those_of_others() {
    let mut locks = Locks::new();
    locks.lock("a", &[]);
    let first = locks.call("a", "first");
    locks.call("a", "second");
    locks.call("x", "theirs");
    let instance_id = register().instance_id();
    locks.bench.turn(Input::Request(Request::BreakLock { instance_id, reply_to: Caller(9) }));
    let rest = locks.bench.operated(&first, gives(Some("1"), Ok(None)));
    assert_eq!(running(&rest), ["theirs", "second"]);
}
