//! [`SpanExport`]: sends finished spans to a collector, by OTLP over HTTP.
//!
//! Work hands its spans over and goes on; a task sends them in batches. What it cannot keep up with, and
//! what the collector does not take, is dropped and counted: a trace is a help, not a promise.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use everstate_engine::clock::ExactTime;
use everstate_engine::trace::{FinishedSpan, SpanKind, SpanSink, SpanValue};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind as OtlpKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use prost::Message as _;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::collector::{Collector, Refusal, Taken};
use super::config::{OtlpProtocol, TelemetryConfig};
use super::metrics::ObserverMetrics;
use super::target::Target;

/// Spans that may wait to be sent.
const WAITING_MAX: usize = 8_192;

/// Spans that are sent together.
const BATCH_MAX: usize = 512;

/// How long the first span of a batch waits for others.
const BATCH_DELAY: Duration = Duration::from_millis(500);

/// How often a batch is sent to a collector that is busy or away.
const ATTEMPTS_MAX: u32 = 6;

/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause, whatever the collector wants.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long the last batches may take when the host stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// The bits of a trace id that W3C Trace Context wants to be random.
const RANDOM_BITS: u128 = (1 << 56) - 1;

/// Takes finished spans, and has them sent.
#[derive(Debug)]
pub(crate) struct SpanExport {
    waiting: Sender<Message>,
    sample_ratio: f64,
    metrics: ObserverMetrics,
    /// Notified when the host stops.
    stopping: Arc<Notify>,
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
        let Some(target) = Target::of(config, |name| std::env::var(name).ok())? else {
            return Ok(None);
        };
        let stopping = Arc::<Notify>::default();
        let sending = Sending {
            collector: Collector::new(&target)?,
            protocol: target.protocol,
            resource: (&resource(target.service_name)).into(),
            metrics: metrics.clone(),
            stopping: Arc::clone(&stopping),
            is_stopping: false,
            lost: None,
            has_rejected: false,
        };
        let (waiting, to_send) = channel(WAITING_MAX);
        let task = Mutex::new(Some(tokio::spawn(sending.run(to_send))));
        let sample_ratio = target.sample_ratio;
        Ok(Some(Arc::new(Self { waiting, sample_ratio, metrics, stopping, task })))
    }

    /// Sends what has come so far, and ends.
    pub(crate) async fn stop(&self) {
        let Some(task) = self.task.lock().await.take() else { return };
        self.stopping.notify_one();
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

/// The task that sends.
struct Sending {
    collector: Collector,
    protocol: OtlpProtocol,
    resource: ResourceAttributesWithSchema,
    metrics: ObserverMetrics,
    stopping: Arc<Notify>,
    is_stopping: bool,
    /// How many spans were dropped since the collector took some; `None`: it takes them.
    lost: Option<u64>,
    /// Whether the collector rejected a part of the last batch.
    has_rejected: bool,
}

impl Sending {
    async fn run(mut self, mut from: Receiver<Message>) {
        let mut is_last = false;
        while !is_last {
            let mut batch = Vec::new();
            is_last = !fill(&mut batch, &mut from).await;
            if !batch.is_empty() {
                self.deliver(batch).await;
            }
        }
    }

    /// Sends a batch, again and again if the collector is busy or away; others wait meanwhile.
    async fn deliver(&mut self, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        let body = self.written(batch);
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let refusal = match self.collector.send(body.clone()).await {
                Ok(taken) => return self.taken(count, &taken),
                Err(refusal) => refusal,
            };
            self.tell(&refusal);
            if !refusal.is_passing || attempt == ATTEMPTS_MAX || self.is_stopping {
                break;
            }
            let until = sleep(refusal.pause.unwrap_or_default().max(pause).min(PAUSE_MAX));
            tokio::select! {
                () = until => {}
                () = self.stopping.notified() => self.is_stopping = true,
            }
            pause *= 2;
        }
        self.metrics.spans_dropped.inc_by(count);
        self.lost = self.lost.map(|lost| lost + count);
    }

    fn written(&self, batch: Vec<SpanData>) -> Bytes {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans };
        match self.protocol {
            OtlpProtocol::Protobuf => request.encode_to_vec().into(),
            OtlpProtocol::Json => {
                serde_json::to_vec(&request).expect("plain text and numbers").into()
            }
        }
    }

    /// Said once, until it works again.
    fn tell(&mut self, refusal: &Refusal) {
        if self.lost.is_none() {
            tracing::warn!("the collector does not take spans: {}", refusal.reason);
            self.lost = Some(0);
        }
    }

    fn taken(&mut self, count: u64, taken: &Taken) {
        let rejected = taken.rejected.min(count);
        self.metrics.spans_sent.inc_by(count - rejected);
        self.metrics.spans_dropped.inc_by(rejected);
        if let Some(lost) = self.lost.take() {
            tracing::info!("the collector takes spans again, {lost} were dropped");
        }
        if !mem::replace(&mut self.has_rejected, rejected > 0) && rejected > 0 {
            let message = &taken.message;
            tracing::warn!("the collector rejected {rejected} of {count} spans: {message}");
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

/// What all spans are of, with the attributes of `OTEL_RESOURCE_ATTRIBUTES`.
fn resource(service_name: String) -> Resource {
    Resource::builder()
        .with_service_name(service_name)
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
