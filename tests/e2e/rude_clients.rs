//! Clients that are slow, greedy or hostile: each is refused or cut off, and others are served.
//!
//! The limits are small, so that a test can wait for what they do. The requests are written byte by
//! byte, because a good client cannot be rude.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::options;

/// Longer than anything here takes; ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an HTTP/2 client says first: the preface and its settings, none.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Types of HTTP/2 frames.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

async fn host(limits: &str) -> Result<HostProcess> {
    let config = format!("[http]\n{limits}\n");
    HostProcess::start(options(&[guests::DATABASE]).config(&config)).await
}

/// A client that sends what it is told.
struct Rude(TcpStream);

impl Rude {
    async fn connect(host: &HostProcess) -> Result<Self> {
        Ok(Self(TcpStream::connect(host.address()).await?))
    }

    /// One whose system takes little that it does not read.
    async fn connect_with_small_buffer(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        Ok(Self(socket.connect(address).await?))
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(timeout(PATIENCE, self.0.write_all(bytes.as_ref())).await.context("nobody reads")??)
    }

    /// All that comes until the host closes the connection, however it does.
    async fn read_to_end(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let read = timeout(PATIENCE, self.0.read(&mut piece)).await;
            match read.context("the connection stays open")? {
                Ok(0) | Err(_) => return Ok(all),
                Ok(count) => all.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// The status of the response that comes next.
    async fn status(&mut self) -> Result<u16> {
        let mut head = [0; 12];
        timeout(PATIENCE, self.0.read_exact(&mut head)).await.context("no response")??;
        Ok(std::str::from_utf8(&head[9..])?.parse()?)
    }

    /// The next frame of HTTP/2: type, stream, payload.
    async fn frame(&mut self) -> Result<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        timeout(PATIENCE, self.0.read_exact(&mut head)).await.context("no frame")??;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        timeout(PATIENCE, self.0.read_exact(&mut payload)).await.context("half a frame")??;
        Ok((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers of a request without a body: `GET`, `http`, the path, `localhost`.
fn request_headers(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(4, path), (1, "localhost")] {
        block.extend([name, u8::try_from(value.len()).expect("short")]);
        block.extend(value.as_bytes());
    }
    block
}

async fn others_are_served(host: &HostProcess) -> Result<()> {
    let reply = timeout(PATIENCE, host.client().put("/Database/others", "x")).await??;
    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    Ok(())
}

#[tokio::test]
async fn client_that_sends_its_headers_slowly_is_cut_off() -> Result<()> {
    let host = host("header_timeout_ms = 200").await?;
    let halves: [&[u8]; 4] = [b"", b"GET /Database/1 HTTP/1.1\r\nHo", b"PRI * HT", &PREFACE[..20]];
    for half in halves {
        let mut rude = Rude::connect(&host).await?;
        rude.send(half).await?;
        others_are_served(&host).await?;
        let answer = rude.read_to_end().await?;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

/// Behind a first request, where it is known what protocol it is, and that somebody is there.
#[tokio::test]
async fn client_of_http2_that_does_not_end_its_headers_or_is_idle_is_cut_off() -> Result<()> {
    let host =
        host("header_timeout_ms = 200\nhttp2_ping_ms = 300\nwrite_idle_timeout_ms = 1000").await?;
    let mut idle = Rude::connect(&host).await?;
    let mut endless = Rude::connect(&host).await?;
    let first = frame(HEADERS, 5, 1, &request_headers("/health/live"));
    for rude in [&mut idle, &mut endless] {
        rude.send(PREFACE).await?;
        rude.send(&first).await?;
    }
    // Without the flag that says that these are all.
    endless.send(frame(HEADERS, 1, 3, &request_headers("/health/live"))).await?;
    for rude in [&mut idle, &mut endless] {
        rude.read_to_end().await?;
    }
    others_are_served(&host).await
}

#[tokio::test]
async fn client_that_sends_its_body_slowly_gets_408() -> Result<()> {
    let host = host("body_idle_timeout_ms = 200").await?;
    let mut rude = Rude::connect(&host).await?;
    rude.send("PUT /Database/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await?;
    others_are_served(&host).await?;
    assert_eq!(rude.status().await?, 408);
    rude.read_to_end().await?;
    Ok(())
}

/// It is never silent for long, and never done.
#[tokio::test]
async fn client_that_trickles_its_body_gets_408() -> Result<()> {
    let host = host("body_timeout_ms = 400").await?;
    let rude = Rude::connect(&host).await?;
    let (mut reader, mut writer) = rude.0.into_split();
    writer
        .write_all(b"PUT /Database/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n")
        .await?;
    let trickle = tokio::spawn(async move {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut head = [0; 12];
    timeout(PATIENCE, reader.read_exact(&mut head)).await.context("no response")??;
    assert_eq!(&head[9..], b"408");
    trickle.abort();
    others_are_served(&host).await
}

#[tokio::test]
async fn head_or_body_that_is_too_large_is_refused() -> Result<()> {
    let limits = "request_bytes_max = 1000\ntarget_bytes_max = 100\nheaders_max = 10\n\
                  connection_buffer_bytes_max = 8192";
    let host = host(limits).await?;
    let long = "x".repeat(100);
    for (request, expected) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /Database/1?{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET /Database/1 HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(11)), 431),
        (format!("GET /Database/1 HTTP/1.1\r\na: {}\r\n\r\n", long.repeat(90)), 431),
        ("PUT /Database/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".to_owned(), 413),
        (
            format!(
                "PUT /Database/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                format!("64\r\n{long}\r\n").repeat(11)
            ),
            413,
        ),
    ] {
        let mut rude = Rude::connect(&host).await?;
        rude.send(&request).await?;
        assert_eq!(rude.status().await?, expected, "{request:.60}");
    }
    others_are_served(&host).await
}

#[tokio::test]
async fn header_list_of_http2_that_is_too_large_is_refused() -> Result<()> {
    let host = host("http2_header_list_bytes_max = 500").await?;
    let mut rude = Rude::connect(&host).await?;
    rude.send(PREFACE).await?;
    let mut block = request_headers("/health/live");
    for _ in 0..10 {
        block.extend([0, 1, b'a', 100]);
        block.extend([b'x'; 100]);
    }
    rude.send(frame(HEADERS, 5, 1, &block)).await?;
    let (kind, payload) = loop {
        let (kind, stream, payload) = rude.frame().await?;
        if stream == 1 || kind == GOAWAY {
            break (kind, payload);
        }
    };
    // The response has 431, which no index stands for, as a text; or the stream is reset.
    let text = String::from_utf8_lossy(&payload).into_owned();
    assert!(kind != HEADERS || !payload.starts_with(&[0x88]), "not 200: {text}");
    others_are_served(&host).await
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out_for_ever() -> Result<()> {
    let host = host("connections_max = 4\nheader_timeout_ms = 200").await?;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(Rude::connect(&host).await?);
    }
    others_are_served(&host).await?;
    for mut rude in silent {
        assert_eq!(rude.read_to_end().await?, b"");
    }
    Ok(())
}

/// Puts a value that no buffer of a socket takes.
async fn put_large_value(host: &HostProcess) -> Result<usize> {
    let value = "x".repeat(15 * 1024 * 1024);
    let reply = host.client().put("/Database/large", value.clone()).await?;
    ensure!(reply.status == 200, "{}", reply.status);
    Ok(value.len())
}

#[tokio::test]
async fn client_that_does_not_read_its_response_does_not_hold_it_for_ever() -> Result<()> {
    let host = host("write_idle_timeout_ms = 1000\nconnections_max = 1").await?;
    let length = put_large_value(&host).await?;
    let mut rude = Rude::connect_with_small_buffer(host.address()).await?;
    rude.send("GET /Database/large HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    // There is one connection at a time, so that this waits until the rude one is cut off.
    others_are_served(&host).await?;
    let read = rude.read_to_end().await?;
    assert!(read.len() < length, "{} bytes of {length}", read.len());
    Ok(())
}

/// Its system has taken megabytes that it has not read, and tells the host of each step; so for a while it takes
/// longer than the host waits for one that reads nothing.
#[tokio::test]
async fn client_that_reads_slowly_but_steadily_gets_its_whole_response() -> Result<()> {
    let host = host("write_idle_timeout_ms = 2000").await?;
    let length = put_large_value(&host).await?;
    let mut slow = Rude::connect_with_small_buffer(host.address()).await?;
    slow.send("GET /Database/large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
    let mut received = 0;
    let mut piece = vec![0; 16 * 1024];
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..160 {
        pause.tick().await;
        received += slow.0.read(&mut piece).await?;
    }
    received += slow.read_to_end().await?.len();
    assert!(received > length, "{received} bytes of {length}");
    Ok(())
}

/// It would not see the answer if its stream were reset under it.
#[tokio::test]
async fn client_of_http2_that_is_refused_may_send_the_rest_of_its_body() -> Result<()> {
    let host = host("").await?;
    let mut early = Rude::connect(&host).await?;
    early.send(PREFACE).await?;
    // Without the flag that says that nothing follows.
    early.send(frame(HEADERS, 4, 1, &request_headers("/nothing"))).await?;
    let mut kinds = Vec::new();
    while !kinds.contains(&(0, 1)) {
        let (kind, stream, _) = early.frame().await?;
        kinds.push((kind, stream));
    }
    assert!(kinds.contains(&(HEADERS, 1)), "{kinds:?}");
    for _ in 0..3 {
        early.send(frame(0, 0, 1, &[b'x'; 16_000])).await?;
    }
    early.send(frame(0, 1, 1, &[])).await?;
    early.send(frame(HEADERS, 5, 3, &request_headers("/health/live"))).await?;
    loop {
        let (kind, stream, _) = early.frame().await?;
        assert!(![RST_STREAM, GOAWAY].contains(&kind), "{kind} of {stream}");
        if (kind, stream) == (HEADERS, 3) {
            return Ok(());
        }
    }
}

/// It reads all that comes and answers pings, but never asks for more of its response.
#[tokio::test]
async fn client_of_http2_that_keeps_its_window_shut_does_not_hold_a_response_for_ever() -> Result<()>
{
    let host = host("write_idle_timeout_ms = 1000").await?;
    put_large_value(&host).await?;
    let mut rude = Rude::connect(&host).await?;
    rude.send(PREFACE).await?;
    rude.send(frame(HEADERS, 5, 1, &request_headers("/Database/large"))).await?;
    let mut received = 0;
    while let Ok((kind, stream, payload)) = rude.frame().await {
        match kind {
            0 if stream == 1 => received += payload.len(),
            // A ping that is no answer.
            PING => drop(rude.send(frame(PING, 1, 0, &payload)).await),
            _ => {}
        }
    }
    rude.read_to_end().await?;
    assert_eq!(received, 65_535, "all that the first window takes");
    others_are_served(&host).await
}

#[tokio::test]
async fn flood_of_requests_that_are_reset_at_once_ends_the_connection() -> Result<()> {
    let host = host("http2_pending_resets_max = 10").await?;
    let mut rude = Rude::connect(&host).await?;
    rude.send(PREFACE).await?;
    let mut flood = Vec::new();
    for stream in (1..4_000).step_by(2) {
        flood.extend(frame(HEADERS, 5, stream, &request_headers("/Database/1")));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // It may be cut off before all of it is written.
    drop(rude.send(&flood).await);
    rude.read_to_end().await?;
    others_are_served(&host).await
}
