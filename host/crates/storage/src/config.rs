//! [`StorageConfig`]: what an operator may change. Everything else is decided in `options.rs`.

use serde::Deserialize;

/// Sizes of the storage. The defaults suit a process with some hundred MiB of memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Bytes of changed rows that a column family collects in memory before it writes a file.
    ///
    /// Larger means fewer bytes written to disk and a longer log to read after a crash, which has
    /// at most four times as many bytes. All column families together hold about three times as
    /// many. Default: 32 MiB.
    pub write_buffer_bytes: usize,

    /// Bytes of read blocks, indexes and filters that are kept in memory, uncompressed.
    ///
    /// The operating system caches the files besides. Default: 64 MiB.
    pub block_cache_bytes: usize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { write_buffer_bytes: 32 << 20, block_cache_bytes: 64 << 20 }
    }
}
