//! [`Sweeper`]: gives the space of deleted rows back to the disk.
//!
//! RocksDB deletes by writing a mark; row and mark are gone once a compaction has brought the two
//! together. Those that it starts by itself follow what is written. Who deletes much and then writes
//! little would wait for ever, so when the deleted rows are a fair part of all, this writes all that is
//! in memory into files, which also ends the logs of it, and compacts.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rocksdb::properties::{self, PropName};
use rocksdb::{CompactOptions, DB, FlushOptions};

use crate::db::family;
use crate::error::{Error, Result};
use crate::key::Family;

/// Fewer deleted rows are never worth it.
const ROWS_DELETED_MIN: u64 = 100;

/// It is worth it when at least one row was deleted for so many that are left. All of these may have to
/// be written again.
const ROWS_LEFT_PER_DELETED_MAX: u64 = 8;

/// What is deleted together is swept together: once nothing was deleted for so long, but soon at last.
const GATHERING: Duration = Duration::from_secs(1);
const GATHERING_TIMES_MAX: u32 = 10;

/// Bytes that sweeps read and write in a second, on average: after each there is a pause. Rows may come
/// and go so fast that a sweep finds nothing, and there must be time for other things.
const BYTES_PER_SECOND_MAX: u64 = 8 << 20;

/// The families that lose rows with the instances.
const SWEPT: [Family; 3] = [Family::Instances, Family::History, Family::Index];

/// A thread that compacts what was deleted.
pub(crate) struct Sweeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    db: Arc<DB>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Rows that were deleted since the last sweep.
    rows_deleted: u64,
    is_stopping: bool,
}

impl Sweeper {
    /// Starts the thread.
    pub(crate) fn start(db: Arc<DB>) -> Result<Self> {
        let shared = Arc::new(Shared { db, state: Mutex::default(), changed: Condvar::new() });
        let sweeps = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("sweeper".to_owned())
            .spawn(move || sweeps.run())
            .map_err(|cause| Error::Thread { cause })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// So many rows of instances are deleted by a commit that is written.
    pub(crate) fn note_deleted(&self, rows: u64) {
        let mut state = self.shared.lock();
        state.rows_deleted += rows;
        if state.rows_deleted >= ROWS_DELETED_MIN {
            self.shared.changed.notify_all();
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.changed.notify_all();
        // A compaction may take minutes, and is worth nothing if it does not end.
        self.shared.db.cancel_all_background_work(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that sweeps has panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut considered = 0;
        while let Some(rows_deleted) = self.wait_for_more_than(considered) {
            considered = rows_deleted;
            let rows_left = self.property(Family::Instances, properties::ESTIMATE_NUM_KEYS);
            if rows_deleted >= rows_left / ROWS_LEFT_PER_DELETED_MAX {
                self.lock().rows_deleted -= rows_deleted;
                considered = 0;
                let bytes = self.sweep();
                self.wait_for(Duration::from_secs(bytes / BYTES_PER_SECOND_MAX));
            }
        }
    }

    /// How many rows are deleted, when these are more than so many, and enough; `None`: it is told to
    /// stop.
    fn wait_for_more_than(&self, considered: u64) -> Option<u64> {
        let enough = ROWS_DELETED_MIN.max(considered + 1);
        let waits = |state: &mut State| !state.is_stopping && state.rows_deleted < enough;
        let waited = self.changed.wait_while(self.lock(), waits);
        let mut rows_deleted = waited.unwrap_or_else(PoisonError::into_inner).rows_deleted;
        for _ in 0..GATHERING_TIMES_MAX {
            self.wait_for(GATHERING);
            let before = mem::replace(&mut rows_deleted, self.lock().rows_deleted);
            if rows_deleted == before {
                break;
            }
        }
        (!self.lock().is_stopping).then_some(rows_deleted)
    }

    /// Waits, but no longer when it is told to stop.
    fn wait_for(&self, time: Duration) {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |state| !state.is_stopping);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Brings rows and their marks of deletion together. Gives the bytes that it has looked through.
    fn sweep(&self) -> u64 {
        // All families: a log lasts as long as any of them has not written what is in it.
        let all = Family::ALL.map(|each| family(&self.db, each));
        if let Err(cause) = self.db.flush_cfs_opt(&all, &FlushOptions::default()) {
            // Where it is not only the end, the next commit meets it as well, and ends the process.
            if !self.lock().is_stopping {
                tracing::warn!(%cause, "the space of deleted rows cannot be given back");
            }
            return 0;
        }
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        let mut bytes = 0;
        for each in SWEPT {
            bytes += self.property(each, properties::LIVE_SST_FILES_SIZE);
            let handle = family(&self.db, each);
            self.db.compact_range_cf_opt(handle, None::<&[u8]>, None::<&[u8]>, &options);
        }
        tracing::debug!(bytes, "the space of deleted rows is given back");
        bytes
    }

    fn property(&self, of: Family, name: &PropName) -> u64 {
        let value = self.db.property_int_value_cf(family(&self.db, of), name);
        value.ok().flatten().unwrap_or_default()
    }
}
