//! Group commit: a thread that makes many puts durable with one fsync.
//!
//! While one fsync is under way the next puts gather in the queue; they are then written together.
//! So no put waits longer than two fsyncs, and no fsync covers fewer puts than it can.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use rocksdb::{DB, WriteBatch};
use tokio::sync::{mpsc, oneshot};

/// Most puts in one batch; bounds how long the first of them waits.
const BATCH_PUTS_MAX: usize = 1024;

/// A put and who waits for it.
struct Put {
    key: String,
    value: Bytes,
    done: oneshot::Sender<()>,
}

/// Hands puts to the committing thread.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    queue: mpsc::Sender<Put>,
}

impl Committer {
    /// Starts the thread. It ends when the last clone is dropped.
    pub(crate) fn start(db: Arc<DB>) -> Result<Self> {
        let (queue, puts) = mpsc::channel(BATCH_PUTS_MAX);
        std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || commit_all(&db, puts))?;
        Ok(Self { queue })
    }

    /// Writes a value; returns when it is on disk.
    pub(crate) async fn put(&self, key: String, value: Bytes) -> Result<()> {
        let (done, durable) = oneshot::channel();
        self.queue.send(Put { key, value, done }).await.ok().context("the committer has ended")?;
        durable.await.context("the committer has failed")
    }
}

fn commit_all(db: &DB, mut puts: mpsc::Receiver<Put>) {
    let mut waiting = Vec::with_capacity(BATCH_PUTS_MAX);
    while puts.blocking_recv_many(&mut waiting, BATCH_PUTS_MAX) > 0 {
        let mut batch = WriteBatch::default();
        for put in &waiting {
            batch.put(put.key.as_bytes(), &put.value);
        }
        // The waiting senders are dropped unanswered, so that nothing is promised.
        if db.write(batch).and_then(|()| db.flush_wal(true)).is_err() {
            return;
        }
        for put in waiting.drain(..) {
            // A client that is gone needs no answer.
            put.done.send(()).unwrap_or_default();
        }
    }
}
