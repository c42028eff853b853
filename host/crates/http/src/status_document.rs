//! The status document of an orchestration.

use everstate_engine::client::InstanceStatus;
use everstate_types::{OrchestrationRecord, RuntimeStatus};

use crate::history_document::push_history;
use crate::json::{ObjectWriter, push_string};

/// How much of an orchestration a document shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What it and its calls were started with.
    pub(crate) input: bool,
    /// What happened.
    pub(crate) history: bool,
    /// The results in the history.
    pub(crate) history_output: bool,
}

/// As the original: input, no history.
impl Default for Shown {
    fn default() -> Self {
        Self { input: true, history: false, history_output: false }
    }
}

/// Writes the document.
pub(crate) fn status_document(status: &InstanceStatus, shown: Shown) -> Vec<u8> {
    let record = &status.record;
    let mut out = Vec::with_capacity(512);
    let mut document = ObjectWriter::new(&mut out);
    document
        .string("name", record.name.as_str())
        .string("instanceId", status.instance_id.as_str())
        .string("runtimeStatus", record.status.as_str())
        .payload("input", Some(&record.input).filter(|_| shown.input))
        .payload("customStatus", record.custom_status.as_ref());
    push_output(document.key("output"), record);
    document
        .string("createdTime", &record.created_at.to_string())
        .string("lastUpdatedTime", &record.updated_at.to_string());
    if shown.history && record.status != RuntimeStatus::Pending {
        push_history(document.key("historyEvents"), &status.history, shown);
    }
    document.end();
    out
}

/// What the orchestration returned, why it failed, or why it was terminated.
fn push_output(out: &mut Vec<u8>, record: &OrchestrationRecord) {
    match (&record.failure, &record.output) {
        (Some(failure), _) if record.status == RuntimeStatus::Failed => {
            let message = &failure.error_message;
            let text = format!("Orchestrator function '{}' failed: {message}", record.name);
            push_string(out, &text);
        }
        (_, output) => {
            let text = output.as_ref().map_or("null", crate::json::payload_text);
            out.extend_from_slice(text.as_bytes());
        }
    }
}
