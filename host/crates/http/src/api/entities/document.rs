//! The documents about entities. Those that the original has are as there; what is added comes
//! behind, and only where it was asked for.

use everstate_engine::client::EntityStatus;
use everstate_types::{EntityId, EntityRecord, Failure, InnerFailure, Payload};

use crate::json::{ObjectWriter, push_string};
use crate::time::with_millis;

/// How much of an entity a document shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct ShownEntity {
    /// The value of its state.
    pub(in crate::api) state: bool,
    /// Whether it has state, the version of the state's shape, who holds it, how much waits.
    pub(in crate::api) details: bool,
}

/// Writes the document of one entity.
pub(in crate::api) fn entity_document(
    entity: &EntityId,
    status: &EntityStatus,
    shown: ShownEntity,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    push_entity(&mut out, entity, &status.record, shown, Some(status.waiting));
    out
}

/// Writes the array of the entities of a page.
pub(in crate::api) fn list_document(
    entities: &[(EntityId, EntityRecord)],
    shown: ShownEntity,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 * entities.len() + 2);
    out.push(b'[');
    for (index, (entity, record)) in entities.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_entity(&mut out, entity, record, shown, None);
    }
    out.push(b']');
    out
}

/// Writes the answer for an operation that failed.
pub(in crate::api) fn failure_document(
    entity: &EntityId,
    operation: &str,
    failure: &Failure,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let reason = &failure.error_message;
    let message = format!("The operation '{operation}' of the entity '{entity}' failed: {reason}");
    let mut document = ObjectWriter::new(&mut out);
    push_failure(document.string("Message", &message).key("failure"), failure);
    document.end();
    out
}

/// What waits is not known of the entities of a page.
fn push_entity(
    out: &mut Vec<u8>,
    entity: &EntityId,
    record: &EntityRecord,
    shown: ShownEntity,
    waiting: Option<usize>,
) {
    let state = record.state.value.as_ref();
    let mut document = ObjectWriter::new(out);
    ObjectWriter::new(document.key("entityId"))
        .string("name", entity.name())
        .string("key", entity.key())
        .end();
    // One that is locked and has never done anything has no such time.
    match record.last_operation_at.as_millis() {
        0 => document.raw("lastOperationTime", "null"),
        _ => document.string("lastOperationTime", &with_millis(record.last_operation_at)),
    };
    document.payload("state", state.filter(|_| shown.state));
    if shown.details {
        document
            .raw("exists", if state.is_some() { "true" } else { "false" })
            .raw("stateVersion", &record.state.version.to_string());
        push_lock(document.key("lock"), record);
        if let Some(waiting) = waiting {
            document.raw("waitingOperations", &waiting.to_string());
        }
    }
    document.end();
}

fn push_lock(out: &mut Vec<u8>, record: &EntityRecord) {
    match &record.lock {
        None => out.extend_from_slice(b"null"),
        Some(lock) => ObjectWriter::new(out)
            .string("instanceId", lock.instance_id.as_str())
            .string("since", &with_millis(lock.since))
            .end(),
    }
}

/// With the names of the durabletask protocol; each cause stands within what it caused.
fn push_failure(out: &mut Vec<u8>, failure: &Failure) {
    let mut object = ObjectWriter::new(out);
    object.string("errorType", &failure.error_type).string("errorMessage", &failure.error_message);
    push_optional(object.key("stackTrace"), failure.stack_trace.as_deref());
    push_inner(object.key("innerFailure"), &failure.inner_failures);
    object.raw("isNonRetriable", if failure.is_non_retriable { "true" } else { "false" });
    let mut properties = ObjectWriter::new(object.key("properties"));
    for (name, value) in &failure.properties {
        properties.payload(name, Some(&Payload::from(value.as_str())));
    }
    properties.end();
    object.end();
}

fn push_inner(out: &mut Vec<u8>, causes: &[InnerFailure]) {
    for cause in causes {
        let mut object = ObjectWriter::new(out);
        object.string("errorType", &cause.error_type).string("errorMessage", &cause.error_message);
        push_optional(object.key("stackTrace"), cause.stack_trace.as_deref());
        object.key("innerFailure");
    }
    out.extend_from_slice(b"null");
    out.extend(causes.iter().map(|_| b'}'));
}

fn push_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
