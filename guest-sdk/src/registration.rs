//! The list of a component's functions.
//!
//! Each attribute leaves a [`Registration`] and a constructor that runs before any export of the
//! component does (wasm-ld keeps constructors, and both `_initialize` and every export call them).
//! The list is linked through the registrations themselves, so that the constructors allocate
//! nothing, and adding twice does nothing: constructors may run more than once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::activity::ActivityContext;
use crate::entity::{EntityCall, EntityOptions};
use crate::error::Failure;
use crate::http::{HttpError, HttpRequest, HttpResponse};

/// The function that was added last.
static LAST: Link = Mutex::new(None);

/// A place in the list. Nothing can go wrong while it is locked, so poison means nothing.
type Link = Mutex<Option<&'static Registration>>;

/// Does one operation of an entity; gives its result.
pub type RunEntity = fn(EntityCall) -> Result<Option<String>, Failure>;

/// One function of the component.
#[derive(Debug)]
pub struct Registration {
    name: &'static str,
    run: Run,
    is_added: AtomicBool,
    /// The one added before this one.
    previous: Link,
}

/// A function's kind, and how it is run. The attributes generate these functions.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// Runs to the end of the orchestration; gives its output.
    Orchestrator(fn() -> Result<String, Failure>),
    /// An entity.
    Entity {
        /// What holds for all entities of this type.
        options: &'static EntityOptions,
        /// Does one operation; gives its result.
        run: RunEntity,
    },
    /// Runs one activity with its input; gives its result.
    Activity(fn(ActivityContext, String) -> Result<String, Failure>),
    /// Answers a request.
    Http {
        /// In upper case; none: any.
        methods: &'static [&'static str],
        /// The template without its leading slash.
        route: &'static str,
        /// Which key a request must bring.
        authorization: Authorization,
        /// Answers a request.
        handle: fn(HttpRequest) -> Result<HttpResponse, HttpError>,
    },
}

/// Which key a request must bring to start an HTTP function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// None.
    Anonymous,
    /// One of the function, of the host or of the management.
    Function,
    /// One of the management.
    Admin,
}

impl Registration {
    /// A function that is not in the list yet.
    #[must_use]
    pub const fn new(name: &'static str, run: Run) -> Self {
        Self { name, run, is_added: AtomicBool::new(false), previous: Mutex::new(None) }
    }

    /// Puts the function into the list, once.
    pub fn add(&'static self) {
        if self.is_added.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut last = lock(&LAST);
        *lock(&self.previous) = last.take();
        *last = Some(self);
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn run(&self) -> Run {
        self.run
    }
}

/// All functions of the component, in no order that means anything.
pub(crate) fn all() -> impl Iterator<Item = &'static Registration> {
    let last = *lock(&LAST);
    std::iter::successors(last, |registration| *lock(&registration.previous))
}

/// The entity function of that name, and its options.
pub(crate) fn find_entity(name: &str) -> Result<(RunEntity, &'static EntityOptions), Failure> {
    find(name, |run| match run {
        Run::Entity { options, run } => Some((run, options)),
        Run::Orchestrator(_) | Run::Activity(_) | Run::Http { .. } => None,
    })
}

/// The function of that name whose `run` is wanted; the case of the name does not matter.
pub(crate) fn find<T>(name: &str, wanted: impl Fn(Run) -> Option<T>) -> Result<T, Failure> {
    all()
        .filter(|registration| registration.name.eq_ignore_ascii_case(name))
        .find_map(|registration| wanted(registration.run))
        .ok_or_else(|| {
            Failure::new(
                "FunctionNotFound",
                format!("this component has no such function: `{name}`"),
            )
            .non_retriable()
        })
}

fn lock(link: &Link) -> MutexGuard<'_, Option<&'static Registration>> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_added_twice_is_listed_once_and_found_in_any_case() {
        static FIRST: Registration =
            Registration::new("First", Run::Orchestrator(|| Ok("1".to_owned())));
        static SECOND: Registration = Registration::new(
            "Second",
            Run::Entity { options: &EntityOptions::NONE, run: |_| Ok(None) },
        );
        FIRST.add();
        SECOND.add();
        FIRST.add();
        let names: Vec<_> = all().map(Registration::name).collect();
        assert_eq!(names, ["Second", "First"]);

        let orchestrator = |run| match run {
            Run::Orchestrator(run) => Some(run),
            Run::Entity { .. } | Run::Activity(_) | Run::Http { .. } => None,
        };
        assert_eq!(find("FIRST", orchestrator).unwrap()().unwrap(), "1");
        let failure = find("Second", orchestrator).unwrap_err();
        assert_eq!(failure.error_type, "FunctionNotFound");
    }
}
