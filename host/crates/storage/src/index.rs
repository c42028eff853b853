//! What orchestrations and entities are found by: the keys in `index`, whose values are empty.
//!
//! Each key ends with the id of an orchestration or the key of an entity. Before it stands one thing
//! that this is found by. For orchestrations there is also, unless that thing is the id itself, when
//! it was started: those with the same thing are in that order. Entities are in the order of their
//! keys. Entries are changed in the commit that changes the row, so that a key is there exactly if
//! the row says so.
//!
//! Beside these stand the names of the large values that rows refer to: see
//! [`LargeValues`](crate::large::LargeValues).

use everstate_engine::storage::Indexed;
use everstate_types::{
    EntityId, EntityRecord, InstanceId, LargeId, Payload, RuntimeStatus, Timestamp,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Ends a name in a key. No name has it.
const NAME_END: u8 = 0;

/// What an entry is found by: the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum IndexKind {
    /// `[1][name in ASCII lower case][0][status u8][created u64][id]`
    Name = 1,
    /// `[2][id]`
    Id = 2,
    /// `[3][hash u64 of the tag's name, 0, its value][created u64][id]`
    Tag = 3,
    /// `[4][hash u64 of the custom status][created u64][id]`
    CustomStatus = 4,
    /// `[5][name in lower case][0][key]`: an entity that has a state.
    Entity = 5,
    /// `[6][name in lower case][0][hash u64 of the field's name, 0, its value][key]`
    Field = 6,
    /// `[7][name in lower case][0][key]`: an entity that is locked and has no state.
    Stateless = 7,
    /// `[8][large id u64]`: a large value that a row refers to.
    Large = 8,
}

/// What an entity is found by, beside its name and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexedEntity<'a> {
    /// Whether it has a state; otherwise it is only locked.
    pub(crate) has_state: bool,
    /// Fields of the state and their values.
    pub(crate) fields: &'a [(String, Payload)],
}

impl<'a> IndexedEntity<'a> {
    /// What an entity with this record is found by.
    pub(crate) fn of(record: &'a EntityRecord) -> Self {
        Self { has_state: has_state(record), fields: &record.state.fields }
    }
}

/// Whether the entity has a state, be its value in the record or stored by itself.
pub(crate) fn has_state(record: &EntityRecord) -> bool {
    record.state.value.is_some() || record.large.is_some()
}

/// The keys of all entries of an orchestration or an entity, in a buffer that is used again and
/// again.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Entries {
    /// Makes these the entries of the orchestration; `None`: it has none.
    pub(crate) fn set(&mut self, id: &InstanceId, indexed: Option<&Indexed>) {
        self.bytes.clear();
        self.ends.clear();
        let Some(Indexed { name, status, created_at, tags, custom_status }) = indexed else {
            return;
        };
        self.add(|key| {
            name_and_status(key, &name.as_str().to_ascii_lowercase(), *status);
            created(key, *created_at, id.as_str().as_bytes());
        });
        self.add(|key| ids(key, id.as_str()));
        for (name, value) in tags {
            self.add(|key| {
                tag(key, name, value);
                created(key, *created_at, id.as_str().as_bytes());
            });
        }
        if let Some(text) = custom_status {
            self.add(|key| {
                custom(key, text.as_str());
                created(key, *created_at, id.as_str().as_bytes());
            });
        }
    }

    /// Makes these the entries of the entity; `None`: it has none.
    pub(crate) fn set_entity(&mut self, id: &InstanceId, indexed: Option<IndexedEntity<'_>>) {
        self.bytes.clear();
        self.ends.clear();
        let Some(IndexedEntity { has_state, fields }) = indexed else { return };
        let kind = if has_state { IndexKind::Entity } else { IndexKind::Stateless };
        let (name, entity_key) = name_and_key(id);
        self.add(|key| {
            self::name(key, kind, name);
            key.extend_from_slice(entity_key.as_bytes());
        });
        for (field, value) in fields {
            self.add(|key| {
                entity_field(key, name, field, value);
                key.extend_from_slice(entity_key.as_bytes());
            });
        }
    }

    /// The keys, each once.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| self.key(at))
    }

    /// The keys that `other` does not have.
    pub(crate) fn keys_not_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a [u8]> {
        self.keys().enumerate().filter_map(move |(at, key)| {
            // Most stand at the same place in both.
            let there = at < other.ends.len() && other.key(at) == key;
            (!there && other.keys().all(|present| present != key)).then_some(key)
        })
    }

    fn key(&self, at: usize) -> &[u8] {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[at]]
    }

    /// Adds the key that `write` appends, unless it is there: somebody may give the same tag twice,
    /// but an entry is written once and deleted once.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        write(&mut self.bytes);
        if self.keys().any(|key| key == &self.bytes[begin..]) {
            self.bytes.truncate(begin);
        } else {
            self.ends.push(self.bytes.len());
        }
    }
}

