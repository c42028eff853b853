//! Drives a server: a number of connections, each of which sends its next request when the last one
//! is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use everstate_tests::http::{Connection, Reply};
use everstate_tests::process::ServerProcess;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;

/// Bytes of random text that values are cut from.
const POOL_BYTES: usize = 4096;

/// How long a connection waits after a 429. The host asks for a second; a client that comes back
/// earlier makes the measurement harder, not easier.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Set the value of a key.
    Put,
    /// Get the value of a key.
    Get,
    /// Run an orchestration and wait for its end.
    Post {
        /// Where.
        path: &'static str,
        /// Its input.
        body: &'static str,
    },
    /// Something else, which takes a number below the number of keys, and chance.
    Other {
        /// Makes the request.
        make: fn(u32, &mut SmallRng) -> Asked,
        /// The status of the answer. A 429 is counted and does not end the measurement.
        expected: StatusCode,
    },
}

/// A request. A body is JSON.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// The body.
    pub(crate) body: String,
}

impl Work {
    fn expected(self) -> StatusCode {
        match self {
            Self::Put | Self::Get | Self::Post { .. } => StatusCode::OK,
            Self::Other { expected, .. } => expected,
        }
    }
}

/// What is asked of the server.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// What each request asks for.
    pub(crate) work: Work,
    /// How many connections, each with one request under way.
    pub(crate) connections: usize,
    /// Keys are chosen evenly among so many.
    pub(crate) keys: u32,
    /// Bytes of a value.
    pub(crate) value_bytes: usize,
    /// Not measured.
    pub(crate) warm_up: Duration,
    /// Measured.
    pub(crate) duration: Duration,
    /// Of the keys and values.
    pub(crate) seed: u64,
    /// From one request of a connection to its next; `None`: as soon as it is answered.
    pub(crate) pace: Option<Duration>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Requests a second.
    pub(crate) throughput: f64,
    /// Of every request that was answered as expected, sorted.
    latencies: Vec<Duration>,
    /// Requests that were answered with 429, those of the warm-up included.
    pub(crate) refused: usize,
    /// Bytes that the server caused to be written to disk, per request.
    pub(crate) disk_bytes_per_request: f64,
    /// The server's resident memory at the end, in bytes.
    pub(crate) resident_bytes: u64,
}

impl Measured {
    /// Requests that were answered as expected.
    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this share of the requests did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length is an index"
        )]
        let index = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(index).or(self.latencies.last()).copied().unwrap_or_default()
    }
}

/// Puts the load on the server and measures.
pub(crate) async fn drive(server: &ServerProcess, at: SocketAddr, load: &Load) -> Result<Measured> {
    let begin = Instant::now() + load.warm_up;
    let time = MeasuredTime { begin, end: begin + load.duration, pace: load.pace };
    let mut connections = JoinSet::new();
    for number in 0..load.connections {
        let requests = Requests::new(at, load, number);
        connections.spawn(send_until(Connection::open(at).await?, requests, time));
    }
    tokio::time::sleep_until(begin.into()).await;
    let written_before = server.disk_bytes_written()?;
    tokio::time::sleep_until(time.end.into()).await;
    let written = server.disk_bytes_written()? - written_before;
    let resident_bytes = server.resident_bytes()?;

    let (mut latencies, mut refused) = (Vec::new(), 0);
    while let Some(done) = connections.join_next().await {
        let mut done = done??;
        latencies.append(&mut done.latencies);
        refused += done.refused;
    }
    ensure!(!latencies.is_empty(), "no request was answered within {:?}", load.duration);
    latencies.sort_unstable();
    let count = latencies.len() as f64;
    Ok(Measured {
        throughput: count / load.duration.as_secs_f64(),
        disk_bytes_per_request: written as f64 / count,
        resident_bytes,
        latencies,
        refused,
    })
}

