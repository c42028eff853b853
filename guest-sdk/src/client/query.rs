//! Finding orchestrations and entities, page by page.

use crate::bindings::imports::client as host;
use crate::client::status::{InstanceStatus, RuntimeStatus};
use crate::id::EntityId;
use crate::time::Timestamp;

/// How many entries a page has if nothing else is said.
const PAGE_SIZE_DEFAULT: u32 = 100;

/// Which instances; all conditions must hold, absent and empty ones always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// The orchestrator function's name.
    pub name: Option<String>,
    /// Any of these; empty: any at all.
    pub statuses: Vec<RuntimeStatus>,
    /// Created then or later.
    pub created_from: Option<Timestamp>,
    /// Created then or earlier.
    pub created_to: Option<Timestamp>,
    /// How the id begins.
    pub instance_id_prefix: Option<String>,
    /// All of these pairs of name and value.
    pub tags: Vec<(String, String)>,
    /// The custom status as JSON text, letter for letter.
    pub custom_status: Option<String>,
}

impl InstanceFilter {
    pub(super) fn to_wit(&self) -> host::InstanceFilter {
        host::InstanceFilter {
            name: self.name.clone(),
            statuses: self.statuses.iter().map(|status| status.to_wit()).collect(),
            created_from: self.created_from.map(Timestamp::unix_ms),
            created_to: self.created_to.map(Timestamp::unix_ms),
            instance_id_prefix: self.instance_id_prefix.clone(),
            tags: self.tags.clone(),
            custom_status: self.custom_status.clone(),
        }
    }
}

/// A page of instances that is asked for. The default: 100 of all, with their inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceQuery {
    /// Which instances.
    pub filter: InstanceFilter,
    /// At most 1,000 a page; 0: 100. A page may have fewer, or none, and not be the last.
    pub page_size: u32,
    /// From the page before.
    pub continuation_token: Option<String>,
    /// With the inputs.
    pub show_input: bool,
}

impl Default for InstanceQuery {
    fn default() -> Self {
        Self {
            filter: InstanceFilter::default(),
            page_size: PAGE_SIZE_DEFAULT,
            continuation_token: None,
            show_input: true,
        }
    }
}

impl InstanceQuery {
    pub(super) fn to_wit(&self) -> host::InstanceQuery {
        host::InstanceQuery {
            filter: self.filter.to_wit(),
            page_size: self.page_size,
            continuation_token: self.continuation_token.clone(),
            show_input: self.show_input,
        }
    }
}

/// A page of instances.
#[derive(Clone, Debug)]
pub struct InstancePage {
    /// Oldest first, or in the order of their ids if a prefix was given.
    pub instances: Vec<InstanceStatus>,
    /// For the next page; `None`: this was the last.
    pub continuation_token: Option<String>,
}

impl InstancePage {
    pub(super) fn from_wit(page: host::InstancePage) -> Self {
        Self {
            instances: page.instances.into_iter().map(InstanceStatus::from_wit).collect(),
            continuation_token: page.continuation_token,
        }
    }
}

/// Which entities; all conditions must hold, absent ones always do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityQuery {
    /// The entity function.
    pub name: Option<String>,
    /// The last operation was then or later.
    pub last_operation_from: Option<Timestamp>,
    /// The last operation was then or earlier.
    pub last_operation_to: Option<Timestamp>,
    /// At most 1,000 a page.
    pub page_size: u32,
    /// From the page before.
    pub continuation_token: Option<String>,
    /// With the states.
    pub fetch_state: bool,
}

impl Default for EntityQuery {
    fn default() -> Self {
        Self {
            name: None,
            last_operation_from: None,
            last_operation_to: None,
            page_size: PAGE_SIZE_DEFAULT,
            continuation_token: None,
            fetch_state: false,
        }
    }
}

impl EntityQuery {
    pub(super) fn to_wit(&self) -> host::EntityQuery {
        host::EntityQuery {
            name: self.name.clone(),
            last_operation_from: self.last_operation_from.map(Timestamp::unix_ms),
            last_operation_to: self.last_operation_to.map(Timestamp::unix_ms),
            page_size: self.page_size,
            continuation_token: self.continuation_token.clone(),
            fetch_state: self.fetch_state,
        }
    }
}

/// An entity in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityStatus {
    /// The entity.
    pub entity: EntityId,
    /// When it did its last operation.
    pub last_operation_time: Timestamp,
    /// Its state as JSON text; `None` if it was not asked for.
    pub state: Option<String>,
}

/// A page of entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityPage {
    /// In the order of their ids.
    pub entities: Vec<EntityStatus>,
    /// For the next page; `None`: this was the last.
    pub continuation_token: Option<String>,
}

impl EntityPage {
    pub(super) fn from_wit(page: host::EntityPage) -> Self {
        let entities = page.entities.into_iter().map(|status| EntityStatus {
            entity: EntityId::from_wit(status.entity),
            last_operation_time: Timestamp::from_unix_ms(status.last_operation_time),
            state: status.state,
        });
        Self { entities: entities.collect(), continuation_token: page.continuation_token }
    }
}
