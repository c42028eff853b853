//! Waiting for a condition. Nothing in these tests sleeps for a fixed time.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long [`eventually`] waits between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Asks `condition` until it gives a value, at most for `deadline`.
///
/// # Errors
/// If the deadline passes; the message names `what` was waited for.
pub async fn eventually<T, F>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if started.elapsed() > deadline {
            bail!("waited {deadline:?} in vain: {what}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