/// Writes every key once, over 64 connections.
pub(crate) async fn fill(at: SocketAddr, load: &Load) -> Result<()> {
    let mut connections = JoinSet::new();
    for number in 0..64 {
        let mut requests = Requests::new(at, load, number);
        let mut connection = Connection::open(at).await?;
        let mine = (0..load.keys).skip(number).step_by(64);
        connections.spawn(async move {
            for key in mine {
                answered(&connection.exchange(requests.put(key)?).await?, StatusCode::OK)?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = connections.join_next().await {
        done??;
    }
    Ok(())
}

/// When to send, and what of that is measured.
#[derive(Clone, Copy)]
struct MeasuredTime {
    begin: Instant,
    end: Instant,
    pace: Option<Duration>,
}

/// What one connection did.
#[derive(Default)]
struct Done {
    latencies: Vec<Duration>,
    refused: usize,
}

/// Sends requests until the end; gives the latencies of those that were sent and answered in the
/// measured time. A request that is late because the one before took too long has waited since it
/// was due.
async fn send_until(
    mut connection: Connection,
    mut requests: Requests,
    time: MeasuredTime,
) -> Result<Done> {
    let mut done = Done::default();
    let mut due = Instant::now();
    loop {
        let request = requests.next()?;
        let mut sent = Instant::now();
        if let Some(pace) = time.pace {
            if sent < due {
                tokio::time::sleep_until(due.into()).await;
                sent = Instant::now();
            } else {
                sent = due;
            }
            due += pace;
        }
        if Instant::now() >= time.end {
            return Ok(done);
        }
        let reply = connection.exchange(request).await?;
        let now = Instant::now();
        let is_refused = reply.status == StatusCode::TOO_MANY_REQUESTS;
        if is_refused && matches!(requests.work, Work::Other { .. }) {
            done.refused += 1;
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        }
        answered(&reply, requests.work.expected())?;
        if sent >= time.begin && now <= time.end {
            done.latencies.push(now - sent);
        }
    }
}

/// Only what is expected is an answer that counts.
fn answered(reply: &Reply, expected: StatusCode) -> Result<()> {
    let (status, text) = (reply.status, reply.text());
    ensure!(status == expected, "the server answered {status}: {text}");
    Ok(())
}

/// Makes the requests of one connection.
struct Requests {
    work: Work,
    host: String,
    keys: u32,
    value_bytes: usize,
    /// Random letters; a value is a window of them.
    pool: Bytes,
    random: SmallRng,
}

impl Requests {
    fn new(at: SocketAddr, load: &Load, connection: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(load.seed ^ ((connection as u64) << 32));
        let pool = (0..POOL_BYTES + load.value_bytes).map(|_| random.random_range(b'a'..=b'z'));
        Self {
            work: load.work,
            host: at.to_string(),
            keys: load.keys,
            value_bytes: load.value_bytes,
            pool: pool.collect::<Vec<u8>>().into(),
            random,
        }
    }

    fn next(&mut self) -> Result<Request<Full<Bytes>>> {
        let key = self.random.next_u32() % self.keys;
        match self.work {
            Work::Put => self.put(key),
            Work::Get => self.request(Method::GET, &format!("/Database/{key}"), Bytes::new()),
            Work::Post { path, body } => {
                self.request(Method::POST, path, Bytes::from_static(body.as_bytes()))
            }
            Work::Other { make, .. } => {
                let Asked { method, path, body } = make(key, &mut self.random);
                let mut request = self.request(method, &path, body.into())?;
                let json = HeaderValue::from_static("application/json");
                request.headers_mut().insert(CONTENT_TYPE, json);
                Ok(request)
            }
        }
    }

    fn put(&mut self, key: u32) -> Result<Request<Full<Bytes>>> {
        let start = self.random.random_range(0..POOL_BYTES);
        let value = self.pool.slice(start..start + self.value_bytes);
        self.request(Method::PUT, &format!("/Database/{key}"), value)
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.host.as_str())
            .body(Full::new(body))
            .context("no request")
    }
}
