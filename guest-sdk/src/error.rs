//! What goes wrong, in two kinds.
//!
//! A [`HostError`] says that the host refused a call: nothing happened and nothing was recorded.
//! [`HostError::Overloaded`] and [`HostError::Busy`] pass with time; the others do not go away by trying again.
//!
//! A [`Failure`] is a durable fact: it says how a function ended, is kept in histories and travels
//! unchanged from a child to its parent. Any Rust error becomes a failure with `?`. For that
//! reason `Failure` itself is not a [`std::error::Error`].

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::types as wit;

/// How a function failed. Its parts are the fields of [`FailureDetails`].
///
/// ```
/// use everstate_sdk::Failure;
///
/// let failure = Failure::new("InsufficientFunds", "the account holds less").non_retriable();
/// assert_eq!(failure.error_type, "InsufficientFunds");
/// let other: Failure = "x".parse::<u32>().unwrap_err().into();
/// assert_eq!(other.error_type, "ParseIntError");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<FailureDetails>);

/// What is known of a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureDetails {
    /// A short machine-readable class, for instance `InsufficientFunds`.
    pub error_type: String,
    /// What went wrong, for people.
    pub error_message: String,
    /// Where it went wrong, if the guest's language can tell.
    pub stack_trace: Option<String>,
    /// The failures that caused this one, nearest first.
    pub inner_failures: Vec<InnerFailure>,
    /// True if trying again cannot help; a retry policy then stops at once.
    pub is_non_retriable: bool,
    /// Further facts as pairs of name and JSON text.
    pub properties: Vec<(String, String)>,
}

/// One link of the chain of causes below a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerFailure {
    /// As in [`FailureDetails::error_type`].
    pub error_type: String,
    /// As in [`FailureDetails::error_message`].
    pub error_message: String,
    /// As in [`FailureDetails::stack_trace`].
    pub stack_trace: Option<String>,
}

impl Failure {
    /// A failure without causes and further facts.
    pub fn new(error_type: impl Into<String>, error_message: impl Into<String>) -> Self {
        Self(Box::new(FailureDetails {
            error_type: error_type.into(),
            error_message: error_message.into(),
            stack_trace: None,
            inner_failures: Vec::new(),
            is_non_retriable: false,
            properties: Vec::new(),
        }))
    }

    /// The same failure, marked as one that trying again cannot help.
    #[must_use]
    pub fn non_retriable(mut self) -> Self {
        self.is_non_retriable = true;
        self
    }

    /// The same failure with one fact more. A value without a JSON form is replaced by the reason.
    #[must_use]
    pub fn with_property<T: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Self {
        let json = serde_json::to_string(value)
            .unwrap_or_else(|error| serde_json::Value::String(error.to_string()).to_string());
        self.properties.push((name.into(), json));
        self
    }

    /// The same failure with what caused it: another failure, or any error. The cause and its own
    /// causes go below those that the failure has.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Self>) -> Self {
        let cause = *cause.into().0;
        self.inner_failures.push(InnerFailure {
            error_type: cause.error_type,
            error_message: cause.error_message,
            stack_trace: cause.stack_trace,
        });
        self.inner_failures.extend(cause.inner_failures);
        self
    }

    /// The value of a property; `None` if there is none, or none that is a `T`.
    #[must_use]
    pub fn property<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let (_, json) = self.properties.iter().find(|(each, _)| each == name)?;
        serde_json::from_str(json).ok()
    }

    /// What caused this failure, with what caused that in turn. The cause of an `ActivityFailed`
    /// or `SubOrchestrationFailed` is what the activity or the child reported.
    #[must_use]
    pub fn cause(&self) -> Option<Self> {
        let (nearest, further) = self.inner_failures.split_first()?;
        let mut cause = Self::new(nearest.error_type.clone(), nearest.error_message.clone());
        cause.stack_trace.clone_from(&nearest.stack_trace);
        cause.inner_failures = further.to_vec();
        if self.is_wrapper() {
            cause.is_non_retriable = self.is_non_retriable;
            cause.properties.clone_from(&self.properties);
        }
        Some(cause)
    }

    /// Whether this failure or one in the chain of its causes is of that type.
    #[must_use]
    pub fn is_caused_by(&self, error_type: &str) -> bool {
        self.error_type == error_type
            || self.inner_failures.iter().any(|inner| inner.error_type == error_type)
    }

    /// What the activity or the child reported, if this says that one failed; else this.
    pub(crate) fn unwrapped(self) -> Self {
        let cause = if self.is_wrapper() { self.cause() } else { None };
        cause.unwrap_or(self)
    }

    /// Whether the host made this failure around that of an activity or a child.
    fn is_wrapper(&self) -> bool {
        matches!(self.error_type.as_str(), "ActivityFailed" | "SubOrchestrationFailed")
    }

    /// What an entity answers to an operation that it does not know.
    #[must_use]
    pub fn unknown_operation(operation: &str) -> Self {
        let message = format!("No operation named '{operation}' was found.");
        Self::new("UnknownOperation", message).non_retriable()
    }
}

