//! [`OutputGate`]: holds back what leaves the process until the state change it depends on is durable.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;

use crate::storage::CommitSeq;

/// Knows how far the disk is, and who waits for it.
#[derive(Debug, Default)]
pub struct OutputGate {
    durable: AtomicU64,
    /// Who waits, by what they wait for. Taken for a moment only; nothing awaits under it.
    waiting: Mutex<BTreeMap<CommitSeq, Vec<oneshot::Sender<()>>>>,
}

impl OutputGate {
    /// The last turn that is durable.
    pub fn durable(&self) -> CommitSeq {
        CommitSeq(self.durable.load(Ordering::Acquire))
    }

    /// Registers for the moment when `seq` is durable; `None` if it is.
    pub(crate) fn register(&self, seq: CommitSeq) -> Option<oneshot::Receiver<()>> {
        if seq <= self.durable() {
            return None;
        }
        let mut waiting = self.waiting.lock().expect("no panic under this lock");
        // `open` raises the mark before it takes the lock: whoever sees the old mark here is found there.
        if seq <= self.durable() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        waiting.entry(seq).or_default().push(sender);
        Some(receiver)
    }

    /// Everything up to and including `seq` is durable: releases who waited for it.
    pub(crate) fn open(&self, seq: CommitSeq) {
        self.durable.fetch_max(seq.0, Ordering::AcqRel);
        let released = {
            let mut waiting = self.waiting.lock().expect("no panic under this lock");
            let later = waiting.split_off(&CommitSeq(seq.0 + 1));
            std::mem::replace(&mut *waiting, later)
        };
        for sender in released.into_values().flatten() {
            if sender.send(()).is_err() {
                tracing::trace!("the caller went away before its answer was durable");
            }
        }
    }
}
