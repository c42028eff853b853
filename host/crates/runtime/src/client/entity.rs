//! Entities, as HTTP functions and activities may ask of them: signals, calls, states, locks. Filters
//! and pages are in `query.rs`.

use std::collections::HashSet;

use everstate_engine::client::{Client, EntityStatus as StatusOfEntity, SignalOptions};
use everstate_types::{EntityId, EntityRecord, Timestamp};

use super::query;
use crate::bindings::imports::client::{EntityLock, EntityPage, EntityQuery, EntityStatus};
use crate::bindings::imports::types::{self, Failure, HostError};
use crate::convert::{entity_id, optional_payload, to_entity_id, to_failure};
use crate::state::{GuestState, Role};

/// How many entities that a function has signalled are told from others.
const SIGNALLED_MAX: usize = 1_000;

/// The entities that one run of a function has signalled: its calls of them come after its signals.
#[derive(Debug, Default)]
pub(super) struct SignalledEntities {
    entities: HashSet<EntityId>,
    /// There were too many to know them all.
    is_any: bool,
}

impl SignalledEntities {
    fn add(&mut self, entity: EntityId) {
        if self.entities.len() >= SIGNALLED_MAX && !self.entities.contains(&entity) {
            self.is_any = true;
            self.entities = HashSet::new();
        }
        if !self.is_any {
            self.entities.insert(entity);
        }
    }

    /// Whether this one may have been signalled.
    fn contains(&self, entity: &EntityId) -> bool {
        self.is_any || self.entities.contains(entity)
    }
}

/// What a guest wants an entity to do.
pub(super) struct Operation {
    pub(super) entity: types::EntityId,
    pub(super) name: String,
    pub(super) input: Option<String>,
}

impl GuestState {
    pub(super) async fn signal(
        &mut self,
        client: Client,
        operation: Operation,
        at: Option<u64>,
        idempotency_key: Option<String>,
    ) -> Result<(), HostError> {
        let Operation { entity, name, input } = operation;
        let entity = entity_id(&entity)?;
        let input = optional_payload(input, self.host.config.payload_bytes_max)?;
        let options = SignalOptions { at: at.map(Timestamp::from_millis), idempotency_key };
        let signalled = client.signal_entity(&entity, name, input, options).await;
        self.observe(signalled)?;
        if let Role::Http(run) | Role::Activity(run) = &mut self.role {
            run.signalled.add(entity);
        }
        Ok(())
    }

    pub(super) async fn call(
        &mut self,
        client: Client,
        operation: Operation,
        timeout: Option<u64>,
    ) -> Result<Result<Option<String>, Failure>, HostError> {
        let Operation { entity, name, input } = operation;
        let entity = entity_id(&entity)?;
        let input = optional_payload(input, self.host.config.payload_bytes_max)?;
        let limit = self.host.config.wait_limit(timeout);
        let is_in_order = match &self.role {
            Role::Http(run) | Role::Activity(run) => run.signalled.contains(&entity),
            _ => false,
        };
        let called = client.call_entity(&entity, name, input, is_in_order, limit).await;
        match self.observe(called)? {
            Ok(output) => {
                self.prepare_for(output.as_ref().map_or(0, |output| output.len())).await;
                Ok(Ok(output.map(|output| output.as_str().to_owned())))
            }
            Err(failure) => Ok(Err(to_failure(failure))),
        }
    }

    pub(super) async fn read_state(
        &mut self,
        client: Client,
        entity: &types::EntityId,
    ) -> Result<Option<String>, HostError> {
        let entity = entity_id(entity)?;
        let state = self.observe(client.read_entity_state(&entity).await)?;
        self.prepare_for(state.as_ref().map_or(0, |state| state.len())).await;
        Ok(state.map(|state| state.as_str().to_owned()))
    }

    pub(super) async fn status_of_entity(
        &mut self,
        client: Client,
        entity: &types::EntityId,
        fetches_state: bool,
    ) -> Result<Option<EntityStatus>, HostError> {
        let entity = entity_id(entity)?;
        let found = self.observe(client.get_entity(&entity).await)?;
        let Some(StatusOfEntity { record, waiting }) = found else { return Ok(None) };
        if fetches_state {
            self.prepare_for(state_bytes(&record)).await;
        }
        let mut status = to_entity_status(&entity, &record, fetches_state);
        status.waiting_operations = Some(u32::try_from(waiting).unwrap_or(u32::MAX));
        Ok(Some(status))
    }

