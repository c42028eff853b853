//! A small HTTP/1.1 client.
//!
//! It sends paths and bodies byte for byte as they are given, which `%2F` and bodies that are not
//! UTF-8 need. It keeps no pool: a [`Connection`] is one TCP connection, and a [`Client`] opens one
//! for each request, so that a killed host leaves nothing behind.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// All headers.
    pub headers: hyper::HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Reply {
    /// The body as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON: {} {:?}", self.status, self.text()))
    }

    /// The value of a header, empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// One TCP connection that is kept alive.
#[derive(Debug)]
pub struct Connection {
    /// Where it goes; the `Host` header.
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The task ends with the connection; its error is also the error of the request.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { address, sender })
    }

    /// Sends a request and reads the whole reply.
    ///
    /// # Errors
    /// If the connection breaks, or the path or a header is none.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes())?)
            .uri(path)
            .header(hyper::header::HOST, self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.exchange(request.body(Full::new(body.into()))?).await
    }

    /// Sends a request that is made already.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply> {
        self.sender.ready().await.context("the connection is closed")?;
        let response = self.sender.send_request(request).await.context("no response")?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the response broke off")?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

/// Sends each request over a connection of its own.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Where to.
    pub address: SocketAddr,
}

impl Client {
    /// Sends a request and reads the whole reply.
    ///
    /// # Errors
    /// If there is no complete reply.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply> {
        Connection::open(self.address).await?.send(method, path, headers, body).await
    }

    /// GET.
    ///
    /// # Errors
    /// If there is no complete reply.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.send("GET", path, &[], Bytes::new()).await
    }

    /// PUT.
    ///
    /// # Errors
    /// If there is no complete reply.
    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Result<Reply> {
        self.send("PUT", path, &[], body).await
    }

    /// POST.
    ///
    /// # Errors
    /// If there is no complete reply.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Reply> {
        self.send("POST", path, &[], body).await
    }
}
