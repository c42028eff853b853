//! Waiting: timers, events, and events with a time limit.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::executor::{DurableFuture, decode_nothing, decode_result};
use crate::orchestration::OrchestrationContext;
use crate::time::{Timestamp, clock_text};

#[cfg(test)]
mod tests;

/// Timers and events.
impl OrchestrationContext {
    /// A durable timer that fires at or after a point in time; in the past: at once. Dropping the
    /// future cancels it.
    pub fn create_timer(&self, fire_at: Timestamp) -> DurableFuture<()> {
        self.executor.future(self.host.create_timer(fire_at), decode_nothing)
    }

    /// A durable timer that fires after a span of the orchestration's time.
    pub fn sleep(&self, span: Duration) -> DurableFuture<()> {
        self.create_timer(self.current_time() + span)
    }

    /// Waits for the next event of that name; the case of the name does not matter. Events that
    /// come before anybody waits are kept in order; of several waiters the newest gets the next
    /// event. Dropping the future leaves the event to another waiter.
    pub fn wait_for_event<T: DeserializeOwned>(&self, name: &str) -> DurableFuture<T> {
        self.executor.future(self.host.wait_for_event(name), decode_result)
    }

    /// The same, at most for a span of the orchestration's time. When that is over, the failure is
    /// of the type `Timeout`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use everstate_sdk::{Failure, OrchestrationContext, orchestrator};
    ///
    /// #[orchestrator]
    /// async fn Approval(context: OrchestrationContext) -> Result<String, Failure> {
    ///     let day = Duration::from_secs(24 * 60 * 60);
    ///     match context.wait_for_event_with_timeout::<bool>("approved", day).await {
    ///         Ok(true) => Ok("approved".to_owned()),
    ///         Ok(false) => Ok("refused".to_owned()),
    ///         Err(failure) if failure.error_type == "Timeout" => Ok("nobody answered".to_owned()),
    ///         Err(failure) => Err(failure),
    ///     }
    /// }
    /// # fn main() {}
    /// ```
    pub fn wait_for_event_with_timeout<T: DeserializeOwned + 'static>(
        &self,
        name: &str,
        timeout: Duration,
    ) -> DurableFuture<T> {
        let event = self.event_within(name, timeout);
        let name = name.to_owned();
        DurableFuture::composed(async move {
            event.await?.ok_or_else(|| {
                let span = clock_text(timeout);
                Failure::new("Timeout", format!("Event {name} not received in {span}"))
            })
        })
    }

    /// The same, but when the time is over the future gives a default.
    pub fn wait_for_event_or<T: DeserializeOwned + 'static>(
        &self,
        name: &str,
        timeout: Duration,
        default: T,
    ) -> DurableFuture<T> {
        let event = self.event_within(name, timeout);
        DurableFuture::composed(async move { Ok(event.await?.unwrap_or(default)) })
    }

    /// The event, or `None` when the timer fires first. Whichever loses is given up.
    fn event_within<T: DeserializeOwned>(
        &self,
        name: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<Option<T>, Failure>> + use<T> {
        let mut event = self.wait_for_event::<T>(name);
        let mut timer = self.sleep(timeout);
        async move {
            poll_fn(|context| {
                if let Poll::Ready(event) = Pin::new(&mut event).poll(context) {
                    return Poll::Ready(event.map(Some));
                }
                Pin::new(&mut timer).poll(context).map_ok(|()| None)
            })
            .await
        }
    }
}
