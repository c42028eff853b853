//! Reads the body of a request, within its limits.
//!
//! A body that is too large is refused, but a client that is still writing would not see the
//! response if the connection were cut under it. So what comes in is thrown away for a moment
//! first; if the body does not end within that, the connection ends with the response.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::request::Parts;
use axum::http::{StatusCode, Version, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::HttpConfig;
use crate::error::ApiError;

/// How long the rest of a refused body is thrown away, and how much of it, as a multiple of the
/// largest body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
const DISCARD_FACTOR: usize = 2;

/// Reads a whole body.
pub(crate) async fn read_body(
    parts: &Parts,
    mut body: Body,
    config: &HttpConfig,
) -> Result<Bytes, ApiError> {
    let limit = config.request_bytes_max;
    // What the client says of the length is looked at before anything is read.
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(refuse(parts, body, limit).await);
    }
    let mut deadline = None;
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while !body.is_end_stream() {
        let frame = match next_frame(&mut body, &mut deadline, config).await {
            Ok(Some(frame)) => frame.map_err(|error| closing(parts, broken(&error)))?,
            Ok(None) => break,
            Err(_) => return Err(closing(parts, too_slow())),
        };
        let Ok(data) = frame.into_data() else { continue };
        let read = first.as_ref().map_or(all.len(), Bytes::len);
        if read + data.len() > limit {
            return Err(refuse(parts, body, limit).await);
        }
        // Most bodies come in one piece, which then is not copied.
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(earlier) => {
                all.reserve(
                    usize::try_from(announced).unwrap_or(0).max(earlier.len() + data.len()),
                );
                all.extend_from_slice(&earlier);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// A body that is taken piece by piece, in the time that the configuration gives for it. Whoever takes the
/// pieces limits how many they are.
pub(crate) struct Pieces {
    body: Body,
    deadline: Option<Instant>,
}

impl Pieces {
    pub(crate) fn of(body: Body) -> Self {
        Self { body, deadline: None }
    }

    /// The next piece; `None`: that was all.
    pub(crate) async fn next(
        &mut self,
        parts: &Parts,
        config: &HttpConfig,
    ) -> Result<Option<Bytes>, ApiError> {
        while !self.body.is_end_stream() {
            let frame = match next_frame(&mut self.body, &mut self.deadline, config).await {
                Ok(Some(frame)) => frame.map_err(|error| closing(parts, broken(&error)))?,
                Ok(None) => break,
                Err(_) => return Err(closing(parts, too_slow())),
            };
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Refuses the rest.
    pub(crate) async fn refuse(self, parts: &Parts, error: ApiError, bytes_max: usize) -> ApiError {
        let is_discarded =
            timeout(DISCARD_TIMEOUT, discard(self.body, bytes_max)).await.unwrap_or_default();
        if is_discarded { error } else { closing(parts, error) }
    }
}

/// Waits for the next piece. What is there already, which is most often all, takes no timer and no
/// look at the clock.
async fn next_frame(
    body: &mut Body,
    deadline: &mut Option<Instant>,
    config: &HttpConfig,
) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, Elapsed> {
    let ready = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
    if let Poll::Ready(frame) = ready {
        return Ok(frame);
    }
    let now = Instant::now();
    let deadline = *deadline.get_or_insert(now + config.body_timeout());
    timeout_at(deadline.min(now + config.body_idle_timeout()), body.frame()).await
}

/// The refusal of a body that is too large.
async fn refuse(parts: &Parts, body: Body, limit: usize) -> ApiError {
    let error = ApiError::body_too_large(limit);
    // A client that asked before sending its body sends none when it is refused.
    let is_asking = parts.headers.contains_key(header::EXPECT);
    let is_discarded = !is_asking
        && timeout(DISCARD_TIMEOUT, discard(body, limit.saturating_mul(DISCARD_FACTOR)))
            .await
            .unwrap_or_default();
    if is_discarded { error } else { closing(parts, error) }
}

/// Throws away what comes in; says whether that was all.
async fn discard(mut body: Body, bytes_max: usize) -> bool {
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        discarded += frame.data_ref().map_or(0, Bytes::len);
        if discarded > bytes_max {
            return false;
        }
    }
    true
}

fn too_slow() -> ApiError {
    let external = "The body did not come in time.";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", external)
}

fn broken(error: &axum::Error) -> ApiError {
    ApiError::bad_request(format!("The body could not be read: {error}."))
}

/// The connection cannot be used again. HTTP/2 has streams for that and forbids the header.
fn closing(parts: &Parts, error: ApiError) -> ApiError {
    if parts.version < Version::HTTP_2 { error.closing() } else { error }
}
