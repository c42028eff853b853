//! What a client may ask of entities. Typed proxies ([`Operation`](crate::Operation)) come here too.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::client as host;
use crate::client::{DurableClient, EntityFilter, EntityPage, EntityQuery, EntityStatus, refused};
use crate::error::{ClientError, HostError, failure_from_wit};
use crate::id::EntityId;
use crate::payload::{from_optional_json, state_from_json, to_optional_json};
use crate::time::{Timestamp, span_ms};

/// Asking entities and telling them. `&()` is no input.
impl DurableClient {
    /// Asks an entity for an operation and waits for its result.
    ///
    /// An operation that the entity declares as read-only does not wait behind others, unless this
    /// function has signalled the entity before.
    ///
    /// # Errors
    /// An input without a JSON form; the failure of the operation; a result that is not an `R`; as
    /// a [`HostError`]: `NotFound` if there is no such entity function, `Busy` if the entity has too
    /// much waiting, `Overloaded` if no result came within the host's limit. After an `Overloaded`
    /// the operation may still happen.
    pub fn call_entity<R: DeserializeOwned>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &(impl Serialize + ?Sized),
    ) -> Result<R, ClientError> {
        self.ask(entity, operation, to_optional_json(input)?.as_deref(), None)
    }

    /// The same, and waits at most so long. A longer time than the host's limit is cut to that.
    ///
    /// # Errors
    /// As [`call_entity`](Self::call_entity).
    pub fn call_entity_with_timeout<R: DeserializeOwned>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &(impl Serialize + ?Sized),
        timeout: Duration,
    ) -> Result<R, ClientError> {
        self.ask(entity, operation, to_optional_json(input)?.as_deref(), Some(timeout))
    }

    /// Tells an entity to do an operation. Nothing comes back.
    ///
    /// # Errors
    /// An input without a JSON form; as a [`HostError`]: `NotFound` if there is no such entity
    /// function, `Busy` if the entity has too much waiting.
    pub fn signal_entity<T: Serialize + ?Sized>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &T,
    ) -> Result<(), ClientError> {
        self.tell(entity, operation, to_optional_json(input)?.as_deref(), None)
    }

    /// The same, but not before a point in time.
    ///
    /// # Errors
    /// As [`signal_entity`](Self::signal_entity).
    pub fn signal_entity_at<T: Serialize + ?Sized>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &T,
        at: Timestamp,
    ) -> Result<(), ClientError> {
        self.tell(entity, operation, to_optional_json(input)?.as_deref(), Some(at))
    }

    /// Tells an entity to do an operation, and signals to the same entity with the same key count
    /// once, for as long as the host remembers the key (`engine.idempotency_window_ms`). So a caller
    /// that does not know whether its signal arrived can send it again.
    ///
    /// # Errors
    /// As [`signal_entity`](Self::signal_entity); a key that has not 1 to 256 characters.
    pub fn signal_entity_once<T: Serialize + ?Sized>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &T,
        idempotency_key: &str,
    ) -> Result<(), ClientError> {
        let input = to_optional_json(input)?;
        self.tell_once(entity, operation, input.as_deref(), None, idempotency_key)
    }

    /// The same, but not before a point in time.
    ///
    /// # Errors
    /// As [`signal_entity_once`](Self::signal_entity_once).
    pub fn signal_entity_once_at<T: Serialize + ?Sized>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: &T,
        idempotency_key: &str,
        at: Timestamp,
    ) -> Result<(), ClientError> {
        let input = to_optional_json(input)?;
        self.tell_once(entity, operation, input.as_deref(), Some(at), idempotency_key)
    }

    /// Asks with an input that is JSON text already.
    pub(crate) fn ask<R: DeserializeOwned>(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<R, ClientError> {
        let timeout = timeout.map(span_ms);
        let outcome = refused(host::call_entity(&entity.to_wit(), operation, input, timeout))?;
        let result = outcome.map_err(failure_from_wit)?;
        let what = format!("the result of the operation `{operation}`");
        Ok(from_optional_json(result.as_deref(), &what)?)
    }

    /// Tells with an input that is JSON text already.
    pub(crate) fn tell(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), ClientError> {
        let at = at.map(Timestamp::unix_ms);
        refused(host::signal_entity(&entity.to_wit(), operation, input, at))
    }

    /// The same, once for each key.
    pub(crate) fn tell_once(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
        idempotency_key: &str,
    ) -> Result<(), ClientError> {
        let (entity, at) = (entity.to_wit(), at.map(Timestamp::unix_ms));
        refused(host::signal_entity_once(&entity, operation, input, at, idempotency_key))
    }
}

/// Looking at entities.
impl DurableClient {
    /// The state of an entity after the operations done so far; `None` if it has none. It is read as
    /// it is stored: the upgrade hook of the entity does not run.
    ///
    /// # Errors
    /// What the host refuses; the failure `InvalidState` for a state that is not a `T`.
    pub fn read_entity_state<T: DeserializeOwned>(
        &self,
        entity: &EntityId,
    ) -> Result<Option<T>, ClientError> {
        let state = refused(host::read_entity_state(&entity.to_wit()))?;
        Ok(state.map(|json| state_from_json(&json, entity)).transpose()?)
    }

    /// What is known of an entity; `None` if it has no state, is not locked and nothing waits.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn get_entity(
        &self,
        entity: &EntityId,
        fetch_state: bool,
    ) -> Result<Option<EntityStatus>, HostError> {
        Ok(host::get_entity(&entity.to_wit(), fetch_state)?.map(EntityStatus::from_wit))
    }

    /// Finds entities, a page at a time, in the order of their names and keys.
    ///
    /// ```no_run
    /// use everstate_sdk::{ClientError, DurableClient, EntityFilter, EntityQuery};
    ///
    /// /// The keys of all accounts of one person.
    /// fn accounts(client: DurableClient, owner: &str) -> Result<Vec<String>, ClientError> {
    ///     let filter = EntityFilter::of("Account").with_field("owner", owner)?;
    ///     let mut query = EntityQuery { filter, ..EntityQuery::default() };
    ///     let mut keys = Vec::new();
    ///     loop {
    ///         let page = client.list_entities(&query)?;
    ///         keys.extend(page.entities.iter().map(|status| status.entity.key().to_owned()));
    ///         query.continuation_token = page.continuation_token;
    ///         if query.continuation_token.is_none() {
    ///             return Ok(keys);
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// What the host refuses, for instance `InvalidArgument` for a field that is not declared as an
    /// index.
    pub fn list_entities(&self, query: &EntityQuery) -> Result<EntityPage, HostError> {
        Ok(EntityPage::from_wit(host::list_entities(&query.to_wit())?))
    }

    /// How many entities fit.
    ///
    /// # Errors
    /// As [`list_entities`](Self::list_entities).
    pub fn count_entities(&self, filter: &EntityFilter) -> Result<u64, HostError> {
        Ok(host::count_entities(&filter.to_wit())?)
    }

    /// Breaks the lock of an entity, whoever holds it. False: it was not locked.
    ///
    /// It is for operators: the holder is not told, and others change what it believes to have for
    /// itself.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn release_lock(&self, entity: &EntityId) -> Result<bool, HostError> {
        Ok(host::release_lock(&entity.to_wit())?)
    }
}
