//! Reads the body of a request, within its limits.
//!
//! What is left of a body that was refused is not the business of whoever refuses it (`request_body.rs`).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::config::HttpConfig;
use crate::error::ApiError;

/// Reads a whole body.
pub(crate) async fn read_body(mut body: Body, config: &HttpConfig) -> Result<Bytes, ApiError> {
    let limit = config.request_bytes_max;
    // What the client says of the length is looked at before anything is read.
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(ApiError::body_too_large(limit));
    }
    let mut deadline = None;
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while !body.is_end_stream() {
        let frame = match next_frame(&mut body, &mut deadline, config).await {
            Ok(Some(frame)) => frame.map_err(|error| broken(&error))?,
            Ok(None) => break,
            Err(_) => return Err(too_slow()),
        };
        let Ok(data) = frame.into_data() else { continue };
        let read = first.as_ref().map_or(all.len(), Bytes::len);
        if read + data.len() > limit {
            return Err(ApiError::body_too_large(limit));
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
    pub(crate) async fn next(&mut self, config: &HttpConfig) -> Result<Option<Bytes>, ApiError> {
        while !self.body.is_end_stream() {
            let frame = match next_frame(&mut self.body, &mut self.deadline, config).await {
                Ok(Some(frame)) => frame.map_err(|error| broken(&error))?,
                Ok(None) => break,
                Err(_) => return Err(too_slow()),
            };
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
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

fn too_slow() -> ApiError {
    let external = "The body did not come in time.";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", external)
}

fn broken(error: &axum::Error) -> ApiError {
    ApiError::bad_request(format!("The body could not be read: {error}."))
}
