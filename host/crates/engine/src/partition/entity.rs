//! Entities: operations come into an inbox, run in batches, and their effects are applied as one.
//! Locks are in `lock.rs`, how long an entity lives in `lifetime.rs`.
//!
//! An operation that changes nothing does not come into the inbox: it runs beside the others, on
//! the state as it is, and its caller is told what that state depends on.

use everstate_types::{
    EntityState, Failure, InstanceId, LargeId, Message, MessageBody, MessageKey, Payload,
    ReplyAddress, RequestId, SpanId, TraceContext,
};

use super::input::{Effects, EntityRead, OperationCall, Reply, ReplyTo, Request, Work};
use super::slot::{EntitySlot, InboxItem, InboxOperation, ReplyRoute, RunningBatch};
use super::{Moment, SlotTurn};
use crate::client::EntityStatus;
use crate::commit::Change;
use crate::error::ClientError;
use crate::guest::{
    EntityEffect, EntityOperation, EntityOutcome, EntityWorkItem, OperationOutcome,
};
use crate::storage::EntityRow;

impl<R: ReplyTo> EntitySlot<R> {
    pub(super) fn apply_request(
        &mut self,
        moment: Moment,
        request: Request<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match request {
            Request::CallEntity { call, reply_to, .. } => match self.refusal(turn) {
                Some(error) => refuse(reply_to, error, turn, effects),
                None => {
                    self.push(InboxItem::operation(None, call, ReplyRoute::Client(reply_to)));
                    effects.inbox_peak = effects.inbox_peak.max(self.inbox.len());
                    self.run(moment, turn, effects);
                }
            },
            Request::ReadEntity { call, reply_to, .. } => {
                self.read(moment, call, reply_to, turn, effects);
            }
            Request::SignalEntity { call, at, reply_to, .. } => match self.refusal(turn) {
                Some(error) => refuse(reply_to, error, turn, effects),
                None => {
                    let target = turn.id.clone();
                    effects.send_at(moment, at, call.request_id, signal(target, call));
                    turn.mark_changed();
                    effects.replies.push((reply_to, Reply::Accepted, turn.gate()));
                }
            },
            Request::SignalOnce { target, call, at, reply_to, .. } => {
                if self.record.state.value.is_none() {
                    self.become_receipt(moment, turn, effects);
                    effects.send_at(moment, at, call.request_id, signal(target, call));
                }
                effects.replies.push((reply_to, Reply::Accepted, turn.gate()));
            }
            Request::CheckRoom { reply_to, .. } => {
                let reply = self.refusal(turn).map_or(Reply::Accepted, Reply::Refused);
                effects.replies.push((reply_to, reply, turn.gate()));
            }
            Request::GetEntity { reply_to, .. } => {
                effects.replies.push((reply_to, Reply::Entity(self.status()), turn.gate()));
            }
            Request::BreakLock { reply_to, .. } => {
                let was_locked = self.break_lock(turn, effects);
                effects.replies.push((reply_to, Reply::LockBroken(was_locked), turn.gate()));
                self.run(moment, turn, effects);
            }
            Request::PurgeEntity { reply_to, .. } => match self.next_holder() {
                Some(holder) => {
                    let instance_id = turn.id.clone();
                    refuse(
                        reply_to,
                        ClientError::EntityLocked { instance_id, holder },
                        turn,
                        effects,
                    );
                }
                None => {
                    self.push(InboxItem::Purge(reply_to));
                    self.run(moment, turn, effects);
                }
            },
            Request::Transfer(transfer) => self.transfer(*transfer, turn, effects),
            Request::Start(start) => wrong_kind(start.reply_to, turn, effects),
            Request::GetStatus { reply_to, .. }
            | Request::Wait { reply_to, .. }
            | Request::Explain { reply_to, .. }
            | Request::RaiseEvent { reply_to, .. }
            | Request::Change { reply_to, .. } => wrong_kind(reply_to, turn, effects),
        }
    }

