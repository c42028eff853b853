//! A server on a free port, the fakes behind it, and a client that shows every byte.

mod backups;
mod connection;
mod deployments;
mod entities;
mod fakes;
mod instances;
mod spans;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use everstate_engine::clock::{Clock, ExactTime};
use everstate_http::{
    AboutHost, CorsConfig, DrainTimeout, Exposure, HttpConfig, HttpServer, ImportLimits,
    RouteEntry, RouteTable, Services, SharedRoutes, SharedWarnings, TlsConfig,
};
use everstate_types::{AuthorizationLevel, ComponentHash, FunctionName, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use backups::FakeBackups;
pub(crate) use connection::{Connection, Response};
pub(crate) use deployments::FakeDeployments;
pub(crate) use entities::{FakeEntities, entity, held, record};
pub(crate) use fakes::{FakeEngine, FakeFunctions, status};
pub(crate) use instances::FakeInstances;
pub(crate) use spans::FakeSpans;

/// Longer than anything here takes; ends a test that would hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) functions: Arc<FakeFunctions>,
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) routes: Arc<SharedRoutes>,
    pub(crate) warnings: Arc<SharedWarnings>,
    pub(crate) deployments: Arc<FakeDeployments>,
    pub(crate) spans: Arc<FakeSpans>,
    shutdown: oneshot::Sender<()>,
    running: JoinHandle<Result<(), DrainTimeout>>,
    _data: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(HttpConfig::default()).await
    }

    pub(crate) async fn start_with(config: HttpConfig) -> Self {
        Self::start_exposed(config, &TlsConfig::default(), &CorsConfig::default()).await
    }

    /// The host is called `test`, or `h` for short.
    pub(crate) async fn start_exposed(
        mut config: HttpConfig,
        tls: &TlsConfig,
        cors: &CorsConfig,
    ) -> Self {
        config.hosts.extend(["test".to_owned(), "h".to_owned()]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (functions, engine) = (Arc::<FakeFunctions>::default(), Arc::<FakeEngine>::default());
        let warnings = Arc::<SharedWarnings>::default();
        let deployments = Arc::<FakeDeployments>::default();
        let spans = Arc::<FakeSpans>::default();
        let routes = Arc::new(SharedRoutes::new(table(&[
            ("Database_HttpStart", &["GET", "PUT"], "Database/{key}"),
            ("Echo", &[], "echo/{*rest}"),
            ("Wait", &["GET"], "wait"),
            ("Fail", &["GET"], "fail"),
            ("Overloaded", &["GET"], "overloaded"),
            ("Missing", &["GET"], "missing"),
            ("BadHeader", &["GET"], "bad-header"),
            ("ForClients", &["GET"], "clients"),
            ("ForOperators", &["GET"], "operators"),
        ])));
        let data = tempfile::tempdir().expect("a folder");
        let exposure = Exposure::new(address, data.path(), &config, tls, cors).expect("a good one");
        let about = AboutHost {
            version: "0.0.0",
            started_at: Timestamp::default(),
            functions: data.path().to_owned(),
            data: data.path().to_owned(),
        };
        let services = Services {
            about: Arc::new(about),
            backups: Arc::new(FakeBackups),
            deployments: deployments.clone(),
            exposure,
            functions: functions.clone(),
            clock: Arc::new(FakeClock),
            import_limits: ImportLimits {
                payload_bytes_max: 16 << 20,
                entity_state_bytes_max: 64 << 20,
            },
            engine: engine.clone(),
            readiness: warnings.clone(),
            routes: Arc::clone(&routes),
            telemetry: spans.telemetry(),
        };
        let server = HttpServer::new(listener, services, config).expect("a server");
        let (shutdown, is_shut_down) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async {
            is_shut_down.await.expect("the test shuts the server down or keeps it");
        }));
        Self {
            address,
            functions,
            engine,
            routes,
            warnings,
            deployments,
            spans,
            shutdown,
            running,
            _data: data,
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn get(&self, target: &str) -> Response {
        self.request("GET", target).await
    }

    pub(crate) async fn request(&self, method: &str, target: &str) -> Response {
        let mut connection = self.connect().await;
        connection.send(&format!("{method} {target} HTTP/1.1\r\nhost: test:80\r\n\r\n")).await;
        connection.response().await
    }

    /// One request with headers and a body, on a connection of its own.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let headers: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nhost: test:80\r\n{headers}");
        let mut connection = self.connect().await;
        connection.send(&format!("{head}content-length: {length}\r\n\r\n{body}")).await;
        connection.response().await
    }

    /// Begins the drain.
    pub(crate) fn shut_down(self) -> JoinHandle<Result<(), DrainTimeout>> {
        self.shutdown.send(()).expect("the server runs");
        self.running
    }
}

/// It is always this time.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_558_650_635_042);

struct FakeClock;

impl Clock for FakeClock {
    fn now_exactly(&self) -> ExactTime {
        ExactTime::from(NOW)
    }
}

/// A table of routes: function, methods, template.
pub(crate) fn table(routes: &[(&str, &[&str], &str)]) -> RouteTable {
    let entries: Vec<RouteEntry> = routes
        .iter()
        .map(|(function, methods, route)| RouteEntry {
            function: FunctionName::new(function).expect("a valid name"),
            component: ComponentHash([0; 32]),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            route: (*route).to_owned(),
            level: level_of(function),
        })
        .collect();
    let (table, conflicts) = RouteTable::build(&entries);
    assert_eq!(conflicts, []);
    table
}

/// Waits for something with patience.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens soon")
}

/// What the names of the functions say.
fn level_of(function: &str) -> AuthorizationLevel {
    match function {
        "ForClients" => AuthorizationLevel::Function,
        "ForOperators" => AuthorizationLevel::Admin,
        _ => AuthorizationLevel::Anonymous,
    }
}
