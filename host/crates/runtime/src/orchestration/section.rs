//! [`Section`]: the critical section of one execution, from `lock-entities` to the unlock, and what may
//! not be asked for meanwhile.
//!
//! What a rule forbids is answered at once and recorded nowhere, so a replay has to find the same answer
//! by itself. Nothing decides but what the guest has asked for and taken, and which results arrived with
//! the turns that it has lived through. A rule that is changed makes running orchestrations diverge.
//!
//! Who holds what is known to the entities; this is the view of the orchestration, which waits for no
//! entity that it cannot have: it takes all locks at once, in one order, and none in between.

use std::collections::HashMap;

use everstate_types::{Action, EntityId};

/// What an orchestration may not do between asking for a lock and giving it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// Two orchestrations could wait for each other.
    #[error("Must not enter another critical section from within a critical section.")]
    Nested,
    /// A child could wait for what its parent holds.
    #[error("While holding locks, cannot call suborchestrators.")]
    Child,
    /// The signal would wait for the end of the section, and calls would overtake it.
    #[error("Must not signal a locked entity from a critical section.")]
    SignalToLocked,
    /// It is not known what is held.
    #[error("Must await the completion of the lock request prior to calling any entity.")]
    NotEntered,
    /// Somebody else may hold it and wait for what is held here.
    #[error(
        "Must not call an entity from a critical section if it is not one of the locked entities."
    )]
    NotLocked,
    /// Calls to one entity go one after the other.
    #[error(
        "Must not call an entity from a critical section while a prior call to the same entity is \
         still pending."
    )]
    CallPending,
}

/// The critical section of an execution; usually there is none.
#[derive(Debug, Default)]
pub(super) struct Section(Option<Open>);

#[derive(Debug)]
struct Open {
    /// The number of the action that asked for the lock.
    lock: usize,
    /// In the order in which they are taken: sorted.
    entities: Vec<EntityId>,
    stage: Stage,
    /// Calls of this section that no result has arrived for, by their numbers.
    pending: HashMap<usize, EntityId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The lock was asked for.
    Asked,
    /// It was granted, and the guest does not know yet.
    Granted,
    /// The guest knows.
    Entered,
}

impl Section {
    /// Whether an action may be asked for now.
    pub(super) fn check(&self, action: &Action) -> Result<(), Violation> {
        let Some(open) = &self.0 else { return Ok(()) };
        let is_entered = open.stage == Stage::Entered;
        match action {
            Action::LockEntities { .. } => Err(Violation::Nested),
            Action::CallSubOrchestration { .. } => Err(Violation::Child),
            Action::SignalEntity { entity, .. } if open.locks(entity) => match is_entered {
                true => Err(Violation::SignalToLocked),
                false => Err(Violation::NotEntered),
            },
            Action::CallEntity { .. } if !is_entered => Err(Violation::NotEntered),
            Action::CallEntity { entity, .. } if !open.locks(entity) => Err(Violation::NotLocked),
            Action::CallEntity { entity, .. } if open.pending.values().any(|of| of == entity) => {
                Err(Violation::CallPending)
            }
            _ => Ok(()),
        }
    }

    /// An action was asked for under this number.
    pub(super) fn asked(&mut self, number: usize, action: &Action) {
        match (action, &mut self.0) {
            (Action::LockEntities { entities, .. }, section) => {
                *section = Some(Open {
                    lock: number,
                    entities: entities.clone(),
                    stage: Stage::Asked,
                    pending: HashMap::new(),
                });
            }
            (Action::CallEntity { entity, .. }, Some(open)) => {
                open.pending.insert(number, entity.clone());
            }
            _ => {}
        }
    }

    /// What came of an action has arrived. A lock that cannot be had ends its section.
    pub(super) fn arrived(&mut self, number: usize, is_failure: bool) {
        let Some(open) = &mut self.0 else { return };
        open.pending.remove(&number);
        if open.lock == number && open.stage == Stage::Asked {
            match is_failure {
                true => self.0 = None,
                false => open.stage = Stage::Granted,
            }
        }
    }

    /// The guest took what came of an action. It enters the section whose grant that is.
    pub(super) fn taken(&mut self, number: usize) {
        if let Some(open) = self.0.as_mut().filter(|open| open.lock == number) {
            open.stage = Stage::Entered;
        }
    }

    /// Whether there is a section of this lock that the guest has not entered.
    pub(super) fn is_awaited(&self, lock: usize) -> bool {
        self.0.as_ref().is_some_and(|open| open.lock == lock && open.stage != Stage::Entered)
    }

    /// Ends the section of this lock, and gives the entities that are to be given back. `None`: it has
    /// ended before.
    pub(super) fn leave(&mut self, lock: usize) -> Option<Vec<EntityId>> {
        self.0.take_if(|open| open.lock == lock).map(|open| open.entities)
    }
}

impl Open {
    fn locks(&self, entity: &EntityId) -> bool {
        self.entities.binary_search(entity).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Section, Violation};
    use crate::orchestration::tests::{call, child, entity, lock, signal, start, timer};

    /// The number of the lock of the sections here.
    const LOCK: usize = 3;

