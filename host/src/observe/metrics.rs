//! [`renderer`]: one registry of the metrics of all crates, as text.

use std::sync::Arc;

use everstate_engine::TaskHub;
use everstate_engine::metrics::EngineMetrics;
use everstate_http::{HttpMetrics, RenderMetrics};
use everstate_runtime::Runtime;
use everstate_storage::RocksStorage;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::process::ProcessMetrics;

/// What every name begins with.
const PREFIX: &str = "everstate";

/// What is counted of telling observers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObserverMetrics {
    pub(super) spans_sent: Counter,
    pub(super) spans_dropped: Counter,
    pub(super) log_lines: Counter,
    pub(super) log_lines_dropped: Counter,
    pub(super) host_lines_dropped: Counter,
}

impl ObserverMetrics {
    fn register(&self, to: &mut Registry) {
        to.register("spans_sent", "Spans that the collector took", self.spans_sent.clone());
        let help =
            "Spans that were dropped: too many at a time, or the collector did not take them";
        to.register("spans_dropped", help, self.spans_dropped.clone());
        let help = "Lines that guests logged for their instances and that were kept";
        to.register("guest_log_lines", help, self.log_lines.clone());
        let help = "Lines of guests that were not kept: too many at a time, or the disk refused";
        to.register("guest_log_lines_dropped", help, self.log_lines_dropped.clone());
        let help = "Lines of the host's log that were dropped because standard error was not read";
        to.register("log_lines_dropped", help, self.host_lines_dropped.clone());
    }
}

/// Renders all metrics. How things stand is read each time.
pub(crate) fn renderer(
    hub: Arc<TaskHub>,
    runtime: Runtime,
    storage: Arc<RocksStorage>,
    (engine, http, observers): (&EngineMetrics, &HttpMetrics, &ObserverMetrics),
) -> RenderMetrics {
    let mut registry = Registry::with_prefix(PREFIX);
    let process = ProcessMetrics::default();
    process.register(&mut registry);
    http.register(&mut registry);
    engine.register(&mut registry);
    runtime.read_metrics().register(&mut registry);
    storage.read_metrics().register(&mut registry);
    observers.register(&mut registry);
    Arc::new(move || {
        process.read();
        hub.read_gauges();
        runtime.read_metrics();
        storage.read_metrics();
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes all");
        text
    })
}
