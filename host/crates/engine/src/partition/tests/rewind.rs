//! What comes twice because a rewind asks for it again while it is on its way.

use everstate_types::{Action, ComponentHash, Failure, MessageBody, MessageKey, Timestamp};

use super::super::{Input, LifecycleChange, Request, Work};
use super::{Bench, Caller, Turn, call_register, completes, gives, orchestration, register, waits};
use crate::commit::Change;
use crate::guest::{OrchestrationOutcome, OrchestrationResult};

/// An orchestration that failed while a timer was open, and was rewound since: the timer as it was
/// armed first, and the turn that armed it again.
fn rewound(bench: &mut Bench) -> (Input<Caller>, Turn) {
    let started = bench.start("a", 1);
    let first = bench.deliver(&started);
    let timer = Action::CreateTimer { fire_at: Timestamp::from_millis(bench.now) };
    let asked = bench.ran(&first, waits(vec![timer, call_register()]));
    let [(key, message)] = asked.effects.delayed.as_slice() else { panic!("a timer") };
    let on_its_way = Input::Message(MessageKey::Delayed(*key), message.clone());
    bench.deliver(&asked);
    let operation = bench.turn(Input::Loaded(register().instance_id(), None));
    let failure = Failure::new("Scripted", "no");
    let replied = bench.operated(&operation, gives(None, Err(failure.clone())));
    let second = bench.deliver(&replied);
    let failed = OrchestrationOutcome::of(OrchestrationResult::Failed(failure));
    let ended = bench.ran(&second, failed);
    assert!(ended.changes.contains(&Change::Consumed(MessageKey::Delayed(*key))), "taken back");
    let rewound = bench.turn(Input::Request(Request::Change {
        instance_id: orchestration("a"),
        change: LifecycleChange::Rewind { reason: None },
        reply_to: Caller(2),
    }));
    let [(again, _)] = rewound.effects.delayed.as_slice() else { panic!("armed again") };
    assert_eq!(again, key);
    (on_its_way, rewound)
}

#[test]
fn timer_that_comes_twice_is_consumed_with_the_turn_that_has_taken_it_up() {
    let mut bench = Bench::new();
    let (on_its_way, rewound) = rewound(&mut bench);
    let (key, message) = rewound.effects.delayed[0].clone();
    let proceed = rewound
        .messages
        .iter()
        .find(|(_, message)| matches!(message.body, MessageBody::Proceed { .. }))
        .expect("a rewind goes on with the newest code");
    let mut proceed = proceed.clone();
    if let MessageBody::Proceed { component, .. } = &mut proceed.1.body {
        *component = Some(ComponentHash([1; 32]));
    }
    let running = bench.turn(Input::Message(proceed.0, proceed.1));
    bench.turn(on_its_way);
    let takes_it_up = bench.ran(&running, waits(Vec::new()));
    let [Work::Orchestration { .. }] = takes_it_up.effects.work.as_slice() else {
        panic!("the timer makes a turn, not {:?}", takes_it_up.effects.work)
    };
    let delayed = MessageKey::Delayed(key);
    let copy = bench.turn(Input::Message(delayed, message));
    assert!(copy.changes.is_empty(), "a crash now must not lose the timer");
    let ended = bench.ran(&takes_it_up, completes("1"));
    assert!(ended.changes.contains(&Change::Consumed(delayed)));
}
