//! Entities: operations come into a inbox, run in batches, and their effects are applied as one.

use everstate_types::{
    EntityRecord, Failure, InstanceId, Message, MessageBody, MessageKey, RequestId,
};

use super::input::{Effects, Reply, ReplyTo, Request, Work};
use super::slot::{EntitySlot, InboxOperation, ReplyRoute};
use super::{Moment, PartitionLimits, SlotTurn};
use crate::commit::Change;
use crate::error::ClientError;
use crate::guest::{
    EntityEffect, EntityOperation, EntityOutcome, EntityWorkItem, OperationOutcome,
};

impl<R: ReplyTo> EntitySlot<R> {
    pub(super) fn apply_request(
        &mut self,
        limits: PartitionLimits,
        request: Request<R>,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        match request {
            Request::CallEntity { request_id, operation, input, reply_to, .. } => {
                if self.inbox.len() >= limits.entity_inbox_count_max {
                    return refuse(reply_to, ClientError::Busy(turn.id.clone()), turn, effects);
                }
                let reply = ReplyRoute::Client(reply_to);
                self.inbox.push_back(InboxOperation {
                    message_key: None,
                    request_id,
                    operation,
                    input,
                    reply,
                });
                self.run(turn, effects);
            }
            Request::SignalEntity { request_id, operation, input, reply_to, .. } => {
                if self.inbox.len() >= limits.entity_inbox_count_max {
                    return refuse(reply_to, ClientError::Busy(turn.id.clone()), turn, effects);
                }
                effects.sent.push(Message {
                    target: turn.id.clone(),
                    body: MessageBody::EntityOperation {
                        request_id,
                        operation,
                        input,
                        reply_to: None,
                    },
                });
                turn.mark_changed();
                effects.replies.push((reply_to, Reply::Accepted, turn.gate()));
            }
            Request::ReadState { reply_to, .. } => {
                effects.replies.push((reply_to, Reply::State(self.state.clone()), turn.gate()));
            }
            Request::Start(start) => wrong_kind(start.reply_to, turn, effects),
            Request::GetStatus { reply_to, .. }
            | Request::Wait { reply_to, .. }
            | Request::RaiseEvent { reply_to, .. }
            | Request::Change { reply_to, .. } => wrong_kind(reply_to, turn, effects),
        }
    }

    pub(super) fn apply_message(
        &mut self,
        key: MessageKey,
        body: MessageBody,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        let MessageBody::EntityOperation { request_id, operation, input, reply_to } = body else {
            // Nobody sends an entity anything else.
            turn.mark_changed();
            effects.changes.push(Change::Consumed(key));
            return;
        };
        let reply = match reply_to {
            Some(address) => ReplyRoute::Orchestration(address),
            None => ReplyRoute::Nobody,
        };
        self.inbox.push_back(InboxOperation {
            message_key: Some(key),
            request_id,
            operation,
            input,
            reply,
        });
        self.run(turn, effects);
    }

    /// Begins a work item if none runs and operations wait.
    fn run(&mut self, turn: &mut SlotTurn<'_>, effects: &mut Effects<R>) {
        if self.running.is_some() || self.inbox.is_empty() {
            return;
        }
        let Some(entity) = turn.id.as_entity() else { return };
        let operations = self
            .inbox
            .iter()
            .take(turn.limits.entity_batch_count_max.max(1))
            .map(|waiting| EntityOperation {
                request_id: waiting.request_id,
                operation: waiting.operation.clone(),
                input: waiting.input.clone(),
            })
            .collect();
        let token = turn.token();
        self.running = Some(token);
        let item = EntityWorkItem { entity, state: self.state.clone(), operations };
        effects.work.push(Work::Entity { instance_id: turn.id.clone(), token, item });
    }

    pub(super) fn apply_outcome(
        &mut self,
        moment: Moment,
        token: u64,
        outcome: EntityOutcome,
        turn: &mut SlotTurn<'_>,
        effects: &mut Effects<R>,
    ) {
        if self.running != Some(token) {
            return;
        }
        self.running = None;
        if outcome.state != self.state {
            let is_new = self.state.is_none();
            self.state = outcome.state;
            self.updated_at = moment.now;
            turn.mark_changed();
            let record =
                self.state.clone().map(|state| EntityRecord { state, updated_at: self.updated_at });
            effects.changes.push(Change::Entity { id: turn.id.clone(), record, is_new });
        }
        for result in outcome.results {
            let Some(done) = self.inbox.pop_front() else { break };
            conclude(done, result, turn, effects);
        }
        self.run(turn, effects);
    }
}

/// Consumes an operation that ran, sends what it wants sent, and answers.
fn conclude<R>(
    done: InboxOperation<R>,
    outcome: OperationOutcome,
    turn: &mut SlotTurn<'_>,
    effects: &mut Effects<R>,
) {
    for (index, effect) in outcome.effects.into_iter().enumerate() {
        turn.mark_changed();
        effects.sent.push(effect_message(done.request_id, index, effect));
    }
    if let Some(key) = done.message_key {
        turn.mark_changed();
        effects.changes.push(Change::Consumed(key));
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

/// The message of an effect. Its request id is derived, so that a repeated run gives the same one.
fn effect_message(request_id: RequestId, index: usize, effect: EntityEffect) -> Message {
    let derived = RequestId::new_v5(&request_id, &index.to_be_bytes());
    match effect {
        EntityEffect::Signal { entity, operation, input } => Message {
            target: entity.instance_id(),
            body: MessageBody::EntityOperation {
                request_id: derived,
                operation,
                input,
                reply_to: None,
            },
        },
        EntityEffect::Start { name, instance_id, input } => {
            super::orchestration::entity_start_message(name, instance_id, input, derived)
        }
    }
}

fn refuse<R>(reply_to: R, error: ClientError, turn: &SlotTurn<'_>, effects: &mut Effects<R>) {
    effects.replies.push((reply_to, Reply::Refused(error), turn.gate()));
}

fn wrong_kind<R>(reply_to: R, turn: &SlotTurn<'_>, effects: &mut Effects<R>) {
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
