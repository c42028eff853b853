//! The critical section of an orchestrator under test, and what may not be asked for meanwhile. The
//! rules and their texts are the host's; here nobody else competes for the entities.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::HostError;
use crate::executor::Handle;
use crate::id::EntityId;

/// The critical section; usually there is none.
#[derive(Default)]
pub(super) struct Section(Option<Open>);

struct Open {
    lock: Handle,
    entities: BTreeSet<EntityId>,
    /// Whether the orchestrator has taken the grant.
    is_entered: bool,
    /// Calls that no result has arrived for.
    pending: BTreeMap<Handle, EntityId>,
}

/// What an orchestrator is about to ask for.
#[derive(Clone, Copy)]
pub(super) enum Wish<'a> {
    Lock,
    Child,
    Signal(&'a EntityId),
    Call(&'a EntityId),
}

impl Section {
    /// Whether it may ask for that now.
    pub(super) fn check(&self, wish: Wish<'_>) -> Result<(), HostError> {
        let Some(open) = &self.0 else { return Ok(()) };
        let no = |text: &str| Err(HostError::Conflict(text.to_owned()));
        match wish {
            Wish::Lock => {
                no("Must not enter another critical section from within a critical section.")
            }
            Wish::Child => no("While holding locks, cannot call suborchestrators."),
            Wish::Signal(entity) if !open.entities.contains(entity) => Ok(()),
            Wish::Signal(_) | Wish::Call(_) if !open.is_entered => {
                no("Must await the completion of the lock request prior to calling any entity.")
            }
            Wish::Signal(_) => no("Must not signal a locked entity from a critical section."),
            Wish::Call(entity) if !open.entities.contains(entity) => no(
                "Must not call an entity from a critical section if it is not one of the locked \
                 entities.",
            ),
            Wish::Call(entity) if open.pending.values().any(|each| each == entity) => no(
                "Must not call an entity from a critical section while a prior call to the same \
                 entity is still pending.",
            ),
            Wish::Call(_) => Ok(()),
        }
    }

    /// A lock was asked for.
    pub(super) fn asked(&mut self, lock: Handle, entities: &[EntityId]) {
        self.0 = Some(Open {
            lock,
            entities: entities.iter().cloned().collect(),
            is_entered: false,
            pending: BTreeMap::new(),
        });
    }

    /// An entity was called.
    pub(super) fn called(&mut self, handle: Handle, entity: &EntityId) {
        if let Some(open) = &mut self.0 {
            open.pending.insert(handle, entity.clone());
        }
    }

    /// What came of a call has arrived.
    pub(super) fn arrived(&mut self, handle: Handle) {
        if let Some(open) = &mut self.0 {
            open.pending.remove(&handle);
        }
    }

    /// The orchestrator took what came of something.
    pub(super) fn taken(&mut self, handle: Handle) {
        if let Some(open) = self.0.as_mut().filter(|open| open.lock == handle) {
            open.is_entered = true;
        }
    }

    /// Ends the section of a lock, and says whether there was one.
    pub(super) fn leave(&mut self, lock: Handle) -> bool {
        self.0.take_if(|open| open.lock == lock).is_some()
    }
}
