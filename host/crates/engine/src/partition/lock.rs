//! The lock of an entity: while an orchestration holds it, the entity does what that asks for, and
//! everything else waits.
//!
//! A request for the lock waits in the inbox like an operation, and is granted when it comes first:
//! what stood before it is done, what comes behind it waits. What the holder sends goes into an inbox
//! of its own. When the lock is given back is decided there too: behind what the holder has asked for.

use everstate_types::{
    EntityId, EntityLock, InstanceId, LockRequest, Message, MessageBody, MessageKey, ReplyAddress,
    RequestId,
};

use super::entity::consume;
use super::input::{Effects, ReplyTo};
use super::slot::{EntitySlot, InboxItem};
use super::{Moment, SlotTurn};

impl<R: ReplyTo> EntitySlot<R> {
    /// Whether this orchestration holds the entity.
    pub(super) fn is_held_by(&self, sender: &ReplyAddress) -> bool {
        self.record.lock.as_ref().is_some_and(|lock| {
            lock.instance_id == sender.instance_id && lock.execution_id == sender.execution_id
        })
    }

    /// Who holds the entity, or is the first that will.
    pub(super) fn next_holder(&self) -> Option<InstanceId> {
        let asks = |item: &InboxItem<R>| match item {
            InboxItem::Lock(_, request) => Some(request.reply_to.instance_id.clone()),
            _ => None,
        };
        let holder = self.record.lock.as_ref().map(|lock| lock.instance_id.clone());
        holder.or_else(|| self.inbox.iter().find_map(asks))
    }

    /// Grants the lock, or takes it back: whichever comes first in an inbox.
    pub(super) fn change_lock(
        &mut self,
        moment: Moment,
        is_holders: bool,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match self.pop(is_holders) {
            Some(InboxItem::Lock(key, request)) => {
                consume(key, turn, effects);
                self.grant(moment, *request, turn, effects);
            }
            Some(InboxItem::Release(key, request_id, rest)) => {
                self.release(key, request_id, &rest, turn, effects);
            }
            Some(InboxItem::Operation(_) | InboxItem::Purge(_)) | None => {}
        }
    }

    fn grant(
        &mut self,
        moment: Moment,
        request: LockRequest,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let LockRequest { reply_to, request_id, rest } = request;
        self.record.lock = Some(EntityLock {
            instance_id: reply_to.instance_id.clone(),
            execution_id: reply_to.execution_id,
            request_id,
            since: moment.now,
        });
        self.store(None, turn, effects);
        let message = match rest.split_first() {
            Some((next, rest)) => {
                let request = LockRequest { reply_to, request_id, rest: rest.to_vec() };
                let body = MessageBody::LockRequest(Box::new(request));
                Message { target: next.instance_id(), body }
            }
            None => {
                let ReplyAddress { instance_id: target, execution_id, scheduled_id } = reply_to;
                let result = Ok(());
                let body =
                    MessageBody::LockReply { execution_id, scheduled_id, request_id, result };
                Message { target, body }
            }
        };
        effects.sent.push(message);
    }

    /// Takes in that a lock is given back, or given up while it is asked for.
    pub(super) fn take_release(
        &mut self,
        key: MessageKey,
        request_id: RequestId,
        rest: Vec<EntityId>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let is_request = |item: &InboxItem<R>| matches!(item, InboxItem::Lock(_, request) if request.request_id == request_id);
        if let Some(place) = self.inbox.iter().position(is_request) {
            // It has not come further than this.
            if let Some(InboxItem::Lock(waiting, _)) = self.inbox.remove(place) {
                consume(waiting, turn, effects);
            }
            return consume(key, turn, effects);
        }
        let is_held = self.record.lock.as_ref().is_some_and(|lock| lock.request_id == request_id);
        if is_held && !self.holder_inbox.is_empty() {
            self.push_of_holder(InboxItem::Release(key, request_id, rest));
        } else {
            self.release(key, request_id, &rest, turn, effects);
        }
    }

    /// Unlocks the entity, if it is held by this request, and passes the message on.
    fn release(
        &mut self,
        key: MessageKey,
        request_id: RequestId,
        rest: &[EntityId],
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        consume(key, turn, effects);
        if let Some((next, rest)) = rest.split_first() {
            let body = MessageBody::ReleaseLock { request_id, rest: rest.to_vec() };
            effects.sent.push(Message { target: next.instance_id(), body });
        }
        if self.record.lock.take_if(|lock| lock.request_id == request_id).is_some() {
            self.let_others_in(0);
            self.store(None, turn, effects);
        }
    }

    /// Takes the lock from whoever holds it. False: nobody does.
    pub(super) fn break_lock(&mut self, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) -> bool {
        let Some(lock) = self.record.lock.take() else { return false };
        tracing::warn!(
            instance = %turn.id,
            holder = %lock.instance_id,
            "the lock of the entity was broken"
        );
        let running = self.running.filter(|running| running.is_holders);
        self.let_others_in(running.map_or(0, |running| running.count));
        self.store(None, turn, effects);
        true
    }

    /// Puts what the former holder has sent behind what others have, but for what runs.
    pub(super) fn let_others_in(&mut self, running_count: usize) {
        let left = self.holder_inbox.split_off(running_count);
        self.inbox.extend(left);
    }
}
