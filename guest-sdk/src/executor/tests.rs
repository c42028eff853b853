//! The executor against a host that plays a script: which handles it waits for, in which order
//! completions reach the futures, and what is cancelled.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use futures_util::future::{Either, join, join_all, pending, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{DurableFuture, Executor, Handle, Host, decode_result};
use crate::error::Failure;

/// Completes handles in the order of its script and writes down what it was asked.
#[derive(Default)]
struct ScriptedHost {
    /// Handle and outcome; taken from the front when the handle is waited for.
    script: RefCell<Vec<(Handle, Result<String, Failure>)>>,
    calls: RefCell<Vec<String>>,
}

impl Host for ScriptedHost {
    fn wait_any(&self, handles: &[Handle]) -> (Handle, Result<String, Failure>) {
        self.calls.borrow_mut().push(format!("wait {handles:?}"));
        let mut script = self.script.borrow_mut();
        let first = script.iter().position(|(handle, _)| handles.contains(handle));
        script.remove(first.expect("the script has a completion for one of the handles"))
    }

    fn cancel(&self, handle: Handle) {
        self.calls.borrow_mut().push(format!("cancel {handle}"));
    }
}

/// A host whose handles complete in the given order, each with its own number.
fn host(order: &[Handle]) -> (Rc<ScriptedHost>, Executor) {
    let host = Rc::new(ScriptedHost::default());
    *host.script.borrow_mut() = order.iter().map(|h| (*h, Ok(h.to_string()))).collect();
    (Rc::clone(&host), Executor::new(host))
}

fn calling(executor: &Executor, handle: Handle) -> DurableFuture<u32> {
    executor.future(Ok::<_, Failure>(handle), decode_result)
}

fn calls(host: &ScriptedHost) -> Vec<String> {
    host.calls.borrow().clone()
}

#[test]
fn awaiting_in_sequence_waits_for_one_handle_at_a_time() {
    let (host, executor) = host(&[1, 2]);
    let (first, second) = (calling(&executor, 1), calling(&executor, 2));
    let sum = executor.run(async move { Ok::<_, Failure>(first.await? + second.await?) });
    assert_eq!(sum.unwrap().unwrap(), 3);
    assert_eq!(calls(&host), ["wait [1]", "wait [2]"]);
}

#[test]
fn join_waits_for_all_handles_in_ascending_order_whatever_completes_first() {
    let (host, executor) = host(&[2, 3, 1]);
    let futures = [calling(&executor, 3), calling(&executor, 1), calling(&executor, 2)];
    let results = executor.run(join_all(futures)).unwrap();
    assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [3, 1, 2]);
    assert_eq!(calls(&host), ["wait [1, 2, 3]", "wait [1, 3]", "wait [1]"]);
}

#[test]
fn forty_joined_handles_all_complete() {
    // Above thirty futures `join_all` keeps a ready queue with a waker for each of them.
    let order: Vec<Handle> = (0..40).rev().collect();
    let (_, executor) = host(&order);
    let results = executor.run(join_all((0..40).map(|h| calling(&executor, h)))).unwrap();
    assert_eq!(
        results.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        (0..40).collect::<Vec<_>>()
    );
}

#[test]
fn unordered_futures_arrive_in_the_order_of_the_history() {
    let (_, executor) = host(&[3, 1, 2]);
    let unordered: FuturesUnordered<_> = (1..=3).map(|h| calling(&executor, h)).collect();
    let seen = executor.run(unordered.map(Result::unwrap).collect::<Vec<_>>()).unwrap();
    assert_eq!(seen, [3, 1, 2]);
}

#[test]
fn loser_of_a_select_is_cancelled_when_it_is_dropped() {
    let (host, executor) = host(&[8]);
    let (event, timer) = (calling(&executor, 7), calling(&executor, 8));
    let winner = executor.run(async move {
        match select(event, timer).await {
            Either::Left((event, _)) => event.unwrap(),
            Either::Right((timer, _)) => timer.unwrap(),
        }
    });
    assert_eq!(winner.unwrap(), 8);
    assert_eq!(calls(&host), ["wait [7, 8]", "cancel 7"]);
}

#[test]
fn loser_of_a_select_can_still_be_awaited() {
    let (host, executor) = host(&[2, 1]);
    let (first, second) = (calling(&executor, 1), calling(&executor, 2));
    let seen = executor.run(async move {
        match select(first, second).await {
            Either::Right((second, first)) => (second.unwrap(), first.await.unwrap()),
            Either::Left(_) => (0, 0),
        }
    });
    assert_eq!(seen.unwrap(), (2, 1));
    assert_eq!(calls(&host), ["wait [1, 2]", "wait [1]"]);
}

