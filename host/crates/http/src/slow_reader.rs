//! Ends connections whose clients do not read.
//!
//! There are two places in which a response can wait for its reader. What does not fit into the
//! socket's buffer waits in [`WriteLimit`], for HTTP/1.1 and HTTP/2. Linux says that there is room again only
//! when a third of that buffer has gone out, which is more than a megabyte if it has grown; so it is
//! [told](WriteLimit::prepare) to say so earlier, or a client that reads slowly would look like one that
//! does not read. A client of HTTP/2 can also read from the
//! socket and never ask for more of one response, which hyper then waits for in silence; so the bodies of
//! its responses are [watched](Readers), in pieces: one that nobody takes the next piece of is held up.
//!
//! A body that has nothing to say at the moment is not held up by its reader.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::connection::OpenStream;

/// How much of a body is handed on at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// How much may wait in the system to be sent, beside what is under way. Half of it has to go before the
/// socket takes more, within the time that a client may read nothing.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 64 * 1024;

/// A stream that breaks when its other side takes nothing for too long.
#[derive(Debug)]
pub(crate) struct WriteLimit<S> {
    stream: S,
    limit: Duration,
    /// Runs while something waits to be written.
    stall: Option<Pin<Box<Sleep>>>,
}

impl WriteLimit<TcpStream> {
    /// Makes a socket tell in time that its other side has taken something.
    pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        // Others say it as soon as there is room.
        #[cfg(not(target_os = "linux"))]
        let _: &TcpStream = stream;
        Ok(())
    }
}

impl<S> WriteLimit<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, stall: None }
    }

    /// The same answer; or an error where it has been "not yet" for too long.
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.limit;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteLimit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.check(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.check(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.check(cx, shut)
    }
}

/// The responses of one connection that wait for their reader, and since when.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    since: HashMap<u64, Instant>,
    next_id: u64,
}

impl Readers {
    /// A body that is handed on piece by piece, while this knows whether somebody takes the pieces.
    ///
    /// `under_way` is dropped with it.
    pub(crate) fn watch(self: &Arc<Self>, body: Body, under_way: OpenStream) -> Body {
        let id = {
            let mut waiting = self.waiting();
            waiting.next_id += 1;
            waiting.next_id
        };
        let readers = Arc::clone(self);
        let watched = Watched { id, readers, body, rest: Bytes::new(), _under_way: under_way };
        watched.waits_for_reader(true);
        Body::new(watched)
    }

    /// Since when the one that waits longest waits.
    pub(crate) fn longest_wait(&self) -> Option<Instant> {
        self.waiting().since.values().min().copied()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body in pieces.
///
/// It never says beforehand that a piece is the last one: so the next one is asked for, which happens
/// only when there is room for it.
struct Watched {
    id: u64,
    readers: Arc<Readers>,
    body: Body,
    /// What was taken out of the body and is not handed on.
    rest: Bytes,
    _under_way: OpenStream,
}

impl Watched {
    fn waits_for_reader(&self, is_waiting: bool) {
        let mut waiting = self.readers.waiting();
        if is_waiting {
            waiting.since.insert(self.id, Instant::now());
        } else {
            waiting.since.remove(&self.id);
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.waits_for_reader(false);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let at = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(at);
        self.waits_for_reader(true);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut all = SizeHint::new();
        all.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.waits_for_reader(false);
    }
}