    pub(super) fn apply_message(
        &mut self,
        moment: Moment,
        key: MessageKey,
        body: MessageBody,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match body {
            MessageBody::EntityOperation { request_id, operation, input, reply_to, trace } => {
                let call = OperationCall { request_id, operation, input, trace };
                self.take_operation(key, call, reply_to);
                effects.inbox_peak = effects.inbox_peak.max(self.inbox.len());
            }
            MessageBody::LockRequest(request) => self.push(InboxItem::Lock(key, request)),
            MessageBody::ReleaseLock { request_id, rest } => {
                self.take_release(key, request_id, rest, turn, effects);
            }
            MessageBody::EntityExpiry => self.look_at_expiry(moment, key, turn, effects),
            // Nobody sends an entity anything else.
            _ => consume(key, turn, effects),
        }
        self.run(moment, turn, effects);
    }

    fn take_operation(
        &mut self,
        key: MessageKey,
        call: OperationCall,
        reply_to: Option<Box<ReplyAddress>>,
    ) {
        let is_holders = reply_to.as_deref().is_some_and(|sender| self.is_held_by(sender));
        let reply = reply_to.map_or(ReplyRoute::Nobody, ReplyRoute::Orchestration);
        let item = InboxItem::operation(Some(key), call, reply);
        if is_holders {
            self.push_of_holder(item);
        } else {
            self.push(item);
        }
    }

    fn push(&mut self, item: InboxItem<R>) {
        self.inbox_bytes += item.bytes();
        self.inbox.push_back(item);
    }

    pub(super) fn push_of_holder(&mut self, item: InboxItem<R>) {
        self.inbox_bytes += item.bytes();
        self.holder_inbox.push_back(item);
    }

    /// Takes out what comes first, of those that go before or of the others.
    pub(super) fn pop(&mut self, is_holders: bool) -> Option<InboxItem<R>> {
        let inbox = if is_holders { &mut self.holder_inbox } else { &mut self.inbox };
        let item = inbox.pop_front()?;
        self.inbox_bytes = self.inbox_bytes.saturating_sub(item.bytes());
        Some(item)
    }

    /// Why a client's operation is not taken on.
    fn refusal(&self, turn: &SlotTurn<'_>) -> Option<ClientError> {
        let is_full = self.inbox.len() >= turn.limits.entity_inbox_count_max
            || self.inbox_bytes >= turn.limits.entity_inbox_bytes_max;
        is_full.then(|| ClientError::Busy(turn.id.clone()))
    }

    fn status(&self) -> Option<Box<EntityStatus>> {
        let waiting = self.inbox.len() + self.holder_inbox.len();
        let is_known = !self.record.is_empty() || waiting > 0;
        is_known.then(|| Box::new(EntityStatus { record: self.record.clone(), waiting }))
    }

    fn read(
        &mut self,
        moment: Moment,
        call: OperationCall,
        reply_to: R,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let Some(entity) = turn.id.as_entity() else { return };
        let item = EntityWorkItem {
            entity,
            state: self.record.state.clone(),
            operations: vec![call.into()],
        };
        // Not behind the note that it was used.
        effects.reads.push(EntityRead { item, reply_to, gate: turn.gate() });
        self.note_use(moment, turn, effects);
    }

    /// Does what comes first, until a work item runs or nothing waits.
    fn run(&mut self, moment: Moment, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
        while self.running.is_none() {
            let is_holders = self.record.lock.is_some();
            let inbox = if is_holders { &self.holder_inbox } else { &self.inbox };
            match inbox.front() {
                None => return,
                Some(InboxItem::Operation(next)) if next.is_abandoned() => {
                    self.pop(is_holders);
                }
                Some(InboxItem::Purge(_)) => self.purge(is_holders, turn, effects),
                Some(InboxItem::Operation(_)) => self.run_batch(is_holders, turn, effects),
                Some(_) => self.change_lock(moment, is_holders, turn, effects),
            }
        }
    }

