//! An HTTP/1.1 client of a few lines: it sends what it is told, and shows what comes back.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

/// A connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    /// Whether the last request was a `HEAD`, whose response has no body.
    is_head: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = soon(TcpStream::connect(address)).await.expect("the server listens");
        Self { stream, read: Vec::new(), is_head: false }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.is_head = text.starts_with("HEAD ");
        soon(self.stream.write_all(text.as_bytes())).await.expect("the server reads");
    }

    /// Reads the next response.
    pub(crate) async fn response(&mut self) -> Response {
        let head_end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(self.read_more().await, "a response before the end"),
            }
        };
        let head = String::from_utf8(self.read[..head_end].to_vec()).expect("a head of text");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut response = Response { status, head, body: String::new() };
        let length = response.header("content-length").filter(|_| !self.is_head);
        let length: usize = length.map_or(0, |text| text.parse().expect("a length"));
        while self.read.len() < head_end + length {
            assert!(self.read_more().await, "the whole body before the end");
        }
        let rest = self.read.split_off(head_end + length);
        response.body = String::from_utf8(self.read[head_end..].to_vec()).expect("a body of text");
        self.read = rest;
        response
    }

    /// Reads up to a text that must come, and gives all of it.
    pub(crate) async fn read_up_to(&mut self, text: &str) -> String {
        loop {
            let read = String::from_utf8_lossy(&self.read).into_owned();
            if let Some(at) = read.find(text) {
                let found = read[..at + text.len()].to_owned();
                self.read.drain(..found.len());
                return found;
            }
            assert!(self.read_more().await, "`{text}` comes before the end, not {read:?}");
        }
    }

    /// Returns when the server has closed the connection without sending anything more.
    pub(crate) async fn closed(&mut self) {
        assert!(!self.read_more().await, "nothing more comes");
        assert!(self.read.is_empty());
    }

    async fn read_more(&mut self) -> bool {
        let count = soon(self.stream.read_buf(&mut self.read)).await;
        count.expect("the connection does not break") > 0
    }
}
