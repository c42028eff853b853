//! [`Detached`]: a call of a guest that is not dropped half way.
//!
//! When a client goes away, hyper drops the future that answers it. A guest must not be cut off
//! in the middle of its work because of that: the original lets the function run on, and a
//! half-run guest cannot be used again. Spawning a task for every request would do: measured, it
//! doubles the cost of an awaited call from 0.5 to 1 µs, and the call may wake on another core.
//! Instead the call runs in the connection's task, and only the rare call that is dropped while it
//! is under way moves to a task of its own.

use std::pin::Pin;
use std::task::{Context, Poll};

use everstate_engine::guest::GuestFuture;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// A call that goes on in a task of its own when it is dropped under way.
pub(crate) struct Detached<T: Send + 'static> {
    /// `None` when it has ended.
    call: Option<GuestFuture<T>>,
    /// What was never begun need not be finished.
    has_begun: bool,
    /// What to do with a result that nobody takes: at least a failure belongs in the log.
    on_lost: fn(T),
    /// Knows the calls that moved to their own tasks, so that a shutdown can wait for them.
    tracker: TaskTracker,
}

impl<T: Send + 'static> Detached<T> {
    pub(crate) fn new(call: GuestFuture<T>, on_lost: fn(T), tracker: TaskTracker) -> Self {
        Self { call: Some(call), has_begun: false, on_lost, tracker }
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.has_begun = true;
        // It is out of reach of `drop` while it runs, because a call that panicked must not be
        // polled again.
        let mut call = self.call.take().expect("a future is not polled after it has ended");
        let poll = call.as_mut().poll(cx);
        if poll.is_pending() {
            self.call = Some(call);
        }
        poll
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        let Some(call) = self.call.take().filter(|_| self.has_begun) else { return };
        // Without a runtime the process is going down, and the call with it.
        let Ok(runtime) = Handle::try_current() else { return };
        let on_lost = self.on_lost;
        let rest = async move { on_lost(call.await) };
        drop(self.tracker.spawn_on(rest, &runtime));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;
    use tokio_util::task::TaskTracker;

    use super::Detached;

    #[tokio::test]
    async fn call_dropped_under_way_runs_to_its_end() {
        let tracker = TaskTracker::new();
        let (go_on, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inner_go_on, inner_ended) = (Arc::clone(&go_on), Arc::clone(&ended));
        let mut call = Detached::new(
            Box::pin(async move {
                inner_go_on.notified().await;
                inner_ended.notify_one();
            }),
            |()| {},
            tracker.clone(),
        );
        assert!(is_pending(&mut call).await);
        drop(call);
        assert_eq!(tracker.len(), 1);
        go_on.notify_one();
        ended.notified().await;
        tracker.close();
        tracker.wait().await;
    }

    #[tokio::test]
    async fn call_that_never_began_is_dropped() {
        let tracker = TaskTracker::new();
        let call = Box::pin(async { panic!("must not run") });
        drop(Detached::<()>::new(call, |()| {}, tracker.clone()));
        assert!(tracker.is_empty());
    }

    /// Polls once; whether that was not enough.
    async fn is_pending(call: &mut Detached<()>) -> bool {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *call).poll(cx).is_pending())
        })
        .await
    }
}
