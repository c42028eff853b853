//! The partition engine: instances, their messages, and the way to the disk.
//!
//! # The life of a message
//!
//! A client's request goes to the lane (`lane.rs`) that owns the instance. The lane applies it to its
//! [`Partition`](partition::Partition), which changes state in memory and says what that means for
//! the world: rows that changed, messages to other instances, guest code to be run, answers. The lane
//! stages rows and messages as one turn in the [commit queue](commit), and only then hands on the
//! messages, runs the guests and answers. So everything runs ahead of the disk, and whatever
//! learns of a turn comes behind it in the one order in which turns reach the disk: a crash leaves a
//! prefix of what happened, and nothing has to be undone.
//!
//! What leaves the process waits at the [output gate](commit::OutputGate) until the last turn that it
//! depends on is durable. Waiting is also what makes the committer write: a chain of work that
//! nobody waits for in between costs one write and one fsync, and what was born and died on
//! the way is never written.
//!
//! # Seams
//!
//! [`Storage`](storage::Storage) is the disk, [`GuestExecutor`](guest::GuestExecutor) the code of the
//! guests, [`Clock`](clock::Clock) the time. [`SpanSink`](trace::SpanSink) takes what is told to observers and
//! decides nothing. There are no others.

#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod commit;
mod config;
mod error;
pub mod explain;
pub mod guest;
mod lane;
pub mod metrics;
pub mod partition;
pub mod storage;
mod task_hub;
mod timers;
pub mod trace;

pub use client::Client;
pub use config::EngineConfig;
pub use error::ClientError;
pub use task_hub::{Observers, TaskHub};
