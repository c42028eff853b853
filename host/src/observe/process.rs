//! [`ProcessMetrics`]: what the operating system says of this process.

use std::fs;

use everstate_engine::clock::{Clock as _, SystemClock};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// What the operating system says of this process.
#[derive(Debug, Default)]
pub(super) struct ProcessMetrics {
    resident_bytes: Gauge,
    open_files: Gauge,
    threads: Gauge,
}

impl ProcessMetrics {
    pub(super) fn register(&self, to: &mut Registry) {
        let help = "Memory of the process, in bytes";
        to.register("process_resident_memory_bytes", help, self.resident_bytes.clone());
        to.register("process_open_fds", "Open file descriptors", self.open_files.clone());
        to.register("process_threads", "Threads", self.threads.clone());
        let started = Gauge::<i64>::default();
        let now = SystemClock.now().as_millis() / 1_000;
        started.set(i64::try_from(now).unwrap_or(i64::MAX));
        to.register("process_start_time_seconds", "When the host started, since 1970", started);
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        to.register("build", "The version of the host", version);
    }

    /// Reads everything anew. What cannot be read stays as it was.
    pub(super) fn read(&self) {
        let Ok(status) = fs::read_to_string("/proc/self/status") else { return };
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<i64>().ok()
        };
        if let Some(kibibytes) = number("VmRSS:") {
            self.resident_bytes.set(kibibytes << 10);
        }
        if let Some(threads) = number("Threads:") {
            self.threads.set(threads);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
    }
}
