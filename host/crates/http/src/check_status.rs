//! The responses that tell a client about an orchestration: the 202 with the check-status document,
//! and the answer for one that has ended.
//!
//! The shapes are those of the original, byte for byte but for the parameters that only a host in
//! the cloud has.

use bytes::Bytes;
use everstate_engine::client::InstanceStatus;
use everstate_engine::guest::{HttpResponse, StatusResponses};
use everstate_types::{InstanceId, Payload, RuntimeStatus};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::history_document::push_history;
use crate::json::{self, ObjectWriter};
use crate::status_document::{Shown, status_document};

/// Where the management API begins.
pub(crate) const MANAGEMENT_PATH: &str = "/runtime/webhooks/durabletask";

/// What stays as it is in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Makes the responses of the management API for functions.
#[derive(Clone, Copy, Debug, Default)]
pub struct ManagementResponses;

impl StatusResponses for ManagementResponses {
    fn check_status(
        &self,
        base_url: &str,
        instance_id: &InstanceId,
        internal_server_error_on_failure: bool,
    ) -> HttpResponse {
        let id = utf8_percent_encode(instance_id.as_str(), SEGMENT);
        let instance = format!("{base_url}{MANAGEMENT_PATH}/instances/{id}");
        let flag = "?returnInternalServerErrorOnFailure=true";
        let flag = if internal_server_error_on_failure { flag } else { "" };
        let status_url = format!("{instance}{flag}");
        let mut body = Vec::with_capacity(8 * (instance.len() + 48));
        ObjectWriter::new(&mut body)
            .string("id", instance_id.as_str())
            .string("statusQueryGetUri", &status_url)
            .string("sendEventPostUri", &format!("{instance}/raiseEvent/{{eventName}}"))
            .string("terminatePostUri", &format!("{instance}/terminate?reason={{text}}"))
            .string("purgeHistoryDeleteUri", &instance)
            .string("restartPostUri", &format!("{instance}/restart"))
            .string("suspendPostUri", &format!("{instance}/suspend?reason={{text}}"))
            .string("resumePostUri", &format!("{instance}/resume?reason={{text}}"))
            .end();
        let mut response = json_response(202, body.into());
        response.headers.push(("location".to_owned(), status_url));
        response.headers.push(("retry-after".to_owned(), "10".to_owned()));
        response
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
