//! The history of an orchestration as it happens, as server-sent events.
//!
//! Each event is durable before it is sent, and nothing is polled: the engine tells when there is more.
//! An event of the history has an id of three parts, `{execution}.{rewinds}.{index}`. When the
//! orchestration continues as new, or is rewound, its history begins anew, and so does the stream, with
//! another beginning of the ids. Who comes back with the last id that it saw gets what follows it; who
//! saw the end is told with 204 that nothing follows, because a browser would come back for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::Response;
use everstate_engine::client::{InstanceStatus, Seen};
use everstate_types::{InstanceId, Payload, RuntimeStatus};
use hyper::body::Frame;
use tokio_util::sync::CancellationToken;

use crate::api::answers::empty;
use crate::api::{Api, ApiCall};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::history_document::HistoryTeller;
use crate::status_document::{Shown, status_document};

/// After so much silence a comment tells both sides that the other one is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bytes of events that are written at once: a long history does not stand in memory a second time.
const CHUNK_BYTES: usize = 64 << 10;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Keeps reverse proxies from collecting the stream before they pass it on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Begins the stream.
pub(super) async fn stream(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let instance_id = call.instance_id()?;
    let engine = &api.services.engine;
    let status = api.settled(engine.get_status(&instance_id).await).await?;
    let status = status.ok_or_else(|| ApiError::no_instance(instance_id.as_str()))?;
    let last = call.parts.headers.get(&LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    if status.record.status.is_finished() && last == Some(end_id(&generation(&status)).as_str()) {
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let next = last.and_then(|last| index_after(last, &status)).unwrap_or(0);
    let stream = HistoryStream {
        engine: Arc::clone(engine),
        stopping: api.stopping.clone(),
        instance_id,
        sent: Sent::up_to(next, &status),
        status,
    };
    let mut response = Response::new(Body::new(StreamBody { next: Some(Box::pin(stream.next())) }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// One stream, between two chunks.
struct HistoryStream {
    engine: Arc<dyn Engine>,
    stopping: CancellationToken,
    instance_id: InstanceId,
    /// What is to be told, all of it durable.
    status: Arc<InstanceStatus>,
    sent: Sent,
}

/// How much the client was sent.
struct Sent {
    /// How the ids of the history begin whose events were sent.
    generation: String,
    /// The event that comes next.
    next: usize,
    teller: HistoryTeller,
    /// The last state that was sent.
    state: Option<State>,
    /// Whether the end was sent.
    has_end: bool,
}

impl Sent {
    /// What a client has that saw so many events of this history.
    fn up_to(next: usize, status: &InstanceStatus) -> Self {
        let (generation, teller) = (generation(status), HistoryTeller::default());
        Self { generation, next, teller, state: None, has_end: false }
    }
}

/// What is sent anew when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    generation: String,
    status: RuntimeStatus,
    custom_status: Option<Payload>,
}

impl HistoryStream {
    /// What comes next, and the stream behind it; `None`: nothing any more.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            let mut out = Vec::new();
            self.write_history(&mut out);
            if out.is_empty() {
                self.write_state(&mut out);
            }
            if !out.is_empty() {
                return Some((Bytes::from(out), self));
            }
            if self.status.record.status.is_finished() {
                return self.end();
            }
            let seen = Seen::of(&self.status.record, &self.status.history);
            let answer = tokio::select! {
                answer = self.engine.wait_for_change(&self.instance_id, seen, KEEP_ALIVE) => answer,
                () = self.stopping.cancelled() => return None,
            };
            // Gone, or the host has no answer any more: the client sees the end, and may come back.
            let observed = answer.ok()?;
            let status = observed.value?;
            self.engine.durable(observed.seq).await;
            if Seen::of(&status.record, &status.history) == seen {
                return Some((Bytes::from_static(b": still there\n\n"), self));
            }
            self.status = status;
        }
    }

    /// What is sent last, behind everything else.
    fn end(mut self) -> Option<(Bytes, Self)> {
        if self.sent.has_end {
            return None;
        }
        self.sent.has_end = true;
        let data = format!(r#"{{"runtimeStatus":"{}"}}"#, self.status.record.status);
        let mut out = Vec::new();
        push_event(&mut out, "end", Some(&end_id(&self.sent.generation)), data.as_bytes());
        Some((Bytes::from(out), self))
    }

    /// Writes events of the history that were not sent, but not too many.
    fn write_history(&mut self, out: &mut Vec<u8>) {
        if generation(&self.status) != self.sent.generation {
            let state = self.sent.state.take();
            self.sent = Sent { state, ..Sent::up_to(0, &self.status) };
        }
        let history = &self.status.history;
        while out.len() < CHUNK_BYTES && self.sent.next < history.len() {
            let index = self.sent.next;
            self.sent.next += 1;
            if let Some(data) = self.sent.teller.tell(history, index) {
                let id = format!("{}.{index}", self.sent.generation);
                push_event(out, "history", Some(&id), &data);
            }
        }
    }

    /// Writes the status document, if something in it is new that its events do not tell.
    fn write_state(&mut self, out: &mut Vec<u8>) {
        let record = &self.status.record;
        let state = State {
            generation: self.sent.generation.clone(),
            status: record.status,
            custom_status: record.custom_status.clone(),
        };
        if self.sent.state.as_ref() != Some(&state) {
            push_event(out, "status", None, &status_document(&self.status, Shown::default()));
            self.sent.state = Some(state);
        }
    }
}

/// A chunk under way, and the stream behind it.
type NextChunk = Pin<Box<dyn Future<Output = Option<(Bytes, HistoryStream)>> + Send>>;

/// A stream as the body of a response. It works when it is polled, and ends when it is dropped.
struct StreamBody {
    next: Option<NextChunk>,
}

impl hyper::body::Body for StreamBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(next) = self.next.as_mut() else { return Poll::Ready(None) };
        match next.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some((bytes, stream))) => {
                self.next = Some(Box::pin(stream.next()));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(None) => {
                self.next = None;
                Poll::Ready(None)
            }
        }
    }
}

/// Names what the indexes of a history count in.
fn generation(status: &InstanceStatus) -> String {
    format!("{}.{}", status.record.execution_id, status.record.rewinds)
}

/// The id of the event that comes last.
fn end_id(generation: &str) -> String {
    format!("{generation}.end")
}

/// The index behind the event with this id, if it is one of this history.
fn index_after(id: &str, status: &InstanceStatus) -> Option<usize> {
    let index = id.strip_prefix(&generation(status))?.strip_prefix('.')?;
    let index: usize = index.parse().ok()?;
    (index < status.history.len()).then_some(index + 1)
}

/// Writes one event. The data is JSON, in which line breaks stand for nothing; in an event they would.
fn push_event(out: &mut Vec<u8>, name: &str, id: Option<&str>, data: &[u8]) {
    out.extend_from_slice(format!("event: {name}\n").as_bytes());
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
    out.extend(data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    out.extend_from_slice(b"\n\n");
}
