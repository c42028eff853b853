//! [`CommitWriter`]: the committer thread, the syncer thread, and how lanes and the gate talk to them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use everstate_types::{DelayedKey, Message};

use super::gate::OutputGate;
use super::queue::{Change, CommitQueue, Staged};
use crate::config::EngineConfig;
use crate::metrics::EngineMetrics;
use crate::storage::{CommitSeq, Storage, StorageError};
use crate::task_hub::Observers;
use crate::trace::{FinishedSpan, SpanGate};

/// A batch of this size is written even if nobody waits for it.
const BATCH_BYTES: usize = 4 << 20;

/// What can wait does while more than this part of the most that may wait for the disk waits for it.
const BUSY_PART: usize = 8;

/// Called once when a write or an fsync failed. Must not return to business: the state in memory is
/// ahead of a disk that cannot follow.
pub type FatalHandler = Box<dyn Fn(&StorageError) + Send + Sync>;

/// Takes staged turns to the disk.
pub struct CommitWriter {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// The committer waits here: for something staged, for demand, or for the syncer to be free.
    work: Condvar,
    /// The syncer waits here for something written.
    written: Condvar,
    gate: OutputGate,
    /// The last turn that somebody waits for.
    demand: AtomicU64,
    storage: Arc<dyn Storage>,
    metrics: Arc<EngineMetrics>,
    spans: SpanGate,
    fatal: FatalHandler,
    delay: Duration,
    bytes_max: usize,
    abort_after_commits: u64,
}

/// What wakes the committer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommitterSleep {
    /// It does not sleep, or somebody has woken it.
    Awake,
    /// A change is staged.
    UntilStaged,
    /// Somebody waits for what is staged, or it is old enough.
    UntilDemanded,
    /// The syncer takes on what is written.
    UntilSynced,
}

struct Queue {
    commits: CommitQueue,
    /// When the oldest change that is not taken was staged.
    staged_at: Option<Instant>,
    /// The last turn that was handed to the storage.
    written: CommitSeq,
    /// The last turn whose sync has begun.
    syncing: CommitSeq,
    /// Whether a sync is under way.
    is_syncing: bool,
    /// What the committer sleeps for, so that nothing else wakes it.
    committer: CommitterSleep,
    stopping: bool,
    failed: bool,
}

impl fmt::Debug for CommitWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitWriter").field("gate", &self.shared.gate).finish_non_exhaustive()
    }
}

impl CommitWriter {
    /// Starts both threads.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        commits: CommitQueue,
        storage: Arc<dyn Storage>,
        config: &EngineConfig,
        observers: &Observers,
        fatal: FatalHandler,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                commits,
                staged_at: None,
                written: CommitSeq(0),
                syncing: CommitSeq(0),
                is_syncing: false,
                committer: CommitterSleep::Awake,
                stopping: false,
                failed: false,
            }),
            work: Condvar::new(),
            written: Condvar::new(),
            gate: OutputGate::default(),
            demand: AtomicU64::new(0),
            storage,
            metrics: Arc::clone(&observers.metrics),
            spans: SpanGate::new(Arc::clone(&observers.spans)),
            fatal,
            delay: Duration::from_millis(config.commit_delay_ms),
            bytes_max: config.commit_queue_bytes_max,
            abort_after_commits: config.abort_after_commits,
        });
        let mut threads = Vec::new();
        for (name, run) in
            [("committer", Shared::commit_loop as fn(&Shared)), ("syncer", Shared::sync_loop)]
        {
            let shared = Arc::clone(&shared);
            threads.push(thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))?);
        }
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Takes in one turn; see [`CommitQueue::stage`].
    pub fn stage(
        &self,
        changes: Vec<Change>,
        sent: &[Message],
        delayed: &[(DelayedKey, Message)],
    ) -> Staged {
        let mut queue = self.shared.lock();
        let staged = queue.commits.stage(changes, sent, delayed);
        if queue.staged_at.is_none() && queue.commits.taken() < staged.seq {
            queue.staged_at = Some(Instant::now());
            self.shared.wake(&mut queue, CommitterSleep::UntilStaged);
        }
        staged
    }

    /// Whether so much waits for the disk that no new work should be accepted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.lock().commits.bytes() > self.shared.bytes_max
    }

    /// Bytes of changes that wait for the disk, about.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.shared.lock().commits.bytes()
    }

    /// Holds spans back until the turn that they tell of is durable. Nothing is written for them.
    pub(crate) fn hold_spans(&self, seq: CommitSeq, spans: Vec<FinishedSpan>) {
        self.shared.spans.hold(seq, spans);
        // The disk may have been there before.
        self.shared.spans.release(self.durable_seq());
    }

    /// Whether so much waits for the disk that what can wait should.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.shared.lock().commits.bytes() > self.shared.bytes_max / BUSY_PART
    }

    /// The place of the last turn that was staged.
    #[must_use]
    pub fn seq(&self) -> CommitSeq {
        self.shared.lock().commits.seq()
    }

    /// How far the disk is.
    #[must_use]
    pub fn durable_seq(&self) -> CommitSeq {
        self.shared.gate.durable()
    }

    /// Waits until a turn is durable, and sees to it that it soon is. Never returns after a fatal error.
    pub async fn durable(&self, seq: CommitSeq) {
        let Some(released) = self.shared.gate.register(seq) else { return };
        let begun = Instant::now();
        self.shared.demand(seq);
        if released.await.is_err() {
            // The gate is gone with the process that it belongs to.
            std::future::pending::<()>().await;
        }
        self.shared.metrics.gate_wait.observe(begun.elapsed());
    }

    /// Makes everything that is staged durable and ends both threads. Blocks.
    pub fn stop(&self) {
        {
            let mut queue = self.shared.lock();
            queue.stopping = true;
        }
        self.shared.work.notify_one();
        self.shared.written.notify_one();
        for thread in self.take_threads() {
            // A panic of the thread was reported where it happened.
            drop(thread.join());
        }
    }

    fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock().expect("no panic under this lock"))
    }
}

