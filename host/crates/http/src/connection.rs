//! One connection: handshake, requests, silence, the end.
//!
//! axum's router answers; the connection is driven here, because `axum::serve` has no limits and no
//! timeouts. Every wait for the client has an end, so that whoever waits for a connection gets one.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::config::HttpConfig;
use crate::cors::Cors;
use crate::request_body::LentBody;
use crate::slow_reader::{Readers, WriteLimit};
use crate::tls::Tls;

/// What all connections of a server have in common.
#[derive(Debug)]
pub(crate) struct Connections {
    builder: Builder<TokioExecutor>,
    router: Router,
    /// The router for browsers that ask about another site's page.
    cors_router: Option<Router>,
    tls: Option<Arc<Tls>>,
    header_timeout: Duration,
    write_idle_timeout: Duration,
    /// Ends idle connections, and busy ones after their responses.
    pub(crate) stopping: CancellationToken,
}

impl Connections {
    pub(crate) fn new(
        config: &HttpConfig,
        router: Router,
        tls: Option<Arc<Tls>>,
        cors: Option<&Cors>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            builder: builder(config),
            cors_router: cors.map(|cors| cors.wrap(router.clone())),
            router,
            tls,
            header_timeout: config.header_timeout(),
            write_idle_timeout: config.write_idle_timeout(),
            stopping,
        }
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve(self: &Arc<Self>, stream: TcpStream) {
        let deadline = Instant::now() + self.header_timeout;
        if let Err(error) = stream.set_nodelay(true).and_then(|()| WriteLimit::prepare(&stream)) {
            tracing::debug!(%error, "a connection closed before it was served");
            return;
        }
        let stream = WriteLimit::new(stream, self.write_idle_timeout);
        let Some(tls) = &self.tls else { return self.serve_requests(stream, deadline).await };
        let shaken = tokio::select! {
            shaken = tls.accept(stream) => shaken,
            () = sleep_until(deadline) => {
                tracing::debug!("a TLS handshake did not end in time");
                return;
            }
            () = self.stopping.cancelled() => return,
        };
        match shaken {
            Ok(stream) => self.serve_requests(stream, deadline).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        }
    }

    /// `deadline` is for the first request.
    async fn serve_requests<S>(self: &Arc<Self>, stream: S, deadline: Instant)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let requests = Arc::new(Requests::new(deadline));
        let (shared, of_connection) = (Arc::clone(self), Arc::clone(&requests));
        let service = service_fn(move |request: Request<Incoming>| {
            let (shared, requests) = (Arc::clone(&shared), Arc::clone(&of_connection));
            async move { shared.answer(&requests, request).await }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let mut is_ending = false;
        loop {
            // What happens meanwhile is seen the next time, so that there must be one.
            let latest = Instant::now() + self.header_timeout.min(self.write_idle_timeout);
            let idle_until = requests.idle_until(self.header_timeout).filter(|_| !is_ending);
            let look_at = idle_until.map_or(latest, |until| until.min(latest));
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = self.stopping.cancelled(), if !is_ending => {
                    connection.as_mut().graceful_shutdown();
                    is_ending = true;
                }
                () = sleep_until(look_at) => {
                    if self.is_stalled(&requests) {
                        tracing::debug!("a client did not read a response in time");
                        return;
                    }
                    // A client may leave open what it was told to end.
                    let patience = self.header_timeout * 2 + self.write_idle_timeout;
                    if is_ending && requests.is_idle_for(patience) {
                        tracing::debug!("a client did not end its connection in time");
                        return;
                    }
                    if !is_ending && requests.is_idle_for(self.header_timeout) {
                        if !requests.has_begun() {
                            tracing::debug!("a connection made no request in time");
                            return;
                        }
                        connection.as_mut().graceful_shutdown();
                        is_ending = true;
                    }
                }
            }
        }
    }

    fn is_stalled(&self, requests: &Requests) -> bool {
        let since = requests.readers.longest_wait();
        since.is_some_and(|since| since.elapsed() >= self.write_idle_timeout)
    }

    async fn answer(
        &self,
        requests: &Arc<Requests>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let under_way = (request.version() == Version::HTTP_2).then(|| requests.begin_http2());
        requests.has_begun.store(true, Ordering::Relaxed);
        let (request, lent) = LentBody::lend(request);
        let router = self.cors_router.as_ref().filter(|_| Cors::concerns(&request));
        let mut response = router.unwrap_or(&self.router).clone().call(request).await?;
        if self.cors_router.is_some() {
            Cors::tell_caches(&mut response);
        }
        if let Some(lent) = lent {
            lent.settle(&mut response);
        }
        // The socket tells enough of a client of HTTP/1.1.
        let Some(under_way) = under_way else { return Ok(response) };
        let (parts, body) = response.into_parts();
        let body =
            if body.is_end_stream() { body } else { requests.readers.watch(body, under_way) };
        Ok(Response::from_parts(parts, body))
    }
}

/// The requests of one connection.
struct Requests {
    has_begun: AtomicBool,
    /// Of HTTP/2: hyper sees to it that one of HTTP/1.1 is not idle for too long.
    http2: Mutex<Http2>,
    readers: Arc<Readers>,
}

struct Http2 {
    is_used: bool,
    under_way_count: usize,
    /// Since when there are none; before the first one, when it has to begin.
    idle_since: Instant,
}

impl Requests {
    fn new(deadline: Instant) -> Self {
        let http2 = Http2 { is_used: false, under_way_count: 0, idle_since: deadline };
        Self {
            has_begun: AtomicBool::new(false),
            http2: Mutex::new(http2),
            readers: Arc::default(),
        }
    }

    fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    fn begin_http2(self: &Arc<Self>) -> OpenStream {
        let mut http2 = self.http2();
        http2.is_used = true;
        http2.under_way_count += 1;
        OpenStream(Arc::clone(self))
    }

    /// When the connection has to end if nothing more comes. `None`: it is busy, or hyper knows.
    fn idle_until(&self, limit: Duration) -> Option<Instant> {
        let http2 = self.http2();
        match (self.has_begun(), http2.is_used) {
            (false, _) => Some(http2.idle_since),
            (true, true) if http2.under_way_count == 0 => Some(http2.idle_since + limit),
            (true, _) => None,
        }
    }

    fn is_idle_for(&self, limit: Duration) -> bool {
        self.idle_until(limit).is_some_and(|until| until <= Instant::now())
    }

    fn http2(&self) -> MutexGuard<'_, Http2> {
        self.http2.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request of HTTP/2, until its response is sent.
pub(crate) struct OpenStream(Arc<Requests>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut http2 = self.0.http2();
        http2.under_way_count -= 1;
        http2.idle_since = Instant::now();
    }
}

fn builder(config: &HttpConfig) -> Builder<TokioExecutor> {
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
