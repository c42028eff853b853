//! Critical sections, and what the histories of their orchestrations say of them.

use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult};
use everstate_engine::partition::LifecycleChange;
use everstate_types::{Action, ComponentHash, Failure, Payload, RuntimeStatus, Timestamp};

use super::assert_golden;
use super::bench::{Bench, Script, Turn, account, call, completes, fails, lock, unlock, waits};

fn timer(turn: &Turn<'_>, after: u64) -> Action {
    let now = turn.item.new_events[0].timestamp;
    Action::CreateTimer { fire_at: Timestamp::from_millis(now.as_millis() + after) }
}

fn status(bench: &mut Bench, of: &str) -> RuntimeStatus {
    bench.record(of).expect("it exists").status
}

/// Locks `a` and `b`, withdraws from one, deposits to the other, gives both back, and ends.
fn transfer(turn: &Turn<'_>) -> OrchestrationOutcome {
    let results = [0, 1, 2].map(|number| turn.result(number));
    match (turn.asked(), results) {
        (0, _) => waits(vec![lock(&["a", "b"], None)]),
        (1, [Some(Ok(_)), ..]) => waits(vec![call("a", "withdraw")]),
        (2, [_, Some(Ok(_)), _]) => waits(vec![call("b", "deposit")]),
        (_, [_, _, Some(Ok(_))]) => {
            let actions = vec![unlock(0, "a"), unlock(0, "b")];
            OrchestrationOutcome { actions, ..completes("\"moved\"") }
        }
        (_, [_, Some(Err(failure)), _] | [_, _, Some(Err(failure))]) => fails(failure),
        _ => waits(Vec::new()),
    }
}

/// Holds `a` and `b` until it is told to go, and ends without giving them back.
fn keeper(turn: &Turn<'_>) -> OrchestrationOutcome {
    match turn.asked() {
        0 => waits(vec![lock(&["a", "b"], None)]),
        _ if turn.raised("go").is_empty() => waits(Vec::new()),
        _ => completes("\"gone\""),
    }
}

#[test]
fn critical_section_is_entered_worked_in_and_left() {
    let mut bench = Bench::new(&[("Transfer", transfer)]);
    bench.start("Transfer", "null").expect("started");
    assert_golden("critical_section", &bench.history("Transfer"));
    assert_eq!(bench.done, ["@account@a withdraw", "@account@b deposit"]);
    assert_eq!(bench.holder(&account("a")), None);
}

#[test]
fn holder_that_ends_lets_the_next_one_in_without_giving_anything_back() {
    let mut bench = Bench::new(&[("Keeper", keeper), ("Transfer", transfer)]);
    bench.start("Keeper", "null").expect("started");
    bench.start("Transfer", "null").expect("started");
    assert_eq!(bench.holder(&account("b")).as_deref(), Some("Keeper"));
    assert_eq!(status(&mut bench, "Transfer"), RuntimeStatus::Running);
    bench.raise("Keeper", "go", "1").expect("alive");
    assert_eq!(status(&mut bench, "Transfer"), RuntimeStatus::Completed);
}

#[test]
fn terminated_holder_lets_the_next_one_in() {
    let mut bench = Bench::new(&[("Keeper", keeper), ("Transfer", transfer)]);
    bench.start("Keeper", "null").expect("started");
    bench.start("Transfer", "null").expect("started");
    let terminate = LifecycleChange::Terminate { reason: None, recurse: false };
    bench.change("Keeper", terminate).expect("runs");
    assert_eq!(status(&mut bench, "Transfer"), RuntimeStatus::Completed);
}

/// Two generations, of which the first ends within a critical section.
fn renewer(turn: &Turn<'_>) -> OrchestrationOutcome {
    match (turn.asked(), turn.result(0), turn.input().as_str()) {
        (0, ..) => waits(vec![lock(&["a"], None)]),
        (_, Some(_), "1") => OrchestrationOutcome::of(OrchestrationResult::ContinuedAsNew {
            input: Payload::from("2"),
            events: Vec::new(),
        }),
        (_, Some(_), _) => completes("\"renewed\""),
        _ => waits(Vec::new()),
    }
}