impl Drop for CommitWriter {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic under this lock")
    }

    fn demand(&self, seq: CommitSeq) {
        if self.demand.fetch_max(seq.0, Ordering::AcqRel) < seq.0 {
            let mut queue = self.lock();
            // What is taken is on its way; the committer need not wake for it.
            if queue.commits.taken() < seq {
                self.wake(&mut queue, CommitterSleep::UntilDemanded);
            }
        }
    }

    /// Wakes the committer if it sleeps for this.
    fn wake(&self, queue: &mut Queue, from: CommitterSleep) {
        if queue.committer == from {
            queue.committer = CommitterSleep::Awake;
            self.work.notify_one();
        }
    }

    fn commit_loop(&self) {
        let mut commits = 0;
        loop {
            let batch = {
                let Some(mut queue) = self.wait_for_work() else {
                    // The syncer may go as well, as soon as it has synced what is written.
                    return self.written.notify_one();
                };
                queue.staged_at = None;
                let turns = queue.commits.seq().0 - queue.commits.taken().0;
                self.metrics.commit_turns.observe_size(turns);
                self.metrics.commit_bytes.observe_size(queue.commits.bytes() as u64);
                queue.commits.take()
            };
            let Some(batch) = batch else { continue };
            let begun = Instant::now();
            if let Err(error) = self.storage.write(&batch) {
                return self.fail(&error);
            }
            self.metrics.commit_write.observe(begun.elapsed());
            commits += 1;
            if commits == self.abort_after_commits {
                self.abort();
            }
            let mut queue = self.lock();
            queue.written = batch.seq;
            if queue.staged_at.is_none() && !queue.is_syncing {
                // Nothing else to do: one change of threads less for who waits.
                self.sync(queue);
            } else {
                self.written.notify_one();
            }
        }
    }

    /// Blocks until a batch is to be taken; `None`: all is taken, and nothing more will come.
    ///
    /// While a written batch waits for the syncer, none is taken: the longer the disk is busy, the
    /// larger the next batch, and the more is elided in it.
    fn wait_for_work(&self) -> Option<MutexGuard<'_, Queue>> {
        let mut queue = self.lock();
        loop {
            if queue.failed {
                return None;
            }
            let Some(staged_at) = queue.staged_at else {
                if queue.stopping {
                    return None;
                }
                queue.committer = CommitterSleep::UntilStaged;
                queue = self.work.wait(queue).expect("no panic under this lock");
                continue;
            };
            if queue.syncing < queue.written {
                queue.committer = CommitterSleep::UntilSynced;
                queue = self.work.wait(queue).expect("no panic under this lock");
                continue;
            }
            let age = staged_at.elapsed();
            if queue.stopping
                || age >= self.delay
                || self.demand.load(Ordering::Acquire) > queue.commits.taken().0
                || queue.commits.bytes() > BATCH_BYTES
            {
                queue.committer = CommitterSleep::Awake;
                return Some(queue);
            }
            let left = self.delay - age;
            queue.committer = CommitterSleep::UntilDemanded;
            (queue, _) = self.work.wait_timeout(queue, left).expect("no panic under this lock");
        }
    }

    fn sync_loop(&self) {
        let mut queue = self.lock();
        loop {
            if queue.failed {
                return;
            }
            if queue.syncing < queue.written && !queue.is_syncing {
                self.sync(queue);
                queue = self.lock();
                continue;
            }
            let is_all_written = queue.commits.taken() == queue.written;
            if queue.stopping && is_all_written && queue.staged_at.is_none() && !queue.is_syncing {
                return;
            }
            queue = self.written.wait(queue).expect("no panic under this lock");
        }
    }

    /// Makes durable what is written, and releases who waits for it.
    fn sync(&self, mut queue: MutexGuard<'_, Queue>) {
        let seq = queue.written;
        queue.syncing = seq;
        queue.is_syncing = true;
        self.wake(&mut queue, CommitterSleep::UntilSynced);
        drop(queue);
        let begun = Instant::now();
        if let Err(error) = self.storage.sync() {
            return self.fail(&error);
        }
        self.metrics.fsync.observe(begun.elapsed());
        self.gate.open(seq);
        self.spans.release(seq);
        let mut queue = self.lock();
        queue.is_syncing = false;
        if queue.syncing < queue.written || queue.stopping {
            self.written.notify_one();
        }
    }

    /// Ends the process as a crash does, when all that is written is durable.
    fn abort(&self) {
        match self.storage.sync() {
            Ok(()) => std::process::abort(),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&self, error: &StorageError) {
        self.lock().failed = true;
        self.work.notify_one();
        self.written.notify_one();
        (self.fatal)(error);
    }
}
