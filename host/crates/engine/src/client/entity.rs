//! Entities: calls, signals, reads, and locks that an operator breaks. Finding them is in `query.rs`.

use std::time::Duration;

use everstate_types::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use everstate_types::{
    EntityId, EntityRecord, Failure, FunctionKind, InstanceId, Payload, Timestamp,
};
use tokio::time::timeout;
use uuid::Uuid;

use super::{Client, Observed, refusal};
use crate::error::ClientError;
use crate::partition::{OperationCall, Reply, Request};

/// What is known of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityStatus {
    /// What is stored of it.
    pub record: EntityRecord,
    /// Operations and requests for locks that wait, those that run included.
    pub waiting: usize,
}

/// How a signal is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignalOptions {
    /// Not to be done before; absent: at once.
    pub at: Option<Timestamp>,
    /// Signals to the same entity with the same key count once, as long as the key is remembered
    /// (`engine.idempotency_window_ms`).
    pub idempotency_key: Option<String>,
}

impl Client {
    /// Has an entity do an operation and gives its result. An operation that is declared to change
    /// nothing does not wait for others, unless `is_in_order`: behind signals of the same caller.
    ///
    /// # Errors
    /// If there is no such entity function, the entity or the node has too much to do, or no result
    /// came within `limit`.
    pub async fn call_entity(
        &self,
        entity: &EntityId,
        operation: String,
        input: Option<Payload>,
        is_in_order: bool,
        limit: Duration,
    ) -> Result<Observed<Result<Option<Payload>, Failure>>, ClientError> {
        let name = entity.name();
        let found = self.find(FunctionKind::Entity, name);
        let Some(options) = found.and_then(|_| self.node.executor.entity_options(name)) else {
            return Err(no_such_entity(name));
        };
        let is_read = !is_in_order && options.is_read_only(&operation);
        let instance_id = entity.instance_id();
        self.admit(&instance_id)?;
        let call = self.operation_call(operation, input);
        let request = |reply_to| match is_read {
            true => Request::ReadEntity { instance_id, call, reply_to },
            false => Request::CallEntity { instance_id, call, reply_to },
        };
        let answer = timeout(limit, self.ask(request)).await.map_err(|_| {
            ClientError::TimedOut(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
        })??;
        match answer.value {
            Reply::Operation(result) => Ok(Observed { value: result, seq: answer.seq }),
            other => Err(refusal(other)),
        }
    }

    /// Has an entity do an operation some time soon, or when it is time.
    ///
    /// # Errors
    /// If there is no such entity function, or the entity or the node has too much to do.
    pub async fn signal_entity(
        &self,
        entity: &EntityId,
        operation: String,
        input: Option<Payload>,
        options: SignalOptions,
    ) -> Result<Observed<()>, ClientError> {
        let SignalOptions { at, idempotency_key } = options;
        if self.find(FunctionKind::Entity, entity.name()).is_none() {
            return Err(no_such_entity(entity.name()));
        }
        let target = entity.instance_id();
        self.admit(&target)?;
        let call = self.operation_call(operation, input);
        let answer = match idempotency_key {
            None => {
                let instance_id = target;
                self.ask(|reply_to| Request::SignalEntity { instance_id, call, at, reply_to })
                    .await?
            }
            Some(key) => {
                check_idempotency_key(&key)?;
                self.check_room(target.clone()).await?;
                let receipt = InstanceId::receipt(entity, &key);
                self.ask(|reply_to| Request::SignalOnce { receipt, target, call, at, reply_to })
                    .await?
            }
        };
        accepted(answer)
    }

    /// The state of an entity after the operations that it has done; `None` if it does not exist.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn read_entity_state(
        &self,
        entity: &EntityId,
    ) -> Result<Observed<Option<Payload>>, ClientError> {
        let found = self.get_entity(entity).await?;
        let value = found.value.and_then(|status| status.record.state.value);
        Ok(Observed { value, seq: found.seq })
    }

    /// What is known of an entity; `None` if it has no state, is not locked and nothing waits.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn get_entity(
        &self,
        entity: &EntityId,
    ) -> Result<Observed<Option<EntityStatus>>, ClientError> {
        let instance_id = entity.instance_id();
        let answer = self.ask(|reply_to| Request::GetEntity { instance_id, reply_to }).await?;
        match answer.value {
            Reply::Entity(status) => Ok(Observed { value: status.map(|s| *s), seq: answer.seq }),
            other => Err(refusal(other)),
        }
    }

    /// Breaks the lock of an entity, whoever holds it: others go on with it. The holder is not told.
    /// False: it was not locked.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn release_lock(&self, entity: &EntityId) -> Result<Observed<bool>, ClientError> {
        let instance_id = entity.instance_id();
        let answer = self.ask(|reply_to| Request::BreakLock { instance_id, reply_to }).await?;
        match answer.value {
            Reply::LockBroken(was_locked) => Ok(Observed { value: was_locked, seq: answer.seq }),
            other => Err(refusal(other)),
        }
    }

    fn operation_call(&self, operation: String, input: Option<Payload>) -> OperationCall {
        OperationCall { request_id: Uuid::new_v4(), operation, input, trace: self.trace.clone() }
    }

    /// Removes an entity, whatever its code would say to that: its state, and all that is known of it.
    /// Operations that came before are done before; those that come behind find nothing. False: there was
    /// nothing to remove.
    ///
    /// # Errors
    /// [`ClientError::EntityLocked`] if an orchestration holds the entity, or will before its turn comes.
    pub async fn purge_entity(&self, entity: &EntityId) -> Result<Observed<bool>, ClientError> {
        if self.node.is_stopping() {
            return Err(ClientError::Stopping);
        }
        let instance_id = entity.instance_id();
        let answer = self.ask(|reply_to| Request::PurgeEntity { instance_id, reply_to }).await?;
        match answer.value {
            Reply::EntityPurged(existed) => Ok(Observed { value: existed, seq: answer.seq }),
            other => Err(refusal(other)),
        }
    }

    /// Whether the entity takes on more.
    async fn check_room(&self, instance_id: InstanceId) -> Result<(), ClientError> {
        let answer = self.ask(|reply_to| Request::CheckRoom { instance_id, reply_to }).await?;
        accepted(answer).map(drop)
    }
}

fn accepted(answer: Observed<Reply>) -> Result<Observed<()>, ClientError> {
    match answer.value {
        Reply::Accepted => Ok(Observed { value: (), seq: answer.seq }),
        other => Err(refusal(other)),
    }
}

fn no_such_entity(name: &str) -> ClientError {
    ClientError::FunctionNotFound { kind: FunctionKind::Entity, name: name.to_owned() }
}

fn check_idempotency_key(key: &str) -> Result<(), ClientError> {
    let chars = key.chars().count();
    if (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&chars) {
        return Ok(());
    }
    Err(ClientError::InvalidArgument(format!(
        "an idempotency key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters, this one has {chars}"
    )))
}
