//! The deterministic executor that runs orchestrators.
//!
//! It polls the author's future. When that future is pending, the executor asks the host for the
//! one completion that comes first in the history, among all handles that are waited for, hands it
//! to the [`DurableFuture`] that owns the handle, and polls again. Nothing else can wake an
//! orchestrator, so two runs over the same history poll the same futures in the same order.
//!
//! It is no general executor: it has one task, no timers and no threads, and a future that waits
//! for anything but the host is reported as a failure, not waited for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::error::Failure;
use crate::payload::from_json;

#[cfg(test)]
mod tests;

/// Something under way at the host.
pub(crate) type Handle = u32;

/// What the executor needs of the host.
pub(crate) trait Host {
    /// Blocks until one of the handles has completed; takes its completion.
    fn wait_any(&self, handles: &[Handle]) -> (Handle, Result<String, Failure>);
    /// Gives up on a handle.
    fn cancel(&self, handle: Handle);
}

/// The one task of an orchestration, and what it waits for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Executor {
    host: Rc<dyn Host>,
    waits: Rc<RefCell<Waits>>,
}

#[derive(Default)]
struct Waits {
    /// The keys of `wakers` in ascending order, as the host is asked. Kept beside them because a
    /// fan-out asks once for each of its thousands of handles.
    handles: Vec<Handle>,
    /// Handles that somebody waits for, with what to wake when they complete.
    wakers: BTreeMap<Handle, Waker>,
    /// Completions that the host gave and nobody has taken yet.
    completions: BTreeMap<Handle, Result<String, Failure>>,
}

impl Waits {
    fn insert(&mut self, handle: Handle, waker: &Waker) {
        if self.wakers.insert(handle, waker.clone()).is_none()
            && let Err(place) = self.handles.binary_search(&handle)
        {
            self.handles.insert(place, handle);
        }
    }

    fn remove(&mut self, handle: Handle) -> Option<Waker> {
        if let Ok(place) = self.handles.binary_search(&handle) {
            self.handles.remove(place);
        }
        self.wakers.remove(&handle)
    }
}

impl Executor {
    pub(crate) fn new(host: Rc<dyn Host>) -> Self {
        Self { host, waits: Rc::default() }
    }

    /// Runs a future to its end. Fails if it waits for something that no host call completes.
    pub(crate) fn run<F: Future>(&self, future: F) -> Result<F::Output, Failure> {
        let mut future = pin!(future);
        let wake = Arc::new(WakeFlag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&wake));
        let mut context = Context::from_waker(&waker);
        loop {
            while wake.take() {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return Ok(output);
                }
            }
            self.wait_for_one()?;
            // A waker can have gone stale with the combinator that made it, so poll in any case.
            wake.0.store(true, Ordering::Relaxed);
        }
    }

    /// A future for what a host call has begun, or for its refusal.
    pub(crate) fn future<T>(
        &self,
        begun: Result<Handle, impl Into<Failure>>,
        decode: Decode<T>,
    ) -> DurableFuture<T> {
        match begun {
            Ok(handle) => {
                DurableFuture { stage: Stage::Waiting { executor: self.clone(), handle, decode } }
            }
            Err(refusal) => DurableFuture::refused(refusal.into()),
        }
    }

    fn wait_for_one(&self) -> Result<(), Failure> {
        let waits = self.waits.borrow();
        if waits.handles.is_empty() {
            return Err(Failure::new(
                "NotDurable",
                "the orchestrator awaited something that is not durable; it may await only what \
                 its context returns, and combinations of that",
            )
            .non_retriable());
        }
        let (handle, outcome) = self.host.wait_any(&waits.handles);
        drop(waits);
        let mut waits = self.waits.borrow_mut();
        let waker = waits.remove(handle).expect("the host answers with a handle it was given");
        waits.completions.insert(handle, outcome);
        drop(waits);
        waker.wake();
        Ok(())
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.waits.borrow().handles).finish()
    }
}

