//! [`Telemetry`]: what the HTTP surface tells observers, and what it shows of them; [`UnderWay`]: a
//! request from its head to the head of its response.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use everstate_engine::clock::SystemClock;
use everstate_engine::trace::{NoSpans, RequestTrace, SpanSink};
use everstate_types::{FunctionName, InstanceId, Timestamp, TraceContext};

use crate::api::ApiRoute;
use crate::error::ApiError;
use crate::metrics::HttpMetrics;

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

/// A request under way.
pub(crate) struct UnderWay<'a> {
    telemetry: &'a Telemetry,
    begun: Instant,
    method: Method,
    path: String,
    /// The function that answers it, once it is known.
    function: Option<FunctionName>,
    /// The template of that function's route.
    template: Option<Arc<str>>,
    /// The route of the API that it goes to, once it is known.
    route: Option<&'static ApiRoute>,
    trace: Option<RequestTrace>,
}

impl<'a> UnderWay<'a> {
    /// A request has come.
    pub(crate) fn begin(telemetry: &'a Telemetry, parts: &Parts) -> Self {
        telemetry.metrics.under_way.inc();
        // The path stands in spans only.
        let wants_path = telemetry.spans.wants_spans();
        let path = if wants_path { parts.uri.path().to_owned() } else { String::new() };
        let (begun, method) = (Instant::now(), parts.method.clone());
        let (function, template) = (None, None);
        Self { telemetry, begun, method, path, function, template, route: None, trace: None }
    }

    /// A function answers it. Gives the place in the trace of what it starts.
    pub(crate) fn is_for(
        &mut self,
        function: &FunctionName,
        template: Arc<str>,
        headers: &HeaderMap,
    ) -> Option<Box<TraceContext>> {
        self.function = Some(function.clone());
        self.template = Some(template);
        self.take_up_trace(headers)
    }

    /// It goes to a route of the API. Gives the place in the trace of what it changes.
    pub(crate) fn is_for_api(
        &mut self,
        route: &'static ApiRoute,
        headers: &HeaderMap,
    ) -> Option<Box<TraceContext>> {
        self.route = Some(route);
        if self.method == Method::GET {
            return None;
        }
        self.take_up_trace(headers)
    }

    fn take_up_trace(&mut self, headers: &HeaderMap) -> Option<Box<TraceContext>> {
        let spans = &*self.telemetry.spans;
        self.trace = RequestTrace::begin(spans, &SystemClock, incoming(headers));
        self.trace.as_ref().map(|trace| trace.below.clone())
    }

    /// It is answered.
    pub(crate) fn end(mut self, answer: Result<Response, ApiError>) -> Response {
        let metrics = &self.telemetry.metrics;
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                if let Some(reason) = error.refusal() {
                    metrics.refused(reason);
                }
                error.into_response()
            }
        };
        let status = response.status().as_u16();
        match self.route {
            Some(route) => metrics.api_answered(route.doc.id, status),
            None => metrics.answered(self.function.clone(), status, self.begun.elapsed()),
        }
        if let Some(trace) = self.trace.take() {
            self.finish_span(trace, status);
        }
        response
    }

    fn finish_span(&mut self, trace: RequestTrace, status: u16) {
        let of_api = self.route.map(ApiRoute::template);
        let route = of_api.or_else(|| self.template.as_deref().map(str::to_owned));
        let method = self.method.to_string();
        let name =
            route.as_ref().map_or_else(|| method.clone(), |route| format!("{method} {route}"));
        let function = self.function.as_ref().map(ToString::to_string);
        let Some(mut span) = trace.finish(&SystemClock, name, function) else { return };
        span.attributes = vec![
            ("http.request.method", method.into()),
            ("url.path", std::mem::take(&mut self.path).into()),
            ("http.response.status_code", u32::from(status).into()),
        ];
        span.attributes.extend(route.map(|route| ("http.route", route.into())));
        span.error = (status >= 500).then(|| format!("status {status}"));
        self.telemetry.spans.finished(span);
    }
}

/// Also of a request whose client went away before the answer.
impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.telemetry.metrics.under_way.dec();
    }
}

/// The trace that a request says it belongs to.
fn incoming(headers: &HeaderMap) -> Option<TraceContext> {
    let parent = TraceContext::parse(headers.get("traceparent")?.to_str().ok()?)?;
    let states = headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok());
    let state = states.collect::<Vec<_>>().join(",");
    Some(parent.with_state(&state))
}
