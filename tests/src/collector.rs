//! [`Collector`]: a double of an OpenTelemetry collector, which keeps the spans that it is sent as JSON.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

/// A span as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// In hexadecimal.
    pub trace_id: String,
    /// In hexadecimal.
    pub span_id: String,
    /// In hexadecimal; empty: none.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// The attribute `everstate.instance_id`; empty: none.
    pub instance_id: String,
    /// What the status says of an error; empty: there was none.
    pub error: String,
}

/// Where hosts send their spans. Ends with the test.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let collector = Self { address: listener.local_addr()?, spans: Arc::default() };
        let routes = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        drop(tokio::spawn(async move { axum::serve(listener, routes).await }));
        Ok(collector)
    }

    /// The settings of a host that sends its spans here.
    #[must_use]
    pub fn settings(&self) -> String {
        format!(
            "\n[telemetry]\notlp_endpoint = \"http://{}\"\notlp_protocol = \"http/json\"\n",
            self.address
        )
    }

    /// The spans of a trace so far.
    #[must_use]
    pub fn of_trace(&self, trace_id: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> &'static str {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_scope = |scope: &Value| list(&scope["spans"]);
    let of_resource = |resource: &Value| {
        list(&resource["scopeSpans"]).iter().flat_map(of_scope).collect::<Vec<_>>()
    };
    let spans = list(&request["resourceSpans"]);
    let spans = spans.iter().flat_map(of_resource).map(|span| read(&span));
    collector.spans.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
    "{}"
}

fn read(span: &Value) -> Span {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attributes = span["attributes"].as_array().cloned().unwrap_or_default();
    let instance = attributes.iter().find(|attribute| attribute["key"] == "everstate.instance_id");
    Span {
        trace_id: text(&span["traceId"]),
        span_id: text(&span["spanId"]),
        parent: text(&span["parentSpanId"]),
        name: text(&span["name"]),
        instance_id: instance.map(|found| text(&found["value"]["stringValue"])).unwrap_or_default(),
        error: text(&span["status"]["message"]),
    }
}
