//! [`EntityLock`]: several entities held by one orchestration.

use std::future::Future;

use crate::bindings::imports::orchestration as host;
use crate::error::{Failure, HostError};
use crate::executor::{DurableFuture, Handle};

/// Exclusive use of several entities. Dropping it releases them; they are released in any case
/// when the execution ends.
#[derive(Debug)]
#[must_use = "the entities are released as soon as the lock is dropped"]
pub struct EntityLock {
    handle: Handle,
    is_released: bool,
}

impl EntityLock {
    /// Releases the entities now, and says so if the host refuses.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn unlock(mut self) -> Result<(), HostError> {
        self.is_released = true;
        Ok(host::unlock_entities(self.handle)?)
    }

    /// The lock, once the host has granted it.
    pub(super) fn when(
        granted: DurableFuture<()>,
    ) -> impl Future<Output = Result<Self, Failure>> + use<> {
        let handle = granted.handle();
        async move {
            granted.await?;
            let handle = handle.expect("only a call that was not refused can be granted");
            Ok(Self { handle, is_released: false })
        }
    }
}

impl Drop for EntityLock {
    fn drop(&mut self) {
        if !self.is_released {
            // Nobody is left to hear of a refusal, and the end of the execution releases too.
            drop(host::unlock_entities(self.handle));
        }
    }
}
