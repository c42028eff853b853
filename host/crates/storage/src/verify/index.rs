//! The index, compared with the rows in both directions.
//!
//! First the sums of hashes of the keys that there are and of those that the rows need: both take one
//! pass in order. Only where these differ is each key looked for.

use std::collections::HashSet;

use everstate_engine::storage::Indexed;
use everstate_types::{EntityId, InstanceId};
use xxhash_rust::xxh3::xxh3_128;

use super::rows::{Examined, examine, instance_of};
use super::{Examination, all_rows};
use crate::db::family;
use crate::index::{self, Entries, IndexKind, IndexedEntity};
use crate::key::Family;

/// Bytes of a hash, and of a time, in a key.
const NUMBER_BYTES: usize = 8;

/// The sum of the hashes of some keys, in whatever order, and how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest {
    count: u64,
    sum: u128,
}

impl Digest {
    fn add(&mut self, key: &[u8]) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(xxh3_128(key));
    }
}

/// What an entry of the index stands for.
enum Entry {
    /// An instance.
    Instance(InstanceId),
    /// A large value.
    Large,
}

impl Examination<'_> {
    /// Compares the index with the rows.
    pub(super) fn look_at_index(&mut self) {
        let mut needed = Digest::default();
        self.for_each_needed(|_, _, key| needed.add(key));
        let mut present = Digest::default();
        let mut rows = all_rows(self.db, Family::Index);
        while let Some(key) = rows.key() {
            present.add(key);
            rows.next();
        }
        self.note_end(Family::Index, &rows);
        self.report.counts.index_entries = present.count;
        if needed != present {
            self.look_for_missing_entries();
            self.look_for_wrong_entries();
        }
    }

    fn look_for_missing_entries(&mut self) {
        let mut missing = Vec::new();
        self.for_each_needed(|this, id, key| {
            let found = this.db.get_pinned_cf(family(this.db, Family::Index), key);
            if matches!(found, Ok(None)) {
                missing.push(format!(
                    "the stored family `index` is damaged: `{id}` cannot be found {}",
                    by_what(key)
                ));
            }
        });
        missing.into_iter().for_each(|problem| self.report.add_problem(problem));
    }

    fn look_for_wrong_entries(&mut self) {
        let mut rows = all_rows(self.db, Family::Index);
        let mut entries = Entries::default();
        while let Some(key) = rows.key() {
            if let Some(reason) = self.wrong_entry(key, &mut entries) {
                let problem = format!("the stored family `index` is damaged: {reason}");
                self.report.add_problem(problem);
            }
            rows.next();
        }
    }

    /// Why no row needs an entry with this key.
    fn wrong_entry(&self, key: &[u8], entries: &mut Entries) -> Option<String> {
        let id = match entry_of(key) {
            None => return Some("a key is none of an entry".to_owned()),
            Some(Entry::Large) => {
                let is_known =
                    index::parse_large(key).is_some_and(|id| self.referred.contains(&id));
                return (!is_known).then(|| "it has a large value that no row has".to_owned());
            }
            Some(Entry::Instance(id)) => id,
        };
        match self.examined(&id) {
            Ok(None) => Some(format!("it has an entry of `{id}`, which is not stored")),
            Ok(Some(examined)) => {
                set_entries(entries, &id, &examined);
                let is_needed = entries.keys().any(|needed| needed == key);
                let reason =
                    || format!("it has an entry of `{id}` that does not fit what is stored");
                (!is_needed).then(reason)
            }
            // The row itself was noted.
            Err(_) => None,
        }
    }

    /// Goes through all keys that the rows need in the index.
    fn for_each_needed(&self, mut visit: impl FnMut(&Self, &InstanceId, &[u8])) {
        let mut rows = all_rows(self.db, Family::Instances);
        let mut entries = Entries::default();
        let mut larges = HashSet::new();
        while let Some((key, value)) = rows.item() {
            // What cannot be read was noted.
            if let Some(id) = instance_of(key)
                && let Ok(examined) = examine(&id, key, value)
            {
                if !id.is_receipt() {
                    set_entries(&mut entries, &id, &examined);
                    entries.keys().for_each(|key| visit(self, &id, key));
                }
                if let Examined::Entity(record) = &examined
                    && let Some(large) = record.large
                    && larges.insert(large)
                {
                    visit(self, &id, &index::large(large));
                }
            }
            rows.next();
        }
    }
}

fn set_entries(entries: &mut Entries, id: &InstanceId, examined: &Examined) {
    match examined {
        Examined::Orchestration(record) => entries.set(id, Some(&Indexed::of(record))),
        Examined::Entity(record) => entries.set_entity(id, Some(IndexedEntity::of(record))),
    }
}

/// What a key stands for; `None` if it is none of an entry.
fn entry_of(key: &[u8]) -> Option<Entry> {
    let orchestration =
        |id: &[u8]| InstanceId::orchestration(str::from_utf8(id).ok()?).ok().map(Entry::Instance);
    let entity = |id: EntityId| Some(Entry::Instance(id.instance_id()));
    let kind = *key.first()?;
    let behind_name = || Some(2 + index::parse_name(key)?.len());
    let is = |of: IndexKind| kind == of as u8;
    if is(IndexKind::Name) {
        orchestration(index::parse_created(key, behind_name()? + 1)?.1)
    } else if is(IndexKind::Id) {
        orchestration(&key[1..])
    } else if is(IndexKind::Tag) || is(IndexKind::CustomStatus) {
        orchestration(index::parse_created(key, 1 + NUMBER_BYTES)?.1)
    } else if is(IndexKind::Entity) || is(IndexKind::Stateless) {
        entity(index::parse_entity(key, behind_name()?)?)
    } else if is(IndexKind::Field) {
        entity(index::parse_entity(key, behind_name()? + NUMBER_BYTES)?)
    } else {
        index::parse_large(key).map(|_| Entry::Large)
    }
}

/// What an entry with this key is for.
fn by_what(key: &[u8]) -> &'static str {
    let is = |of: IndexKind| key.first() == Some(&(of as u8));
    if is(IndexKind::Name) {
        "by its orchestrator"
    } else if is(IndexKind::Id) {
        "by its id"
    } else if is(IndexKind::Tag) {
        "by a tag"
    } else if is(IndexKind::CustomStatus) {
        "by its custom status"
    } else if is(IndexKind::Field) {
        "by a field of its state"
    } else if is(IndexKind::Large) {
        "by its large value"
    } else {
        "by its name and key"
    }
}
