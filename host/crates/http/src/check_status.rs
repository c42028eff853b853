//! The responses that tell a client about an orchestration: the 202 with the check-status document,
//! and the answer for one that has ended.
//!
//! The shapes are those of the original, byte for byte. Its clients add parameters to a link with `&`, so
//! that each link has some: the task hub and the connection, which mean nothing here.

use bytes::Bytes;
use everstate_engine::client::InstanceStatus;
use everstate_engine::guest::{HttpResponse, StatusResponses};
use everstate_types::{InstanceId, Payload, RuntimeStatus};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::admission::LinkCodes;
use crate::history_document::push_history;
use crate::json::{self, ObjectWriter};
use crate::status_document::{Shown, status_document};

/// Where the management API begins.
pub(crate) const MANAGEMENT_PATH: &str = "/runtime/webhooks/durabletask";

/// The task hub in links, if the request did not name one.
pub(crate) const TASK_HUB: &str = "Everstate";

/// The connection in links, if the request did not name one.
pub(crate) const CONNECTION: &str = "Storage";

/// What stays as it is in a path segment and in a value of a query.
pub(crate) const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Makes the responses of the management API for functions.
#[derive(Clone, Debug, Default)]
pub struct ManagementResponses(LinkCodes);

impl ManagementResponses {
    /// Its links carry these codes.
    #[must_use]
    pub fn new(codes: LinkCodes) -> Self {
        Self(codes)
    }
}

impl StatusResponses for ManagementResponses {
    fn check_status(
        &self,
        base_url: &str,
        instance_id: &InstanceId,
        internal_server_error_on_failure: bool,
    ) -> HttpResponse {
        let credentials = self.0.credentials(instance_id);
        let hub = HubParameters::default();
        let links = Links { base_url, instance_id, hub, credentials: credentials.as_deref() };
        links.check_status(internal_server_error_on_failure)
    }

    fn history(&self, status: &InstanceStatus, shows_output: bool) -> Payload {
        let shown = Shown { input: true, history: true, history_output: shows_output };
        let mut out = Vec::with_capacity(1_024);
        push_history(&mut out, &status.history, shown);
        Payload::from(String::from_utf8(out).expect("a JSON document of texts"))
    }

    fn finished(
        &self,
        status: &InstanceStatus,
        internal_server_error_on_failure: bool,
    ) -> HttpResponse {
        let record = &status.record;
        if record.status == RuntimeStatus::Completed {
            let output = record.output.as_ref().map_or("null", json::payload_text);
            return json_response(200, Bytes::copy_from_slice(output.as_bytes()));
        }
        let code = status_code(record.status, internal_server_error_on_failure);
        json_response(code, status_document(status, Shown::default()).into())
    }
}

/// The parameters that links repeat from the request, as they stand in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HubParameters(String);

impl HubParameters {
    pub(crate) fn new(task_hub: &str, connection: &str) -> Self {
        let task_hub = utf8_percent_encode(task_hub, SEGMENT);
        let connection = utf8_percent_encode(connection, SEGMENT);
        Self(format!("taskHub={task_hub}&connection={connection}"))
    }
}

impl Default for HubParameters {
    fn default() -> Self {
        Self::new(TASK_HUB, CONNECTION)
    }
}

/// Where an orchestration is seen and managed.
#[derive(Clone, Debug)]
pub(crate) struct Links<'a> {
    /// Scheme and authority.
    pub(crate) base_url: &'a str,
    pub(crate) instance_id: &'a InstanceId,
    pub(crate) hub: HubParameters,
    /// What lets others use the links: `code=…`, as it stands in a query.
    pub(crate) credentials: Option<&'a str>,
}

impl Links<'_> {
    /// The 202 that says where to look.
    pub(crate) fn check_status(&self, internal_server_error_on_failure: bool) -> HttpResponse {
        let mut status_url = self.url("", None);
        if internal_server_error_on_failure {
            status_url.push_str("&returnInternalServerErrorOnFailure=true");
        }
        let mut body = Vec::with_capacity(8 * (status_url.len() + 48));
        let reason = Some("reason={text}");
        ObjectWriter::new(&mut body)
            .string("id", self.instance_id.as_str())
            .string("statusQueryGetUri", &status_url)
            .string("sendEventPostUri", &self.url("/raiseEvent/{eventName}", None))
            .string("terminatePostUri", &self.url("/terminate", reason))
            .string("purgeHistoryDeleteUri", &self.url("", None))
            .string("restartPostUri", &self.url("/restart", None))
            .string("suspendPostUri", &self.url("/suspend", reason))
            .string("resumePostUri", &self.url("/resume", reason))
            .end();
        let mut response = json_response(202, body.into());
        response.headers.push(("location".to_owned(), status_url));
        response.headers.push(("retry-after".to_owned(), "10".to_owned()));
        response
    }

    fn url(&self, path: &str, parameter: Option<&str>) -> String {
        let id = utf8_percent_encode(self.instance_id.as_str(), SEGMENT);
        let mut url = format!("{}{MANAGEMENT_PATH}/instances/{id}{path}", self.base_url);
        let parameters = [parameter, Some(&self.hub.0), self.credentials];
        for (part, separator) in parameters.into_iter().flatten().zip(['?', '&', '&']) {
            url.push(separator);
            url.push_str(part);
        }
        url
    }
}

/// The status of a response with a status document.
pub(crate) fn status_code(status: RuntimeStatus, internal_server_error_on_failure: bool) -> u16 {
    match status {
        RuntimeStatus::Pending | RuntimeStatus::Running | RuntimeStatus::Suspended => 202,
        RuntimeStatus::Failed if internal_server_error_on_failure => 500,
        RuntimeStatus::Completed | RuntimeStatus::Failed | RuntimeStatus::Terminated => 200,
    }
}

fn json_response(status: u16, body: Bytes) -> HttpResponse {
    let content_type = ("content-type".to_owned(), json::CONTENT_TYPE.to_owned());
    HttpResponse { status, headers: vec![content_type], body }
}

#[cfg(test)]
#[path = "check_status_tests.rs"]
mod tests;
