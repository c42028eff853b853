//! [`SpanExport`]: sends finished spans to a collector, by OTLP over HTTP.
//!
//! Work hands its spans over and goes on; a task sends them in batches. What it cannot keep up with, and
//! what the collector does not take, is dropped and counted: a trace is a help, not a promise.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use everstate_engine::clock::ExactTime;
use everstate_engine::trace::{FinishedSpan, SpanKind, SpanSink, SpanValue};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind as OtlpKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::collector::CollectorClient;
use super::config::{OtlpProtocol, TelemetryConfig};
use super::metrics::ObserverMetrics;

/// Spans that may wait to be sent.
const WAITING_MAX: usize = 8_192;

/// Spans that are sent together.
const BATCH_MAX: usize = 512;

/// How long the first span of a batch waits for others.
const BATCH_DELAY: Duration = Duration::from_millis(500);

/// How long the collector may take for a batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last batches may take when the host stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the path of a collector's endpoint leads.
const TRACES_PATH: &str = "/v1/traces";

/// The variable of OpenTelemetry that names a collector.
const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The one that says where exactly a collector takes spans.
const TRACES_ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// The one that names the certificates which a collector is to be trusted by.
const CA_VARIABLE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// The bits of a trace id that W3C Trace Context wants to be random.
const RANDOM_BITS: u128 = (1 << 56) - 1;

/// Takes finished spans, and has them sent.
#[derive(Debug)]
pub(crate) struct SpanExport {
    waiting: Sender<Message>,
    sample_ratio: f64,
    metrics: ObserverMetrics,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Message {
    Span(Box<FinishedSpan>),
    /// Send what has come before, and end.
    Stop,
}

impl SpanExport {
    /// Begins to send, if the configuration or the environment names a collector.
    pub(crate) fn start(
        config: &TelemetryConfig,
        metrics: ObserverMetrics,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(url) = traces_url(config) else { return Ok(None) };
        let protocol = match config.otlp_protocol {
            OtlpProtocol::Protobuf => Protocol::HttpBinary,
            OtlpProtocol::Json => Protocol::HttpJson,
        };
        let ca = config.otlp_ca_file.clone().or_else(|| variable(CA_VARIABLE).map(PathBuf::from));
        let client = CollectorClient::new(&url, ca.as_deref(), EXPORT_TIMEOUT)
            .context("the setting `telemetry.otlp_endpoint`")?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client);
        let mut exporter = exporter
            .with_protocol(protocol)
            .with_endpoint(url)
            .build()
            .context("the settings of the collector")?;
        exporter.set_resource(&resource(config));
        let (waiting, to_send) = channel(WAITING_MAX);
        let task = tokio::spawn(send_all(exporter, to_send, metrics.clone()));
        let task = Mutex::new(Some(task));
        Ok(Some(Arc::new(Self { waiting, sample_ratio: config.sample_ratio, metrics, task })))
    }

    /// Sends what has come so far, and ends.
    pub(crate) async fn stop(&self) {
        let Some(task) = self.task.lock().await.take() else { return };
        let stopped = async {
            if self.waiting.send(Message::Stop).await.is_ok() {
                // A panic of the task was reported where it happened.
                drop(task.await);
            }
        };
        if timeout(STOP_TIMEOUT, stopped).await.is_err() {
            tracing::warn!("the last spans were not sent in time");
        }
    }
}

impl SpanSink for SpanExport {
    fn wants_spans(&self) -> bool {
        true
    }

    fn begins_trace(&self, trace_id: u128) -> bool {
        // The last 56 bits of an id are random, whoever made it.
        #[expect(clippy::cast_precision_loss, reason = "a ratio is no more exact than that")]
        let place = (trace_id & RANDOM_BITS) as f64 / RANDOM_BITS as f64;
        place < self.sample_ratio || self.sample_ratio >= 1.0
    }

    fn finished(&self, span: FinishedSpan) {
        if self.waiting.try_send(Message::Span(Box::new(span))).is_err() {
            self.metrics.spans_dropped.inc();
        }
    }
}

