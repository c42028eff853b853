//! The way to the disk: lanes stage, one committer writes, one syncer makes durable, one gate releases.
//!
//! ```text
//! lane ── stage ──► CommitQueue ── take ──► committer ── write ──► syncer ── fsync ──► OutputGate
//! ```
//!
//! The committer syncs by itself when nothing else is staged: that spares a lone request the change of
//! threads. While more is coming the syncer does, and the committer writes the next batch meanwhile.
//!
//! Invariants:
//! - All lanes stage into one queue. A turn is staged as a whole before anything that it sent is
//!   handed on, so the order of staging respects causality; each batch is a prefix of that order.
//! - Nothing leaves the process before the gate says that its turn is durable.
//! - A batch is written when somebody waits for it, when the oldest change in it has waited for
//!   `commit_delay_ms`, or when it is large. What is born and dies in between is never written.
//! - A failed write or fsync is fatal. Nothing is tried again.

mod gate;
mod queue;
mod writer;

#[cfg(test)]
mod tests;

pub use gate::OutputGate;
pub use queue::{Change, CommitQueue, Staged};
pub use writer::{CommitWriter, FatalHandler};
