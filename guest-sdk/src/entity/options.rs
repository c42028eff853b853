//! [`EntityOptions`]: what the attribute of an entity says, beside the name, of all entities of its
//! type. The host is told of it through the export `describe-entities`.

use serde_json::Value;

use crate::error::Failure;

/// Brings a state of an older version into the present shape: from which version, and the state.
pub type Upgrade = fn(u32, Value) -> Result<Value, Failure>;

/// What holds for all entities of one type. The attribute writes it out.
#[derive(Clone, Copy, Debug)]
pub struct EntityOptions {
    /// Operations that change nothing and send nothing; the case does not matter.
    pub read_only: &'static [&'static str],
    /// How long an entity lives since its last use, in milliseconds; `None`: for ever.
    pub time_to_live_ms: Option<u64>,
    /// Fields of the state that entities are found by.
    pub indexes: &'static [&'static str],
    /// The version of the shape of the state that this code writes, and the newest that it reads.
    pub version: u32,
    /// What is done to a state of an older version; `None`: it is read as it is.
    pub upgrade: Option<Upgrade>,
}

impl EntityOptions {
    /// The options of an attribute that says nothing.
    pub const NONE: Self =
        Self { read_only: &[], time_to_live_ms: None, indexes: &[], version: 0, upgrade: None };

    /// Whether the operation is declared as one that changes nothing.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn is_read_only(&self, operation: &str) -> bool {
        self.read_only.iter().any(|each| each.eq_ignore_ascii_case(operation))
    }

    /// Whether there is anything that the host must know.
    pub(crate) fn concern_the_host(&self) -> bool {
        !self.read_only.is_empty() || self.time_to_live_ms.is_some() || !self.indexes.is_empty()
    }
}
