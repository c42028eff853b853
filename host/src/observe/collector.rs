//! [`CollectorClient`]: the way of spans to a collector, over `http://` or `https://`.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::Agent;

use crate::web_client;

/// Bytes of an answer that are read. Nobody looks at them; a connection whose answers are read is used
/// again.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Sends the batches of an exporter.
#[derive(Debug)]
pub(super) struct CollectorClient(Agent);

impl CollectorClient {
    /// A client for the collector at this URL, which may take so long for each batch.
    pub(super) fn new(url: &str, ca: Option<&Path>, timeout: Duration) -> anyhow::Result<Self> {
        let agent = web_client::to(url, ca, "`telemetry.otlp_ca_file`", |config| {
            config.http_status_as_error(false).max_redirects(0).timeout_global(Some(timeout))
        })?;
        Ok(Self(agent))
    }
}

#[async_trait::async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let agent = self.0.clone();
        let exchange = move || -> Result<Response<Bytes>, HttpError> {
            let (head, mut body) = agent.run(request.map(Vec::from))?.into_parts();
            let mut answer = Vec::new();
            body.as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
            Ok(Response::from_parts(head, answer.into()))
        };
        tokio::task::spawn_blocking(exchange).await?
    }
}
