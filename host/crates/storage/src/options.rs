//! RocksDB's options, each with the reason for its value. What is not here has RocksDB's default.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options, SliceTransform,
    WriteOptions,
};

use crate::config::StorageConfig;
use crate::key::{Family, HASH_BYTES};

/// Values of at least this many bytes are stored apart, so that compactions do not copy them.
const BLOB_BYTES_MIN: u64 = 64 << 10;

/// Files that RocksDB holds open. Less than the usual limit of 1,024 a process, which connections
/// need as well; at 64 MiB a file enough for 32 GiB.
const OPEN_FILES_MAX: i32 = 512;

/// Level-0 files, or bytes to be compacted, at which writes would be slowed down: never. A stalled
/// committer stalls every instance; the engine refuses new work instead.
const NEVER_FILES: i32 = 10_000;
const NEVER_BYTES: usize = 1 << 50;

/// Options for looking into a database without changing it.
pub(crate) fn to_look_at(recovery: DBRecoveryMode) -> Options {
    let mut options = Options::default();
    options.set_wal_recovery_mode(recovery);
    // Must be as it was when the database was written: otherwise RocksDB wants to note the change,
    // cannot, and dies (11.8.1).
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_log_level(LogLevel::Warn);
    options
}

/// Options of the write of a commit. It goes into the log's buffer; the syncer makes it durable.
pub(crate) fn of_commit() -> WriteOptions {
    let mut options = WriteOptions::default();
    // The rows of a commit come in the order of their keys: each begins where the one before went.
    options.set_memtable_insert_hint_per_batch(true);
    options
}

/// Options of the whole database.
pub(crate) fn of_database(config: &StorageConfig, recovery: DBRecoveryMode) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // Damage must be found where it is, not where it has spread to.
    options.set_paranoid_checks(true);
    // The log is written into a buffer in memory; the syncer's `flush_wal(true)` writes and syncs
    // it. Several commits share one system call.
    options.set_manual_wal_flush(true);
    options.set_wal_recovery_mode(recovery);
    // A log file that is missing or too short is damage as well.
    options.set_track_and_verify_wals_in_manifest(true);
    // A column family that is hardly written would otherwise keep every log since its last flush.
    options.set_max_total_wal_size(4 * config.write_buffer_bytes as u64);
    // The bound on the memory of all column families together.
    options.set_db_write_buffer_size(3 * config.write_buffer_bytes);
    // One flush and one compaction: two cores, and the guests need them too.
    options.set_max_background_jobs(2);
    // Flushes and compactions write out as they go, so that the log's sync does not wait behind
    // hundreds of megabytes.
    options.set_bytes_per_sync(1 << 20);
    options.set_max_open_files(OPEN_FILES_MAX);
    // Reading every file's properties would make the start slower the more data there is.
    options.set_skip_stats_update_on_db_open(true);
    // The default keeps a thousand of RocksDB's own info logs, a new one with each start.
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_log_level(LogLevel::Warn);
    // Nobody reads the statistics; an idle process stays idle.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Options of a column family.
pub(crate) fn of_family(family: Family, config: &StorageConfig, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&tables(family, cache));
    options.set_write_buffer_size(config.write_buffer_bytes);
    // A slow flush must not stop the writes; `set_db_write_buffer_size` bounds the memory.
    options.set_max_write_buffer_number(6);
    // Keys begin with a hash, so that each compaction of level 0 rewrites all of level 1: seldom.
    // Filters make the files in between cheap to read.
    options.set_level_zero_file_num_compaction_trigger(8);
    options.set_level_zero_slowdown_writes_trigger(NEVER_FILES);
    options.set_level_zero_stop_writes_trigger(NEVER_FILES);
    options.set_soft_pending_compaction_bytes_limit(NEVER_BYTES);
    options.set_hard_pending_compaction_bytes_limit(NEVER_BYTES);
    // Costs less time than writing the bytes that it saves.
    options.set_compression_type(DBCompressionType::Lz4);
    match family {
        Family::Instances => {
            store_large_values_apart(&mut options);
            // Most reads are of instances that do not exist yet: the filter answers them without
            // a search. Two percent of the memory are fifty bits a row.
            options.set_memtable_prefix_bloom_ratio(0.02);
            options.set_memtable_whole_key_filtering(true);
        }
        Family::History => {
            store_large_values_apart(&mut options);
            // A scan of one history skips the files that have nothing of the instance.
            options.set_prefix_extractor(SliceTransform::create_fixed_prefix(HASH_BYTES));
            options.set_memtable_prefix_bloom_ratio(0.02);
        }
        Family::Messages => {
            // A file that is mostly marks of deleted messages is compacted away soon: at least
            // half of any 16,384 entries.
            options.add_compact_on_deletion_collector_factory(16_384, 8_192, 0.5);
        }
        // Likewise: most timers are taken back or fire before long.
        Family::Timers => options.add_compact_on_deletion_collector_factory(16_384, 8_192, 0.5),
        Family::Index => {
            // Half of a key is an id, mostly random hexadecimal digits: LZ4 sees nothing in them,
            // Zstandard halves them.
            options.set_compression_type(DBCompressionType::Zstd);
            // Orchestrations leave marks of deletion behind where they were alive, and a scan for
            // those that are alive steps over them: in memory until it is full, in files like those
            // of messages.
            options.set_write_buffer_size(config.write_buffer_bytes / 2);
            options.add_compact_on_deletion_collector_factory(16_384, 8_192, 0.5);
        }
        // A few small rows, but written with each commit.
        Family::Meta => options.set_write_buffer_size(config.write_buffer_bytes / 4),
    }
    options
}

fn tables(family: Family, cache: &Cache) -> BlockBasedOptions {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    // Inside the cache they are within its bound; level 0 has the newest rows, so it stays.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if matches!(family, Family::Timers | Family::Index) {
        // Only ranges are read, for which there is no filter, and neighbours are read together.
        // Keys share long beginnings with their neighbours: fewer whole keys between them.
        tables.set_block_size(16 << 10);
        tables.set_block_restart_interval(32);
    } else {
        // One read in a hundred looks into a file in vain.
        tables.set_bloom_filter(10.0, false);
        tables.set_optimize_filters_for_memory(true);
        // A row has some hundred bytes and is read alone; smaller blocks would need larger indexes.
        tables.set_block_size(8 << 10);
    }
    tables
}

fn store_large_values_apart(options: &mut Options) {
    options.set_enable_blob_files(true);
    options.set_min_blob_size(BLOB_BYTES_MIN);
    // Large values are rare, and JSON shrinks well.
    options.set_blob_compression_type(DBCompressionType::Zstd);
    // Entities overwrite their states: what nobody refers to any more is given back to the disk
    // once it is half of the oldest files.
    options.set_enable_blob_gc(true);
    options.set_blob_gc_force_threshold(0.5);
}