impl Deref for Failure {
    type Target = FailureDetails;

    fn deref(&self) -> &FailureDetails {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut FailureDetails {
        &mut self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.error_message)
    }
}

/// Any error becomes a failure: its type's name is the error type, its sources are the causes.
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut failure = Self::new(short_type_name::<E>(), error.to_string());
        let any: &(dyn Error + 'static) = &error;
        if let Some(refusal) = any.downcast_ref::<HostError>() {
            failure.error_type = refusal.error_type().to_owned();
            failure.is_non_retriable =
                !matches!(refusal, HostError::Overloaded(_) | HostError::Busy(_));
        }
        let mut cause = error.source();
        while let Some(inner) = cause {
            failure.inner_failures.push(InnerFailure {
                error_type: "Error".to_owned(),
                error_message: inner.to_string(),
                stack_trace: None,
            });
            cause = inner.source();
        }
        failure
    }
}

/// Why a call to the host was refused. Nothing happened and nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// The arguments are wrong, and the text says which. Calling again does not help.
    InvalidArgument(String),
    /// This kind of function may not do that, or this host cannot; the text says what to use
    /// instead.
    NotSupported(String),
    /// What was asked is larger than a limit of the host; the text names it. Try smaller.
    LimitExceeded(String),
    /// The named instance or function does not exist.
    NotFound(String),
    /// The instance is in a state that forbids the call, for instance alive where it must be
    /// finished.
    Conflict(String),
    /// The host has too much waiting, or is stopping. Try again later.
    Overloaded(String),
    /// The named instance has too much waiting. Try again later.
    Busy(String),
}

impl HostError {
    /// The text that the host gave.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::InvalidArgument(text)
            | Self::NotSupported(text)
            | Self::LimitExceeded(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Overloaded(text)
            | Self::Busy(text) => text,
        }
    }

    /// The class as it stands in a [`Failure`].
    fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidArgument(_) => "InvalidArgument",
            Self::NotSupported(_) => "NotSupported",
            Self::LimitExceeded(_) => "LimitExceeded",
            Self::NotFound(_) => "NotFound",
            Self::Conflict(_) => "Conflict",
            Self::Overloaded(_) => "Overloaded",
            Self::Busy(_) => "Busy",
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl Error for HostError {}

impl From<wit::HostError> for HostError {
    fn from(error: wit::HostError) -> Self {
        match error {
            wit::HostError::InvalidArgument(text) => Self::InvalidArgument(text),
            wit::HostError::NotSupported(text) => Self::NotSupported(text),
            wit::HostError::LimitExceeded(text) => Self::LimitExceeded(text),
            wit::HostError::NotFound(text) => Self::NotFound(text),
            wit::HostError::Conflict(text) => Self::Conflict(text),
            wit::HostError::Overloaded(text) => Self::Overloaded(text),
            wit::HostError::Busy(text) => Self::Busy(text),
        }
    }
}

/// What a call of the client can end with. Like [`Failure`] it is not a [`std::error::Error`];
/// `?` turns it into a [`Failure`] or an [`HttpError`](crate::HttpError).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The host refused the call.
    Refused(HostError),
    /// The called operation failed, or a value could not be written or read as JSON.
    Failed(Failure),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl From<HostError> for ClientError {
    fn from(refusal: HostError) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::Failed(failure) => failure,
        }
    }
}

/// The failure as the contract has it. Not a `From`: that one is taken by all errors.
pub(crate) fn failure_from_wit(failure: wit::Failure) -> Failure {
    let inner_failures = failure.inner_failures.into_iter().map(|inner| InnerFailure {
        error_type: inner.error_type,
        error_message: inner.error_message,
        stack_trace: inner.stack_trace,
    });
    Failure(Box::new(FailureDetails {
        error_type: failure.error_type,
        error_message: failure.error_message,
        stack_trace: failure.stack_trace,
        inner_failures: inner_failures.collect(),
        is_non_retriable: failure.is_non_retriable,
        properties: failure.properties,
    }))
}

/// The other way round.
pub(crate) fn failure_to_wit(failure: Failure) -> wit::Failure {
    let failure = *failure.0;
    let inner_failures = failure.inner_failures.into_iter().map(|inner| wit::InnerFailure {
        error_type: inner.error_type,
        error_message: inner.error_message,
        stack_trace: inner.stack_trace,
    });
    wit::Failure {
        error_type: failure.error_type,
        error_message: failure.error_message,
        stack_trace: failure.stack_trace,
        inner_failures: inner_failures.collect(),
        is_non_retriable: failure.is_non_retriable,
        properties: failure.properties,
    }
}

/// `ParseIntError` for `core::num::error::ParseIntError`.
fn short_type_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
