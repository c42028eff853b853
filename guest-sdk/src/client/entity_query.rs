//! Finding entities, page by page, and what is known of one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::client as host;
use crate::client::query::PAGE_SIZE_DEFAULT;
use crate::error::Failure;
use crate::id::EntityId;
use crate::payload::{state_from_json, to_json};
use crate::time::Timestamp;

/// Which entities; all conditions must hold, absent and empty ones always do.
///
/// ```
/// use everstate_sdk::{EntityFilter, Failure};
///
/// let filter = EntityFilter { key_prefix: Some("berlin-".to_owned()), ..EntityFilter::of("Account") };
/// let of_ada = filter.with_field("owner", "Ada")?;
/// assert_eq!(of_ada.fields, [("owner".to_owned(), "\"Ada\"".to_owned())]);
/// # Ok::<(), Failure>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityFilter {
    /// The entity function; its case does not matter.
    pub name: Option<String>,
    /// How the key begins.
    pub key_prefix: Option<String>,
    /// The last operation was then or later.
    pub last_operation_from: Option<Timestamp>,
    /// The last operation was then or earlier.
    pub last_operation_to: Option<Timestamp>,
    /// Fields of the state that the entity function declares as indexes, and their values as JSON
    /// text, letter for letter; all of these. Only together with a name.
    pub fields: Vec<(String, String)>,
    /// Also entities that have no state and are locked.
    pub include_stateless: bool,
}

impl EntityFilter {
    /// All entities of one function.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// The same filter with one more field of the state.
    ///
    /// # Errors
    /// A value without a JSON form.
    pub fn with_field<T: Serialize + ?Sized>(
        mut self,
        field: &str,
        value: &T,
    ) -> Result<Self, Failure> {
        self.fields.push((field.to_owned(), to_json(value)?));
        Ok(self)
    }

    pub(super) fn to_wit(&self) -> host::EntityFilter {
        host::EntityFilter {
            name: self.name.clone(),
            key_prefix: self.key_prefix.clone(),
            last_operation_from: self.last_operation_from.map(Timestamp::unix_ms),
            last_operation_to: self.last_operation_to.map(Timestamp::unix_ms),
            fields: self.fields.clone(),
            include_stateless: self.include_stateless,
        }
    }
}

/// A page of entities that is asked for. The default: 100 of all, without their states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityQuery {
    /// Which entities.
    pub filter: EntityFilter,
    /// At most 1,000 a page; 0: 100. A page may have fewer, or none, and not be the last.
    pub page_size: u32,
    /// From the page before.
    pub continuation_token: Option<String>,
    /// With the states.
    pub fetch_state: bool,
}

impl Default for EntityQuery {
    fn default() -> Self {
        Self {
            filter: EntityFilter::default(),
            page_size: PAGE_SIZE_DEFAULT,
            continuation_token: None,
            fetch_state: false,
        }
    }
}

impl EntityQuery {
    pub(super) fn to_wit(&self) -> host::EntityQuery {
        host::EntityQuery {
            filter: self.filter.to_wit(),
            page_size: self.page_size,
            continuation_token: self.continuation_token.clone(),
            fetch_state: self.fetch_state,
        }
    }
}

/// Who holds an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityLockStatus {
    /// The orchestration.
    pub instance_id: String,
    /// When it got the entity.
    pub since: Timestamp,
}

/// What is known of an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityStatus {
    /// The entity.
    pub entity: EntityId,
    /// When it did its last operation: exact if that changed the state, else up to a minute old.
    pub last_operation_time: Timestamp,
    /// Whether it has state.
    pub exists: bool,
    /// Its state as JSON text; `None` if it was not asked for, or there is none.
    pub state: Option<String>,
    /// The version of the shape of the state, as the entity function numbers it.
    pub state_version: u32,
    /// Who holds it, if anybody does.
    pub lock: Option<EntityLockStatus>,
    /// How many operations and requests for locks wait; `None` in lists.
    pub waiting_operations: Option<u32>,
}

impl EntityStatus {
    /// The state as a value; `None` if it was not asked for, or there is none. It is read as it is
    /// stored: the upgrade hook of the entity does not run.
    ///
    /// # Errors
    /// `InvalidState` if the state is not a `T`.
    pub fn read_state<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        self.state.as_deref().map(|json| state_from_json(json, &self.entity)).transpose()
    }

    pub(super) fn from_wit(status: host::EntityStatus) -> Self {
        Self {
            entity: EntityId::from_wit(status.entity),
            last_operation_time: Timestamp::from_unix_ms(status.last_operation_time),
            exists: status.exists,
            state: status.state,
            state_version: status.state_version,
            lock: status.lock.map(|lock| EntityLockStatus {
                instance_id: lock.instance_id,
                since: Timestamp::from_unix_ms(lock.since),
            }),
            waiting_operations: status.waiting_operations,
        }
    }
}

/// A page of entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityPage {
    /// In the order of their names and keys.
    pub entities: Vec<EntityStatus>,
    /// For the next page; `None`: this was the last.
    pub continuation_token: Option<String>,
}

impl EntityPage {
    pub(super) fn from_wit(page: host::EntityPage) -> Self {
        Self {
            entities: page.entities.into_iter().map(EntityStatus::from_wit).collect(),
            continuation_token: page.continuation_token,
        }
    }
}
