//! What clients do with orchestrations, and what their histories say of it.

use everstate_engine::client::ConflictPolicy;
use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult};
use everstate_engine::partition::LifecycleChange;
use everstate_types::{ComponentHash, Failure, Payload, RuntimeStatus};

use super::assert_golden;
use super::bench::{Bench, Turn, activity, child, completes, fails, waits};

fn terminate(recurse: bool) -> LifecycleChange {
    LifecycleChange::Terminate { reason: Some(Payload::from("\"enough\"")), recurse }
}

fn because(reason: &str) -> Option<String> {
    Some(reason.to_owned())
}

/// Waits for two `go` events.
fn patient(turn: &Turn<'_>) -> OrchestrationOutcome {
    match turn.raised("go").len() {
        0 | 1 => waits(Vec::new()),
        _ => completes("\"gone\""),
    }
}

fn family(turn: &Turn<'_>) -> OrchestrationOutcome {
    match (turn.asked(), turn.result(0)) {
        (0, _) => waits(vec![child("Middle")]),
        (_, Some(Ok(output))) => completes(output.as_str()),
        (_, Some(Err(failure))) => fails(failure),
        _ => waits(Vec::new()),
    }
}

fn middle(turn: &Turn<'_>) -> OrchestrationOutcome {
    match (turn.asked(), turn.result(0)) {
        (0, _) => waits(vec![child("Patient")]),
        (_, Some(Ok(output))) => completes(output.as_str()),
        (_, Some(Err(failure))) => fails(failure),
        _ => waits(Vec::new()),
    }
}

fn status(bench: &mut Bench, of: &str) -> RuntimeStatus {
    bench.record(of).expect("it exists").status
}

#[test]
fn suspended_orchestration_keeps_what_comes_and_goes_on_in_order() {
    let mut bench = Bench::new(&[("Patient", patient)]);
    bench.start("Patient", "null").expect("started");
    bench.change("Patient", LifecycleChange::Suspend { reason: because("lunch") }).expect("runs");
    bench.raise("Patient", "go", "1").expect("alive");
    bench.raise("Patient", "go", "2").expect("alive");
    assert_eq!(status(&mut bench, "Patient"), RuntimeStatus::Suspended);
    assert!(bench.change("Patient", LifecycleChange::Suspend { reason: None }).is_err());
    bench.change("Patient", LifecycleChange::Resume { reason: because("back") }).expect("paused");
    assert_golden("suspended", &bench.history("Patient"));
}