/// The result of a durable operation, once it is awaited.
///
/// The operation begins when the method that returned this future is called, not when the future
/// is first polled: two calls made one after the other run at the same time, whatever is awaited
/// first. Dropping the future before it has completed gives up on the operation: a timer no longer
/// fires, an event goes to the next waiter, a retry policy makes no further attempt, and any other
/// result is dropped when it comes.
///
/// It works with the combinators of any futures library (`join!`, `join_all`, `select`). It can be
/// moved freely (`Unpin`) and must not be polled again after it has completed.
#[must_use = "the result is lost, and with it any failure, unless the future is awaited"]
pub struct DurableFuture<T> {
    stage: Stage<T>,
}

/// How the JSON of a completion becomes a value.
type Decode<T> = fn(&str) -> Result<T, Failure>;

/// Where a [`DurableFuture`] is in its life.
enum Stage<T> {
    /// The host refused; the failure is what awaiting gives.
    Refused(Failure),
    /// One operation, under way.
    Waiting { executor: Executor, handle: Handle, decode: Decode<T> },
    /// Several operations that give one result.
    Composed(Pin<Box<dyn Future<Output = Result<T, Failure>>>>),
    /// The output has been given.
    Done,
}

impl<T> DurableFuture<T> {
    /// A future that fails at once.
    pub(crate) fn refused(failure: Failure) -> Self {
        Self { stage: Stage::Refused(failure) }
    }

    /// A future that awaits others.
    pub(crate) fn composed(future: impl Future<Output = Result<T, Failure>> + 'static) -> Self {
        Self { stage: Stage::Composed(Box::pin(future)) }
    }

    /// Whether a result is there that nobody has taken.
    pub(crate) fn has_succeeded(&self) -> bool {
        let Stage::Waiting { executor, handle, .. } = &self.stage else { return false };
        matches!(executor.waits.borrow().completions.get(handle), Some(Ok(_)))
    }

    /// The handle, as long as one operation is under way.
    pub(crate) fn handle(&self) -> Option<Handle> {
        match self.stage {
            Stage::Waiting { handle, .. } => Some(handle),
            Stage::Refused(_) | Stage::Composed(_) | Stage::Done => None,
        }
    }
}

impl<T> Future for DurableFuture<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.stage {
            Stage::Waiting { executor, handle, decode } => {
                let mut waits = executor.waits.borrow_mut();
                let Some(outcome) = waits.completions.remove(handle) else {
                    waits.insert(*handle, context.waker());
                    return Poll::Pending;
                };
                drop(waits);
                let decode = *decode;
                self.stage = Stage::Done;
                Poll::Ready(outcome.and_then(|json| decode(&json)))
            }
            Stage::Composed(future) => {
                let output = std::task::ready!(future.as_mut().poll(context));
                self.stage = Stage::Done;
                Poll::Ready(output)
            }
            Stage::Refused(_) | Stage::Done => {
                let failure = match std::mem::replace(&mut self.stage, Stage::Done) {
                    Stage::Refused(failure) => failure,
                    _ => Failure::new(
                        "PolledAfterCompletion",
                        "a durable future was polled again after it had given its result",
                    ),
                };
                Poll::Ready(Err(failure))
            }
        }
    }
}

impl<T> Drop for DurableFuture<T> {
    fn drop(&mut self) {
        let Stage::Waiting { executor, handle, .. } = &self.stage else { return };
        let mut waits = executor.waits.borrow_mut();
        let is_completed = waits.completions.remove(handle).is_some();
        let waker = waits.remove(*handle);
        drop(waits);
        // Outside the borrow, because a waker may own futures.
        drop(waker);
        if !is_completed {
            executor.host.cancel(*handle);
        }
    }
}

impl<T> fmt::Debug for DurableFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("DurableFuture");
        match &self.stage {
            Stage::Refused(failure) => debug.field("refused", failure),
            Stage::Waiting { handle, .. } => debug.field("handle", handle),
            Stage::Composed(_) | Stage::Done => &mut debug,
        };
        debug.finish_non_exhaustive()
    }
}

/// Whether the one task wants to be polled.
struct WakeFlag(AtomicBool);

impl WakeFlag {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the result of an operation.
pub(crate) fn decode_result<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, Failure> {
    from_json(json, "the result")
}

/// For completions that carry nothing.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a decoder")]
pub(crate) fn decode_nothing(_json: &str) -> Result<(), Failure> {
    Ok(())
}
