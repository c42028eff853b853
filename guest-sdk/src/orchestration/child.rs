//! Other orchestrations: children that are awaited, starts that are not, and events for them.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::executor::{DurableFuture, decode_result};
use crate::orchestration::OrchestrationContext;
use crate::orchestration::retry::{RetryPolicy, is_failure_to_retry, retrying};
use crate::payload::to_json;
use crate::time::Timestamp;

/// Options of a child or of a fire-and-forget start. The default: a derived id, now, no tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChildOptions {
    /// `None`: derived from the execution, so that replays agree.
    pub instance_id: Option<String>,
    /// `None`: at once.
    pub start_at: Option<Timestamp>,
    /// Pairs of name and value.
    pub tags: Vec<(String, String)>,
}

/// Other orchestrations.
impl OrchestrationContext {
    /// Starts a child. The future gives its output, or a failure whose
    /// [`cause`](Failure::cause) is the one that the child ended with.
    pub fn call_sub_orchestration<R: DeserializeOwned>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
        options: &ChildOptions,
    ) -> DurableFuture<R> {
        let handle = to_json(input)
            .and_then(|json| Ok(self.host.call_sub_orchestration(name, &json, options)?));
        self.executor.future(handle, decode_result)
    }

    /// Starts a child, and another one after a failure as the policy says. An id that is given is
    /// used for each of them; a derived one is new for each.
    pub fn call_sub_orchestration_with_retry<R: DeserializeOwned + 'static>(
        &self,
        name: &str,
        input: &(impl Serialize + ?Sized),
        options: &ChildOptions,
        policy: &RetryPolicy,
    ) -> DurableFuture<R> {
        let input = match to_json(input) {
            Ok(json) => json,
            Err(failure) => return DurableFuture::refused(failure),
        };
        let (context, name, options) = (self.clone(), name.to_owned(), options.clone());
        let attempt = move |_| {
            let handle = context.host.call_sub_orchestration(&name, &input, &options);
            context.executor.future(handle, decode_result)
        };
        retrying(self, policy, is_failure_to_retry, attempt)
    }

    /// Starts an orchestration that nobody waits for; gives its id.
    ///
    /// # Errors
    /// An input without a JSON form; what the host refuses.
    pub fn start_orchestration<T: Serialize + ?Sized>(
        &self,
        name: &str,
        input: &T,
        options: &ChildOptions,
    ) -> Result<String, Failure> {
        Ok(self.host.start_orchestration(name, &to_json(input)?, options)?)
    }

    /// Raises an event at another orchestration. Nothing comes back.
    ///
    /// # Errors
    /// Data without a JSON form; what the host refuses.
    pub fn send_event<T: Serialize + ?Sized>(
        &self,
        instance_id: &str,
        name: &str,
        data: &T,
    ) -> Result<(), Failure> {
        Ok(self.host.send_event(instance_id, name, &to_json(data)?)?)
    }
}