    pub(super) async fn page_of_entities(
        &mut self,
        client: Client,
        query: EntityQuery,
    ) -> Result<EntityPage, HostError> {
        let fetches_state = query.fetch_state;
        let query = query::entity_query(query)?;
        let page = self.observe(client.query_entities(query).await)?;
        if fetches_state {
            let bytes = page.entities.iter().map(|(_, record)| state_bytes(record)).sum();
            self.prepare_for(bytes).await;
        }
        let shown = |(entity, record): &_| to_entity_status(entity, record, fetches_state);
        Ok(EntityPage {
            entities: page.entities.iter().map(shown).collect(),
            continuation_token: page.continuation,
        })
    }
}

fn state_bytes(record: &EntityRecord) -> usize {
    record.state.value.as_ref().map_or(0, |value| value.len())
}

fn to_entity_status(entity: &EntityId, record: &EntityRecord, shows_state: bool) -> EntityStatus {
    let value = record.state.value.as_ref();
    EntityStatus {
        entity: to_entity_id(entity),
        last_operation_time: record.last_operation_at.as_millis(),
        exists: value.is_some(),
        state: value.filter(|_| shows_state).map(|value| value.as_str().to_owned()),
        state_version: record.state.version,
        lock: record.lock.as_ref().map(|lock| EntityLock {
            instance_id: lock.instance_id.to_string(),
            since: lock.since.as_millis(),
        }),
        waiting_operations: None,
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::{
        EntityId, EntityLock, EntityRecord, EntityState, ExecutionId, InstanceId, Payload,
        Timestamp,
    };
    use uuid::Uuid;

    use super::{SIGNALLED_MAX, SignalledEntities, to_entity_status};

    fn entity(key: usize) -> EntityId {
        EntityId::new("Counter", &key.to_string()).expect("a valid id")
    }

    #[test]
    fn calls_come_after_signals_to_the_same_entity_and_after_all_when_there_were_too_many() {
        let mut signalled = SignalledEntities::default();
        for key in 0..SIGNALLED_MAX {
            assert!(!signalled.contains(&entity(key)));
            signalled.add(entity(key));
            signalled.add(entity(0));
        }
        assert!(signalled.contains(&entity(0)) && !signalled.contains(&entity(SIGNALLED_MAX)));
        signalled.add(entity(SIGNALLED_MAX));
        assert!(signalled.contains(&entity(0)) && signalled.contains(&entity(usize::MAX)));
        assert_eq!(signalled.entities.len(), 0);
    }

    #[test]
    fn status_tells_what_is_known_and_the_state_where_it_is_wanted() {
        let mut record = EntityRecord {
            state: EntityState {
                value: Some(Payload::from("1")),
                version: 2,
                ..EntityState::default()
            },
            last_operation_at: Timestamp::from_millis(3),
            lock: Some(EntityLock {
                instance_id: InstanceId::orchestration("holder").expect("a valid id"),
                execution_id: ExecutionId::new(Uuid::nil()),
                request_id: Uuid::nil(),
                since: Timestamp::from_millis(4),
            }),
            ..EntityRecord::default()
        };
        let status = to_entity_status(&entity(1), &record, true);
        assert_eq!((status.entity.name.as_str(), status.entity.key.as_str()), ("counter", "1"));
        assert_eq!((status.last_operation_time, status.state_version), (3, 2));
        assert_eq!((status.exists, status.state.as_deref()), (true, Some("1")));
        let lock = status.lock.expect("it is locked");
        assert_eq!((lock.instance_id.as_str(), lock.since), ("holder", 4));
        let status = to_entity_status(&entity(1), &record, false);
        assert_eq!((status.exists, status.state), (true, None));
        record.state.value = None;
        let status = to_entity_status(&entity(1), &record, true);
        assert_eq!((status.exists, status.state), (false, None));
    }
}
