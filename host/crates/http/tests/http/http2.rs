//! The same server by HTTP/2, with prior knowledge, on the same port.

use bytes::Bytes;
use everstate_http::HttpConfig;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::{TestServer, soon};

type Client = SendRequest<Full<Bytes>>;

impl TestServer {
    async fn connect_http2(&self) -> (Client, JoinHandle<()>) {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        let (client, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a handshake");
        let running = tokio::spawn(async move { connection.await.expect("an orderly end") });
        (client, running)
    }
}

/// Status, whether there is a `connection` header, body.
async fn request(client: &Client, request: Request<Full<Bytes>>) -> (u16, bool, String) {
    let response: Response<_> =
        soon(client.clone().send_request(request)).await.expect("a response");
    let head = (response.status().as_u16(), response.headers().contains_key("connection"));
    let body = soon(response.into_body().collect()).await.expect("a body").to_bytes();
    (head.0, head.1, String::from_utf8(body.to_vec()).expect("text"))
}

fn put(path: &str, body: &str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let request = Request::put(format!("http://test:80{path}")).body(body);
    request.expect("a request")
}

#[tokio::test]
async fn http2_requests_are_answered_side_by_side_and_drained() {
    let config = HttpConfig { request_bytes_max: 1_000, ..HttpConfig::default() };
    let server = TestServer::start_with(config).await;
    let (client, running) = server.connect_http2().await;

    let waiting = {
        let client = client.clone();
        let wait = Request::get("http://test:80/wait").body(Full::default()).expect("a request");
        tokio::spawn(async move { request(&client, wait).await })
    };
    let mut waits = server.functions.waits.subscribe();
    soon(waits.wait_for(|(begun, _)| *begun == 1)).await.expect("the sender lives");

    let (status, _, body) = request(&client, put("/Database/1", "v")).await;
    assert_eq!((status, body.as_str()), (200, "PUT http://test:80/Database/1"));
    assert_eq!(server.functions.last_request().body, "v");
    let (status, has_connection_header, _) =
        request(&client, put("/Database/1", &"x".repeat(9_000))).await;
    assert_eq!((status, has_connection_header), (413, false));
    assert_eq!(request(&client, put("/Database/1", "v")).await.0, 200);

    let functions = server.functions.clone();
    let draining = server.shut_down();
    functions.go_on.add_permits(1);
    assert_eq!(soon(waiting).await.expect("no panic").2, "waited");
    soon(running).await.expect("no panic");
    assert_eq!(soon(draining).await.expect("no panic"), Ok(()));
}
