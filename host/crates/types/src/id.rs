//! Ids: of instances, executions and requests. Parsing, limits, display, and the hash that places an
//! instance in a range.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::function::FunctionName;
use crate::limits::{ENTITY_KEY_CHARS_MAX, INSTANCE_ID_CHARS_MAX};

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Empty, or longer than the limit.
    #[error("an instance id has 1 to {INSTANCE_ID_CHARS_MAX} characters, this one has {0}")]
    InstanceIdLength(usize),
    /// `@` begins the ids of entities.
    #[error("an instance id must not start with `@`")]
    InstanceIdAt,
    /// Characters that cannot stand in a path segment.
    #[error("an instance id must not contain `/`, `\\`, `#`, `?` or control characters")]
    InstanceIdCharacter,
    /// Longer than the limit.
    #[error("an entity key has at most {ENTITY_KEY_CHARS_MAX} characters, this one has {0}")]
    EntityKeyLength(usize),
    /// Control characters make keys that cannot be shown.
    #[error("an entity key must not contain control characters")]
    EntityKeyCharacter,
    /// Not a function name.
    #[error("`{0}` is no entity name")]
    EntityName(String),
}

/// Names one instance: an orchestration by the id it was started with, or an entity as
/// `@name@key`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Checks and takes the id of an orchestration.
    ///
    /// # Errors
    /// [`IdError`] says which rule is broken.
    pub fn orchestration(id: &str) -> Result<Self, IdError> {
        let chars = id.chars().count();
        if chars == 0 || chars > INSTANCE_ID_CHARS_MAX {
            return Err(IdError::InstanceIdLength(chars));
        }
        if id.starts_with('@') {
            return Err(IdError::InstanceIdAt);
        }
        if id.chars().any(|c| matches!(c, '/' | '\\' | '#' | '?') || c.is_control()) {
            return Err(IdError::InstanceIdCharacter);
        }
        Ok(Self(Arc::from(id)))
    }

    /// The id of an orchestration from a GUID: 32 hexadecimal digits.
    #[must_use]
    pub fn from_guid(guid: Uuid) -> Self {
        Self(Arc::from(guid.simple().encode_lower(&mut Uuid::encode_buffer()) as &str))
    }

    /// The receipt for a signal with an idempotency key: an instance that exists once the signal was
    /// taken on. An entity whose name is empty, which no function can have.
    #[must_use]
    pub fn receipt(entity: &EntityId, idempotency_key: &str) -> Self {
        let target = Uuid::new_v5(&Uuid::NAMESPACE_OID, entity.to_string().as_bytes());
        let guid = Uuid::new_v5(&target, idempotency_key.as_bytes());
        Self(Arc::from(format!("@@{}", guid.simple())))
    }

    /// Whether this names a receipt.
    #[must_use]
    pub fn is_receipt(&self) -> bool {
        self.0.starts_with("@@")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the entity, if this names one.
    #[must_use]
    pub fn as_entity(&self) -> Option<EntityId> {
        let (name, key) = self.0.strip_prefix('@')?.split_once('@')?;
        Some(EntityId { name: Arc::from(name), key: Arc::from(key) })
    }

    /// Whether this names an entity.
    #[must_use]
    pub fn is_entity(&self) -> bool {
        self.0.starts_with('@')
    }

    /// The place of the instance on the ring of all instances. XXH3 of the text: part of the
    /// storage format, because rows are stored by it.
    #[must_use]
    pub fn hash64(&self) -> u64 {
        xxh3_64(self.0.as_bytes())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one entity: the function in lower case, and a key. Shown as `@register@1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityId {
    name: Arc<str>,
    key: Arc<str>,
}

impl EntityId {
    /// Checks and takes name and key; the name becomes lower case.
    ///
    /// # Errors
    /// [`IdError`] says which rule is broken.
    pub fn new(name: &str, key: &str) -> Result<Self, IdError> {
        let function = FunctionName::new(name)
            .map_err(|_| IdError::EntityName(name.chars().take(80).collect()))?;
        let chars = key.chars().count();
        if chars > ENTITY_KEY_CHARS_MAX {
            return Err(IdError::EntityKeyLength(chars));
        }
        if key.chars().any(char::is_control) {
            return Err(IdError::EntityKeyCharacter);
        }
        Ok(Self { name: Arc::from(function.as_str().to_lowercase()), key: Arc::from(key) })
    }

    /// Takes name and key as [`EntityId::name`] and [`EntityId::key`] gave them.
    #[must_use]
    pub fn from_stored(name: &str, key: &str) -> Self {
        Self { name: Arc::from(name), key: Arc::from(key) }
    }

    /// The entity function's name in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The id of the instance that the entity is.
    #[must_use]
    pub fn instance_id(&self) -> InstanceId {
        InstanceId(Arc::from(self.to_string()))
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}@{}", self.name, self.key)
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one generation of an orchestration. A GUID; messages for another one are dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExecutionId(Uuid);

impl ExecutionId {
    /// From a GUID that nobody else uses.
    #[must_use]
    pub const fn new(guid: Uuid) -> Self {
        Self(guid)
    }

    /// The GUID.
    #[must_use]
    pub const fn guid(self) -> Uuid {
        self.0
    }

    /// The GUID of the action with this number: the same on every replay.
    #[must_use]
    pub fn action_guid(self, event_id: i32) -> Uuid {
        Uuid::new_v5(&self.0, &event_id.to_be_bytes())
    }

    /// The GUID of the action with this number after so many rewinds: what was asked for under
    /// this number before a rewind is another piece of work.
    #[must_use]
    pub fn request_guid(self, event_id: i32, rewinds: u32) -> Uuid {
        match rewinds {
            0 => self.action_guid(event_id),
            _ => Uuid::new_v5(&self.0, &[event_id.to_be_bytes(), rewinds.to_be_bytes()].concat()),
        }
    }

    /// The GUID of the request for a lock after its locks were taken from the execution so often.
    #[must_use]
    pub fn lock_guid(self, event_id: i32, lock_epoch: u32) -> Uuid {
        match lock_epoch {
            0 => self.action_guid(event_id),
            _ => {
                let epoch = lock_epoch.to_be_bytes();
                Uuid::new_v5(
                    &self.0,
                    &[b"lock", event_id.to_be_bytes().as_slice(), &epoch].concat(),
                )
            }
        }
    }

    /// The generation after this one: the same whenever it is asked for.
    #[must_use]
    pub fn next_generation(self) -> Self {
        Self(Uuid::new_v5(&self.0, b"next generation"))
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one request to an entity: the GUID of the action that made it.
pub type RequestId = Uuid;

#[cfg(test)]
mod tests {
    use super::{EntityId, IdError, InstanceId};

    #[test]
    fn entity_id_survives_the_way_through_an_instance_id() {
        for key in ["", "1", "a@b", "a/b", "😀"] {
            let entity = EntityId::new("Register", key).expect("a valid id");
            assert_eq!(entity.instance_id().as_entity(), Some(entity.clone()));
            assert_eq!(entity.to_string(), format!("@register@{key}"));
        }
    }

    #[test]
    fn entity_key_longer_than_the_limit_is_refused_in_characters_not_bytes() {
        assert!(EntityId::new("r", &"😀".repeat(1_000)).is_ok());
        assert_eq!(EntityId::new("r", &"k".repeat(1_001)), Err(IdError::EntityKeyLength(1_001)));
    }

    #[test]
    fn instance_id_rules_of_the_original_hold() {
        assert!(InstanceId::orchestration("7af46ff0").is_ok());
        assert_eq!(InstanceId::orchestration(""), Err(IdError::InstanceIdLength(0)));
        assert_eq!(InstanceId::orchestration("@a@b"), Err(IdError::InstanceIdAt));
        for id in ["a/b", "a\\b", "a#b", "a?b", "a\nb"] {
            assert_eq!(InstanceId::orchestration(id), Err(IdError::InstanceIdCharacter));
        }
    }
}
