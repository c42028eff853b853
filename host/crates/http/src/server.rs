//! [`HttpServer`]: accepts connections, hands requests on, and drains at the end.
//!
//! Not here: what happens on a connection (`connection.rs`), and what is answered (`api`, `trigger.rs`).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::response::Response;
use everstate_engine::clock::Clock;
use everstate_engine::guest::HttpFunctions;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::about::AboutHost;
use crate::api::Api;
use crate::backups::Backups;
use crate::config::HttpConfig;
use crate::connection::Connections;
use crate::deployments::Deployments;
use crate::engine::Engine;
use crate::error::ApiError;
use crate::exposure::Exposure;
use crate::readiness::Readiness;
use crate::routes::{SharedRoutes, is_built_in};
use crate::telemetry::{Telemetry, UnderWay};
use crate::transfer::ImportLimits;
use crate::trigger::Triggers;

/// How long the server waits before it accepts again when the operating system refused: mostly
/// because there are no file descriptors left, which another try at once does not change.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What the server needs of the rest of the host.
#[derive(Clone)]
pub struct Services {
    /// What the host is.
    pub about: Arc<AboutHost>,
    /// Makes backups.
    pub backups: Arc<dyn Backups>,
    /// Brings components in and takes them back.
    pub deployments: Arc<dyn Deployments>,
    /// Runs HTTP functions.
    pub functions: Arc<dyn HttpFunctions>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What is too long for an import.
    pub import_limits: ImportLimits,
    /// Knows what is durable, the orchestrations and the entities.
    pub engine: Arc<dyn Engine>,
    /// Knows what is not as it should be.
    pub readiness: Arc<dyn Readiness>,
    /// Which function answers which request.
    pub routes: Arc<SharedRoutes>,
    /// Who may reach what.
    pub exposure: Exposure,
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
    connections: Arc<Connections>,
    config: HttpConfig,
    detached: TaskTracker,
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
        let exposure = services.exposure.clone();
        let default_base_url = default_base_url(exposure.scheme(), listener.local_addr()?);
        let detached = TaskTracker::new();
        let stopping = CancellationToken::new();
        let app = App {
            api: Api {
                services: services.clone(),
                config: Arc::new(config.clone()),
                default_base_url: Arc::from(default_base_url.as_str()),
                stopping: stopping.clone(),
            },
            triggers: Triggers {
                functions: services.functions,
                engine: services.engine,
                routes: services.routes,
                admission: Arc::clone(&exposure.admission),
                config: config.clone(),
                default_base_url,
                detached: detached.clone(),
            },
        };
        // Functions bring their own routes, which come and go; axum's are fixed. So everything goes
        // through the fallback, which costs a third of a microsecond.
        let router = Router::new().fallback(dispatch).with_state(Arc::new(app));
        let connections =
            Connections::new(&config, router, exposure.tls, exposure.cors.as_deref(), stopping);
        Ok(Self { listener, connections: Arc::new(connections), config, detached })
    }

    /// Serves until `shutdown` is ready, then finishes what is under way.
    ///
    /// # Errors
    /// If that did not end within [`HttpConfig::drain_timeout_ms`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), DrainTimeout> {
        let Self { listener, connections: shared, config, detached } = self;
        let mut connections = JoinSet::new();
        let accepting = accept(listener, config.connections_max, &shared, &mut connections);
        tokio::select! {
            never = accepting => match never {},
            () = shutdown => {}
        }
        // The listener is closed now; idle connections close, busy ones after their response.
        shared.stopping.cancel();
        let drain = async {
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
    connections_max: usize,
    shared: &Arc<Connections>,
    connections: &mut JoinSet<()>,
) -> Infallible {
    let slots = Arc::new(Semaphore::new(connections_max));
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
        let shared = Arc::clone(shared);
        connections.spawn(async move {
            shared.serve(stream).await;
            drop(slot);
        });
    }
}

/// What requests are answered with.
struct App {
    api: Api,
    triggers: Triggers,
}

/// Every request.
async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut under_way = UnderWay::begin(&app.api.services, &parts);
    let path = parts.uri.path();
    let target_bytes = path.len() + parts.uri.query().map_or(0, |query| query.len() + 1);
    let answer = if target_bytes > app.triggers.config.target_bytes_max {
        let external = "The path and query are too long.";
        Err(ApiError::new(StatusCode::URI_TOO_LONG, "target_too_long", external))
    } else if parts.headers.get_all(HOST).iter().nth(1).is_some() {
        // RFC 9112, 3.2: which of them is meant, another reader may see otherwise.
        Err(ApiError::bad_request("There is more than one `Host` header."))
    } else if is_built_in(path) {
        app.api.answer(parts, body, &mut under_way).await
    } else {
        app.triggers.answer(parts, body, &mut under_way).await
    };
    under_way.end(answer)
}

/// Scheme and authority for links where a request names no host.
fn default_base_url(scheme: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}