#[test]
fn future_that_was_never_awaited_is_cancelled_and_not_waited_for() {
    let (host, executor) = host(&[2]);
    let (ignored, awaited) = (calling(&executor, 1), calling(&executor, 2));
    let outcome = executor.run(async move {
        drop(ignored);
        awaited.await
    });
    assert_eq!(outcome.unwrap().unwrap(), 2);
    assert_eq!(calls(&host), ["cancel 1", "wait [2]"]);
}

#[test]
fn completion_for_a_future_that_is_no_longer_polled_does_not_stop_the_others() {
    let (host, executor) = host(&[1, 2]);
    let (mut first, second) = (calling(&executor, 1), calling(&executor, 2));
    let outcome = executor.run(async move {
        let mut first_poll = pin!(&mut first);
        poll_fn(|context| {
            assert!(first_poll.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        (second.await.unwrap(), first.await.unwrap())
    });
    assert_eq!(outcome.unwrap(), (2, 1));
    assert_eq!(calls(&host), ["wait [1, 2]", "wait [2]"]);
}

#[test]
fn refused_call_fails_without_waiting() {
    let (host, executor) = host(&[]);
    let refused: DurableFuture<u32> =
        executor.future(Err(Failure::new("NotSupported", "no")), decode_result);
    let failure = executor.run(refused).unwrap().unwrap_err();
    assert_eq!(failure.error_type, "NotSupported");
    assert!(calls(&host).is_empty());
}

#[test]
fn failed_operation_reaches_the_author_as_it_is() {
    let (host, executor) = host(&[]);
    host.script.borrow_mut().push((4, Err(Failure::new("Broken", "as told"))));
    let failure = executor.run(calling(&executor, 4)).unwrap().unwrap_err();
    assert_eq!(failure, Failure::new("Broken", "as told"));
}

#[test]
fn result_of_another_shape_is_a_failure() {
    let (host, executor) = host(&[]);
    host.script.borrow_mut().push((4, Ok("\"text\"".to_owned())));
    let failure = executor.run(calling(&executor, 4)).unwrap().unwrap_err();
    assert_eq!(failure.error_type, "InvalidInput");
}

#[test]
fn awaiting_what_is_not_durable_is_a_failure_and_not_a_hang() {
    let (host, executor) = host(&[]);
    let failure = executor.run(pending::<()>()).unwrap_err();
    assert_eq!(failure.error_type, "NotDurable");
    assert!(calls(&host).is_empty());
}

#[test]
fn durable_work_beside_something_that_is_not_durable_is_done_first() {
    let (host, executor) = host(&[1]);
    let failure = executor.run(join(calling(&executor, 1), pending::<()>())).unwrap_err();
    assert_eq!(failure.error_type, "NotDurable");
    assert_eq!(calls(&host), ["wait [1]"]);
}

#[test]
fn future_that_wakes_itself_is_polled_again_without_the_host() {
    let (host, executor) = host(&[]);
    let mut polls = 0;
    let outcome = executor.run(poll_fn(move |context| {
        polls += 1;
        if polls == 3 {
            return Poll::Ready(polls);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    assert_eq!(outcome.unwrap(), 3);
    assert!(calls(&host).is_empty());
}

#[test]
fn composed_future_gives_its_result_once() {
    let (_, executor) = host(&[1]);
    let inner = calling(&executor, 1);
    let mut composed = DurableFuture::composed(async move { Ok(inner.await? + 1) });
    let (first, second) = executor
        .run(async move {
            let first = (&mut composed).await;
            (first, composed.await)
        })
        .unwrap();
    assert_eq!(first.unwrap(), 2);
    assert_eq!(second.unwrap_err().error_type, "PolledAfterCompletion");
}

#[test]
fn dropped_composed_future_cancels_what_it_waits_for() {
    let (host, executor) = host(&[2]);
    let (inner, other) = (calling(&executor, 1), calling(&executor, 2));
    let composed = DurableFuture::composed(inner);
    let winner = executor
        .run(async move { matches!(select(composed, other).await, Either::Right((Ok(2), _))) });
    assert!(winner.unwrap());
    assert_eq!(calls(&host), ["wait [1, 2]", "cancel 1"]);
}
