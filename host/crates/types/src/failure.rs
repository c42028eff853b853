//! [`Failure`]: a durable fact about guest code. It is data and travels unchanged from a child to
//! its parent; errors of the host are Rust errors and stay in the host.

use serde::{Deserialize, Serialize};

/// What went wrong in a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// A short machine-readable class, for instance `EntityOperationFailed`.
    pub error_type: String,
    /// What went wrong, for people.
    pub error_message: String,
    /// Where it went wrong, if the guest's language can tell.
    pub stack_trace: Option<String>,
    /// The failures that caused this one, nearest first.
    pub inner_failures: Vec<InnerFailure>,
    /// True if trying again cannot help.
    pub is_non_retriable: bool,
    /// Further facts: name and JSON text.
    pub properties: Vec<(String, String)>,
}

/// One link of the chain of causes below a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerFailure {
    /// As in [`Failure::error_type`].
    pub error_type: String,
    /// As in [`Failure::error_message`].
    pub error_message: String,
    /// As in [`Failure::stack_trace`].
    pub stack_trace: Option<String>,
}

impl Failure {
    /// A failure without causes and further facts.
    pub fn new(error_type: impl Into<String>, error_message: impl Into<String>) -> Self {
        Self {
            error_type: error_type.into(),
            error_message: error_message.into(),
            stack_trace: None,
            inner_failures: Vec::new(),
            is_non_retriable: false,
            properties: Vec::new(),
        }
    }

    /// The same failure, marked as one that trying again cannot help.
    #[must_use]
    pub fn non_retriable(mut self) -> Self {
        self.is_non_retriable = true;
        self
    }
}
