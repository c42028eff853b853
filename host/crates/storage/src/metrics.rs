//! [`StorageMetrics`]: what RocksDB says of itself, read when somebody asks. The names and what they mean
//! are in docs/metrics.md.

use std::path::Path;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rocksdb::{DB, properties};

use crate::db::family;
use crate::key::Family as ColumnFamily;

/// Levels of files that a column family may have.
const LEVELS: u8 = 7;

/// A level of files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLevel {
    level: u8,
}

/// What RocksDB says of itself, all column families together.
#[derive(Debug, Default)]
pub struct StorageMetrics {
    memtable_bytes: Gauge,
    block_cache_bytes: Gauge,
    pending_compaction_bytes: Gauge,
    write_stopped: Gauge,
    delayed_write_bytes: Gauge,
    live_data_bytes: Gauge,
    file_bytes: Gauge,
    files: Family<OfLevel, Gauge>,
    compactions_running: Gauge,
    flushes_running: Gauge,
    background_errors: Gauge,
    wal_bytes: Gauge,
}

impl StorageMetrics {
    /// Makes all of it known to a registry, which gives each name its prefix.
    pub fn register(&self, to: &mut Registry) {
        let mut add = |name: &str, help: &str, gauge: &Gauge| {
            to.register(format!("storage_{name}"), help, gauge.clone());
        };
        add("memtable_bytes", "Rows in memory that are not in files yet", &self.memtable_bytes);
        add("block_cache_bytes", "Blocks of files kept in memory", &self.block_cache_bytes);
        let help = "Bytes that compactions have to rewrite, estimated";
        add("pending_compaction_bytes", help, &self.pending_compaction_bytes);
        let help = "Whether RocksDB takes no writes until compactions have caught up: 1 or 0";
        add("write_stopped", help, &self.write_stopped);
        let help = "Bytes a second to which RocksDB holds writes back; 0: it does not";
        add("delayed_write_bytes_per_second", help, &self.delayed_write_bytes);
        let help = "Bytes of rows that are not deleted or replaced, estimated";
        add("live_data_bytes", help, &self.live_data_bytes);
        add("file_bytes", "Bytes of the files of rows, without logs and blobs", &self.file_bytes);
        add("compactions_running", "Compactions under way", &self.compactions_running);
        add("flushes_running", "Flushes under way", &self.flushes_running);
        add("background_errors", "Errors in the background", &self.background_errors);
        add("wal_bytes", "Bytes of the log", &self.wal_bytes);
        to.register("storage_files", "Files of rows, by level", self.files.clone());
    }

    /// Reads everything anew.
    pub(crate) fn read(&self, db: &DB, folder: &Path) {
        let of = |each: ColumnFamily, name: &properties::PropName| {
            // A property that this version does not know is a zero, not a reason to show nothing.
            db.property_int_value_cf(family(db, each), name).ok().flatten().unwrap_or_default()
        };
        let sum = |name| ColumnFamily::ALL.iter().map(|each| of(*each, name)).sum::<u64>();
        // What all column families share is said by each.
        let shared = |name| of(ColumnFamily::Meta, name);
        set(&self.memtable_bytes, sum(properties::CUR_SIZE_ALL_MEM_TABLES));
        set(&self.block_cache_bytes, shared(properties::BLOCK_CACHE_USAGE));
        set(&self.pending_compaction_bytes, sum(properties::ESTIMATE_PENDING_COMPACTION_BYTES));
        set(&self.write_stopped, shared(properties::IS_WRITE_STOPPED));
        set(&self.delayed_write_bytes, shared(properties::ACTUAL_DELAYED_WRITE_RATE));
        set(&self.live_data_bytes, sum(properties::ESTIMATE_LIVE_DATA_SIZE));
        set(&self.file_bytes, sum(properties::LIVE_SST_FILES_SIZE));
        set(&self.compactions_running, shared(properties::NUM_RUNNING_COMPACTIONS));
        set(&self.flushes_running, shared(properties::NUM_RUNNING_FLUSHES));
        set(&self.background_errors, shared(properties::BACKGROUND_ERRORS));
        set(&self.wal_bytes, log_bytes(folder));
        for level in 0..LEVELS {
            let name = properties::num_files_at_level(usize::from(level));
            let files = ColumnFamily::ALL.iter().map(|each| {
                // A text and not a number, for reasons of RocksDB's own.
                let value = db.property_value_cf(family(db, *each), &name).ok().flatten();
                value.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default()
            });
            set(&self.files.get_or_create_owned(&OfLevel { level }), files.sum());
        }
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// The size of the files of the log.
fn log_bytes(folder: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(folder) else { return 0 };
    let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
    files
        .flatten()
        .filter(|file| is_log(&file.path()))
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
