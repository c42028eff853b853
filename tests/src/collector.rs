//! [`Collector`]: a double of an OpenTelemetry collector, which keeps the spans that it is sent as JSON.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

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
    /// In nanoseconds since 1970.
    pub started: u64,
    /// In nanoseconds since 1970.
    pub ended: u64,
    /// The attribute `everstate.instance_id`; empty: none.
    pub instance_id: String,
    /// What the status says of an error; empty: there was none.
    pub error: String,
    /// Names and values of all attributes.
    pub attributes: Vec<(String, Value)>,
}

impl Span {
    /// The value of an attribute; `null`: it has none of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Value {
        let found = self.attributes.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// Where hosts send their spans. Ends with the test.
#[derive(Clone, Debug)]
pub struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    /// What is answered next; nothing: that all is taken.
    answers: Arc<Mutex<VecDeque<(StatusCode, String)>>>,
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let collector = Self::at(format!("http://{}", listener.local_addr()?));
        let routes = collector.routes();
        drop(tokio::spawn(async move { axum::serve(listener, routes).await }));
        Ok(collector)
    }

    /// Listens on a free port by HTTPS, with the `cert.pem` and `key.pem` of a folder.
    ///
    /// # Errors
    /// If there is none, or the files are no certificate and its key.
    pub async fn start_tls(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let collector = Self::at(format!("https://localhost:{}", listener.local_addr()?.port()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_file(folder.join("cert.pem"))?;
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let listener = TlsListener { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        let routes = collector.routes();
        drop(tokio::spawn(async move { axum::serve(listener, routes).await }));
        Ok(collector)
    }

    fn at(url: String) -> Self {
        Self { url, spans: Arc::default(), answers: Arc::default() }
    }

    fn routes(&self) -> Router {
        Router::new().route("/v1/traces", post(take)).with_state(self.clone())
    }

    /// The settings of a host that sends its spans here; the last section is `[telemetry]`.
    #[must_use]
    pub fn settings(&self) -> String {
        let url = &self.url;
        format!("\n[telemetry]\notlp_endpoint = \"{url}\"\notlp_protocol = \"http/json\"\n")
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers one more batch this way; what is not taken is not kept.
    pub fn answer(&self, status: StatusCode, body: &str) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push_back((status, body.to_owned()));
    }

    /// The spans of a trace so far.
    #[must_use]
    pub fn of_trace(&self, trace_id: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
    }
}

/// Takes connections whose handshake succeeds.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> (StatusCode, String) {
    let next = collector.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (status, answer) = next.unwrap_or_else(|| (StatusCode::OK, "{}".to_owned()));
    if !status.is_success() {
        return (status, answer);
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_scope = |scope: &Value| list(&scope["spans"]);
    let of_resource = |resource: &Value| {
        list(&resource["scopeSpans"]).iter().flat_map(of_scope).collect::<Vec<_>>()
    };
    let spans = list(&request["resourceSpans"]);
    let spans = spans.iter().flat_map(of_resource).map(|span| read(&span));
    collector.spans.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
    (status, answer)
}

fn read(span: &Value) -> Span {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // Numbers of 64 bits are texts in OTLP's JSON.
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok());
    let attributes = span["attributes"].as_array().cloned().unwrap_or_default();
    let attribute = |attribute: &Value| {
        let value = &attribute["value"];
        let value = match number(&value["intValue"]) {
            Some(number) => Value::from(number),
            None => value["stringValue"].clone(),
        };
        (text(&attribute["key"]), value)
    };
    let attributes: Vec<_> = attributes.iter().map(attribute).collect();
    let instance = attributes.iter().find(|(name, _)| name == "everstate.instance_id");
    Span {
        trace_id: text(&span["traceId"]),
        span_id: text(&span["spanId"]),
        parent: text(&span["parentSpanId"]),
        name: text(&span["name"]),
        started: number(&span["startTimeUnixNano"]).unwrap_or_default(),
        ended: number(&span["endTimeUnixNano"]).unwrap_or_default(),
        instance_id: instance.map(|(_, value)| text(value)).unwrap_or_default(),
        error: text(&span["status"]["message"]),
        attributes,
    }
}