    /// Begins a work item with the operations that come first.
    fn run_batch(&mut self, is_holders: bool, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
        let Some(entity) = turn.id.as_entity() else { return };
        let inbox = if is_holders { &self.holder_inbox } else { &self.inbox };
        let operations: Vec<_> = inbox
            .iter()
            .map_while(InboxItem::as_waiting_operation)
            .take(turn.limits.entity_batch_count_max.max(1))
            .collect();
        let token = turn.token();
        self.running = Some(RunningBatch { token, count: operations.len(), is_holders });
        let item = EntityWorkItem { entity, state: self.record.state.clone(), operations };
        effects.work.push(Work::Entity { instance_id: turn.id.clone(), token, item });
    }

    /// Takes up what a batch gave; false if it is not the one that is waited for.
    pub(super) fn apply_outcome(
        &mut self,
        moment: Moment,
        token: u64,
        outcome: EntityOutcome,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) -> bool {
        let Some(batch) = self.running.take_if(|running| running.token == token) else {
            return false;
        };
        let EntityOutcome { results, state, time_to_live_ms, large } = outcome;
        let is_changed = state != self.record.state;
        let freed = self.replace_state(state, large);
        self.record.last_operation_at = moment.now.max(self.record.last_operation_at);
        let is_armed = self.arm_expiry(moment, time_to_live_ms, turn.id, effects);
        if is_changed || is_armed || self.is_note_due() {
            self.store(freed, turn, effects);
        }
        for result in results.into_iter().take(batch.count) {
            if let Some(InboxItem::Operation(done)) = self.pop(batch.is_holders) {
                conclude(moment, done, result, turn, effects);
            }
        }
        if batch.is_holders && self.record.lock.is_none() {
            // The lock was broken while they ran, and some have not run.
            self.let_others_in(0);
        }
        self.run(moment, turn, effects);
        true
    }

    /// Puts a new state in the place of the one before. Gives the stored value that is of no use any
    /// more.
    pub(super) fn replace_state(
        &mut self,
        state: EntityState,
        large: Option<LargeId>,
    ) -> Option<LargeId> {
        let is_same_value = state.value == self.record.state.value;
        self.record.state = state;
        if is_same_value {
            return None;
        }
        std::mem::replace(&mut self.record.large, large)
    }

    /// Writes down the entity as it is now.
    pub(super) fn store(
        &mut self,
        freed: Option<LargeId>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        turn.mark_changed();
        self.stored_operation_at = self.record.last_operation_at;
        let record = (!self.record.is_empty()).then(|| self.record.clone());
        let fields = record.as_ref().map(|record| record.state.fields.clone());
        let indexed = std::mem::replace(&mut self.indexed, fields);
        let row = EntityRow { record, indexed, freed: freed.into_iter().collect() };
        effects.changes.push(Change::Entity { id: turn.id.clone(), row });
    }
}

impl<R: ReplyTo> InboxItem<R> {
    fn operation(key: Option<MessageKey>, call: OperationCall, reply: ReplyRoute<R>) -> Self {
        let OperationCall { request_id, operation, input, trace } = call;
        let message_key = key;
        Self::Operation(InboxOperation { message_key, request_id, operation, input, reply, trace })
    }

    /// Bytes that it takes beside itself, about.
    fn bytes(&self) -> usize {
        match self {
            Self::Operation(waiting) => {
                waiting.operation.len() + waiting.input.as_ref().map_or(0, Payload::len)
            }
            Self::Lock(..) | Self::Release(..) | Self::Purge(_) => 0,
        }
    }

    /// The operation, if it is one that somebody wants done.
    fn as_waiting_operation(&self) -> Option<EntityOperation> {
        match self {
            Self::Operation(waiting) if !waiting.is_abandoned() => Some(EntityOperation {
                request_id: waiting.request_id,
                operation: waiting.operation.clone(),
                input: waiting.input.clone(),
                trace: waiting.trace.clone(),
            }),
            _ => None,
        }
    }
}

