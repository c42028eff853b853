//! Finding orchestrations, page by page.

use crate::bindings::imports::client as host;
use crate::client::status::{InstanceStatus, RuntimeStatus};
use crate::time::Timestamp;

/// How many entries a page has if nothing else is said.
pub(super) const PAGE_SIZE_DEFAULT: u32 = 100;

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
