//! What an activity sees: [`ActivityContext`], one attempt at a piece of work.

use crate::bindings::exported::activity::ActivityCall;
use crate::client::DurableClient;
use crate::log::{LogLevel, log_methods};

/// One attempt at an activity. An activity runs at least once and its result is taken once.
///
/// ```no_run
/// use everstate_sdk::{ActivityContext, activity};
///
/// #[activity]
/// fn SayHello(context: ActivityContext, name: String) -> String {
///     format!("Hello, {name}! ({})", context.idempotency_key())
/// }
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct ActivityContext {
    name: String,
    instance_id: String,
    idempotency_key: String,
    attempt: u32,
    tags: Vec<(String, String)>,
}

impl ActivityContext {
    /// The context of a call, and the call's input.
    pub(crate) fn new(call: ActivityCall) -> (Self, String) {
        let context = Self {
            name: call.name,
            instance_id: call.instance_id,
            idempotency_key: call.idempotency_key,
            attempt: call.attempt,
            tags: call.tags,
        };
        (context, call.input)
    }

    /// The activity function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The orchestration that waits for the result.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// The same for every attempt at the same piece of work, those of a retry policy included, and
    /// for no other. Give it to the services that you call.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    /// 1 for the first attempt.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The tags of the call, as pairs of name and value.
    #[must_use]
    pub fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    /// The client, for activities that start or ask orchestrations and entities.
    #[must_use]
    pub fn client(&self) -> DurableClient {
        DurableClient::new()
    }

    /// Writes a log line.
    pub fn log(&self, level: LogLevel, message: &str) {
        self.client().log(level, message);
    }

    log_methods!();
}