async fn send_all(exporter: SpanExporter, mut from: Receiver<Message>, metrics: ObserverMetrics) {
    let mut has_failed = false;
    let mut is_last = false;
    while !is_last {
        let mut batch = Vec::new();
        is_last = !fill(&mut batch, &mut from).await;
        if batch.is_empty() {
            continue;
        }
        let count = batch.len() as u64;
        match exporter.export(batch).await {
            Ok(()) => {
                metrics.spans_sent.inc_by(count);
                has_failed = false;
            }
            Err(error) => {
                metrics.spans_dropped.inc_by(count);
                // Said once, until it works again.
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!("the collector does not take spans: {error}");
                }
            }
        }
    }
}

/// Waits for spans and takes what comes together; false: these are the last.
async fn fill(batch: &mut Vec<SpanData>, from: &mut Receiver<Message>) -> bool {
    let Some(Message::Span(first)) = from.recv().await else { return false };
    batch.push(span_data(*first));
    let more = async {
        while batch.len() < BATCH_MAX {
            match from.recv().await {
                Some(Message::Span(span)) => batch.push(span_data(*span)),
                Some(Message::Stop) | None => return false,
            }
        }
        true
    };
    timeout(BATCH_DELAY, more).await.unwrap_or(true)
}

/// Where spans are sent: what the configuration says, or the environment; `None`: nowhere.
fn traces_url(config: &TelemetryConfig) -> Option<String> {
    let named = Some(config.otlp_endpoint.clone()).filter(|endpoint| !endpoint.is_empty());
    let base = match named {
        Some(endpoint) => endpoint,
        None => match variable(TRACES_ENDPOINT_VARIABLE) {
            // It is used as it is.
            Some(url) => return Some(url),
            None => variable(ENDPOINT_VARIABLE)?,
        },
    };
    let base = base.trim_end_matches('/');
    Some(if base.ends_with(TRACES_PATH) { base.to_owned() } else { format!("{base}{TRACES_PATH}") })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn resource(config: &TelemetryConfig) -> Resource {
    let name = Some(config.service_name.clone()).filter(|name| !name.is_empty());
    let name =
        name.or_else(|| variable("OTEL_SERVICE_NAME")).unwrap_or_else(|| "everstate".to_owned());
    Resource::builder()
        .with_service_name(name)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn span_data(span: FinishedSpan) -> SpanData {
    let trace = &span.trace;
    let time = |time: ExactTime| UNIX_EPOCH + Duration::from_nanos(time.as_nanos());
    let span_kind = match span.kind {
        SpanKind::Request => OtlpKind::Server,
        SpanKind::Orchestration | SpanKind::Entity => OtlpKind::Consumer,
        SpanKind::Activity => OtlpKind::Internal,
    };
    let mut attributes = vec![KeyValue::new("everstate.kind", kind_name(span.kind))];
    attributes.extend(span.function.map(|name| KeyValue::new("everstate.function", name)));
    let instance = span.instance_id.map(|id| id.to_string());
    attributes.extend(instance.map(|id| KeyValue::new("everstate.instance_id", id)));
    attributes.extend(span.attributes.into_iter().map(|(name, value)| match value {
        SpanValue::Number(number) => KeyValue::new(name, number),
        SpanValue::Text(text) => KeyValue::new(name, text),
    }));
    let status = match span.error {
        Some(description) => Status::Error { description: description.into() },
        None => Status::Unset,
    };
    let (trace_id, span_id) = (TraceId::from(trace.trace_id), SpanId::from(trace.span_id.0));
    let state = trace.state.parse::<TraceState>().unwrap_or_default();
    SpanData {
        span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, state),
        parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.0)),
        parent_span_is_remote: span.kind == SpanKind::Request,
        span_kind,
        name: span.name.into(),
        start_time: time(span.started),
        end_time: time(span.ended),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder("everstate").build(),
    }
}

fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Request => "request",
        SpanKind::Orchestration => "orchestration",
        SpanKind::Entity => "entity",
        SpanKind::Activity => "activity",
    }
}
