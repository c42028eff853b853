//! [`EntityLock`]: several entities held by one orchestration.

use std::rc::Rc;

use crate::error::HostError;
use crate::executor::{DurableFuture, Handle};
use crate::orchestration::host::Host;

/// Exclusive use of several entities. Dropping it releases them; they are released in any case
/// when the execution ends.
#[derive(Debug)]
#[must_use = "the entities are released as soon as the lock is dropped"]
pub struct EntityLock {
    host: Rc<dyn Host>,
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
        self.host.unlock_entities(self.handle)
    }

    /// The lock, once the host has granted it.
    pub(super) fn when(granted: DurableFuture<()>, host: Rc<dyn Host>) -> DurableFuture<Self> {
        let handle = granted.handle();
        DurableFuture::composed(async move {
            granted.await?;
            let handle = handle.expect("only a call that was not refused can be granted");
            Ok(Self { host, handle, is_released: false })
        })
    }
}

impl Drop for EntityLock {
    fn drop(&mut self) {
        if !self.is_released {
            // Nobody is left to hear of a refusal, and the end of the execution releases too.
            drop(self.host.unlock_entities(self.handle));
        }
    }
}