    /// A section with `a` and `b` whose grant has not arrived.
    fn asked() -> Section {
        let mut section = Section::default();
        section.asked(LOCK, &lock(&["a", "b"]));
        section
    }

    /// A section with `a` and `b` that the guest has entered.
    fn entered() -> Section {
        let mut section = asked();
        section.arrived(LOCK, false);
        section.taken(LOCK);
        section
    }

    #[test]
    fn outside_of_a_section_nothing_is_forbidden() {
        let mut section = Section::default();
        section.asked(0, &call("a"));
        for action in [call("a"), signal("a"), child("c"), lock(&["a"])] {
            assert_eq!(section.check(&action), Ok(()), "{action:?}");
        }
    }

    #[test]
    fn another_lock_is_forbidden_from_the_request_on() {
        for section in [asked(), entered()] {
            assert_eq!(section.check(&lock(&["c"])), Err(Violation::Nested));
        }
        assert_eq!(
            Violation::Nested.to_string(),
            "Must not enter another critical section from within a critical section."
        );
    }

    #[test]
    fn child_is_forbidden_from_the_request_on_and_a_start_is_not() {
        for section in [asked(), entered()] {
            assert_eq!(section.check(&child("c")), Err(Violation::Child));
            assert_eq!(section.check(&start("c")), Ok(()));
            assert_eq!(section.check(&timer(1)), Ok(()));
        }
        assert_eq!(
            Violation::Child.to_string(),
            "While holding locks, cannot call suborchestrators."
        );
    }

    #[test]
    fn signal_to_a_locked_entity_is_forbidden_and_to_another_one_not() {
        let section = entered();
        assert_eq!(section.check(&signal("b")), Err(Violation::SignalToLocked));
        assert_eq!(section.check(&signal("c")), Ok(()));
        assert_eq!(
            Violation::SignalToLocked.to_string(),
            "Must not signal a locked entity from a critical section."
        );
    }

    #[test]
    fn call_before_the_guest_knows_of_the_grant_is_forbidden() {
        let mut section = asked();
        for _ in ["asked", "granted"] {
            for action in [call("a"), call("c"), signal("a")] {
                assert_eq!(section.check(&action), Err(Violation::NotEntered), "{action:?}");
            }
            assert_eq!(section.check(&signal("c")), Ok(()));
            section.arrived(LOCK, false);
        }
        section.taken(LOCK);
        assert_eq!(section.check(&call("a")), Ok(()));
        assert_eq!(
            Violation::NotEntered.to_string(),
            "Must await the completion of the lock request prior to calling any entity."
        );
    }

    #[test]
    fn call_to_an_entity_that_is_not_locked_is_forbidden() {
        assert_eq!(entered().check(&call("c")), Err(Violation::NotLocked));
        assert_eq!(
            Violation::NotLocked.to_string(),
            "Must not call an entity from a critical section if it is not one of the locked entities."
        );
    }

    #[test]
    fn call_is_forbidden_while_another_one_to_the_same_entity_is_pending() {
        let mut section = entered();
        section.asked(7, &call("a"));
        assert_eq!(section.check(&call("a")), Err(Violation::CallPending));
        assert_eq!(section.check(&call("b")), Ok(()));
        section.arrived(6, false);
        assert_eq!(section.check(&call("a")), Err(Violation::CallPending));
        section.arrived(7, true);
        assert_eq!(section.check(&call("a")), Ok(()), "whatever came of it");
        assert_eq!(
            Violation::CallPending.to_string(),
            "Must not call an entity from a critical section while a prior call to the same entity is \
             still pending."
        );
    }

    #[test]
    fn call_from_before_the_section_does_not_count_as_pending() {
        let mut section = Section::default();
        section.asked(0, &call("a"));
        section.asked(1, &lock(&["a"]));
        section.arrived(1, false);
        section.taken(1);
        assert_eq!(section.check(&call("a")), Ok(()));
    }

    #[test]
    fn lock_that_cannot_be_had_ends_the_section_and_a_late_failure_does_not() {
        let mut section = asked();
        section.arrived(LOCK, true);
        assert_eq!(section.check(&lock(&["a"])), Ok(()));
        assert_eq!(section.leave(LOCK), None);

        for mut section in [entered(), asked()] {
            section.arrived(LOCK, false);
            section.arrived(LOCK, true);
            assert_eq!(section.check(&lock(&["a"])), Err(Violation::Nested));
        }
    }

    #[test]
    fn section_is_left_once_by_its_own_lock() {
        for mut section in [asked(), entered()] {
            assert_eq!(section.leave(LOCK + 1), None);
            assert_eq!(section.leave(LOCK), Some(vec![entity("a"), entity("b")]));
            assert_eq!(section.leave(LOCK), None);
            assert_eq!(section.check(&signal("a")), Ok(()));
        }
    }

    #[test]
    fn section_is_awaited_until_the_guest_has_entered_it() {
        let mut section = asked();
        assert!(section.is_awaited(LOCK) && !section.is_awaited(LOCK + 1));
        section.arrived(LOCK, false);
        assert!(section.is_awaited(LOCK));
        section.taken(LOCK);
        assert!(!section.is_awaited(LOCK));
    }
}
