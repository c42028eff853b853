//! [`RuntimeConfig`]: what an operator may change about the running of guests. Fixed limits are in
//! `everstate_types::limits`; how many guests fit into this machine is worked out in `engine.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Limits and sizes of the guest runtime.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// CPU time of one turn of an orchestrator and of one operation of an entity, in milliseconds; an
    /// operation has one more for each 64 KiB of its state or input. Default: 1,000.
    pub turn_cpu_ms_max: u64,
    /// CPU time of one request of an HTTP function, in milliseconds. Default: 30,000.
    pub http_cpu_ms_max: u64,
    /// Elapsed time of one operation of an entity, in milliseconds: an entity that sleeps keeps
    /// everybody else waiting. Default: 10,000.
    pub operation_wall_ms_max: u64,
    /// Elapsed time of one request of an HTTP function, waiting included, in milliseconds.
    /// Default: 300,000.
    pub http_wall_ms_max: u64,
    /// CPU time of one attempt at an activity, in milliseconds. Default: 60,000.
    pub activity_cpu_ms_max: u64,
    /// Elapsed time of one attempt at an activity, waiting included, in milliseconds. Default: 300,000.
    pub activity_wall_ms_max: u64,
    /// Longest wait of a guest for an orchestration or an entity, in milliseconds. A longer one is
    /// cut to it. Default: 230,000.
    pub wait_limit_ms: u64,
    /// Linear memory of one guest, in bytes. A large state of an entity is in it several times while it is
    /// read, changed and written. Default: 512 MiB.
    pub memory_bytes_max: usize,
    /// Linear memory of all guests together, beyond the first 64 MiB of each, in bytes. Default: 4 GiB.
    pub shared_memory_bytes_max: usize,
    /// Largest payload that a guest may give to the host, in bytes. Default: 16 MiB.
    pub payload_bytes_max: usize,
    /// Largest state of an entity, in bytes. Default: 64 MiB.
    pub entity_state_bytes_max: usize,
    /// Largest component file, in bytes. Default: 64 MiB.
    pub component_bytes_max: usize,
    /// Suspended orchestrators that are kept in memory; the one that was used longest ago is
    /// dropped and replayed when it is needed. Default: 1,000.
    pub suspended_guests_max: usize,
    /// What kept suspended orchestrators may have allocated together, in bytes. Default: 512 MiB.
    pub suspended_bytes_max: usize,
    /// Orchestrators and entities that run at the same time; more of them wait. Default: 64.
    pub turns_concurrent_max: usize,
    /// HTTP functions that run or wait at the same time; more of them are refused. Default: 1,000.
    pub http_concurrent_max: usize,
    /// Activities that run at the same time; more of them wait. Default: 200.
    pub activities_concurrent_max: usize,
    /// Activities of one function that run at the same time, by its name; ASCII case does not matter.
    /// Default: as many as of all together.
    pub activity_limits: BTreeMap<String, usize>,
    /// Instances of entity, activity and HTTP components that are kept for the next call. Default: 128.
    pub idle_guests_max: usize,
    /// Whether each operation, activity and request gets a fresh instance of its component instead
    /// of one that was used before. Orchestrators always do. Default: false.
    pub strict_isolation: bool,
    /// What activities see of the host. A section of its own in a file.
    #[serde(skip)]
    pub activities: ActivitiesConfig,
    /// HTTP requests that leave the host. A section of its own in a file.
    #[serde(skip)]
    pub outgoing_http: OutgoingHttpConfig,
}

/// What activities, and nobody else, see of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActivitiesConfig {
    /// Names of the host's own environment variables that activities see. Default: none.
    pub environment: Vec<String>,
    /// Further variables, each with the file that has its value. Read at the start of the host; a
    /// line break at the end does not count. Default: none.
    pub secrets: BTreeMap<String, PathBuf>,
}

/// HTTP requests that leave the host: of activities, and of orchestrators through `call-http`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutgoingHttpConfig {
    /// Where they may go: `api.example.com`, `*.example.org` (any subdomain), `localhost:8080`,
    /// `127.0.0.1`; without a port: any port. Default: nowhere.
    pub allow: Vec<String>,
    /// How long an exchange may take, in milliseconds. Default: 100,000.
    pub timeout_ms: u64,
    /// Largest body of a response, in bytes. Default: 16 MiB.
    pub response_bytes_max: usize,
}

impl Default for OutgoingHttpConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), timeout_ms: 100_000, response_bytes_max: 16 * MIB }
    }
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            turn_cpu_ms_max: 1_000,
            http_cpu_ms_max: 30_000,
            operation_wall_ms_max: 10_000,
            http_wall_ms_max: 300_000,
            activity_cpu_ms_max: 60_000,
            activity_wall_ms_max: 300_000,
            wait_limit_ms: 230_000,
            memory_bytes_max: 512 * MIB,
            shared_memory_bytes_max: 4_096 * MIB,
            payload_bytes_max: 16 * MIB,
            entity_state_bytes_max: 64 * MIB,
            component_bytes_max: 64 * MIB,
            suspended_guests_max: 1_000,
            suspended_bytes_max: 512 * MIB,
            turns_concurrent_max: 64,
            http_concurrent_max: 1_000,
            activities_concurrent_max: 200,
            activity_limits: BTreeMap::new(),
            idle_guests_max: 128,
            strict_isolation: false,
            activities: ActivitiesConfig::default(),
            outgoing_http: OutgoingHttpConfig::default(),
        }
    }
}

const MIB: usize = 1 << 20;

impl RuntimeConfig {
    /// How long a guest may wait that asked for `timeout` milliseconds, or did not say.
    pub(crate) fn wait_limit(&self, timeout: Option<u64>) -> Duration {
        Duration::from_millis(timeout.unwrap_or(u64::MAX).min(self.wait_limit_ms))
    }
}
