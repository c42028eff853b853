//! The life of connections: limits, silence, clients that go away, the drain.

use everstate_http::{DrainTimeout, HttpConfig};

use crate::support::{Connection, TestServer, soon};

const WAIT: &str = "GET /wait HTTP/1.1\r\nhost: h\r\n\r\n";

impl TestServer {
    /// Returns when `Wait` has begun this often.
    async fn waits_begun(&self, expected: u32) {
        let mut waits = self.functions.waits.subscribe();
        soon(waits.wait_for(|(begun, _)| *begun == expected)).await.expect("the sender lives");
    }
}

#[tokio::test]
async fn drain_finishes_requests_and_closes_idle_connections() {
    let server = TestServer::start().await;
    let mut busy = server.connect().await;
    busy.send(WAIT).await;
    server.waits_begun(1).await;
    let mut idle = server.connect().await;
    idle.send("GET /runtime/health HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(idle.response().await.status, 200);
    let mut fresh = server.connect().await;
    // Whoever is accepted before the server answers another one is accepted before the drain.
    assert_eq!(server.get("/runtime/health").await.status, 200);

    let (address, functions) = (server.address, server.functions.clone());
    let running = server.shut_down();
    idle.closed().await;
    fresh.closed().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens");
    assert!(!running.is_finished());
    functions.go_on.add_permits(1);
    let response = busy.response().await;
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    busy.closed().await;
    assert_eq!(soon(running).await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn drain_that_takes_too_long_cuts_connections() {
    let config = HttpConfig { drain_timeout_ms: 20, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    let mut busy = server.connect().await;
    busy.send(WAIT).await;
    server.waits_begun(1).await;
    let cut = soon(server.shut_down()).await.expect("no panic");
    assert!(matches!(cut, Err(DrainTimeout { connection_count: 1, .. })), "{cut:?}");
    busy.closed().await;
}

#[tokio::test]
async fn function_runs_on_when_its_client_goes_away_and_the_drain_waits_for_it() {
    let server = TestServer::start().await;
    let mut connection = server.connect().await;
    connection.send(WAIT).await;
    server.waits_begun(1).await;
    drop(connection);
    let functions = server.functions.clone();
    let running = server.shut_down();
    functions.go_on.add_permits(1);
    assert_eq!(soon(running).await.expect("no panic"), Ok(()));
    assert_eq!(*functions.waits.borrow(), (1, 1));
}

#[tokio::test]
async fn client_that_sends_no_whole_head_is_cut_off() {
    let config = HttpConfig { header_timeout_ms: 30, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET /runtime/health HTTP/1.1\r\nhost"] {
        let mut connection = server.connect().await;
        connection.send(beginning).await;
        connection.closed().await;
    }
}

#[tokio::test]
async fn idle_connection_is_closed_after_the_header_timeout() {
    let config = HttpConfig { header_timeout_ms: 30, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    let mut connection = server.connect().await;
    connection.send("GET /runtime/health HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 200);
    connection.closed().await;
}

#[tokio::test]
async fn running_function_outlasts_the_header_timeout() {
    let config = HttpConfig { header_timeout_ms: 30, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    let mut busy = server.connect().await;
    busy.send(WAIT).await;
    server.waits_begun(1).await;
    // By the time that an idle connection is closed, the time of the busy one is over too.
    server.connect().await.closed().await;
    server.functions.go_on.add_permits(1);
    assert_eq!(busy.response().await.status, 200);
}

#[tokio::test]
async fn connection_above_the_limit_waits_until_another_one_ends() {
    let config = HttpConfig { connections_max: 1, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    let mut first = server.connect().await;
    first.send(WAIT).await;
    server.waits_begun(1).await;
    let mut second = server.connect().await;
    second.send(WAIT).await;
    server.functions.go_on.add_permits(1);
    assert_eq!(first.response().await.status, 200);
    assert_eq!(*server.functions.waits.borrow(), (1, 1), "the second one was not accepted");
    drop(first);
    server.waits_begun(2).await;
    server.functions.go_on.add_permits(1);
    assert_eq!(second.response().await.status, 200);
}

#[tokio::test]
async fn request_beyond_the_limits_of_its_head_or_with_two_hosts_is_refused() {
    let server = TestServer::start().await;
    let longest = HttpConfig::default().target_bytes_max - "/echo/".len();
    assert_eq!(server.get(&format!("/echo/{}", "x".repeat(longest))).await.status, 200);
    assert_eq!(server.get(&format!("/echo/{}", "x".repeat(longest + 1))).await.status, 414);
    let mut connection = server.connect().await;
    connection.send("GET /echo/a HTTP/1.1\r\nhost: h\r\nhost: test\r\n\r\n").await;
    assert_eq!(connection.response().await.status, 400);
    let mut connection: Connection = server.connect().await;
    let headers = "a: b\r\n".repeat(101);
    connection.send(&format!("GET /echo/a HTTP/1.1\r\n{headers}\r\n")).await;
    assert_eq!(connection.response().await.status, 431);
}
