//! [`Readiness`]: what the rest of the host knows of whether it works as it should.

use std::fmt;
use std::sync::{PoisonError, RwLock};

/// Tells what is not as it should be, though requests are answered.
pub trait Readiness: fmt::Debug + Send + Sync + 'static {
    /// All of it. Called for every request that asks, so it must be cheap.
    fn warnings(&self) -> Vec<Warning>;
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// A stable name of what it is, in camel case: `brokenComponent`.
    pub kind: &'static str,
    /// The file that it is about, if it is about one.
    pub file: Option<String>,
    /// What is wrong, for people.
    pub message: String,
}

/// Warnings that one part of the host sets and the server tells.
#[derive(Debug, Default)]
pub struct SharedWarnings(RwLock<Vec<Warning>>);

impl SharedWarnings {
    /// Puts these in the place of those before.
    pub fn set(&self, warnings: Vec<Warning>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = warnings;
    }
}

impl Readiness for SharedWarnings {
    fn warnings(&self) -> Vec<Warning> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