#[test]
fn next_generation_does_not_wait_for_the_lock_of_the_one_before() {
    let mut bench = Bench::new(&[("Renewer", renewer)]);
    bench.start("Renewer", "1").expect("started");
    assert_eq!(status(&mut bench, "Renewer"), RuntimeStatus::Completed);
    assert_eq!(bench.holder(&account("a")), None);
}

/// Locks and signals what does not exist.
fn mistaken(turn: &Turn<'_>) -> OrchestrationOutcome {
    let refusal = "The function 'account' doesn't exist";
    match (turn.asked(), turn.result(0)) {
        (0, _) => waits(vec![
            lock(&["a"], Some(refusal)),
            Action::SignalEntity {
                entity: account("b"),
                operation: "ping".to_owned(),
                input: None,
                at: None,
                refusal: Some(refusal.to_owned()),
            },
        ]),
        (_, Some(Err(failure))) => completes(&format!("\"{}\"", failure.error_type)),
        _ => waits(Vec::new()),
    }
}

#[test]
fn lock_and_signal_of_an_unknown_entity_are_refused_and_send_nothing() {
    let mut bench = Bench::new(&[("Mistaken", mistaken)]);
    bench.start("Mistaken", "null").expect("started");
    assert_golden("lock_refused", &bench.history("Mistaken"));
    assert_eq!(bench.holder(&account("a")), None);
    assert!(bench.done.is_empty(), "nothing was sent: {:?}", bench.done);
}

/// Waits a second for the lock.
fn impatient(turn: &Turn<'_>) -> OrchestrationOutcome {
    match (turn.asked(), turn.result(1)) {
        (0, _) => waits(vec![lock(&["a", "b"], None), timer(turn, 1_000)]),
        (2, Some(_)) => {
            let actions = vec![unlock(0, "a"), unlock(0, "b")];
            OrchestrationOutcome { actions, ..completes("\"gave up\"") }
        }
        _ => waits(Vec::new()),
    }
}

#[test]
fn lock_that_is_given_up_is_never_granted() {
    let mut bench = Bench::new(&[("Keeper", keeper), ("Impatient", impatient)]);
    bench.start("Keeper", "null").expect("started");
    bench.start("Impatient", "null").expect("started");
    bench.pass(1_000);
    assert_golden("lock_given_up", &bench.history("Impatient"));
    bench.raise("Keeper", "go", "1").expect("alive");
    assert_eq!(bench.holder(&account("a")), None);
    assert_eq!(bench.holder(&account("b")), None);
}

