//! Retry policies on a test's host: how often, after which waits, and when not.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use super::RetryPolicy;
use crate::error::Failure;
use crate::executor::DurableFuture;
use crate::orchestration::{ActivityOptions, ChildOptions, OrchestrationContext};
use crate::testing::{TestAction, TestHost};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An activity that fails so many times before it gives how often it was run.
fn failing(times: u32, failure: impl Fn(u32) -> Failure + 'static) -> TestHost {
    let host = TestHost::new();
    let runs = Cell::new(0);
    host.on_activity("Flaky", move |(): ()| {
        runs.set(runs.get() + 1);
        if runs.get() <= times { Err(failure(runs.get())) } else { Ok(runs.get()) }
    });
    host
}

fn unavailable(run: u32) -> Failure {
    Failure::new("Unavailable", format!("run {run}"))
}

fn run(host: &TestHost, policy: &RetryPolicy) -> Result<u32, Failure> {
    let policy = policy.clone();
    host.run(|context| async move { context.call_activity_with_retry("Flaky", &(), &policy).await })
}

fn attempts(host: &TestHost) -> Vec<u32> {
    let attempt = |action: &TestAction| match action {
        TestAction::CallActivity { attempt, .. } => Some(*attempt),
        _ => None,
    };
    host.actions().iter().filter_map(attempt).collect()
}

#[test]
fn attempts_and_waits_follow_the_policy() {
    let policy = |attempts| RetryPolicy::new(s(1), attempts);
    for (name, policy, failures, expected_waits, is_ok) in [
        ("success at once", policy(3), 0, vec![], true),
        ("one attempt only", policy(1), 9, vec![], false),
        ("same wait each time", policy(4), 9, vec![s(1), s(1), s(1)], false),
        ("success on the way", policy(4), 2, vec![s(1), s(1)], true),
        ("success at last", policy(3), 2, vec![s(1), s(1)], true),
        (
            "longer waits up to a bound",
            policy(6).backoff_coefficient(2.0).max_interval(s(5)),
            9,
            vec![s(1), s(2), s(4), s(5), s(5)],
            false,
        ),
        (
            "bound below the first wait",
            policy(3).max_interval(Duration::from_millis(200)),
            9,
            vec![Duration::from_millis(200); 2],
            false,
        ),
        (
            "an hour is the bound if nothing is said",
            policy(4).backoff_coefficient(1e30),
            9,
            vec![s(1), s(3600), s(3600)],
            false,
        ),
    ] {
        let host = failing(failures, unavailable);
        let outcome = run(&host, &policy);
        assert_eq!(outcome.is_ok(), is_ok, "{name}: {outcome:?}");
        assert_eq!(host.timers(), expected_waits, "{name}");
        let count = u32::try_from(expected_waits.len()).unwrap() + 1;
        assert_eq!(attempts(&host), (1..=count).collect::<Vec<_>>(), "{name}");
        assert_eq!(host.under_way(), [], "{name}");
    }
}

#[test]
fn last_failure_is_the_result_and_names_its_cause() {
    let host = failing(9, unavailable);
    let failure = run(&host, &RetryPolicy::new(s(1), 3)).unwrap_err();
    assert_eq!(failure.error_type, "ActivityFailed");
    assert_eq!(failure.cause().unwrap(), unavailable(3));
}

#[test]
fn failure_that_trying_again_cannot_help_stops_at_once() {
    let host =
        failing(
            9,
            |run| {
                if run == 2 { unavailable(run).non_retriable() } else { unavailable(run) }
            },
        );
    let failure = run(&host, &RetryPolicy::new(s(1), 9)).unwrap_err();
    assert_eq!(failure.cause().unwrap().error_message, "run 2");
    assert_eq!(host.timers(), [s(1)]);
}

#[test]
fn predicate_sees_what_the_activity_reported_and_can_stop() {
    let host = failing(9, |run| {
        let error_type = if run < 3 { "Unavailable" } else { "Forbidden" };
        Failure::new(error_type, "no").with_property("run", &run)
    });
    let seen = Rc::new(Cell::new(0));
    let counter = Rc::clone(&seen);
    let policy = RetryPolicy::new(s(1), 9).handle(move |failure| {
        counter.set(failure.property("run").unwrap());
        failure.error_type == "Unavailable" && failure.error_message == "no"
    });
    let failure = run(&host, &policy).unwrap_err();
    assert!(failure.is_caused_by("Forbidden"));
    assert_eq!((seen.get(), host.timers()), (3, vec![s(1), s(1)]));
}

#[test]
fn total_timeout_counts_from_the_first_attempt_and_ends_at_its_last_moment() {
    for (timeout, expected_retries) in [(s(2), 2), (s(3), 3), (s(0), 0)] {
        let host = failing(9, unavailable);
        run(&host, &RetryPolicy::new(s(1), 9).total_timeout(timeout)).unwrap_err();
        assert_eq!(host.timers().len(), expected_retries, "{timeout:?}");
    }
}

