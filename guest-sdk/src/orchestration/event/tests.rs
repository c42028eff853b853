//! Events with a time limit on a test's host: whichever comes second is given up.

use std::time::Duration;

use futures_util::future::{Either, select};

use crate::error::Failure;
use crate::testing::TestHost;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn event_before_the_timeout_is_given_and_the_timer_cancelled() {
    let host = TestHost::new();
    let begin = host.now();
    host.raise_event_after(s(10), "ANSWER", "yes");
    let answer = host.run(|context| async move {
        context.wait_for_event_with_timeout::<String>("answer", s(60)).await
    });
    assert_eq!(answer.unwrap(), "yes");
    assert_eq!(host.under_way(), []);
    assert_eq!(host.now() - begin, s(10));
}

#[test]
fn timeout_before_the_event_fails_and_leaves_the_event_to_the_next_waiter() {
    let host = TestHost::new();
    host.raise_event_after(s(100), "answer", "late");
    let (first, second) = host.run(|context| async move {
        let first = context.wait_for_event_with_timeout::<String>("answer", s(90)).await;
        (first, context.wait_for_event::<String>("answer").await)
    });
    let failure = first.unwrap_err();
    assert_eq!(failure, Failure::new("Timeout", "Event answer not received in 00:01:30"));
    assert_eq!(second.unwrap(), "late");
    assert_eq!(host.under_way(), []);
}

#[test]
fn timeout_with_a_default_gives_the_default() {
    let host = TestHost::new();
    host.raise_event_after(s(5), "answer", &7);
    let answers = host.run(|context| async move {
        let first = context.wait_for_event_or("answer", s(2), 0).await;
        (first.unwrap(), context.wait_for_event_or("answer", s(9), 0).await.unwrap())
    });
    assert_eq!(answers, (0, 7));
    assert_eq!(host.under_way(), []);
}

#[test]
fn event_that_was_there_before_is_given_at_once() {
    let host = TestHost::new();
    let begin = host.now();
    host.raise_event("answer", &1);
    host.raise_event("answer", &2);
    let answers = host.run(|context| async move {
        context.sleep(s(1)).await.unwrap();
        let first = context.wait_for_event_or("answer", s(60), 0).await.unwrap();
        (first, context.wait_for_event_or("answer", s(60), 0).await.unwrap())
    });
    assert_eq!(answers, (1, 2));
    assert_eq!(host.now() - begin, s(1));
}

#[test]
fn dropped_wait_gives_up_both_its_waiter_and_its_timer() {
    let host = TestHost::new();
    let seen = host.clone();
    host.run(|context| async move {
        drop(context.wait_for_event_with_timeout::<String>("answer", s(60)));
        assert_eq!(seen.under_way(), []);
    });
}

#[test]
fn newest_waiter_gets_the_event_and_a_given_up_one_leaves_it() {
    let host = TestHost::new();
    host.raise_event_after(s(1), "answer", &1);
    host.raise_event_after(s(2), "answer", &2);
    let answers = host.run(|context| async move {
        let older = context.wait_for_event::<u32>("answer");
        let newer = context.wait_for_event::<u32>("answer");
        let Either::Right((first, older)) = select(older, newer).await else { return (0, 0) };
        (first.unwrap(), older.await.unwrap())
    });
    assert_eq!(answers, (1, 2));
}

#[test]
fn event_of_another_shape_is_a_failure() {
    let host = TestHost::new();
    host.raise_event("answer", "text");
    let answer =
        host.run(|context| async move { context.wait_for_event_or("answer", s(1), 0).await });
    assert_eq!(answer.unwrap_err().error_type, "InvalidInput");
}
