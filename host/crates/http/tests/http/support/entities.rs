//! Entities as a test gave them, and what was asked of them.

use std::collections::HashMap;
use std::time::Duration;

use everstate_engine::ClientError;
use everstate_engine::client::{EntityStatus, SignalOptions};
use everstate_engine::storage::{EntityFilter, EntityPage, EntityQuery};
use everstate_types::{
    EntityId, EntityLock, EntityRecord, EntityState, ExecutionId, Failure, FunctionKind,
    InstanceId, Payload, Timestamp,
};
use uuid::Uuid;

/// A signal as it came in.
pub(crate) type Signal = (EntityId, String, Option<Payload>, SignalOptions);

/// Entities, all of the functions `counter` and those that the errors in [`refusal`] are named for.
#[derive(Debug, Default)]
pub(crate) struct FakeEntities {
    pub(crate) known: HashMap<EntityId, EntityStatus>,
    pub(crate) signals: Vec<Signal>,
    /// How long each call was to wait.
    pub(crate) limits: Vec<Duration>,
    pub(crate) queries: Vec<EntityQuery>,
    pub(crate) counts: Vec<EntityFilter>,
    /// Where the page ends that every query gets.
    pub(crate) continuation: Option<String>,
}

impl FakeEntities {
    pub(crate) fn get(&self, entity: &EntityId) -> Result<Option<EntityStatus>, ClientError> {
        refusal(entity)?;
        Ok(self.known.get(entity).cloned())
    }

    /// `echo` gives its input, `nothing` gives nothing, all others fail.
    pub(crate) fn call(
        &mut self,
        entity: &EntityId,
        operation: &str,
        input: Option<Payload>,
        limit: Duration,
    ) -> Result<Result<Option<Payload>, Failure>, ClientError> {
        refusal(entity)?;
        self.limits.push(limit);
        Ok(match operation {
            "echo" => Ok(input),
            "nothing" => Ok(None),
            other => Err(Failure::new(
                "UnknownOperation",
                format!("No operation named '{other}' was found."),
            )),
        })
    }

    pub(crate) fn signal(
        &mut self,
        entity: &EntityId,
        operation: String,
        input: Option<Payload>,
        options: SignalOptions,
    ) -> Result<(), ClientError> {
        refusal(entity)?;
        self.signals.push((entity.clone(), operation, input, options));
        Ok(())
    }

    pub(crate) fn release_lock(&mut self, entity: &EntityId) -> bool {
        let known = self.known.get_mut(entity);
        known.and_then(|status| status.record.lock.take()).is_some()
    }

    pub(crate) fn purge(&mut self, entity: &EntityId) -> Result<bool, ClientError> {
        match self.known.get(entity).and_then(|status| status.record.lock.as_ref()) {
            Some(lock) => Err(ClientError::EntityLocked {
                instance_id: entity.instance_id(),
                holder: lock.instance_id.clone(),
            }),
            None => Ok(self.known.remove(entity).is_some()),
        }
    }

    pub(crate) fn query(&mut self, query: EntityQuery) -> Result<EntityPage, ClientError> {
        check_fields(&query.filter)?;
        self.queries.push(query);
        let known = self.known.iter();
        let mut entities: Vec<_> = known.map(|(id, s)| (id.clone(), s.record.clone())).collect();
        entities.sort_by_key(|(id, _)| id.clone());
        Ok(EntityPage { entities, continuation: self.continuation.clone() })
    }

    pub(crate) fn count(&mut self, filter: EntityFilter) -> Result<u64, ClientError> {
        check_fields(&filter)?;
        self.counts.push(filter);
        Ok(self.known.len() as u64)
    }
}

/// What the engine would say to a request to an entity of such a name.
fn refusal(entity: &EntityId) -> Result<(), ClientError> {
    Err(match entity.name() {
        "missing" => ClientError::FunctionNotFound {
            kind: FunctionKind::Entity,
            name: entity.name().to_owned(),
        },
        "busy" => ClientError::Busy(entity.instance_id()),
        "overloaded" => ClientError::Overloaded,
        "late" => ClientError::TimedOut(250),
        _ => return Ok(()),
    })
}

fn check_fields(filter: &EntityFilter) -> Result<(), ClientError> {
    match filter.fields.first() {
        Some((field, _)) if field == "unknown" => {
            Err(ClientError::InvalidArgument("no index on the field `unknown`".to_owned()))
        }
        _ => Ok(()),
    }
}

/// The counter of this key.
pub(crate) fn entity(key: &str) -> EntityId {
    EntityId::new("counter", key).expect("a valid id")
}

/// An entity with this state, or with none.
pub(crate) fn record(state: Option<&str>) -> EntityRecord {
    EntityRecord {
        state: EntityState { value: state.map(Payload::from), version: 2, ..Default::default() },
        last_operation_at: Timestamp::from_millis(1_500),
        ..EntityRecord::default()
    }
}

/// The same entity, held by the orchestration `holder`.
pub(crate) fn held(record: EntityRecord) -> EntityRecord {
    let lock = EntityLock {
        instance_id: InstanceId::orchestration("holder").expect("a valid id"),
        execution_id: ExecutionId::new(Uuid::nil()),
        request_id: Uuid::nil(),
        since: Timestamp::from_millis(1_000),
    };
    EntityRecord { lock: Some(lock), ..record }
}
