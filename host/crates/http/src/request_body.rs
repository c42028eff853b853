//! [`LentBody`]: the body of a request, and what becomes of the rest that nobody reads.
//!
//! Many requests are answered before their bodies have come: a wrong key, no such path, too large. A client
//! that is still writing would not see the answer if what carries it were cut under it. So whoever
//! drops a body gives its rest back, and the rest is thrown away behind the answer, for a while. A body that
//! does not end within that ends its connection (HTTP/1.1) or is reset (HTTP/2).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, timeout_at};

/// How long the rest of a body is thrown away, how long it may be silent meanwhile, and how much of it: more
/// than the largest body that the host takes by default, sent at 10 MiB a second.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(30);
const DISCARD_SILENCE: Duration = Duration::from_secs(5);
const DISCARD_BYTES_MAX: u64 = 300 << 20;

/// A body that is with whoever answers its request.
pub(crate) struct LentBody {
    rest: Arc<Mutex<Option<Rest>>>,
    version: Version,
    /// Whether the client waits for a word before it sends the body.
    is_asking: bool,
}

/// What is left of a body.
struct Rest {
    body: Incoming,
    is_begun: bool,
}

impl LentBody {
    /// The request for whoever answers it. `None`: it has no body.
    pub(crate) fn lend(request: Request<Incoming>) -> (Request<Body>, Option<Self>) {
        if request.body().is_end_stream() {
            return (request.map(|_| Body::empty()), None);
        }
        let lent = Self {
            rest: Arc::default(),
            version: request.version(),
            is_asking: request.headers().contains_key(EXPECT),
        };
        let rest = Arc::clone(&lent.rest);
        let request = request.map(|body| {
            let left = Some(Rest { body, is_begun: false });
            Body::new(Returning { left, rest })
        });
        (request, Some(lent))
    }

    /// The request is answered: sees to what is left of its body.
    pub(crate) fn settle(self, response: &mut Response<Body>) {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(rest) = rest else { return };
        // Who asked before sending a body sends none after a refusal; who was too slow has had its time.
        let is_worthless =
            (self.is_asking && !rest.is_begun) || response.status() == StatusCode::REQUEST_TIMEOUT;
        let is_endless = rest.body.size_hint().lower() > DISCARD_BYTES_MAX;
        // HTTP/2 has streams for that and forbids the header.
        if (is_worthless || is_endless) && self.version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if !is_worthless {
            tokio::spawn(discard(rest.body));
        }
    }
}

/// Throws away what comes in, within its limits.
async fn discard(mut body: Incoming) {
    let deadline = Instant::now() + DISCARD_TIMEOUT;
    let mut discarded = 0;
    while discarded <= DISCARD_BYTES_MAX {
        let silent_until = Instant::now() + DISCARD_SILENCE;
        let Ok(Some(Ok(frame))) = timeout_at(deadline.min(silent_until), body.frame()).await else {
            return;
        };
        discarded += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
}

/// A body that is given back when it is dropped before its end.
struct Returning {
    /// `None`: there is no more of it.
    left: Option<Rest>,
    rest: Arc<Mutex<Option<Rest>>>,
}

impl HttpBody for Returning {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(left) = &mut self.left else { return Poll::Ready(None) };
        left.is_begun = true;
        let frame = ready!(Pin::new(&mut left.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || left.body.is_end_stream() {
            self.left = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left.as_ref().is_none_or(|left| left.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.left.as_ref().map_or_else(|| SizeHint::with_exact(0), |left| left.body.size_hint())
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        if let Some(left) = self.left.take() {
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}