impl<R: ReplyTo> InboxOperation<R> {
    /// Whether it was a client's, which does not wait any more: nobody was promised anything.
    fn is_abandoned(&self) -> bool {
        matches!(&self.reply, ReplyRoute::Client(reply_to) if reply_to.is_abandoned())
    }
}

impl From<OperationCall> for EntityOperation {
    fn from(call: OperationCall) -> Self {
        let OperationCall { request_id, operation, input, trace } = call;
        Self { request_id, operation, input, trace }
    }
}

/// Consumes an operation that ran, sends what it wants sent, and answers.
fn conclude<R>(
    moment: Moment,
    done: InboxOperation<R>,
    outcome: OperationOutcome,
    turn: &mut SlotTurn<'_>,
    effects: &mut Effects<R>,
) {
    let trace = done.trace.as_deref().map(|trace| {
        let span_id = SpanId::of_operation(done.request_id);
        Box::new(trace.below(span_id))
    });
    for (index, effect) in outcome.effects.into_iter().enumerate() {
        turn.mark_changed();
        let request_id = RequestId::new_v5(&done.request_id, &index.to_be_bytes());
        send_effect(moment, request_id, effect, trace.clone(), effects);
    }
    if let Some(key) = done.message_key {
        consume(key, turn, effects);
    }
    match done.reply {
        ReplyRoute::Nobody => {
            if let Err(failure) = &outcome.result {
                log_lost_failure(turn.id, &done.operation, failure);
            }
        }
        ReplyRoute::Orchestration(address) => effects.sent.push(Message {
            target: address.instance_id,
            body: MessageBody::EntityReply {
                execution_id: address.execution_id,
                scheduled_id: address.scheduled_id,
                request_id: done.request_id,
                result: outcome.result.map_err(Box::new),
            },
        }),
        ReplyRoute::Client(reply_to) => {
            effects.replies.push((reply_to, Reply::Operation(outcome.result), turn.gate()));
        }
    }
}

/// Sends what an operation wants sent. The request id was derived from the operation's, so that a repeated
/// run gives the same one.
fn send_effect<R>(
    moment: Moment,
    request_id: RequestId,
    effect: EntityEffect,
    trace: Option<Box<TraceContext>>,
    effects: &mut Effects<R>,
) {
    match effect {
        EntityEffect::Signal { entity, operation, input, at } => {
            let call = OperationCall { request_id, operation, input, trace };
            effects.send_at(moment, at, request_id, signal(entity.instance_id(), call));
        }
        EntityEffect::Start { name, instance_id, input } => {
            let start = super::orchestration::entity_start(name, input, request_id, trace);
            effects.sent.push(super::orchestration::start_message(instance_id, start));
        }
    }
}

fn signal(target: InstanceId, call: OperationCall) -> Message {
    let OperationCall { request_id, operation, input, trace } = call;
    let reply_to = None;
    Message {
        target,
        body: MessageBody::EntityOperation { request_id, operation, input, reply_to, trace },
    }
}

pub(super) fn consume<R>(key: MessageKey, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
    turn.mark_changed();
    effects.changes.push(Change::Consumed(key));
}

fn refuse<R>(reply_to: R, error: ClientError, turn: &SlotTurn<'_>, effects: &mut Effects<R>) {
    effects.replies.push((reply_to, Reply::Refused(error), turn.gate()));
}

pub(super) fn wrong_kind<R>(reply_to: R, turn: &SlotTurn<'_>, effects: &mut Effects<R>) {
    let error = ClientError::InvalidArgument(format!("`{}` is an entity", turn.id));
    refuse(reply_to, error, turn, effects);
}

fn log_lost_failure(id: &InstanceId, operation: &str, failure: &Failure) {
    tracing::warn!(
        instance = %id,
        operation,
        error_type = failure.error_type,
        "the signalled operation failed: {}",
        failure.error_message
    );
}
