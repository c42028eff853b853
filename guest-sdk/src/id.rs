//! [`EntityId`]: which entity. Ids of orchestrations are plain text.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bindings::imports::types as wit;

/// Longest key, in characters. The host refuses longer ones.
const KEY_CHARS_MAX: usize = 1_000;

/// Longest name of an entity function, in characters.
const NAME_CHARS_MAX: usize = 256;

/// Names one entity: the entity function and a key. An entity need not be created; it exists as
/// soon as it has state.
///
/// ```
/// use everstate_sdk::EntityId;
///
/// let register = EntityId::new("Register", "1")?;
/// assert_eq!(register.to_string(), "@register@1");
/// assert!(EntityId::new("Register", "a\nb").is_err());
/// # Ok::<(), everstate_sdk::IdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "UncheckedEntityId")]
pub struct EntityId {
    name: String,
    key: String,
}

impl EntityId {
    /// Checks and takes a name and a key. The case of the name does not matter, it is kept in
    /// lower case; the case of the key does.
    ///
    /// # Errors
    /// [`IdError`] says which rule is broken. As the error of an HTTP function it is a 400.
    pub fn new(name: &str, key: &str) -> Result<Self, IdError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(is_name) {
            return Err(IdError::Name(name.to_owned()));
        }
        let chars = key.chars().count();
        if chars > KEY_CHARS_MAX {
            return Err(IdError::KeyLength(chars));
        }
        if key.chars().any(char::is_control) {
            return Err(IdError::KeyCharacter);
        }
        Ok(Self { name: name.to_ascii_lowercase(), key: key.to_owned() })
    }

    /// The entity function, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn from_wit(id: wit::EntityId) -> Self {
        Self { name: id.name, key: id.key }
    }

    pub(crate) fn to_wit(&self) -> wit::EntityId {
        wit::EntityId { name: self.name.clone(), key: self.key.clone() }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}@{}", self.name, self.key)
    }
}

/// Why there is no such [`EntityId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdError {
    /// Not the name of a function.
    Name(String),
    /// The key is too long; so many characters it has.
    KeyLength(usize),
    /// The key contains control characters.
    KeyCharacter,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "`{name}` is no entity name"),
            Self::KeyLength(chars) => {
                write!(
                    f,
                    "an entity key has at most {KEY_CHARS_MAX} characters, this one has {chars}"
                )
            }
            Self::KeyCharacter => f.write_str("an entity key must not contain control characters"),
        }
    }
}

impl std::error::Error for IdError {}

/// An entity id as it comes out of a payload.
#[derive(Deserialize)]
struct UncheckedEntityId {
    name: String,
    key: String,
}

impl TryFrom<UncheckedEntityId> for EntityId {
    type Error = IdError;

    fn try_from(id: UncheckedEntityId) -> Result<Self, IdError> {
        Self::new(&id.name, &id.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_thousand_characters_is_the_longest() {
        assert!(EntityId::new("Register", &"ä".repeat(1_000)).is_ok());
        let error = EntityId::new("Register", &"ä".repeat(1_001)).unwrap_err();
        assert_eq!(error, IdError::KeyLength(1_001));
    }

    #[test]
    fn empty_key_is_a_key_and_empty_name_is_no_name() {
        assert!(EntityId::new("Register", "").is_ok());
        assert!(EntityId::new("", "1").is_err());
    }

    #[test]
    fn id_from_a_payload_is_checked() {
        let good: Result<EntityId, _> = serde_json::from_str(r#"{"name":"Register","key":"A"}"#);
        assert_eq!(good.unwrap(), EntityId::new("register", "A").unwrap());
        assert!(serde_json::from_str::<EntityId>(r#"{"name":"a b","key":"A"}"#).is_err());
    }
}
