//! The test's host itself: what it answers, and what it writes down.

use std::time::Duration;

use futures_util::future::{Either, select};

use super::{TestAction, TestHost, activity_context};
use crate::error::Failure;
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::orchestration::ChildOptions;

#[test]
fn entities_children_and_starts_are_answered_and_written_down() {
    let host = TestHost::new();
    host.on_entity_operation("Counter", "add", |key: &str, by: i64| Ok(format!("{key}+{by}")));
    host.on_sub_orchestration("Child", |n: u32| Ok(n + 1));
    let counter = EntityId::new("Counter", "a").unwrap();
    let entity = counter.clone();
    let seen = host.run(|context| async move {
        let lock = context.lock_entities(std::slice::from_ref(&entity)).await.unwrap();
        let added: String = context.call_entity(&entity, "add", &2).await.unwrap();
        let unknown = context.call_entity::<String>(&entity, "sub", &2).await.unwrap_err();
        drop(lock);
        context.signal_entity(&entity, "reset", &()).unwrap();
        let child: u32 =
            context.call_sub_orchestration("child", &1, &ChildOptions::default()).await.unwrap();
        context.set_custom_status("nearly").unwrap();
        context.info("done");
        context.continue_as_new(&child).unwrap();
        (added, unknown.error_type.clone(), child)
    });
    assert_eq!(seen, ("a+2".to_owned(), "UnknownOperation".to_owned(), 2));
    assert_eq!(host.log_lines(), [(LogLevel::Info, "done".to_owned())]);
    assert_eq!(host.custom_status().as_deref(), Some("\"nearly\""));
    assert_eq!(host.continued_as_new().as_deref(), Some("2"));
    let actions = host.actions();
    assert_eq!(actions[0], TestAction::LockEntities(vec![counter.clone()]));
    assert_eq!(actions[3], TestAction::UnlockEntities);
    let operation = "reset".to_owned();
    let signal = TestAction::SignalEntity { entity: counter, operation, input: None, at: None };
    assert_eq!(actions[4], signal);
    assert_eq!(host.under_way(), []);
}

#[test]
fn slow_activity_loses_against_a_shorter_timer() {
    let host = TestHost::new();
    host.on_activity_taking("Slow", Duration::from_secs(9), |(): ()| Ok(1));
    let is_in_time = host.run(|context| async move {
        let slow = context.call_activity::<u32>("Slow", &());
        matches!(
            select(slow, context.sleep(Duration::from_secs(8))).await,
            Either::Left((Ok(1), _))
        )
    });
    assert!(!is_in_time);
}

#[test]
fn activity_that_the_test_does_not_know_fails_as_one_that_does_not_exist() {
    let host = TestHost::new();
    let failure = host
        .run(|context| async move { context.call_activity::<u32>("Nobody", &()).await })
        .unwrap_err();
    assert!(failure.is_non_retriable && failure.is_caused_by("FunctionNotFound"), "{failure}");
}

#[test]
fn failure_of_an_activity_reads_as_the_host_writes_it() {
    let host = TestHost::new();
    host.on_activity("Boom", |(): ()| Err::<(), _>(Failure::new("Kah", "Kah-BOOOOM!!!")));
    let failure = host
        .run(|context| async move { context.call_activity::<()>("Boom", &()).await })
        .unwrap_err();
    assert_eq!(
        failure.error_message,
        "The activity function 'Boom' failed: \"Kah-BOOOOM!!!\". See the function execution logs \
         for additional details."
    );
}

#[test]
fn guids_and_random_numbers_differ_and_are_the_same_in_each_run() {
    let run = || {
        TestHost::new().run(|context| async move {
            (context.new_guid(), context.new_guid(), context.random(), context.random())
        })
    };
    let (first, second, third, fourth) = run();
    assert!(first != second && third != fourth);
    assert_eq!(run(), (first, second, third, fourth));
}

#[test]
#[should_panic(expected = "what never happens")]
fn waiting_for_what_never_happens_fails_the_test() {
    TestHost::new().run(|context| async move { context.wait_for_event::<()>("never").await.ok() });
}

#[test]
fn activity_is_tested_with_a_context_of_its_own() {
    let context = activity_context("Charge", 2);
    assert_eq!((context.name(), context.attempt()), ("Charge", 2));
}
