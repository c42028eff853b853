//! The histories that orchestrations leave, event by event, compared with the files in `golden/`.
//!
//! A history is a storage format and a contract with tools that read it: whoever changes one sees it
//! here. `GOLDEN=write cargo test --test histories` writes the files anew; read the difference.

#![expect(clippy::panic, reason = "tests fail by panicking")]

mod bench;
mod lifecycle;
mod locks;

use everstate_engine::client::ConflictPolicy;
use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult};
use everstate_types::{Action, Failure, Payload, RuntimeStatus, Timestamp};

use self::bench::{Bench, Turn, activity, child, completes, fails, id, waits};

/// Compares a history with its golden file.
#[track_caller]
pub(crate) fn assert_golden(name: &str, actual: &str) {
    let path = format!("{}/tests/histories/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, actual).expect("the folder is there");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == actual, "{path} says\n{golden}\nand this is\n{actual}");
}

/// Two activities at once, then a third with a retry, then the end.
fn order(turn: &Turn<'_>) -> OrchestrationOutcome {
    if turn.asked() == 0 {
        return waits(vec![activity("Reserve", &turn.input()), activity("Charge", "7")]);
    }
    let (Some(Ok(_)), Some(Ok(_))) = (turn.result(0), turn.result(1)) else {
        return waits(Vec::new());
    };
    if turn.asked() == 2 {
        let mut outcome = waits(vec![activity("Ship", "null")]);
        outcome.custom_status = Some(Some(Payload::from("\"paid\"")));
        outcome.logs = vec!["information: the order is paid".to_owned()];
        return outcome;
    }
    match (turn.result(2), turn.asked()) {
        (Some(Err(_)), 3) => waits(vec![timer(turn, 1_000)]),
        (Some(Err(_)), 4) if turn.result(3).is_some() => {
            let mut again = activity("Ship", "null");
            if let Action::CallActivity { first_attempt, attempt, .. } = &mut again {
                (*first_attempt, *attempt) = (Some(2), 2);
            }
            waits(vec![again])
        }
        _ => match turn.result(4) {
            Some(Ok(result)) => completes(result.as_str()),
            _ => waits(Vec::new()),
        },
    }
}

fn timer(turn: &Turn<'_>, after: u64) -> Action {
    let now = turn.item.new_events[0].timestamp;
    Action::CreateTimer { fire_at: Timestamp::from_millis(now.as_millis() + after) }
}

#[test]
fn activities_in_parallel_and_a_retry_after_a_timer() {
    let mut bench = Bench::new(&[("Order", order)]);
    let broken = Failure::new("CourierDown", "no courier");
    bench.activities.insert("Ship", [Err(broken)].into());
    bench.start("Order", "\"book\"").expect("started");
    bench.pass(1_000);
    assert_golden("activities", &bench.history("Order"));
    let keys: Vec<_> = bench.ran.iter().filter(|(name, ..)| name == "Ship").collect();
    assert_eq!((keys[0].3, keys[1].3), (1, 2), "the retry is the second attempt");
    assert_eq!(keys[0].2, keys[1].2, "both attempts have one idempotency key");
    assert_eq!(bench.delayed_count(), 0);
}

/// Waits for `approved`, at most five seconds.
fn approval(turn: &Turn<'_>) -> OrchestrationOutcome {
    if turn.asked() == 0 && turn.raised("approved").is_empty() {
        return waits(vec![timer(turn, 5_000)]);
    }
    match (turn.raised("approved").first(), turn.result(0)) {
        (Some(by), _) => completes(by),
        (None, Some(_)) => completes("\"too late\""),
        (None, None) => waits(Vec::new()),
    }
}

#[test]
fn event_wins_against_timer_and_the_timer_is_taken_back() {
    let mut bench = Bench::new(&[("Approval", approval)]);
    bench.start("Approval", "null").expect("started");
    assert_eq!(bench.delayed_count(), 1);
    bench.raise("Approval", "approved", "\"Ada\"").expect("alive");
    assert_eq!(bench.delayed_count(), 0);
    assert_golden("event_wins", &bench.history("Approval"));
}

#[test]
fn timer_wins_when_nobody_raises_the_event() {
    let mut bench = Bench::new(&[("Approval", approval)]);
    bench.start("Approval", "null").expect("started");
    bench.pass(4_999);
    assert_eq!(bench.record("Approval").expect("it is").status, RuntimeStatus::Running);
    bench.pass(1);
    assert_golden("timer_wins", &bench.history("Approval"));
    assert!(bench.raise("Approval", "approved", "1").is_err(), "it has ended");
}

#[test]
fn event_raised_before_a_scheduled_start_is_kept_until_it() {
    let mut bench = Bench::new(&[("Approval", approval)]);
    bench.start_with("Approval", "null", Some(60_000), ConflictPolicy::Fail).expect("started");
    bench.raise("Approval", "approved", "\"Ada\"").expect("it waits for its start");
    assert_eq!(bench.record("Approval").expect("it is").status, RuntimeStatus::Pending);
    bench.pass(59_999);
    assert_eq!(bench.record("Approval").expect("it is").status, RuntimeStatus::Pending);
    bench.pass(1);
    assert_golden("scheduled_start", &bench.history("Approval"));
}

/// Counts `add` events; starts over after each, until `end` comes.
fn counter(turn: &Turn<'_>) -> OrchestrationOutcome {
    let count: u64 = turn.input().parse().expect("a number");
    let raised = turn.raised("add");
    if raised.is_empty() {
        return match turn.raised("end").first() {
            Some(_) => completes(&count.to_string()),
            None => waits(Vec::new()),
        };
    }
    let rest = raised[1..].iter().map(|add| ("add".to_owned(), Payload::from(add.as_str())));
    let ends = turn.raised("end");
    let ends = ends.iter().map(|end| ("end".to_owned(), Payload::from(end.as_str())));
    OrchestrationOutcome::of(OrchestrationResult::ContinuedAsNew {
        input: Payload::from((count + 1).to_string()),
        events: rest.chain(ends).collect(),
    })
}

#[test]
fn continue_as_new_carries_events_and_leaves_only_the_last_generation() {
    let mut bench = Bench::new(&[("Counter", counter)]);
    bench.start("Counter", "0").expect("started");
    bench.commit();
    for _ in 0..3 {
        bench.raise("Counter", "add", "1").expect("alive");
    }
    bench.raise("Counter", "end", "null").expect("alive");
    assert_golden("continue_as_new", &bench.history("Counter"));
    let batch = bench.commit();
    let [(_, row)] = batch.orchestrations.as_slice() else { panic!("one row") };
    assert_eq!(row.history_stored, 0, "the last generation is stored as a whole");
    assert!(row.replaces.is_some(), "the first generation's history goes");
    assert_eq!(bench.record("Counter").expect("it is").input.as_str(), "3");
}

fn parent(turn: &Turn<'_>) -> OrchestrationOutcome {
    if turn.asked() == 0 {
        return waits(vec![child("Good"), child("Bad")]);
    }
    match (turn.result(0), turn.result(1)) {
        (Some(Ok(output)), Some(Err(failure))) => {
            completes(&format!("\"{} and {}\"", output.as_str(), failure.error_type))
        }
        _ => waits(Vec::new()),
    }
}

fn good(_: &Turn<'_>) -> OrchestrationOutcome {
    completes("1")
}

fn bad(_: &Turn<'_>) -> OrchestrationOutcome {
    fails(Failure::new("Broken", "it is broken").non_retriable())
}

#[test]
fn children_tell_their_parent_how_they_ended() {
    let mut bench = Bench::new(&[("Parent", parent), ("Good", good), ("Bad", bad)]);
    bench.start("Parent", "null").expect("started");
    assert_golden("parent", &bench.history("Parent"));
    assert_golden("child", &bench.history("Good"));
}

#[test]
fn child_whose_id_is_alive_fails_in_its_parent_only() {
    let mut bench = Bench::new(&[("Parent", parent), ("Good", good), ("Bad", approval)]);
    bench.start("Bad", "null").expect("started");
    bench.start("Parent", "null").expect("started");
    let record = bench.record("Parent").expect("it is");
    assert_eq!(record.output, Some(Payload::from("\"1 and InstanceAlreadyExists\"")));
    assert_eq!(bench.record("Bad").expect("it is").status, RuntimeStatus::Running);
}

/// Sends an event, starts another orchestration, and signals an entity.
fn messenger(_: &Turn<'_>) -> OrchestrationOutcome {
    let entity = everstate_types::EntityId::new("Register", "1").expect("a valid id");
    let actions = vec![
        Action::SendEvent {
            instance_id: id("Approval"),
            name: "approved".to_owned(),
            input: Payload::from("\"a robot\""),
        },
        Action::StartOrchestration {
            name: everstate_types::FunctionName::new("Good").expect("a valid name"),
            instance_id: id("Good"),
            input: Payload::null(),
            tags: vec![("by".to_owned(), "Messenger".to_owned())],
            start_at: None,
        },
        Action::SignalEntity {
            entity,
            operation: "set".to_owned(),
            input: None,
            at: None,
            refusal: None,
        },
    ];
    OrchestrationOutcome { actions, ..completes("null") }
}

#[test]
fn messages_without_answers_are_confirmed_and_arrive() {
    let scripts: [(&'static str, bench::Script); 3] =
        [("Messenger", messenger), ("Good", good), ("Approval", approval)];
    let mut bench = Bench::new(&scripts);
    bench.start("Approval", "null").expect("started");
    bench.start("Messenger", "null").expect("started");
    assert_golden("messages", &bench.history("Messenger"));
    let approved = bench.record("Approval").expect("it is");
    assert_eq!(approved.output, Some(Payload::from("\"a robot\"")));
    assert_eq!(bench.record("Good").expect("it is").tags.len(), 1);
}
