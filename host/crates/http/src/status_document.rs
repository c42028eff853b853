//! The status document of an orchestration.

use everstate_engine::client::InstanceStatus;
use everstate_types::{HistoryEvent, InstanceId, OrchestrationRecord, RuntimeStatus};

use crate::history_document::push_history;
use crate::json::{ObjectWriter, push_payload, push_string};

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
    let mut out = Vec::with_capacity(512);
    push_status(&mut out, &status.instance_id, &status.record, &status.history, shown);
    out
}

/// Writes the array of the orchestrations of a page, without their histories.
pub(crate) fn list_document(
    instances: &[(InstanceId, OrchestrationRecord)],
    shows_input: bool,
) -> Vec<u8> {
    let shown = Shown { input: shows_input, ..Shown::default() };
    let mut out = Vec::with_capacity(512 * instances.len() + 2);
    out.push(b'[');
    for (index, (id, record)) in instances.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_status(&mut out, id, record, &[], shown);
    }
    out.push(b']');
    out
}

fn push_status(
    out: &mut Vec<u8>,
    instance_id: &InstanceId,
    record: &OrchestrationRecord,
    history: &[HistoryEvent],
    shown: Shown,
) {
    let mut document = ObjectWriter::new(out);
    document
        .string("name", record.name.as_str())
        .string("instanceId", instance_id.as_str())
        .string("runtimeStatus", record.status.as_str())
        .payload("input", Some(&record.input).filter(|_| shown.input))
        .payload("customStatus", record.custom_status.as_ref());
    push_output(document.key("output"), record);
    document
        .string("createdTime", &record.created_at.to_string())
        .string("lastUpdatedTime", &record.updated_at.to_string());
    if shown.history && record.status != RuntimeStatus::Pending {
        push_history(document.key("historyEvents"), history, shown);
    }
    document.end();
}

/// What the orchestration returned, why it failed, or why it was terminated.
fn push_output(out: &mut Vec<u8>, record: &OrchestrationRecord) {
    match (&record.failure, &record.output) {
        (Some(failure), _) if record.status == RuntimeStatus::Failed => {
            let message = &failure.error_message;
            let text = format!("Orchestrator function '{}' failed: {message}", record.name);
            push_string(out, &text);
        }
        (_, output) => push_payload(out, output.as_ref()),
    }
}
