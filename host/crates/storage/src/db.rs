//! [`RocksStorage`]: the database in its folder, opened and locked; writes and syncs. Reads are in
//! `recovery.rs`, `read.rs`, `query.rs` and `entity_query.rs`.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use everstate_engine::storage::{
    self, Cached, CommitBatch, EntityFilter, EntityPage, EntityQuery, InstanceFilter, InstancePage,
    InstanceQuery, Recovered, Storage, StoredInstance,
};
use everstate_types::{InstanceId, LargeId, Payload};
use rocksdb::{Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBRecoveryMode, ErrorKind};

use crate::batch::BatchEncoder;
use crate::config::StorageConfig;
use crate::error::{Error, Result};
use crate::format;
use crate::key::{Family, MetaKey};
use crate::large::{LARGE_BYTES_MIN, LargeValues};
use crate::mark::{self, CommitMark};
use crate::metrics::StorageMetrics;
use crate::sweep::Sweeper;
use crate::witness::Witness;
use crate::{meta, options, recovery};

/// Ids of large values that are reserved together, so that few of them cost a write.
const LARGE_IDS_RESERVED: u64 = 1_024;

/// Durable state in a folder. See the crate's documentation.
pub struct RocksStorage {
    path: PathBuf,

    /// Ends before the database is closed.
    sweeper: Sweeper,
    large: LargeValues,
    db: Arc<DB>,

    /// Only the committer writes, so nobody ever waits for this.
    encoder: Mutex<BatchEncoder>,

    /// The last commit that was written.
    written: AtomicU64,

    /// The last commit that is certainly durable.
    synced: AtomicU64,

    /// Knows that too when the log does not.
    witness: Witness,

    metrics: StorageMetrics,
}

impl RocksStorage {
    /// What RocksDB says of itself now.
    pub fn read_metrics(&self) -> &StorageMetrics {
        self.metrics.read(&self.db, &self.path);
        &self.metrics
    }

    /// Opens the data in the folder `path`, which is created if it does not exist, and keeps other
    /// processes out of it until the value is dropped.
    ///
    /// # Errors
    /// If the folder cannot be created, read or written, if it is in use, or if its data is damaged
    /// or of another version.
    pub fn open(path: impl AsRef<Path>, config: &StorageConfig) -> Result<Self> {
        let path = path.as_ref();
        fs::create_dir_all(path).map_err(|cause| Error::Create { path: path.to_owned(), cause })?;
        format::refuse_remains(path)?;
        format::refuse_other_families(path)?;
        let db = open_or_repair(path, config)?;
        format::write_into_new(&db)?;
        let last = CommitMark::read(&db)?.commit;
        let large = LargeValues::open(path, recovery::read_large_ids(&db)?)?;
        let encoder = BatchEncoder::new(recovery::read_stateless(&db)?);
        let db = Arc::new(db);
        let sweeper = Sweeper::start(Arc::clone(&db))?;
        // RocksDB has written all that it found in the log into files.
        let witness = Witness::open(path, last)?;
        tracing::debug!(path = %path.display(), last, "the data folder is open");
        Ok(Self {
            path: path.to_owned(),
            sweeper,
            large,
            db,
            encoder: Mutex::new(encoder),
            written: AtomicU64::new(last),
            synced: AtomicU64::new(last),
            witness,
            metrics: StorageMetrics::default(),
        })
    }

    /// The database, for reads.
    pub(crate) fn db(&self) -> &DB {
        &self.db
    }

    /// The large values, for reads.
    pub(crate) fn large(&self) -> &LargeValues {
        &self.large
    }

    /// The column families, looked up by their names.
    pub(crate) fn families(&self) -> Families<'_> {
        Families {
            instances: family(&self.db, Family::Instances),
            history: family(&self.db, Family::History),
            messages: family(&self.db, Family::Messages),
            timers: family(&self.db, Family::Timers),
            index: family(&self.db, Family::Index),
            meta: family(&self.db, Family::Meta),
        }
    }

    fn write_commit(&self, commit: &CommitBatch) -> Result<()> {
        // What a panic left in the buffers is overwritten; the data was not touched.
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = CommitMark {
            commit: self.written.load(Ordering::Acquire) + 1,
            synced: self.synced.load(Ordering::Acquire),
        };
        let batch = encoder.encode(&self.db, &self.families(), commit, mark)?;
        self.db.write_opt(batch, &options::of_commit()).map_err(Error::Write)?;
        self.written.store(mark.commit, Ordering::Release);
        let mut freed = commit.entities.iter().flat_map(|(_, row)| &row.freed).copied().peekable();
        if freed.peek().is_some() {
            self.large.free(mark.commit, freed);
        }
        if encoder.rows_deleted() > 0 {
            self.sweeper.note_deleted(encoder.rows_deleted());
        }
        Ok(())
    }

    fn sync_writes(&self) -> Result<()> {
        let written = self.written.load(Ordering::Acquire);
        self.db.flush_wal(true).map_err(Error::Write)?;
        if self.synced.fetch_max(written, Ordering::AcqRel) < written {
            self.witness.note(written)?;
        }
        self.large.note_durable(written);
        Ok(())
    }

    fn store_large_value(&self, value: &Payload) -> Result<Option<LargeId>> {
        if value.len() < LARGE_BYTES_MIN {
            return Ok(None);
        }
        self.large.store(value, || self.reserve_large_ids()).map(Some)
    }

    /// Ids that no large value has had or will have again. Called by one thread at a time.
    fn reserve_large_ids(&self) -> Result<Range<u64>> {
        let begin = meta::read(&self.db, MetaKey::LargeEnd)?.unwrap_or_default();
        let end = begin + LARGE_IDS_RESERVED;
        meta::write(&self.db, MetaKey::LargeEnd, &end)?;
        Ok(begin..end)
    }
}

