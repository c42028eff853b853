//! [`HttpMetrics`]: what is counted and measured of requests. The names and what they mean are in
//! docs/metrics.md.

use std::sync::OnceLock;
use std::time::Duration;

use everstate_engine::metrics::{FunctionLabel, Histogram, OfFunction};
use everstate_types::FunctionName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A function and the status of its response.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResponse {
    function: FunctionLabel,
    status: u16,
}

/// A route of the API and the status of its response.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    operation: &'static str,
    status: u16,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

/// What is counted and measured of requests.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Family<OfResponse, Counter>,
    durations: Family<OfFunction, Histogram>,
    api_requests: Family<OfOperation, Counter>,
    refused: Family<OfReason, Counter>,
    pub(crate) under_way: Gauge,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        let refused = Family::<OfReason, Counter>::default();
        // There from the start: that none was refused is worth being seen.
        for reason in ["busy", "overloaded"] {
            drop(refused.get_or_create_owned(&OfReason { reason }));
        }
        Self {
            refused,
            requests: Family::default(),
            durations: Family::new_with_constructor(Histogram::of_seconds),
            api_requests: Family::default(),
            under_way: Gauge::default(),
        }
    }
}

impl HttpMetrics {
    /// Makes all of it known to a registry, which gives each name its prefix.
    pub fn register(&self, to: &mut Registry) {
        let help = "Requests for HTTP functions that have ended, by status";
        to.register("http_requests", help, self.requests.clone());
        let help =
            "Time from the head of a request to the head of its response, or its end without one";
        to.register("http_request_duration_seconds", help, self.durations.clone());
        let help = "Requests to the API of the host that have ended, by status";
        to.register("api_requests", help, self.api_requests.clone());
        let help = "Requests that were refused with 429 or 503, by reason";
        to.register("http_refused", help, self.refused.clone());
        to.register("http_requests_under_way", "Requests under way", self.under_way.clone());
    }

    /// A request for which there is neither a function nor a route of the API has ended.
    pub(crate) fn ended_nowhere(&self, status: u16, time: Duration) {
        let function = FunctionLabel(None);
        self.durations.get_or_create(&OfFunction { function: function.clone() }).observe(time);
        self.requests.get_or_create(&OfResponse { function, status }).inc();
    }

    /// A request to the API has ended.
    pub(crate) fn api_ended(&self, operation: &'static str, status: u16) {
        self.api_requests.get_or_create(&OfOperation { operation, status }).inc();
    }

    /// A request was refused, to be tried again later.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&OfReason { reason }).inc();
    }
}

/// Statuses that functions often answer with.
const USUAL: [u16; 8] = [200, 201, 202, 204, 303, 400, 404, 500];

/// The metrics of the function that a route leads to: found once, so that its requests neither look them
/// up nor take a lock. Not there before its first request.
#[derive(Debug, Default)]
pub(crate) struct FunctionRequests {
    duration: OnceLock<Histogram>,
    usual: [OnceLock<Counter>; USUAL.len()],
}

impl FunctionRequests {
    /// A request for the function has ended.
    pub(crate) fn ended(
        &self,
        metrics: &HttpMetrics,
        function: &FunctionName,
        status: u16,
        time: Duration,
    ) {
        let label = || FunctionLabel(Some(function.clone()));
        let find_duration =
            || metrics.durations.get_or_create_owned(&OfFunction { function: label() });
        self.duration.get_or_init(find_duration).observe(time);
        let find_count =
            || metrics.requests.get_or_create_owned(&OfResponse { function: label(), status });
        match USUAL.iter().position(|usual| *usual == status) {
            Some(index) => self.usual[index].get_or_init(find_count).inc(),
            None => find_count().inc(),
        };
    }
}
