//! [`RetryPolicy`]: when something that failed is tried again. Each wait is a durable timer, so a
//! policy costs nothing while it waits and survives whatever the host does.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Failure, HostError};
use crate::executor::{DurableFuture, Handle};
use crate::orchestration::OrchestrationContext;

#[cfg(test)]
mod tests;

/// Longest wait between two attempts if nothing else is said.
const MAX_INTERVAL_DEFAULT: Duration = Duration::from_secs(60 * 60);

/// When something that failed is tried again: an activity, a child, a durable HTTP request.
///
/// The wait before the n-th retry is `first_interval * backoff_coefficient^(n-1)`, at most
/// `max_interval`. No further attempt is made, and the last failure is the result, as soon as
///
/// - the failure is marked as one that trying again cannot help
///   ([`is_non_retriable`](crate::FailureDetails::is_non_retriable)),
/// - all attempts are made,
/// - the predicate says no, or
/// - the total timeout is over when an attempt has failed.
///
/// A policy that makes no sense (a first interval of zero, no attempt at all, a coefficient below
/// 1) makes the call fail with `InvalidArgument`, before its first attempt.
///
/// ```
/// use std::time::Duration;
/// use everstate_sdk::RetryPolicy;
///
/// // Up to five attempts, with waits of 1, 2, 4 and 5 seconds between them.
/// let policy = RetryPolicy::new(Duration::from_secs(1), 5)
///     .backoff_coefficient(2.0)
///     .max_interval(Duration::from_secs(5))
///     .handle(|failure| failure.error_type == "Unavailable");
/// # drop(policy);
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    first_interval: Duration,
    backoff_coefficient: f64,
    max_interval: Duration,
    max_attempts: u32,
    total_timeout: Option<Duration>,
    handle: Option<Rc<Predicate>>,
    status_codes: BTreeSet<u16>,
}

/// Whether a failure is worth another attempt.
type Predicate = dyn Fn(&Failure) -> bool;

impl RetryPolicy {
    /// A policy with the same wait before each retry. `max_attempts` includes the first attempt.
    #[must_use]
    pub fn new(first_interval: Duration, max_attempts: u32) -> Self {
        Self {
            first_interval,
            backoff_coefficient: 1.0,
            max_interval: MAX_INTERVAL_DEFAULT,
            max_attempts,
            total_timeout: None,
            handle: None,
            status_codes: BTreeSet::new(),
        }
    }

    /// By how much each wait is longer than the one before. Default: 1.
    #[must_use]
    pub fn backoff_coefficient(mut self, coefficient: f64) -> Self {
        self.backoff_coefficient = coefficient;
        self
    }

    /// The longest wait. Default: an hour.
    #[must_use]
    pub fn max_interval(mut self, interval: Duration) -> Self {
        self.max_interval = interval;
        self
    }

    /// How long after the beginning of the first attempt another one may still be decided on.
    /// An attempt that is under way is not cut off. Default: without end.
    #[must_use]
    pub fn total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = Some(timeout);
        self
    }

    /// Retries only failures for which the predicate says true. It sees the failure as the
    /// activity or the child reported it, not the `ActivityFailed` around it. It must give the
    /// same answer on every replay. Default: every failure.
    #[must_use]
    pub fn handle(mut self, predicate: impl Fn(&Failure) -> bool + 'static) -> Self {
        self.handle = Some(Rc::new(predicate));
        self
    }

    /// Which responses of a durable HTTP request are retried. Default, and if empty: all that are
    /// not 2xx. A request that got no response is a failure like any other.
    #[must_use]
    pub fn status_codes_to_retry(mut self, codes: impl IntoIterator<Item = u16>) -> Self {
        self.status_codes = codes.into_iter().collect();
        self
    }

    /// Whether a response with this status is worth another attempt.
    pub(super) fn wants_status(&self, status_code: u16) -> bool {
        if self.status_codes.is_empty() {
            !(200..300).contains(&status_code)
        } else {
            self.status_codes.contains(&status_code)
        }
    }

    /// Whether a failure as the author would see it is worth another attempt.
    pub(super) fn wants_failure(&self, failure: &Failure) -> bool {
        if failure.is_non_retriable {
            return false;
        }
        self.handle.as_ref().is_none_or(|handle| handle(&failure.clone().unwrapped()))
    }

    fn check(&self) -> Result<(), HostError> {
        let problem = if self.first_interval.is_zero() {
            "the first interval of a retry policy must be longer than zero"
        } else if self.max_attempts == 0 {
            "a retry policy must allow at least one attempt"
        } else if !self.backoff_coefficient.is_finite() || self.backoff_coefficient < 1.0 {
            "the backoff coefficient of a retry policy must be a number of at least 1"
        } else {
            return Ok(());
        };
        Err(HostError::InvalidArgument(problem.to_owned()))
    }

    /// The waits between the attempts.
    fn intervals(&self) -> impl Iterator<Item = Duration> + use<> {
        let (coefficient, longest) = (self.backoff_coefficient, self.max_interval);
        let first = self.first_interval.min(longest);
        let longer = move |interval: &Duration| {
            let next = Duration::try_from_secs_f64(interval.as_secs_f64() * coefficient);
            Some(next.unwrap_or(longest).min(longest))
        };
        let retries = usize::try_from(self.max_attempts - 1).unwrap_or(usize::MAX);
        std::iter::successors(Some(first), longer).take(retries)
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("first_interval", &self.first_interval)
            .field("backoff_coefficient", &self.backoff_coefficient)
            .field("max_interval", &self.max_interval)
            .field("max_attempts", &self.max_attempts)
            .field("total_timeout", &self.total_timeout)
            .field("has_predicate", &self.handle.is_some())
            .field("status_codes", &self.status_codes)
            .finish()
    }
}

/// For what gives a result or fails: every failure that the policy wants.
pub(super) fn is_failure_to_retry<T>(policy: &RetryPolicy, outcome: &Result<T, Failure>) -> bool {
    outcome.as_ref().is_err_and(|failure| policy.wants_failure(failure))
}

/// Makes the first attempt now, and further ones as long as `is_to_retry` and the policy agree.
/// An attempt is told the handle of the first one, unless it is the first.
pub(super) fn retrying<T: 'static>(
    context: &OrchestrationContext,
    policy: &RetryPolicy,
    is_to_retry: fn(&RetryPolicy, &Result<T, Failure>) -> bool,
    attempt: impl Fn(Option<Handle>) -> DurableFuture<T> + 'static,
) -> DurableFuture<T> {
    if let Err(refusal) = policy.check() {
        return DurableFuture::refused(refusal.into());
    }
    let (context, policy) = (context.clone(), policy.clone());
    let deadline = policy.total_timeout.map(|timeout| context.current_time() + timeout);
    let mut running = attempt(None);
    let first = running.handle();
    DurableFuture::composed(async move {
        let mut intervals = policy.intervals();
        loop {
            let outcome = running.await;
            if !is_to_retry(&policy, &outcome) {
                return outcome;
            }
            if deadline.is_some_and(|deadline| context.current_time() >= deadline) {
                return outcome;
            }
            let Some(interval) = intervals.next() else { return outcome };
            context.sleep(interval).await?;
            running = attempt(first);
        }
    })
}