/// Appends what begins the keys of this kind.
pub(crate) fn kind(key: &mut Vec<u8>, kind: IndexKind) {
    key.push(kind as u8);
}

/// Appends what begins the keys of this kind of all instances of this function, whose name is in lower
/// case.
pub(crate) fn name(key: &mut Vec<u8>, of: IndexKind, name: &str) {
    kind(key, of);
    key.extend_from_slice(name.as_bytes());
    key.push(NAME_END);
}

/// Appends what begins the keys of all orchestrations of this orchestrator, whose name is in lower
/// case, with this status.
pub(crate) fn name_and_status(key: &mut Vec<u8>, lower_case: &str, status: RuntimeStatus) {
    name(key, IndexKind::Name, lower_case);
    key.push(status_code(status));
}

/// Appends what begins the keys of all ids that begin so.
pub(crate) fn ids(key: &mut Vec<u8>, prefix: &str) {
    kind(key, IndexKind::Id);
    key.extend_from_slice(prefix.as_bytes());
}

/// Appends what begins the keys of all orchestrations with this tag.
pub(crate) fn tag(key: &mut Vec<u8>, name: &str, value: &str) {
    kind(key, IndexKind::Tag);
    key.extend_from_slice(&hash_of_pair(name, value));
}

/// Appends what begins the keys of all orchestrations with this custom status.
pub(crate) fn custom(key: &mut Vec<u8>, text: &str) {
    kind(key, IndexKind::CustomStatus);
    key.extend_from_slice(&xxh3_64(text.as_bytes()).to_be_bytes());
}

/// Appends how a key ends, but for that of an id.
pub(crate) fn created(key: &mut Vec<u8>, created_at: Timestamp, id: &[u8]) {
    key.extend_from_slice(&created_at.as_millis().to_be_bytes());
    key.extend_from_slice(id);
}

/// What [`created`] appended to the first `begin` bytes; `None` if the key does not end so.
pub(crate) fn parse_created(key: &[u8], begin: usize) -> Option<(Timestamp, &[u8])> {
    let (millis, id) = key.get(begin..)?.split_first_chunk()?;
    Some((Timestamp::from_millis(u64::from_be_bytes(*millis)), id))
}

/// The name in lower case that stands behind the kind in a key; `None` if there is none.
pub(crate) fn parse_name(key: &[u8]) -> Option<&str> {
    let (_, named) = key.split_first()?;
    let end = named.iter().position(|byte| *byte == NAME_END)?;
    str::from_utf8(&named[..end]).ok()
}

/// Appends what begins the keys of all entities of this function, whose name is in lower case, with
/// this value of a field.
pub(crate) fn entity_field(key: &mut Vec<u8>, name: &str, field: &str, value: &Payload) {
    self::name(key, IndexKind::Field, name);
    key.extend_from_slice(&hash_of_pair(field, value.as_str()));
}

/// The entity in a key of an entity's entry, where its own key stands behind so many bytes; `None` if
/// there is none.
pub(crate) fn parse_entity(key: &[u8], begin: usize) -> Option<EntityId> {
    let entity_key = str::from_utf8(key.get(begin..)?).ok()?;
    Some(EntityId::from_stored(parse_name(key)?, entity_key))
}

/// The key that says that a row refers to a large value.
pub(crate) fn large(id: LargeId) -> [u8; 9] {
    let mut key = [IndexKind::Large as u8; 9];
    key[1..].copy_from_slice(&id.0.to_be_bytes());
    key
}

/// The large value that a key names; `None` if it names none.
pub(crate) fn parse_large(key: &[u8]) -> Option<LargeId> {
    let id = key.strip_prefix(&[IndexKind::Large as u8])?;
    Some(LargeId(u64::from_be_bytes(id.try_into().ok()?)))
}

/// The name of an entity in lower case, and its key.
fn name_and_key(id: &InstanceId) -> (&str, &str) {
    let parts = id.as_str().strip_prefix('@').and_then(|rest| rest.split_once('@'));
    parts.expect("the id of an entity has the form `@name@key`")
}

fn hash_of_pair(name: &str, value: &str) -> [u8; 8] {
    let mut hasher = Xxh3::new();
    hasher.update(name.as_bytes());
    hasher.update(&[0]);
    hasher.update(value.as_bytes());
    hasher.digest().to_be_bytes()
}

/// The number that stands for a status. Those of orchestrations that have ended come first: what
/// looks for the next name then finds one of them, and need not step over the marks that all who
/// were alive once have left.
fn status_code(status: RuntimeStatus) -> u8 {
    match status {
        RuntimeStatus::Completed => 1,
        RuntimeStatus::Failed => 2,
        RuntimeStatus::Terminated => 3,
        RuntimeStatus::Suspended => 4,
        RuntimeStatus::Running => 5,
        RuntimeStatus::Pending => 6,
    }
}
