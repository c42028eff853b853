//! Everstate's storage: RocksDB behind [`everstate_engine::storage::Storage`].
//!
//! One database in one folder, six column families (`key.rs` has the bytes of each key,
//! docs/storage-format.md the whole format):
//!
//! - `instances`: the row of each orchestration and entity;
//! - `history`: the histories of orchestrations that did not fit into one value with their row;
//! - `messages`: sent and not yet consumed; read at a start only, never while running;
//! - `timers`: messages that are delivered later; likewise;
//! - `index`: what orchestrations and entities are found by, changed together with their rows;
//! - `meta`: the version of the format and where recovery begins.
//!
//! Values that are too large for a commit are files of their own in the folder `large`. The file
//! `synced` knows how far the syncs have come, also when the log is missing.
//!
//! A commit of the engine is one RocksDB write. All column families share one log, so that what a
//! crash leaves is a prefix of the commits. A write returns before it is durable; a sync makes all
//! writes before it durable at once. After a failed write or sync nothing is promised: the engine
//! ends the process, the next one recovers from the log.

#![forbid(unsafe_code)]

mod backup;
mod batch;
mod codec;
mod config;
mod continuation;
mod db;
mod entity_query;
mod error;
mod format;
mod index;
mod key;
mod large;
mod mark;
mod meta;
mod metrics;
mod options;
mod query;
mod read;
mod recovery;
mod row;
mod scan;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;
mod witness;

pub use config::StorageConfig;
pub use db::RocksStorage;
pub use error::{Error, Result};
pub use format::FORMAT as STORAGE_FORMAT;
pub use metrics::StorageMetrics;
pub use verify::{Counts, Pinned, Report, verify};
