//! Seeing inside: the registry of metrics, the exporter of spans, the logs of guests.
//!
//! Nothing of it decides anything, and nobody waits for it: what cannot be kept up with is dropped and
//! counted. Log lines of the host itself are in `telemetry.rs`.

mod collector;
mod config;
mod guest_logs;
mod metrics;
mod process;
mod spans;
mod target;

pub use config::TelemetryConfig;
pub(crate) use guest_logs::KeptLogs;

use std::path::Path;
use std::sync::Arc;

use everstate_engine::metrics::EngineMetrics;
use everstate_engine::trace::{NoSpans, SpanSink};
use everstate_engine::{Observers, TaskHub};
use everstate_http::{GuestLogs, HttpMetrics, Telemetry};
use everstate_runtime::Runtime;
use everstate_storage::RocksStorage;

use self::metrics::{ObserverMetrics, renderer};
use self::spans::SpanExport;
use crate::telemetry;

/// Everybody who is told what happens.
#[derive(Debug)]
pub(crate) struct Observing {
    /// What guests log, if it is kept.
    pub(crate) logs: Option<Arc<KeptLogs>>,
    spans: Option<Arc<SpanExport>>,
    engine: Arc<EngineMetrics>,
    http: Arc<HttpMetrics>,
    own: ObserverMetrics,
}

impl Observing {
    /// Begins to observe. Logs of guests are kept in a folder of `data`.
    pub(crate) fn start(config: &TelemetryConfig, data: &Path) -> anyhow::Result<Self> {
        let own = ObserverMetrics {
            host_lines_dropped: telemetry::dropped_lines(),
            ..ObserverMetrics::default()
        };
        let logs = match config.guest_logs_bytes_max {
            0 => None,
            bytes_max => Some(KeptLogs::open(&data.join("logs"), bytes_max, own.clone())?),
        };
        let spans = SpanExport::start(config, own.clone())?;
        Ok(Self { logs, spans, engine: Arc::default(), http: Arc::default(), own })
    }

    /// Whom the engine tells.
    pub(crate) fn of_engine(&self) -> Observers {
        Observers { metrics: Arc::clone(&self.engine), spans: self.sink() }
    }

    /// Whom the HTTP surface tells, and what it shows.
    pub(crate) fn of_http(
        &self,
        hub: Arc<TaskHub>,
        runtime: Runtime,
        storage: Arc<RocksStorage>,
    ) -> Telemetry {
        let metrics = (&*self.engine, &*self.http, &self.own);
        Telemetry {
            metrics: Arc::clone(&self.http),
            spans: self.sink(),
            render: renderer(hub, runtime, storage, metrics),
            logs: self.logs.clone().map(|logs| logs as Arc<dyn GuestLogs>),
        }
    }

    fn sink(&self) -> Arc<dyn SpanSink> {
        match &self.spans {
            Some(spans) => Arc::<SpanExport>::clone(spans),
            None => Arc::new(NoSpans),
        }
    }

    /// Lets out what has come so far, when nothing happens any more.
    pub(crate) async fn stop(&self) {
        if let Some(spans) = &self.spans {
            spans.stop().await;
        }
        if let Some(logs) = self.logs.clone()
            && let Err(panic) = tokio::task::spawn_blocking(move || logs.stop()).await
        {
            tracing::warn!("the last lines of guests were not written: {panic}");
        }
    }
}