#[test]
fn rewound_holder_takes_its_lock_back_before_it_does_again_what_failed() {
    let scripts: [(&'static str, Script); 2] = [("Transfer", transfer), ("Keeper", keeper)];
    let mut bench = Bench::new(&scripts);
    bench.operations.insert("deposit", [Err(Failure::new("Closed", "on holiday"))].into());
    bench.start("Transfer", "null").expect("started");
    assert_eq!(status(&mut bench, "Transfer"), RuntimeStatus::Failed);
    bench.start("Keeper", "null").expect("started");
    assert_eq!(bench.holder(&account("b")).as_deref(), Some("Keeper"));
    bench.change("Transfer", LifecycleChange::Rewind { reason: None }).expect("failed");
    assert_eq!(bench.done.len(), 2, "the deposit waits for the lock");
    bench.raise("Keeper", "go", "1").expect("alive");
    assert_golden("lock_rewound", &bench.history("Transfer"));
    assert_eq!(bench.done[1..], ["@account@b deposit", "@account@b deposit"]);
    assert_eq!(bench.holder(&account("b")), None);
}

#[test]
fn rewound_holder_that_is_terminated_before_its_lock_is_back_leaves_nothing() {
    let mut bench = Bench::new(&[("Transfer", transfer), ("Keeper", keeper)]);
    bench.operations.insert("deposit", [Err(Failure::new("Closed", "on holiday"))].into());
    bench.start("Transfer", "null").expect("started");
    bench.start("Keeper", "null").expect("started");
    bench.change("Transfer", LifecycleChange::Rewind { reason: None }).expect("failed");
    let terminate = LifecycleChange::Terminate { reason: None, recurse: false };
    bench.change("Transfer", terminate).expect("it waits for its lock");
    bench.raise("Keeper", "go", "1").expect("alive");
    assert_eq!(bench.holder(&account("a")), None);
    assert_eq!(bench.holder(&account("b")), None);
    assert_eq!(bench.done.len(), 2, "the deposit is not done again");
    assert!(bench.commit().messages_sent.is_empty(), "nothing waits");
}

/// A transfer whose code fits its history with the second component only, once it holds the lock.
fn swerver(turn: &Turn<'_>) -> OrchestrationOutcome {
    if turn.asked() > 1 && turn.item.component == ComponentHash([1; 32]) {
        let failure = Failure::new("NonDeterminism", "event #1 differs");
        return OrchestrationOutcome::of(OrchestrationResult::Diverged(failure));
    }
    transfer(turn)
}

#[test]
fn holder_whose_code_does_not_fit_lets_others_in_and_takes_its_lock_back() {
    let mut bench = Bench::new(&[("Swerver", swerver), ("Keeper", keeper)]);
    bench.start("Swerver", "null").expect("started");
    assert_eq!(status(&mut bench, "Swerver"), RuntimeStatus::Suspended);
    bench.start("Keeper", "null").expect("started");
    assert_eq!(bench.holder(&account("a")).as_deref(), Some("Keeper"));
    bench.component = ComponentHash([2; 32]);
    bench.change("Swerver", LifecycleChange::Resume { reason: None }).expect("it stopped");
    assert_eq!(bench.done, ["@account@a withdraw"], "it waits for its lock");
    bench.raise("Keeper", "go", "1").expect("alive");
    assert_golden("lock_diverged", &bench.history("Swerver"));
    assert_eq!(bench.holder(&account("a")), None);
}

#[test]
fn holder_that_is_resumed_twice_holds_its_lock_once() {
    let mut bench = Bench::new(&[("Swerver", swerver), ("Keeper", keeper)]);
    bench.start("Swerver", "null").expect("started");
    bench.start("Keeper", "null").expect("started");
    bench.component = ComponentHash([2; 32]);
    bench.change("Swerver", LifecycleChange::Resume { reason: None }).expect("it stopped");
    bench.change("Swerver", LifecycleChange::Suspend { reason: None }).expect("it waits");
    bench.change("Swerver", LifecycleChange::Resume { reason: None }).expect("it is paused");
    bench.raise("Keeper", "go", "1").expect("alive");
    assert_eq!(status(&mut bench, "Swerver"), RuntimeStatus::Completed);
    assert_eq!(bench.holder(&account("a")), None);
    assert_eq!(bench.holder(&account("b")), None);
}

#[test]
fn broken_lock_lets_the_next_one_in_and_its_holder_goes_on() {
    let mut bench = Bench::new(&[("Keeper", keeper), ("Transfer", transfer)]);
    bench.start("Keeper", "null").expect("started");
    bench.start("Transfer", "null").expect("started");
    assert!(bench.break_lock(&account("a")), "it was locked");
    assert_eq!(bench.holder(&account("a")).as_deref(), Some("Transfer"));
    assert!(bench.break_lock(&account("b")), "it was locked");
    assert_eq!(status(&mut bench, "Transfer"), RuntimeStatus::Completed);
    assert!(!bench.break_lock(&account("b")), "nobody holds it");
    bench.raise("Keeper", "go", "1").expect("alive");
    assert_eq!(status(&mut bench, "Keeper"), RuntimeStatus::Completed);
}
