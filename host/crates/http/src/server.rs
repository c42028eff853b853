//! [`HttpServer`]: accepts connections, hands requests on, and drains at the end.
//!
//! The router is axum's; the connections are driven here, because `axum::serve` has no limits and no
//! timeouts. Not here: TLS, which a reverse proxy does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use everstate_engine::guest::HttpFunctions;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::api::Api;
use crate::backups::Backups;
use crate::config::HttpConfig;
use crate::deployments::Deployments;
use crate::engine::Engine;
use crate::error::ApiError;
use crate::readiness::Readiness;
use crate::routes::{SharedRoutes, is_built_in};
use crate::telemetry::{Telemetry, UnderWay};
use crate::trigger::Triggers;

/// How long the server waits before it accepts again when the operating system refused: mostly
/// because there are no file descriptors left, which another try at once does not change.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What the server needs of the rest of the host.
#[derive(Clone)]
pub struct Services {
    /// Makes backups.
    pub backups: Arc<dyn Backups>,
    /// Brings components in and takes them back.
    pub deployments: Arc<dyn Deployments>,
    /// Runs HTTP functions.
    pub functions: Arc<dyn HttpFunctions>,
    /// Knows what is durable, the orchestrations and the entities.
    pub engine: Arc<dyn Engine>,
    /// Knows what is not as it should be.
    pub readiness: Arc<dyn Readiness>,
    /// Which function answers which request.
    pub routes: Arc<SharedRoutes>,
    /// Who is told of requests, and what is shown of the inside.
    pub telemetry: Telemetry,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("routes", &self.routes).finish_non_exhaustive()
    }
}

/// The drain took too long; connections were cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{connection_count} connections and {detached_count} functions were cut off at the end of the drain"
)]
pub struct DrainTimeout {
    /// How many connections still had a request under way.
    pub connection_count: usize,
    /// How many functions still ran for clients that had gone.
    pub detached_count: usize,
}

/// The HTTP server.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    router: Router,
    config: HttpConfig,
    detached: TaskTracker,
    stopping: CancellationToken,
}

impl HttpServer {
    /// A server on a socket that is bound already.
    ///
    /// # Errors
    /// If the operating system does not know the socket's address.
    pub fn new(
        listener: TcpListener,
        services: Services,
        config: HttpConfig,
    ) -> std::io::Result<Self> {
        let default_base_url = default_base_url(listener.local_addr()?);
        let detached = TaskTracker::new();
        let stopping = CancellationToken::new();
        let app = App {
            api: Api {
                services: services.clone(),
                config: config.clone(),
                default_base_url: default_base_url.clone(),
                stopping: stopping.clone(),
            },
            triggers: Triggers {
                functions: services.functions,
                engine: services.engine,
                routes: services.routes,
                config: config.clone(),
                default_base_url,
                detached: detached.clone(),
            },
        };
        // Functions bring their own routes, which come and go; axum's are fixed. So everything goes
        // through the fallback, which costs a third of a microsecond.
        let router = Router::new().fallback(dispatch).with_state(Arc::new(app));
        Ok(Self { listener, router, config, detached, stopping })
    }

    /// Serves until `shutdown` is ready, then finishes what is under way.
    ///
    /// # Errors
    /// If that did not end within [`HttpConfig::drain_timeout_ms`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), DrainTimeout> {
        let Self { listener, router, config, detached, stopping } = self;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let accepting = accept(listener, router, &config, &graceful, &mut connections);
        tokio::select! {
            never = accepting => match never {},
            () = shutdown => {}
        }
        stopping.cancel();
        // The listener is closed now; idle connections close, busy ones after their response.
        let drain = async {
            graceful.shutdown().await;
            while connections.join_next().await.is_some() {}
            detached.close();
            detached.wait().await;
        };
        if timeout(config.drain_timeout(), drain).await.is_ok() {
            return Ok(());
        }
        let connection_count = connections.len();
        connections.shutdown().await;
        Err(DrainTimeout { connection_count, detached_count: detached.len() })
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
) -> Infallible {
    let builder = Arc::new(connection_builder(config));
    let slots = Arc::new(Semaphore::new(config.connections_max));
    let header_timeout = config.header_timeout();
    loop {
        // Without a free slot nothing is accepted: the backlog of the operating system waits.
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        // Connections that have ended are collected on the way.
        while connections.try_join_next().is_some() {}
        let (builder, router, watcher) = (Arc::clone(&builder), router.clone(), graceful.watcher());
        connections.spawn(async move {
            serve_connection(&builder, stream, router, watcher, header_timeout).await;
            drop(slot);
        });
    }
}

async fn serve_connection(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    router: Router,
    watcher: Watcher,
    header_timeout: Duration,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection closed before it was served");
        return;
    }
    let has_begun = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        has_begun.store(true, Ordering::Relaxed);
        router.clone().call(request.map(Body::new))
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(watcher.watch(connection));
    // hyper's own timer begins when it knows the version of the protocol. Until then this one
    // keeps a client that says nothing from holding a connection.
    let silence = pin!(sleep(header_timeout));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = silence => {
            if !has_begun.load(Ordering::Relaxed) {
                tracing::debug!("a connection made no request in time");
                return;
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn connection_builder(config: &HttpConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Without a timer hyper ignores its timeouts.
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout())
        .max_headers(config.headers_max)
        .max_buf_size(config.connection_buffer_bytes_max.max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.http2_streams_max)
        .max_header_list_size(config.http2_header_list_bytes_max)
        .max_pending_accept_reset_streams(config.http2_pending_resets_max)
        .keep_alive_interval(config.http2_ping())
        .keep_alive_timeout(config.http2_ping());
    builder
}

/// What requests are answered with.
struct App {
    api: Api,
    triggers: Triggers,
}

/// Every request.
async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let target_bytes = path.len() + parts.uri.query().map_or(0, |query| query.len() + 1);
    if target_bytes > app.triggers.config.target_bytes_max {
        let external = "The path and query are too long.";
        let error = ApiError::new(StatusCode::URI_TOO_LONG, "target_too_long", external);
        return error.into_response();
    }
    let mut under_way = UnderWay::begin(&app.api.services.telemetry, &parts);
    let answer = if is_built_in(path) {
        app.api.answer(parts, body, &mut under_way).await
    } else {
        app.triggers.answer(parts, body, &mut under_way).await
    };
    under_way.end(answer)
}

/// Scheme and authority for links where a request names no host.
fn default_base_url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}
