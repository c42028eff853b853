//! [`Telemetry`]: what the HTTP surface tells observers, and what it shows of them; [`UnderWay`]: a
//! request from its head to the head of its response.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::response::{IntoResponse, Response};
use everstate_engine::clock::Clock;
use everstate_engine::trace::{NoSpans, RequestTrace, SpanSink};
use everstate_types::{InstanceId, Timestamp, TraceContext};

use crate::api::ApiRoute;
use crate::error::ApiError;
use crate::metrics::HttpMetrics;
use crate::routes::RouteTarget;
use crate::server::Services;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Stands in the metrics for the status of a request whose client went away before the answer. No such
/// status is sent; it is what other servers write there.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Reads what guests logged, and forgets it.
pub trait GuestLogs: Send + Sync + fmt::Debug + 'static {
    /// The newest lines of an instance, oldest first, at most `top`. May read files.
    fn newest(&self, instance_id: &InstanceId, top: usize) -> Vec<GuestLogEntry>;

    /// Shows no line any more that was logged for this instance so far. May write files.
    fn forget(&self, instance_id: &InstanceId);
}

/// A line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLogEntry {
    /// When.
    pub timestamp: Timestamp,
    /// `error`, `warning`, `information`, `debug` or `trace`.
    pub level: String,
    /// The function that logged it.
    pub function: String,
    /// What it logged.
    pub message: String,
}

/// Renders all metrics of the process as OpenMetrics text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What is told to observers, and shown of them.
#[derive(Clone)]
pub struct Telemetry {
    /// Counts and measures requests.
    pub metrics: Arc<HttpMetrics>,
    /// Takes the spans of requests.
    pub spans: Arc<dyn SpanSink>,
    /// Renders all metrics.
    pub render: RenderMetrics,
    /// What guests logged; `None`: nobody keeps it.
    pub logs: Option<Arc<dyn GuestLogs>>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            metrics: Arc::default(),
            spans: Arc::new(NoSpans),
            render: Arc::new(|| "# EOF\n".to_owned()),
            logs: None,
        }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("spans", &self.spans).finish_non_exhaustive()
    }
}

/// A request under way. Observers are told of it when this is dropped: a request whose client goes away
/// is dropped in the middle.
pub(crate) struct UnderWay<'a> {
    telemetry: &'a Telemetry,
    clock: &'a dyn Clock,
    begun: Instant,
    /// Method and path, which stand in spans only; `None`: nobody wants spans.
    line: Option<(Method, String)>,
    /// The function that answers it, once it is known.
    target: Option<Arc<RouteTarget>>,
    /// The route of the API that it goes to, once it is known.
    route: Option<&'static ApiRoute>,
    trace: Option<RequestTrace>,
    /// The status of the answer, once there is one.
    status: Option<u16>,
}

impl<'a> UnderWay<'a> {
    /// A request has come.
    pub(crate) fn begin(services: &'a Services, parts: &Parts) -> Self {
        let (telemetry, clock) = (&services.telemetry, &*services.clock);
        telemetry.metrics.under_way.inc();
        let line = telemetry.spans.wants_spans();
        let line = line.then(|| (parts.method.clone(), parts.uri.path().to_owned()));
        let begun = Instant::now();
        let (target, route, trace, status) = (None, None, None, None);
        Self { telemetry, clock, begun, line, target, route, trace, status }
    }

    /// A function answers it. Gives the place in the trace of what it starts.
    pub(crate) fn is_for(
        &mut self,
        target: Arc<RouteTarget>,
        headers: &HeaderMap,
    ) -> (&RouteTarget, Option<Box<TraceContext>>) {
        let trace = self.take_up_trace(headers);
        (self.target.insert(target), trace)
    }

    /// It goes to a route of the API. Gives the place in the trace of what it changes.
    pub(crate) fn is_for_api(
        &mut self,
        route: &'static ApiRoute,
        headers: &HeaderMap,
    ) -> Option<Box<TraceContext>> {
        self.route = Some(route);
        if route.method == "GET" {
            return None;
        }
        self.take_up_trace(headers)
    }

    fn take_up_trace(&mut self, headers: &HeaderMap) -> Option<Box<TraceContext>> {
        let spans = &*self.telemetry.spans;
        self.trace = RequestTrace::begin(spans, self.clock, incoming(headers));
        self.trace.as_ref().map(|trace| trace.below.clone())
    }

    /// It is answered.
    pub(crate) fn end(mut self, answer: Result<Response, ApiError>) -> Response {
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                if let Some(reason) = error.refusal() {
                    self.telemetry.metrics.refused(reason);
                }
                error.into_response()
            }
        };
        self.status = Some(response.status().as_u16());
        response
    }

    fn finish_span(&mut self, trace: RequestTrace) {
        let Some((method, path)) = self.line.take() else { return };
        let of_function = self.target.as_ref().map(|target| target.template.to_string());
        let route = self.route.map(ApiRoute::template).or(of_function);
        let name =
            route.as_ref().map_or_else(|| method.to_string(), |route| format!("{method} {route}"));
        let function = self.target.as_ref().map(|target| target.function.name.to_string());
        let Some(mut span) = trace.finish(self.clock, name, function) else { return };
        span.attributes =
            vec![("http.request.method", method.to_string().into()), ("url.path", path.into())];
        span.attributes.extend(route.map(|route| ("http.route", route.into())));
        match self.status {
            Some(status) => {
                span.attributes.push(("http.response.status_code", u32::from(status).into()));
                span.error = (status >= 500).then(|| format!("status {status}"));
            }
            None => span.error = Some("the client went away before the answer".to_owned()),
        }
        self.telemetry.spans.finished(span);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let metrics = &self.telemetry.metrics;
        metrics.under_way.dec();
        let status = self.status.unwrap_or(CLIENT_CLOSED_REQUEST);
        match (self.route, &self.target) {
            (Some(route), _) => metrics.api_ended(route.doc.id, status),
            (None, Some(target)) => {
                let function = &target.function.name;
                target.requests.ended(metrics, function, status, self.begun.elapsed());
            }
            (None, None) => metrics.ended_nowhere(status, self.begun.elapsed()),
        }
        if let Some(trace) = self.trace.take() {
            self.finish_span(trace);
        }
    }
}

/// The trace that a request says it belongs to.
fn incoming(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let parent = TraceContext::parse(parents.next()?.to_str().ok()?)?;
    if parents.next().is_some() {
        // Nobody can say which of them holds.
        return None;
    }
    let states = headers.get_all(TRACESTATE).iter().map(|state| state.to_str());
    // One that is no text makes the whole of it unreadable.
    let state = states.collect::<Result<Vec<_>, _>>().unwrap_or_default().join(",");
    Some(parent.with_state(&state))
}