#[test]
fn termination_with_children_reaches_grandchildren() {
    let scripts: [(&'static str, super::bench::Script); 3] =
        [("Family", family), ("Middle", middle), ("Patient", patient)];
    let mut bench = Bench::new(&scripts);
    bench.start("Family", "null").expect("started");
    bench.change("Family", terminate(true)).expect("runs");
    for of in ["Family", "Middle", "Patient"] {
        assert_eq!(status(&mut bench, of), RuntimeStatus::Terminated, "{of}");
    }
    assert_golden("terminated", &bench.history("Family"));
    assert!(bench.change("Family", terminate(false)).is_err(), "it has ended");
}

#[test]
fn termination_of_one_leaves_its_children_and_fails_its_parent() {
    let scripts: [(&'static str, super::bench::Script); 3] =
        [("Family", family), ("Middle", middle), ("Patient", patient)];
    let mut bench = Bench::new(&scripts);
    bench.start("Family", "null").expect("started");
    bench.change("Middle", terminate(false)).expect("runs");
    assert_eq!(status(&mut bench, "Patient"), RuntimeStatus::Running);
    let family = bench.record("Family").expect("it exists");
    assert_eq!(family.failure.expect("it failed").error_type, "OrchestrationTerminated");
}

#[test]
fn scheduled_start_that_is_terminated_never_runs() {
    let mut bench = Bench::new(&[("Patient", patient)]);
    bench.start_with("Patient", "null", Some(1_000), ConflictPolicy::Fail).expect("started");
    bench.change("Patient", terminate(false)).expect("it waits for its start");
    assert_eq!(bench.delayed_count(), 0);
    bench.pass(2_000);
    assert!(bench.components.is_empty(), "no turn ran");
}

#[test]
fn start_that_replaces_terminates_the_one_that_is_alive() {
    let mut bench = Bench::new(&[("Patient", patient)]);
    bench.start("Patient", "1").expect("started");
    bench.start("Patient", "2").expect_err("it is alive");
    let before = bench.record("Patient").expect("it exists").execution_id;
    let replace = ConflictPolicy::TerminateAndReplace;
    bench.start_with("Patient", "2", None, replace).expect("replaced");
    let after = bench.record("Patient").expect("it exists");
    assert_ne!(before, after.execution_id);
    assert_eq!((after.status, after.input.as_str()), (RuntimeStatus::Running, "2"));
    bench.start_with("Patient", "3", None, ConflictPolicy::UseExisting).expect("as good");
    assert_eq!(bench.record("Patient").expect("it exists").input.as_str(), "2");
}

/// Three activities at once; it fails with the first that fails.
fn fan_out(turn: &Turn<'_>) -> OrchestrationOutcome {
    if turn.asked() == 0 {
        return waits(["A", "B", "C"].map(|name| activity(name, "1")).into());
    }
    let results = [0, 1, 2].map(|number| turn.result(number));
    if let Some(Some(Err(failure))) = results.iter().find(|r| matches!(r, Some(Err(_)))) {
        return fails(failure.clone());
    }
    match results {
        [Some(_), Some(_), Some(_)] => completes("\"all\""),
        _ => waits(Vec::new()),
    }
}

#[test]
fn rewind_runs_again_only_what_failed() {
    let mut bench = Bench::new(&[("FanOut", fan_out)]);
    bench.activities.insert("B", [Err(Failure::new("Flaky", "once"))].into());
    bench.start("FanOut", "null").expect("started");
    assert_golden("failed", &bench.history("FanOut"));
    bench.change("FanOut", LifecycleChange::Rewind { reason: because("fixed") }).expect("failed");
    assert_golden("rewound", &bench.history("FanOut"));
    let runs = |name: &str| bench.ran.iter().filter(|(ran, ..)| ran == name).count();
    assert_eq!((runs("A"), runs("B"), runs("C")), (1, 2, 1), "C's result came late and is kept");
}

/// Three activities at once; it waits for all of them, and fails if one failed.
fn gather(turn: &Turn<'_>) -> OrchestrationOutcome {
    if turn.asked() == 0 {
        return waits(["A", "B", "C"].map(|name| activity(name, "1")).into());
    }
    match [0, 1, 2].map(|number| turn.result(number)) {
        [Some(Ok(_)), Some(Ok(_)), Some(Ok(_))] => completes("\"all\""),
        [Some(_), Some(_), Some(_)] => fails(Failure::new("Incomplete", "not all of them")),
        _ => waits(Vec::new()),
    }
}

#[test]
fn rewind_runs_again_all_failures_of_a_fan_out() {
    let mut bench = Bench::new(&[("Gather", gather)]);
    for name in ["A", "C"] {
        bench.activities.insert(name, [Err(Failure::new("Flaky", "once"))].into());
    }
    bench.start("Gather", "null").expect("started");
    assert_eq!(status(&mut bench, "Gather"), RuntimeStatus::Failed);
    bench.change("Gather", LifecycleChange::Rewind { reason: None }).expect("failed");
    assert_golden("rewound_fan_out", &bench.history("Gather"));
    assert_eq!(bench.ran.len(), 5, "A, B, C, and A and C again");
}

/// Survives a failure of `A`, has `B` done, and then fails by itself, with the first component.
fn survivor(turn: &Turn<'_>) -> OrchestrationOutcome {
    match (turn.asked(), turn.result(0), turn.result(1)) {
        (0, ..) => waits(vec![activity("A", "1")]),
        (1, Some(Err(_)), _) => waits(vec![activity("B", "1")]),
        (_, _, Some(_)) if turn.item.component == ComponentHash([1; 32]) => {
            fails(Failure::new("Bug", "in the orchestrator itself"))
        }
        (_, _, Some(Ok(output))) => completes(output.as_str()),
        _ => waits(Vec::new()),
    }
}

#[test]
fn rewind_after_a_bug_of_the_orchestrator_keeps_all_that_was_done() {
    let mut bench = Bench::new(&[("Survivor", survivor)]);
    bench.activities.insert("A", [Err(Failure::new("Flaky", "survived"))].into());
    bench.start("Survivor", "null").expect("started");
    assert_eq!(status(&mut bench, "Survivor"), RuntimeStatus::Failed);
    bench.component = ComponentHash([2; 32]);
    bench.change("Survivor", LifecycleChange::Rewind { reason: None }).expect("failed");
    assert_golden("rewound_bug", &bench.history("Survivor"));
    assert_eq!(bench.ran.len(), 2, "neither A nor B runs again");
}

#[test]
fn rewind_of_a_parent_rewinds_the_child_that_failed() {
    let scripts: [(&'static str, super::bench::Script); 2] =
        [("Family", family), ("Middle", fan_out)];
    let mut bench = Bench::new(&scripts);
    bench.activities.insert("C", [Err(Failure::new("Flaky", "once"))].into());
    bench.start("Family", "null").expect("started");
    assert_eq!(status(&mut bench, "Family"), RuntimeStatus::Failed);
    bench.change("Family", LifecycleChange::Rewind { reason: None }).expect("failed");
    assert_eq!(status(&mut bench, "Middle"), RuntimeStatus::Completed);
    assert_golden("rewound_parent", &bench.history("Family"));
    assert_eq!(bench.ran.len(), 4, "A, B, C and C again");
}

/// Fits its history only with the second component.
fn picky(turn: &Turn<'_>) -> OrchestrationOutcome {
    if turn.raised("go").is_empty() {
        return waits(Vec::new());
    }
    if turn.item.component == ComponentHash([1; 32]) {
        let failure = Failure::new("NonDeterminism", "event #0 differs");
        return OrchestrationOutcome::of(OrchestrationResult::Diverged(failure));
    }
    completes("\"fits\"")
}

#[test]
fn diverged_orchestration_stops_keeps_its_messages_and_goes_on_with_new_code() {
    let mut bench = Bench::new(&[("Picky", picky)]);
    bench.start("Picky", "null").expect("started");
    bench.raise("Picky", "go", "1").expect("alive");
    let stopped = bench.record("Picky").expect("it exists");
    assert_eq!(stopped.status, RuntimeStatus::Suspended);
    assert_eq!(stopped.failure.expect("it says why").error_message, "event #0 differs");
    bench.component = ComponentHash([2; 32]);
    bench.change("Picky", LifecycleChange::Resume { reason: because("new code") }).expect("paused");
    assert_golden("diverged", &bench.history("Picky"));
    assert_eq!(bench.record("Picky").expect("it exists").failure, None);
}

#[test]
fn code_that_came_before_an_orchestration_stopped_is_tried_at_once() {
    let mut bench = Bench::new(&[("Picky", picky)]);
    bench.start("Picky", "null").expect("started");
    bench.component = ComponentHash([2; 32]);
    bench.raise("Picky", "go", "1").expect("alive");
    assert_eq!(status(&mut bench, "Picky"), RuntimeStatus::Completed);
    assert_eq!(bench.components[1..], [ComponentHash([1; 32]), ComponentHash([2; 32])]);
}

fn migrate(to: u8) -> LifecycleChange {
    LifecycleChange::Migrate { component: ComponentHash([to; 32]) }
}

#[test]
fn migrated_orchestration_goes_on_with_its_new_code_and_its_history_says_so() {
    let mut bench = Bench::new(&[("Patient", patient)]);
    bench.start("Patient", "null").expect("started");
    bench.raise("Patient", "go", "1").expect("alive");
    bench.change("Patient", migrate(2)).expect("alive");
    let record = bench.record("Patient").expect("it exists");
    assert_eq!(record.component, Some(ComponentHash([2; 32])));
    assert_eq!(bench.components, [ComponentHash([1; 32]); 2], "no turn runs because of it");
    bench.change("Patient", migrate(2)).expect("it changes nothing");
    bench.raise("Patient", "go", "2").expect("alive");
    assert_eq!(bench.components[2..], [ComponentHash([2; 32])]);
    assert_golden("migrated", &bench.history("Patient"));
    bench.change("Patient", migrate(3)).expect_err("it has ended");
}

#[test]
fn orchestration_that_is_migrated_before_its_start_begins_with_the_new_code() {
    let mut bench = Bench::new(&[("Patient", patient)]);
    bench.start_with("Patient", "null", Some(1_000), ConflictPolicy::Fail).expect("started");
    bench.component = ComponentHash([2; 32]);
    bench.change("Patient", migrate(2)).expect("alive");
    assert_eq!(status(&mut bench, "Patient"), RuntimeStatus::Pending);
    bench.pass(1_000);
    assert_eq!(bench.components, [ComponentHash([2; 32])]);
    assert_eq!(status(&mut bench, "Patient"), RuntimeStatus::Running);
}

/// The start names the code of its time, and has come already.
#[test]
fn orchestration_that_is_migrated_while_its_start_waits_begins_with_the_new_code() {
    let mut bench = Bench::new(&[("Patient", patient)]);
    bench.start_with("Patient", "null", Some(1_000), ConflictPolicy::Fail).expect("started");
    bench.change("Patient", LifecycleChange::Suspend { reason: None }).expect("alive");
    bench.pass(1_000);
    bench.component = ComponentHash([2; 32]);
    bench.change("Patient", migrate(2)).expect("alive");
    bench.change("Patient", LifecycleChange::Resume { reason: None }).expect("paused");
    assert_eq!(bench.components, [ComponentHash([2; 32])]);
    assert_eq!(status(&mut bench, "Patient"), RuntimeStatus::Running);
}

#[test]
fn paused_orchestration_is_migrated_and_stays_paused() {
    let mut bench = Bench::new(&[("Patient", patient)]);
    bench.start("Patient", "null").expect("started");
    bench.change("Patient", LifecycleChange::Suspend { reason: None }).expect("runs");
    bench.change("Patient", migrate(2)).expect("alive");
    assert_eq!(status(&mut bench, "Patient"), RuntimeStatus::Suspended);
    bench.change("Patient", LifecycleChange::Resume { reason: None }).expect("paused");
    bench.raise("Patient", "go", "1").expect("alive");
    assert_eq!(bench.components[1..], [ComponentHash([2; 32])]);
}

#[test]
fn orchestration_that_diverges_on_the_code_it_was_migrated_to_stops_and_takes_the_newest_later() {
    let mut bench = Bench::new(&[("Picky", picky)]);
    bench.component = ComponentHash([2; 32]);
    bench.start("Picky", "null").expect("started");
    bench.component = ComponentHash([1; 32]);
    bench.change("Picky", migrate(1)).expect("alive");
    bench.raise("Picky", "go", "1").expect("alive");
    assert_eq!(status(&mut bench, "Picky"), RuntimeStatus::Suspended);
    bench.change("Picky", migrate(1)).expect("it tries again");
    assert_eq!(status(&mut bench, "Picky"), RuntimeStatus::Suspended);
    bench.component = ComponentHash([3; 32]);
    bench.change("Picky", migrate(3)).expect("it goes on");
    assert_eq!(status(&mut bench, "Picky"), RuntimeStatus::Completed);
}

#[test]
fn purge_takes_only_what_has_ended_and_its_children() {
    let scripts: [(&'static str, super::bench::Script); 2] =
        [("Family", family), ("Middle", patient)];
    let mut bench = Bench::new(&scripts);
    bench.start("Family", "null").expect("started");
    let purge = LifecycleChange::Purge { recurse: true };
    bench.change("Family", purge.clone()).expect_err("it is alive");
    bench.commit();
    bench.raise("Middle", "go", "1").expect("alive");
    bench.raise("Middle", "go", "2").expect("alive");
    bench.commit();
    bench.change("Family", purge.clone()).expect("it has ended");
    assert!(bench.record("Family").is_none() && bench.record("Middle").is_none());
    assert_eq!(bench.commit().purged.len(), 2);
    bench.change("Family", purge).expect_err("there is none");
}