#[test]
fn total_timeout_includes_the_time_of_the_attempts() {
    let host = TestHost::new();
    host.on_activity_taking("Flaky", s(10), |(): ()| Err::<u32, _>(unavailable(0)));
    run(&host, &RetryPolicy::new(s(1), 9).total_timeout(s(21))).unwrap_err();
    // The second attempt ends after 21 s.
    assert_eq!(attempts(&host), [1, 2]);
}

#[test]
fn policy_that_makes_no_sense_fails_before_the_first_attempt() {
    for policy in [
        RetryPolicy::new(Duration::ZERO, 3),
        RetryPolicy::new(s(1), 0),
        RetryPolicy::new(s(1), 3).backoff_coefficient(0.5),
        RetryPolicy::new(s(1), 3).backoff_coefficient(f64::NAN),
    ] {
        let host = failing(0, unavailable);
        let failure = run(&host, &policy).unwrap_err();
        assert_eq!(failure.error_type, "InvalidArgument", "{policy:?}");
        assert_eq!(host.actions(), []);
    }
}

#[test]
fn first_attempt_begins_when_it_is_called_and_not_when_it_is_awaited() {
    let host = failing(0, unavailable);
    let seen = host.clone();
    host.run(|context| async move {
        let policy = RetryPolicy::new(s(1), 3);
        let call: DurableFuture<u32> = context.call_activity_with_retry("Flaky", &(), &policy);
        assert_eq!(seen.actions().len(), 1);
        assert_eq!(call.await.unwrap(), 1);
    });
}

#[test]
fn dropped_retry_makes_no_further_attempt_and_leaves_no_timer() {
    let host = failing(9, unavailable);
    host.run(|context| async move {
        let policy = RetryPolicy::new(s(10), 9);
        let call = context.call_activity_with_retry::<u32>("Flaky", &(), &policy);
        let limit = context.sleep(s(15));
        assert!(matches!(select(call, limit).await, Either::Right(_)));
        context.sleep(s(60)).await.unwrap();
    });
    assert_eq!(attempts(&host), [1, 2]);
    assert_eq!(host.under_way(), []);
}

#[test]
fn many_retries_at_once_each_keep_their_own_count() {
    let host = TestHost::new();
    let runs = Cell::new(0);
    host.on_activity("Flaky", move |n: u32| {
        runs.set(runs.get() + 1);
        if runs.get() <= 60 { Err(unavailable(n)) } else { Ok(n) }
    });
    let results = host.run(|context| async move {
        let policy = RetryPolicy::new(s(1), 3);
        let calls = (0..40).map(|n: u32| context.call_activity_with_retry("Flaky", &n, &policy));
        join_all(calls.collect::<Vec<DurableFuture<u32>>>()).await
    });
    let results: Vec<u32> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results, (0..40).collect::<Vec<_>>());
    assert_eq!(attempts(&host).into_iter().filter(|&attempt| attempt == 3).count(), 20);
}

#[test]
fn tags_and_policy_go_together() {
    let host = failing(1, unavailable);
    let result: Result<u32, _> = host.run(|context| async move {
        let options = ActivityOptions {
            tags: vec![("tier".to_owned(), "gold".to_owned())],
            retry: Some(RetryPolicy::new(s(1), 2)),
        };
        context.call_activity_with_options("Flaky", &(), &options).await
    });
    assert_eq!(result.unwrap(), 2);
}

fn children(host: &TestHost) -> Vec<String> {
    let id = |action: TestAction| match action {
        TestAction::CallSubOrchestration { instance_id, .. } => Some(instance_id),
        _ => None,
    };
    host.actions().into_iter().filter_map(id).collect()
}

async fn call_child(context: OrchestrationContext, options: ChildOptions) -> Result<u32, Failure> {
    let policy = RetryPolicy::new(s(1), 3);
    context.call_sub_orchestration_with_retry("Child", &(), &options, &policy).await
}

#[test]
fn child_with_a_derived_id_gets_a_new_one_for_each_attempt() {
    let host = TestHost::new();
    host.on_sub_orchestration("Child", |(): ()| Err::<u32, _>(unavailable(0)));
    let failure = host.run(|context| call_child(context, ChildOptions::default())).unwrap_err();
    assert_eq!(failure.error_type, "SubOrchestrationFailed");
    let mut ids = children(&host);
    ids.dedup();
    assert_eq!((ids.len(), host.timers()), (3, vec![s(1), s(1)]));
}

#[test]
fn child_with_a_given_id_keeps_it_for_each_attempt() {
    let host = TestHost::new();
    host.on_sub_orchestration("Child", |(): ()| Err::<u32, _>(unavailable(0)));
    let options = ChildOptions { instance_id: Some("mine".to_owned()), ..Default::default() };
    host.run(|context| call_child(context, options)).unwrap_err();
    assert_eq!(children(&host), ["mine"; 3]);
}
