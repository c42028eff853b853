//! Calling activities.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::executor::{DurableFuture, decode_result};
use crate::orchestration::OrchestrationContext;
use crate::orchestration::retry::{RetryPolicy, is_failure_to_retry, retrying};
use crate::payload::to_json;

/// Options of an activity. The default: no tags beside the inherited ones, one attempt.
#[derive(Clone, Debug, Default)]
pub struct ActivityOptions {
    /// Pairs of name and value, added to the tags of the orchestration, which the activity
    /// inherits; they win.
    pub tags: Vec<(String, String)>,
    /// `None`: the activity's failure is not retried.
    pub retry: Option<RetryPolicy>,
}

/// Activities. The future gives the result, or a failure whose
/// [`cause`](crate::Failure::cause) is the one that the activity reported.
impl OrchestrationContext {
    /// Schedules an activity.
    pub fn call_activity<R: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
    ) -> DurableFuture<R> {
        self.call_activity_with_tags(name, input, &[])
    }

    /// The same, with tags: pairs of name and value.
    pub fn call_activity_with_tags<R: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
        tags: &[(String, String)],
    ) -> DurableFuture<R> {
        let handle =
            to_json(input).and_then(|json| Ok(self.host.call_activity(name, &json, tags, None)?));
        self.executor.future(handle, decode_result)
    }

    /// Schedules an activity, and again after a failure as the policy says. All attempts have the
    /// same idempotency key.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use everstate_sdk::{Failure, OrchestrationContext, RetryPolicy, orchestrator};
    ///
    /// #[orchestrator]
    /// async fn Order(context: OrchestrationContext, cents: u64) -> Result<String, Failure> {
    ///     let policy = RetryPolicy::new(Duration::from_secs(1), 5).backoff_coefficient(2.0);
    ///     context.call_activity_with_retry("Charge", &cents, &policy).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn call_activity_with_retry<R: DeserializeOwned + 'static>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
        policy: &RetryPolicy,
    ) -> DurableFuture<R> {
        let options = ActivityOptions { retry: Some(policy.clone()), ..Default::default() };
        self.call_activity_with_options(name, input, &options)
    }

    /// Schedules an activity with tags and a retry policy.
    pub fn call_activity_with_options<R: DeserializeOwned + 'static>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
        options: &ActivityOptions,
    ) -> DurableFuture<R> {
        let Some(policy) = &options.retry else {
            return self.call_activity_with_tags(name, input, &options.tags);
        };
        let input = match to_json(input) {
            Ok(json) => json,
            Err(failure) => return DurableFuture::refused(failure),
        };
        let (context, name, tags) = (self.clone(), name.to_owned(), options.tags.clone());
        let attempt = move |retry_of| {
            let handle = context.host.call_activity(&name, &input, &tags, retry_of);
            context.executor.future(handle, decode_result)
        };
        retrying(self, policy, is_failure_to_retry, attempt)
    }
}
