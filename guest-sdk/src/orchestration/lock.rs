//! [`EntityLock`]: several entities held by one orchestration.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::error::{Failure, HostError};
use crate::executor::{DurableFuture, Handle};
use crate::orchestration::host::Host;

#[cfg(test)]
mod tests;

/// Exclusive use of several entities: a critical section. Dropping it releases them; they are
/// released in any case when the execution ends, however it does.
#[derive(Debug)]
#[must_use = "the entities are released as soon as the lock is dropped"]
pub struct EntityLock {
    host: Rc<dyn Host>,
    handle: Handle,
    is_held: bool,
}

impl EntityLock {
    /// Releases the entities now, and says so if the host refuses.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn unlock(mut self) -> Result<(), HostError> {
        self.is_held = false;
        self.host.unlock_entities(self.handle)
    }

    /// The lock of that handle, once the host has granted it.
    pub(super) fn when(
        granted: DurableFuture<()>,
        handle: Handle,
        host: Rc<dyn Host>,
    ) -> DurableFuture<Self> {
        let lock = Some(Self { host, handle, is_held: false });
        DurableFuture::composed(Request { granted, lock })
    }
}

impl Drop for EntityLock {
    fn drop(&mut self) {
        if self.is_held {
            // Nobody is left to hear of a refusal, and the end of the execution releases too.
            drop(self.host.unlock_entities(self.handle));
        }
    }
}

/// A lock that was asked for. Dropping it before it gave the lock gives the entities up: if the grant
/// has not come, `granted` cancels what it waits for; if it has and nobody took it, the lock is
/// released here.
struct Request {
    granted: DurableFuture<()>,
    /// `None` once it was given.
    lock: Option<EntityLock>,
}

impl Future for Request {
    type Output = Result<EntityLock, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let granted = ready!(Pin::new(&mut self.granted).poll(context));
        let mut lock = self.lock.take().expect("a future is not polled after it has completed");
        granted?;
        lock.is_held = true;
        Poll::Ready(Ok(lock))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(lock) = &mut self.lock {
            lock.is_held = self.granted.has_succeeded();
        }
    }
}
