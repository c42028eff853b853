//! Why an orchestration waits, and locks, as JSON.

use everstate_engine::explain::{Explanation, Reason};
use everstate_types::{EntityId, EntityLock, EntityRecord, Timestamp};

use crate::json::ObjectWriter;
use crate::time::with_millis;

/// Writes why an orchestration waits.
pub(super) fn explanation_document(explanation: &Explanation) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut document = ObjectWriter::new(&mut out);
    document
        .string("instanceId", explanation.instance_id.as_str())
        .string("runtimeStatus", explanation.status.as_str())
        .string("since", &with_millis(explanation.since));
    push_list(document.key("reasons"), &explanation.reasons, push_reason);
    if explanation.more_count > 0 {
        document.raw("moreReasons", &explanation.more_count.to_string());
    }
    push_list(document.key("locksHeld"), &explanation.locks_held, push_held);
    document.end();
    out
}

/// Writes a list of locked entities.
pub(super) fn locks_document(entities: &[(EntityId, EntityRecord)]) -> Vec<u8> {
    let locks: Vec<_> = entities
        .iter()
        .filter_map(|(entity, record)| record.lock.as_ref().map(|lock| (entity, lock)))
        .collect();
    let mut out = Vec::with_capacity(2 + locks.len() * 128);
    push_list(&mut out, &locks, |out, (entity, lock)| {
        let mut object = ObjectWriter::new(out);
        object.string("entityId", &entity.to_string());
        let mut holder = ObjectWriter::new(object.key("heldBy"));
        holder.string("instanceId", lock.instance_id.as_str()).end();
        object.string("since", &with_millis(lock.since)).end();
    });
    out
}

fn push_reason(out: &mut Vec<u8>, reason: &Reason) {
    let mut object = ObjectWriter::new(out);
    object.string("kind", reason.kind.as_str());
    if let Some(name) = &reason.name {
        object.string("name", name);
    }
    object.string("since", &with_millis(reason.since));
    if let Some(due) = reason.due {
        object.string("dueTime", &with_millis(due));
    }
    if let Some(entity) = &reason.entity {
        object.string("entityId", &entity.to_string());
    }
    if let Some(lock) = &reason.held_by {
        push_holder(object.key("heldBy"), lock);
    }
    if let Some(count) = reason.waiting_count {
        object.raw("waitingOperations", &count.to_string());
    }
    if let Some(instance_id) = &reason.instance_id {
        object.string("instanceId", instance_id.as_str());
    }
    if let Some(message) = &reason.message {
        object.string("message", message);
    }
    object.end();
}

fn push_holder(out: &mut Vec<u8>, lock: &EntityLock) {
    let mut holder = ObjectWriter::new(out);
    holder.string("instanceId", lock.instance_id.as_str());
    holder.string("since", &with_millis(lock.since)).end();
}

fn push_held(out: &mut Vec<u8>, (entity, since): &(EntityId, Timestamp)) {
    let mut object = ObjectWriter::new(out);
    object.string("entityId", &entity.to_string()).string("since", &with_millis(*since)).end();
}

fn push_list<T>(out: &mut Vec<u8>, items: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}
