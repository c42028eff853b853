//! [`Timers`]: the messages that are to be delivered later, and the task that delivers them.
//!
//! What is durable of a delayed message is its row; here is only the copy in memory that says
//! when. A message is delivered when it is due, in the order of what is due, late after a downtime and
//! never early. Whoever is told of it consumes it, and the row goes with what it caused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use everstate_types::{DelayedKey, InstanceId, Message, MessageKey, Timestamp};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::task_hub::Node;

/// Longest sleep while something is to be delivered: how late one is noticed whose time has come
/// because somebody set the clock of the machine.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Messages that are delivered in one go before others have a turn.
const DELIVERED_AT_A_TIME: usize = 1_024;

/// The delayed messages of a node.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    waiting: Mutex<BTreeMap<DelayedKey, Message>>,
    /// Told when something is due earlier than before.
    is_earlier: Notify,
}

impl Timers {
    /// The delayed messages that a recovery gave.
    pub(crate) fn new(recovered: Vec<(DelayedKey, Message)>) -> Self {
        Self { waiting: Mutex::new(recovered.into_iter().collect()), is_earlier: Notify::new() }
    }

    /// Takes on messages.
    pub(crate) fn add(&self, delayed: Vec<(DelayedKey, Message)>) {
        if delayed.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        let first = waiting.first_key_value().map(|(key, _)| *key);
        waiting.extend(delayed);
        let is_earlier = waiting.first_key_value().map(|(key, _)| *key) != first;
        drop(waiting);
        if is_earlier {
            self.is_earlier.notify_one();
        }
    }

    /// Takes a message back, if it was not delivered.
    pub(crate) fn remove(&self, key: &DelayedKey) {
        self.lock().remove(key);
    }

    /// For whom a message is that waits under this name.
    pub(crate) fn target(&self, key: &DelayedKey) -> Option<InstanceId> {
        self.lock().get(key).map(|message| message.target.clone())
    }

    /// How many messages are not due yet.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Wakes the task, to see that the node is gone.
    pub(crate) fn wake(&self) {
        self.is_earlier.notify_one();
    }

    /// What is due, and how long it is until the next one is.
    fn take_due(&self, now: Timestamp) -> (Vec<(DelayedKey, Message)>, Option<Duration>) {
        let mut waiting = self.lock();
        let mut due = Vec::new();
        while due.len() < DELIVERED_AT_A_TIME
            && let Some(first) = waiting.first_entry()
            && first.key().due <= now
        {
            due.push(first.remove_entry());
        }
        let next = waiting.first_key_value().map(|(key, _)| {
            Duration::from_millis(key.due.as_millis().saturating_sub(now.as_millis()))
        });
        (due, next)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DelayedKey, Message>> {
        self.waiting.lock().expect("no panic under this lock")
    }
}

/// Delivers what is due, until the node stops.
pub(crate) async fn deliver_due(node: Weak<Node>, timers: Arc<Timers>) {
    loop {
        let next = {
            let Some(node) = node.upgrade() else { return };
            if node.is_stopping() {
                return;
            }
            let (due, next) = timers.take_due(node.clock.now());
            for (key, message) in due {
                node.deliver(MessageKey::Delayed(key), message);
            }
            next
        };
        match next {
            Some(next) if next.is_zero() => tokio::task::yield_now().await,
            // Whether it was woken or slept to the end: it looks again.
            Some(next) => drop(timeout(next.min(SLEEP_MAX), timers.is_earlier.notified()).await),
            None => timers.is_earlier.notified().await,
        }
    }
}
