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
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::error::{Failure, HostError};
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
    /// Handles that somebody waits for, with what to wake when they complete.
    wakers: BTreeMap<Handle, Waker>,
    /// Completions that the host gave and nobody has taken yet.
    completions: BTreeMap<Handle, Result<String, Failure>>,
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
        decode: fn(&str) -> Result<T, Failure>,
    ) -> DurableFuture<T> {
        let stage = match begun {
            Ok(handle) => Stage::Waiting(handle),
            Err(refusal) => Stage::Refused(refusal.into()),
        };
        DurableFuture { executor: self.clone(), stage, decode, output: PhantomData }
    }

    fn wait_for_one(&self) -> Result<(), Failure> {
        let handles: Vec<Handle> = self.waits.borrow().wakers.keys().copied().collect();
        if handles.is_empty() {
            return Err(Failure::new(
                "NotDurable",
                "the orchestrator awaited something that is not durable; it may await only what \
                 its context returns, and combinations of that",
            )
            .non_retriable());
        }
        let (handle, outcome) = self.host.wait_any(&handles);
        let mut waits = self.waits.borrow_mut();
        let waker =
            waits.wakers.remove(&handle).expect("the host answers with a handle it was given");
        waits.completions.insert(handle, outcome);
        drop(waits);
        waker.wake();
        Ok(())
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.waits.borrow().wakers.keys()).finish()
    }
}

/// The result of a durable operation, once it is awaited.
///
/// The operation begins when the method that returned this future is called, not when the future
/// is first polled: two calls made one after the other run at the same time, whatever is awaited
/// first. Dropping the future before it has completed gives up on the operation: a timer no longer
/// fires, an event goes to the next waiter, and any other result is dropped when it comes.
///
/// It works with the combinators of any futures library (`join!`, `join_all`, `select`). It can be
/// moved freely (`Unpin`) and must not be polled again after it has completed.
#[must_use = "the result is lost, and with it any failure, unless the future is awaited"]
pub struct DurableFuture<T> {
    executor: Executor,
    stage: Stage,
    decode: fn(&str) -> Result<T, Failure>,
    output: PhantomData<fn() -> T>,
}

/// Where a [`DurableFuture`] is in its life.
#[derive(Debug)]
enum Stage {
    /// The host refused; the failure is what awaiting gives.
    Refused(Failure),
    /// Under way.
    Waiting(Handle),
    /// The output has been given.
    Done,
}

impl<T> DurableFuture<T> {
    /// The handle, as long as the operation is under way.
    pub(crate) fn handle(&self) -> Option<Handle> {
        match self.stage {
            Stage::Waiting(handle) => Some(handle),
            Stage::Refused(_) | Stage::Done => None,
        }
    }
}

impl<T> Future for DurableFuture<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Refused(failure) => Poll::Ready(Err(failure)),
            Stage::Waiting(handle) => {
                let mut waits = self.executor.waits.borrow_mut();
                if let Some(outcome) = waits.completions.remove(&handle) {
                    drop(waits);
                    return Poll::Ready(outcome.and_then(|json| (self.decode)(&json)));
                }
                waits.wakers.insert(handle, context.waker().clone());
                drop(waits);
                self.stage = Stage::Waiting(handle);
                Poll::Pending
            }
            Stage::Done => Poll::Ready(Err(Failure::new(
                "PolledAfterCompletion",
                "a durable future was polled again after it had given its result",
            ))),
        }
    }
}

impl<T> Drop for DurableFuture<T> {
    fn drop(&mut self) {
        let Stage::Waiting(handle) = self.stage else { return };
        let mut waits = self.executor.waits.borrow_mut();
        let is_completed = waits.completions.remove(&handle).is_some();
        let waker = waits.wakers.remove(&handle);
        drop(waits);
        // Outside the borrow, because a waker may own futures.
        drop(waker);
        if !is_completed {
            self.executor.host.cancel(handle);
        }
    }
}

impl<T> fmt::Debug for DurableFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DurableFuture").field(&self.stage).finish()
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

/// A handle as the contract gives it, or its refusal.
pub(crate) fn begun<E: Into<HostError>>(result: Result<Handle, E>) -> Result<Handle, Failure> {
    result.map_err(|refusal| Failure::from(refusal.into()))
}
