//! [`Section`]: the critical section of an execution, and how its lock is asked for and given back.
//!
//! A request for a lock goes from entity to entity in the order of the lock set, and the last one
//! answers. A lock that was granted is given back at each entity by a message of its own. One that
//! was not is given up by a message that goes the same way as the request, behind it: whatever has
//! been taken is given back, and where the request waits it is taken out.
//!
//! At most one section is open, so that no orchestration can wait for another that waits for it. It
//! ends with the execution, however that ends. When the code of an execution does not follow its
//! history, or the execution is rewound, the lock is given back too, and taken again before the
//! next turn; `lock_epoch` tells the requests apart.

use everstate_types::{
    EntityId, EventKind, Failure, HistoryEvent, InstanceId, LockRequest, Message, MessageBody,
    ReplyAddress, RequestId,
};

use super::super::input::Effects;
use super::super::slot::Orchestration;
use super::open::OpenKind;

/// A critical section that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::partition) struct Section {
    /// The number of the action that asked for the lock.
    pub(super) number: i32,
    /// The entities that have not been given back, in the order in which they are taken.
    pub(super) entities: Vec<EntityId>,
    /// Whether the execution was told that it holds them.
    pub(super) is_granted: bool,
}

impl Section {
    /// The section that the events of an execution leave open.
    pub(super) fn of(history: &[HistoryEvent]) -> Option<Self> {
        let mut open: Option<Self> = None;
        for event in history {
            match &event.kind {
                EventKind::EntityLockRequested { lock_set, .. } => {
                    let (number, entities) = (event.event_id, lock_set.clone());
                    open = Some(Self { number, entities, is_granted: false });
                }
                EventKind::EntityUnlockSent { entity, .. } => {
                    open = open.and_then(|section| section.without(entity));
                }
                kind => {
                    if let Some(section) = open.as_mut() {
                        section.is_granted |= section.is_granted_by(kind);
                    }
                    open = open.filter(|section| !section.is_refused_by(kind));
                }
            }
        }
        open
    }

    /// Whether the event says that the lock is held.
    pub(super) fn is_granted_by(&self, kind: &EventKind) -> bool {
        matches!(kind, EventKind::EntityLockGranted { scheduled_id, .. } if *scheduled_id == self.number)
    }

    /// Whether the event says that the lock cannot be had.
    pub(super) fn is_refused_by(&self, kind: &EventKind) -> bool {
        matches!(kind, EventKind::EntityOperationFailed { scheduled_id, .. } if *scheduled_id == self.number)
    }

    /// What is left when an entity is given back. A lock that was not granted is given up as a whole.
    fn without(mut self, entity: &EntityId) -> Option<Self> {
        self.entities.retain(|held| held != entity);
        (self.is_granted && !self.entities.is_empty()).then_some(self)
    }
}

impl Orchestration {
    /// The GUID of the request for the lock that this action asks, or asked, for.
    pub(super) fn lock_guid(&self, number: i32) -> RequestId {
        self.record.execution_id.lock_guid(number, self.record.lock_epoch)
    }

    /// Begins a section.
    pub(super) fn lock<R>(
        &mut self,
        id: &InstanceId,
        number: i32,
        entities: &[EntityId],
        refusal: Option<String>,
        effects: &mut Effects<R>,
    ) {
        let entities = entities.to_vec();
        self.open.insert(number, self.lock_guid(number), OpenKind::Lock);
        self.section = Some(Section { number, entities, is_granted: false });
        match refusal {
            None => self.request_lock(id, effects),
            Some(message) => {
                let failure = Failure::new("FunctionNotFound", message).non_retriable();
                let body = MessageBody::LockReply {
                    execution_id: self.record.execution_id,
                    scheduled_id: number,
                    request_id: self.lock_guid(number),
                    result: Err(Box::new(failure)),
                };
                effects.sent.push(Message { target: id.clone(), body });
            }
        }
    }

    /// Asks for the lock of the open section, if there is one.
    pub(super) fn request_lock<R>(&self, id: &InstanceId, effects: &mut Effects<R>) {
        let Some(section) = &self.section else { return };
        let Some((first, rest)) = section.entities.split_first() else { return };
        let request = LockRequest {
            reply_to: ReplyAddress {
                instance_id: id.clone(),
                execution_id: self.record.execution_id,
                scheduled_id: section.number,
            },
            request_id: self.lock_guid(section.number),
            rest: rest.to_vec(),
        };
        let body = MessageBody::LockRequest(Box::new(request));
        effects.sent.push(Message { target: first.instance_id(), body });
    }

    /// Asks for the lock of the open section once more, with a request of its own. An earlier one may
    /// be under way, or be granted: it is given back.
    pub(super) fn request_lock_again<R>(&mut self, id: &InstanceId, effects: &mut Effects<R>) {
        let Some(section) = &self.section else { return };
        let (number, is_granted) = (section.number, section.is_granted);
        self.release_lock(effects);
        self.record.lock_epoch += 1;
        self.record.awaits_lock = is_granted;
        if !is_granted {
            self.open.insert(number, self.lock_guid(number), OpenKind::Lock);
        }
        self.request_lock(id, effects);
    }

    /// Gives one entity of the section back; gives the lock up, if it was not granted.
    pub(super) fn unlock<R>(&mut self, number: i32, entity: &EntityId, effects: &mut Effects<R>) {
        let Some(section) = self.section.take_if(|section| section.number == number) else {
            return;
        };
        if section.is_granted {
            if section.entities.contains(entity) {
                effects.sent.push(release(self.lock_guid(number), entity, &[]));
            }
        } else {
            self.open.forget(Some(number));
            self.give_up(&section, effects);
        }
        self.section = section.without(entity);
    }

    /// Gives back what the section holds, or has asked to hold. The section stays.
    pub(super) fn release_lock<R>(&self, effects: &mut Effects<R>) {
        let Some(section) = &self.section else { return };
        if section.is_granted && !self.record.awaits_lock {
            let request_id = self.lock_guid(section.number);
            let released = section.entities.iter().map(|entity| release(request_id, entity, &[]));
            effects.sent.extend(released);
        } else {
            self.give_up(section, effects);
        }
    }

    /// Gives up a lock that was asked for and not granted, as far as is known.
    fn give_up<R>(&self, section: &Section, effects: &mut Effects<R>) {
        if let Some((first, rest)) = section.entities.split_first() {
            effects.sent.push(release(self.lock_guid(section.number), first, rest));
        }
    }
}

fn release(request_id: RequestId, entity: &EntityId, rest: &[EntityId]) -> Message {
    let body = MessageBody::ReleaseLock { request_id, rest: rest.to_vec() };
    Message { target: entity.instance_id(), body }
}