impl Storage for RocksStorage {
    fn recover(&self) -> storage::Result<Recovered> {
        Ok(self.read_recovered()?)
    }

    fn load(&self, id: &InstanceId) -> storage::Result<Option<StoredInstance>> {
        Ok(self.read_instance(id)?)
    }

    fn load_cached(&self, id: &InstanceId) -> storage::Result<Cached> {
        Ok(self.read_cached_instance(id)?)
    }

    fn query(&self, query: &InstanceQuery) -> storage::Result<InstancePage> {
        Ok(self.read_page(query)?)
    }

    fn count(&self, filter: &InstanceFilter) -> storage::Result<u64> {
        Ok(self.read_count(filter)?)
    }

    fn query_entities(&self, query: &EntityQuery) -> storage::Result<EntityPage> {
        Ok(self.read_entity_page(query)?)
    }

    fn count_entities(&self, filter: &EntityFilter) -> storage::Result<u64> {
        Ok(self.read_entity_count(filter)?)
    }

    fn store_large(&self, value: &Payload) -> storage::Result<Option<LargeId>> {
        Ok(self.store_large_value(value)?)
    }

    fn write(&self, batch: &CommitBatch) -> storage::Result<()> {
        Ok(self.write_commit(batch)?)
    }

    fn sync(&self) -> storage::Result<()> {
        Ok(self.sync_writes()?)
    }

    fn orchestrators(&self) -> storage::Result<Vec<String>> {
        Ok(self.read_orchestrators()?)
    }

    fn backup(&self, folder: &Path) -> storage::Result<()> {
        Ok(self.write_backup(folder)?)
    }
}

impl fmt::Debug for RocksStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksStorage").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The column families of an open database.
pub(crate) struct Families<'a> {
    pub(crate) instances: &'a ColumnFamily,
    pub(crate) history: &'a ColumnFamily,
    pub(crate) messages: &'a ColumnFamily,
    pub(crate) timers: &'a ColumnFamily,
    pub(crate) index: &'a ColumnFamily,
    pub(crate) meta: &'a ColumnFamily,
}

/// A column family of an open database.
pub(crate) fn family(db: &DB, family: Family) -> &ColumnFamily {
    db.cf_handle(family.name()).expect("all column families are opened with the database")
}

/// Opens the database, with a log that a crash tore at its end or that is whole.
fn open_or_repair(path: &Path, config: &StorageConfig) -> Result<DB> {
    let known = mark::known_before_open(path)?;
    mark::refuse_missing_log(path, known)?;
    let mut opened = open_database(path, config, DBRecoveryMode::TolerateCorruptedTailRecords);
    if let Err(cause) = &opened
        && cause.kind() == ErrorKind::Corruption
        && mark::last_before_bad_record(path).is_ok_and(|last| last >= known.synced)
    {
        let without_end = open_database(path, config, DBRecoveryMode::PointInTime);
        if without_end.is_ok() {
            tracing::warn!(
                %cause,
                "the end of the log is torn, as the loss of power leaves it; \
                 what was being written then is dropped"
            );
        }
        opened = without_end;
    }
    let db = opened.map_err(|cause| open_error(path, cause))?;
    format::refuse_other_version(path, &db)?;
    mark::refuse_lost_commits(&db, known.synced)?;
    Ok(db)
}

fn open_database(
    path: &Path,
    config: &StorageConfig,
    recovery: DBRecoveryMode,
) -> std::result::Result<DB, rocksdb::Error> {
    let cache = Cache::new_lru_cache(config.block_cache_bytes);
    let families = Family::ALL.map(|family| {
        ColumnFamilyDescriptor::new(family.name(), options::of_family(family, config, &cache))
    });
    DB::open_cf_descriptors(&options::of_database(config, recovery), path, families)
}

/// Says why RocksDB did not open the folder.
pub(crate) fn open_error(path: &Path, cause: rocksdb::Error) -> Error {
    let path = path.to_owned();
    // RocksDB has no code of its own for this. The first text is of a lock that another process
    // has, the second of one that this process has.
    let text = cause.as_ref();
    if text.contains("While lock file") || text.contains("lock hold by current process") {
        Error::Locked { path }
    } else if cause.kind() == ErrorKind::Corruption {
        Error::DamagedFiles { path, cause }
    } else {
        Error::Open { path, cause }
    }
}
