//! [`Position`]: a place in the order of a scan, and the text that a page gives for it.
//!
//! The text is hexadecimal, so that it passes unharmed through headers and addresses: the order,
//! the place and a CRC-32 of both. It says nothing of the filter: a place is one in any scan of the
//! same order, and who asks for the next page may well have "until now" in the filter.

use std::fmt::Write as _;

use everstate_engine::storage::WrongContinuation;
use everstate_types::{EntityId, InstanceId, Timestamp};

use crate::error::{Error, Result};

/// The first byte of each kind of place.
const CREATED: u8 = 1;
const ID: u8 = 2;
const ENTITY: u8 = 3;

/// Stands between the name and the key of an entity. No name has it.
const NAME_END: u8 = 0;

/// Characters of a wrong text that the error repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// A place in the order of a scan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Position {
    /// In the order in which orchestrations were started, and of the ids among those of one moment.
    Created(Timestamp, InstanceId),
    /// In the order of the ids.
    Id(InstanceId),
    /// In the order of the names and keys of entities.
    Entity(EntityId),
}

impl Position {
    /// The instance there.
    pub(crate) fn instance_id(&self) -> InstanceId {
        match self {
            Self::Created(_, id) | Self::Id(id) => id.clone(),
            Self::Entity(entity) => entity.instance_id(),
        }
    }

    /// As a page says it.
    pub(crate) fn to_text(&self) -> String {
        let mut bytes = Vec::new();
        match self {
            Self::Created(created_at, id) => {
                bytes.push(CREATED);
                bytes.extend_from_slice(&created_at.as_millis().to_be_bytes());
                bytes.extend_from_slice(id.as_str().as_bytes());
            }
            Self::Id(id) => {
                bytes.push(ID);
                bytes.extend_from_slice(id.as_str().as_bytes());
            }
            Self::Entity(entity) => {
                bytes.push(ENTITY);
                bytes.extend_from_slice(entity.name().as_bytes());
                bytes.push(NAME_END);
                bytes.extend_from_slice(entity.key().as_bytes());
            }
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes what is written");
            text
        })
    }

    /// The place that a page said.
    pub(crate) fn from_text(text: &str) -> Result<Self> {
        from_hexadecimal(text).as_deref().and_then(from_bytes).ok_or_else(|| wrong(text))
    }
}

/// The error for a text that is none that such a query gave.
pub(crate) fn wrong(text: &str) -> Error {
    WrongContinuation { text: text.chars().take(SHOWN_CHARS_MAX).collect() }.into()
}

fn from_bytes(bytes: &[u8]) -> Option<Position> {
    let (place, checksum) = bytes.split_last_chunk()?;
    if u32::from_be_bytes(*checksum) != crc32fast::hash(place) {
        return None;
    }
    let instance_id = |id| InstanceId::orchestration(str::from_utf8(id).ok()?).ok();
    match place.split_first()? {
        (&CREATED, created_and_id) => {
            let (millis, id) = created_and_id.split_first_chunk()?;
            let created_at = Timestamp::from_millis(u64::from_be_bytes(*millis));
            Some(Position::Created(created_at, instance_id(id)?))
        }
        (&ID, id) => Some(Position::Id(instance_id(id)?)),
        (&ENTITY, entity) => {
            let (name, key) = str::from_utf8(entity).ok()?.split_once(char::from(NAME_END))?;
            Some(Position::Entity(EntityId::from_stored(name, key)))
        }
        _ => None,
    }
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks() else { return None };
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}
