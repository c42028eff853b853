//! What must hold when nothing happens any more unless a client or the clock moves: whatever has not
//! ended waits for something that can be named, and so does whatever waits for a lock.

use std::collections::HashSet;

use everstate_types::{
    DelayedKey, EntityId, EventKind, HistoryEvent, InstanceId, MessageBody, OrchestrationRecord,
    RequestId, RuntimeStatus,
};

use super::{action, check_history, check_terminated_children, is_child, is_start};
use crate::guests::run_script;
use crate::storage::SimStorage;
use crate::world::{World, held_section};

/// Checks what is stored when nothing happens any more.
pub(crate) fn check_rest(world: &World) {
    let storage = &world.storage;
    let mut awaited = HashSet::new();
    for (id, record, history) in storage.orchestrations() {
        check_history(id, record, history);
        if record.status.is_finished() {
            check_terminated_children(storage, id, record, history);
            continue;
        }
        if !history.iter().any(is_start) {
            let due = record.scheduled_start;
            let guid = record.execution_id.guid();
            awaited.extend(due.map(|due| DelayedKey { due, guid }));
            assert_eq!(record.status, RuntimeStatus::Suspended, "{id} was never begun");
            continue;
        }
        let replayed = run_script(world.ledgers, (id, &record.name), history, &[]);
        let is_suspended = record.status == RuntimeStatus::Suspended;
        let waits = replayed.awaits_event || !replayed.open.is_empty() || record.awaits_lock;
        assert!(is_suspended || waits, "{id} waits for nothing: {record:?} {history:?}");
        if record.awaits_lock && !is_suspended {
            let held = held_section(history).expect("it was in a critical section");
            let is_held_up = held.entities.iter().any(|entity| is_locked(storage, entity));
            assert!(is_held_up, "{id} waits for a lock that nobody has");
        }
        for number in replayed.open {
            let asked = action(record, history, number);
            check_open(storage, (id, record), asked, &mut awaited);
        }
    }
    check_delayed(world, &awaited);
    check_messages(storage);
    check_locks(world);
}

/// What an orchestration has asked for and was not told is under way.
fn check_open(
    storage: &SimStorage,
    (id, record): (&InstanceId, &OrchestrationRecord),
    (asked, guid): (&EventKind, RequestId),
    awaited: &mut HashSet<DelayedKey>,
) {
    let is_suspended = record.status == RuntimeStatus::Suspended;
    let is_coming = match asked {
        EventKind::TimerCreated { fire_at } => {
            let key = DelayedKey { due: *fire_at, guid };
            awaited.insert(key);
            storage.delayed().contains_key(&key)
        }
        EventKind::SubOrchestrationCreated { instance_id, .. } => {
            let child = storage.orchestration(instance_id);
            child.is_some_and(|child| {
                !child.status.is_finished() && is_child(child, id, record, guid)
            })
        }
        EventKind::EntityOperationCalled { entity, .. } => {
            record.awaits_lock || is_locked(storage, entity)
        }
        EventKind::EntityLockRequested { lock_set, .. } => {
            record.awaits_lock || lock_set.iter().any(|entity| is_locked(storage, entity))
        }
        _ => record.awaits_lock,
    };
    assert!(is_suspended || is_coming, "{id} waits for {asked:?}, which nobody does");
}

/// Whether somebody holds an entity.
pub(crate) fn is_locked(storage: &SimStorage, entity: &EntityId) -> bool {
    storage.entity(&entity.instance_id()).is_some_and(|record| record.lock.is_some())
}

/// Every delayed message is for somebody who waits for it.
fn check_delayed(world: &World, awaited: &HashSet<DelayedKey>) {
    let storage = &world.storage;
    for (key, message) in storage.delayed() {
        let rewinds = storage.orchestration(&message.target).map_or(0, |record| record.rewinds);
        let is_expected = match message.body {
            // After a rewind nobody knows which timers were given up before it.
            MessageBody::TimerFired { .. } => awaited.contains(key) || rewinds > 0,
            // What is locked does not expire.
            MessageBody::EntityExpiry => {
                let record = storage.entity(&message.target).expect("it has a state");
                record.lock.is_some() && record.expiry.is_some_and(|e| e.due == key.due)
            }
            MessageBody::EntityOperation { .. } => {
                let entity = message.target.as_entity().expect("an entity");
                key.due.as_millis() <= world.now && is_locked(storage, &entity)
            }
            _ => awaited.contains(key),
        };
        assert!(is_expected, "nobody waits for {key:?}: {message:?}");
    }
}

/// Messages wait for orchestrations that are suspended, or have no lock, for entities that are locked,
/// and for nobody else.
fn check_messages(storage: &SimStorage) {
    for message in storage.messages() {
        let is_expected = match message.target.as_entity() {
            Some(entity) => is_locked(storage, &entity),
            None => storage.orchestration(&message.target).is_some_and(|record| {
                record.status == RuntimeStatus::Suspended || record.awaits_lock
            }),
        };
        assert!(is_expected, "nobody takes up {message:?}");
    }
}

/// Every lock is held by an orchestration that knows of it and is suspended, or waits for one that is.
pub(crate) fn check_locks(world: &World) {
    for (id, record) in world.storage.entities() {
        let Some(lock) = record.lock else { continue };
        let holder = world.storage.instance(&lock.instance_id);
        let holder = holder.filter(|(holder, _)| {
            holder.execution_id == lock.execution_id && !holder.status.is_finished()
        });
        let (_, history) = holder.unwrap_or_else(|| panic!("{id} is held by nobody: {lock:?}"));
        // Clients give no reason.
        let is_stopped = history.last().is_some_and(|event| {
            matches!(&event.kind, EventKind::ExecutionSuspended { reason: Some(_) })
        });
        assert!(!is_stopped, "{id} is held by {lock:?}, whose code does not fit");
        if !world.scope.breaks_locks {
            let mut waiting = Vec::new();
            check_holder(&world.storage, &lock.instance_id, &mut waiting);
        }
    }
}

/// Follows who waits for whom.
fn check_holder(storage: &SimStorage, id: &InstanceId, waiting: &mut Vec<InstanceId>) {
    assert!(!waiting.contains(id), "a deadlock: {waiting:?}");
    waiting.push(id.clone());
    let (record, history) = storage.instance(id).expect("it is alive");
    if record.status == RuntimeStatus::Suspended {
        return;
    }
    let wanted = wanted(history);
    let next = wanted.iter().find_map(|entity| {
        let lock = storage.entity(&entity.instance_id())?.lock?;
        (lock.instance_id != *id).then_some(lock.instance_id)
    });
    let next = next.unwrap_or_else(|| panic!("{id} holds a lock and does not go on: {history:?}"));
    check_holder(storage, &next, waiting);
}

/// The entities that an orchestration has asked for last, in the order in which it takes them.
fn wanted(history: &[HistoryEvent]) -> Vec<EntityId> {
    let asked = history.iter().rev().find_map(|event| match &event.kind {
        EventKind::EntityLockRequested { lock_set, .. } => Some(lock_set.clone()),
        _ => None,
    });
    asked.expect("it has asked for a lock")
}
