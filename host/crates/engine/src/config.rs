//! [`EngineConfig`]: what an operator may change about the engine.

use serde::Deserialize;

/// Settings of the engine: the section `[engine]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// How many lanes share the instances. 0 (the default): two for each processor, at least four.
    pub lanes: usize,
    /// How long a state change that nobody waits for may stay off the disk, in milliseconds.
    /// Default: 5. Whoever waits for one has it written at once.
    pub commit_delay_ms: u64,
    /// How many bytes of state changes may wait for the disk before new work is refused (503).
    /// Default: 64 MiB.
    pub commit_queue_bytes_max: usize,
    /// How many requests and messages may wait in one lane before new work is refused (503).
    /// Default: 100,000.
    pub lane_queue_count_max: usize,
    /// How many operations may wait at one entity before new ones of clients are refused (429).
    /// Default: 10,000.
    pub entity_inbox_count_max: usize,
    /// How many operations an entity does in one work item. Default: 1,000.
    pub entity_batch_count_max: usize,
    /// Bytes of operations that may wait at one entity before clients are refused (429).
    /// Default: 64 MiB.
    pub entity_inbox_bytes_max: usize,
    /// How long the idempotency key of a signal is remembered, in milliseconds. Default: a day.
    pub idempotency_window_ms: u64,
    /// How many instances stay loaded in all lanes together. Default: 200,000.
    pub loaded_instances_max: usize,
    /// How many bytes of state and history stay loaded in all lanes together. Default: 256 MiB.
    pub loaded_bytes_max: usize,
    /// For tests of what a crash leaves: the process aborts as soon as so many commits are on disk.
    /// 0 (the default): never.
    pub abort_after_commits: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            lanes: 0,
            commit_delay_ms: 5,
            commit_queue_bytes_max: 64 << 20,
            lane_queue_count_max: 100_000,
            entity_inbox_count_max: 10_000,
            entity_batch_count_max: 1_000,
            entity_inbox_bytes_max: 64 << 20,
            idempotency_window_ms: 24 * 60 * 60 * 1_000,
            loaded_instances_max: 200_000,
            loaded_bytes_max: 256 << 20,
            abort_after_commits: 0,
        }
    }
}
