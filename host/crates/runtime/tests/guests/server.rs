//! An HTTP server on this machine that keeps its responses back until a test lets them go.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use wasmtime_wasi_http::io::TokioIo;

/// A request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Method and path.
    pub(crate) line: String,
    /// Names and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    /// How many requests came in.
    count: watch::Sender<usize>,
    /// A permit lets one response go.
    responses: Semaphore,
}

impl Server {
    /// A server that answers at once.
    pub(crate) async fn start() -> Self {
        let server = Self::start_held().await;
        server.shared.responses.add_permits(Semaphore::MAX_PERMITS / 2);
        server
    }

    /// A server that answers when it is told to.
    pub(crate) async fn start_held() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (count, _) = watch::channel(0);
        let shared =
            Arc::new(Shared { received: Mutex::default(), count, responses: Semaphore::new(0) });
        let of_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let shared = Arc::clone(&of_task);
                let service = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { Ok::<_, Infallible>(shared.answer(request).await) }
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { serving.await.ok() });
            }
        });
        Self { address, shared, task }
    }

    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().expect("no panic").clone()
    }

    /// Returns when so many requests have come in.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut counts = self.shared.count.subscribe();
        counts.wait_for(|received| *received >= count).await.expect("the sender lives");
    }

    /// Lets so many responses go.
    pub(crate) fn release(&self, count: usize) {
        self.shared.responses.add_permits(count);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let path = head.uri.path().to_owned();
        self.received.lock().expect("no panic").push(Received {
            line: format!("{} {path}", head.method),
            headers: head.headers.iter().map(|(n, v)| (n.to_string(), text(v))).collect(),
            body: String::from_utf8(body.to_vec()).expect("text"),
        });
        self.count.send_modify(|count| *count += 1);
        self.responses.acquire().await.expect("never closed").forget();
        let mut response = Response::new(Full::from(format!("hello from {path}")));
        match path.as_str() {
            "/missing" => *response.status_mut() = StatusCode::NOT_FOUND,
            "/moved" => {
                *response.status_mut() = StatusCode::FOUND;
                response.headers_mut().insert(LOCATION, HeaderValue::from_static("/elsewhere"));
            }
            "/large" => *response.body_mut() = Full::from("x".repeat(100_000)),
            _ => {
                response.headers_mut().append("x-a", HeaderValue::from_static("1"));
                response.headers_mut().append("x-a", HeaderValue::from_static("2"));
            }
        }
        response
    }
}
