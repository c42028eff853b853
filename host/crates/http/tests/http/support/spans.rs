//! A sink that keeps spans, and the metrics beside it.

use std::sync::Arc;

use everstate_engine::trace::{FinishedSpan, SpanSink};
use everstate_http::{HttpMetrics, Telemetry};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::soon;

/// Takes the spans of traces that are recorded, and begins none.
#[derive(Debug)]
pub(crate) struct FakeSpans {
    finished: watch::Sender<Vec<FinishedSpan>>,
    metrics: Arc<HttpMetrics>,
}

impl Default for FakeSpans {
    fn default() -> Self {
        Self { finished: watch::channel(Vec::new()).0, metrics: Arc::default() }
    }
}

impl FakeSpans {
    /// What tells this of requests.
    pub(crate) fn telemetry(self: &Arc<Self>) -> Telemetry {
        let (spans, metrics) = (Arc::clone(self), Arc::clone(&self.metrics));
        Telemetry { spans, metrics, ..Telemetry::default() }
    }

    /// The first span, as soon as it is there.
    pub(crate) async fn first(&self) -> FinishedSpan {
        let mut finished = self.finished.subscribe();
        let spans = soon(finished.wait_for(|spans| !spans.is_empty())).await.expect("open");
        spans[0].clone()
    }

    /// All metrics of requests, as they are shown.
    pub(crate) fn metrics(&self) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        self.metrics.register(&mut registry);
        encode(&mut text, &registry).expect("it is text");
        text
    }
}

impl SpanSink for FakeSpans {
    fn wants_spans(&self) -> bool {
        true
    }

    fn begins_trace(&self, _trace_id: u128) -> bool {
        false
    }

    fn finished(&self, span: FinishedSpan) {
        self.finished.send_modify(|spans| spans.push(span));
    }
}
