//! [`Collector`]: the way of spans to a collector, over `http://` or `https://`.

use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::Value;
use ureq::Agent;
use ureq::http::header::{CONTENT_TYPE, RETRY_AFTER};
use ureq::http::response::Parts;
use ureq::http::{HeaderName, HeaderValue, Request, StatusCode};

use super::config::OtlpProtocol;
use super::target::Target;
use crate::web_client;

/// Bytes of an answer that are read. A connection whose answers are read is used again.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Characters of an answer that are told.
const SAID_CHARS_MAX: usize = 200;

/// Takes batches of spans.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    agent: Agent,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    protocol: OtlpProtocol,
}

/// A batch was taken, but perhaps not all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) rejected: u64,
    pub(super) message: String,
}

/// A batch was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Why, in plain words.
    pub(super) reason: String,
    /// Whether it may be taken later.
    pub(super) is_passing: bool,
    /// How long the collector wants to be left alone.
    pub(super) pause: Option<Duration>,
}

impl Collector {
    /// The collector of this target.
    pub(super) fn new(target: &Target) -> anyhow::Result<Self> {
        let ca = target.ca.as_deref();
        let agent = web_client::to(&target.url, ca, "`telemetry.otlp_ca_file`", |config| {
            config.http_status_as_error(false).max_redirects(0).timeout_global(Some(target.timeout))
        })?;
        Ok(Self {
            agent,
            url: target.url.clone(),
            headers: target.headers.clone(),
            protocol: target.protocol,
        })
    }

    /// Sends a batch as it is written.
    pub(super) async fn send(&self, batch: Bytes) -> Result<Taken, Refusal> {
        let collector = self.clone();
        let sent = tokio::task::spawn_blocking(move || collector.exchange(&batch)).await;
        sent.unwrap_or_else(|panic| Err(Refusal::lasting(panic.to_string())))
    }

    fn exchange(&self, batch: &[u8]) -> Result<Taken, Refusal> {
        let content_type = match self.protocol {
            OtlpProtocol::Protobuf => "application/x-protobuf",
            OtlpProtocol::Json => "application/json",
        };
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, content_type)
            .body(batch)
            .map_err(|error| Refusal::lasting(error.to_string()))?;
        request.headers_mut().extend(self.headers.iter().cloned());
        let (head, mut body) =
            self.agent.run(request).map_err(|error| Refusal::of(&error))?.into_parts();
        let mut answer = Vec::new();
        let read = body.as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
        if !head.status.is_success() {
            return Err(refusal(&head, &answer));
        }
        // What was taken is taken, however the answer ends.
        Ok(read.ok().map(|_| self.taken(&answer)).unwrap_or_default())
    }

    fn taken(&self, answer: &[u8]) -> Taken {
        let (rejected, message) = match self.protocol {
            OtlpProtocol::Protobuf => {
                let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
                let partial = answer.partial_success.unwrap_or_default();
                (partial.rejected_spans, partial.error_message)
            }
            OtlpProtocol::Json => {
                let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
                let partial = &answer["partialSuccess"];
                let rejected = &partial["rejectedSpans"];
                // JSON has numbers of 64 bits as text.
                let text = rejected.as_str().and_then(|text| text.parse().ok());
                let message = partial["errorMessage"].as_str().unwrap_or_default();
                (rejected.as_i64().or(text).unwrap_or_default(), message.to_owned())
            }
        };
        Taken { rejected: u64::try_from(rejected).unwrap_or_default(), message }
    }
}

impl Refusal {
    fn lasting(reason: String) -> Self {
        Self { reason, is_passing: false, pause: None }
    }

    /// There was no answer.
    fn of(error: &ureq::Error) -> Self {
        let is_passing = !web_client::is_about_trust(error)
            && matches!(
                error,
                ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::HostNotFound
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::ConnectProxyFailed(_)
                    | ureq::Error::Protocol(_)
            );
        Self { reason: web_client::reason(error), is_passing, pause: None }
    }
}

fn refusal(head: &Parts, answer: &[u8]) -> Refusal {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let kind = header(CONTENT_TYPE).unwrap_or_default();
    let is_text = kind.starts_with("text/plain") || kind.starts_with("application/json");
    let said = String::from_utf8_lossy(if is_text { answer } else { &[] });
    let said: Vec<_> = said.split_whitespace().collect();
    let said: String = said.join(" ").chars().take(SAID_CHARS_MAX).collect();
    let status = head.status;
    let seconds = header(RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
    Refusal {
        reason: match said.as_str() {
            "" => format!("it answered {status}"),
            said => format!("it answered {status}: {said}"),
        },
        is_passing: matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        ),
        pause: seconds.map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message as _;

    use super::{Collector, OtlpProtocol, Taken, Target};

    fn collector(protocol: OtlpProtocol) -> Collector {
        let target = Target {
            url: "http://localhost:1/v1/traces".to_owned(),
            ca: None,
            protocol,
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
            sample_ratio: 1.0,
            service_name: String::new(),
        };
        Collector::new(&target).expect("a good URL")
    }

    #[test]
    fn rejected_spans_are_read_from_either_form_of_an_answer() {
        let partial =
            ExportTracePartialSuccess { rejected_spans: 2, error_message: "old".to_owned() };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial) };
        let taken = Taken { rejected: 2, message: "old".to_owned() };
        let protobuf = collector(OtlpProtocol::Protobuf);
        assert_eq!(protobuf.taken(&answer.encode_to_vec()), taken);
        assert_eq!(protobuf.taken(b""), Taken::default());
        let json = collector(OtlpProtocol::Json);
        for rejected in ["2", "\"2\""] {
            let answer = format!(
                r#"{{"partialSuccess":{{"rejectedSpans":{rejected},"errorMessage":"old"}}}}"#
            );
            assert_eq!(json.taken(answer.as_bytes()), taken);
        }
        for nothing in ["{}", "", "{\"partialSuccess\":{}}", "<html>"] {
            assert_eq!(json.taken(nothing.as_bytes()), Taken::default());
        }
    }
}
