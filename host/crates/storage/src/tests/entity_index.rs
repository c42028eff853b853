//! What the index has of entities, and what a commit writes for it.

use everstate_engine::storage::{CommitBatch, EntityRow};
use everstate_types::{EntityId, EntityRecord, InstanceId, LargeId, Payload};

use super::index::check;
use super::{
    commit, entity_id, entity_record, entity_row, keys_in, lock, locked_record, open, time,
    write_entity, write_entity_as,
};
use crate::RocksStorage;
use crate::key::Family;

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, Payload)> {
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), Payload::from(*value));
    pairs.iter().map(field).collect()
}

/// How many deletes and puts of the index stand in memory.
fn writes(storage: &RocksStorage) -> u64 {
    let index = storage.families().index;
    let property = "rocksdb.num-entries-active-mem-table";
    storage.db().property_int_value_cf(index, property).unwrap().unwrap()
}

/// A step of an entity's life.
type Change = fn(&mut EntityRecord);

#[test]
fn entries_follow_an_entity_through_its_life_and_only_differences_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut record = EntityRecord::default();
    let steps: [(&str, Change, u64); 10] = [
        ("it is locked before it has a state", |record| record.lock = Some(lock()), 1),
        ("and still is", |record| record.last_operation_at = time(8), 0),
        ("it gets a state", |record| record.state = entity_record("1").state, 2),
        ("another one", |record| record.state.value = Some(Payload::from("2")), 0),
        ("fields", |record| record.state.fields = fields(&[("a", "1"), ("b", "1")]), 2),
        ("one of them changes", |record| record.state.fields[1].1 = Payload::from("2"), 2),
        ("nobody holds it", |record| record.lock = None, 0),
        ("one field is left", |record| record.state.fields = fields(&[("a", "1")]), 1),
        ("its value becomes large", |record| record.large = Some(LargeId(7)), 1),
        ("its state is gone, but not the lock", |record| *record = locked_record(), 4),
    ];
    for (step, change, expected) in steps {
        storage.db().flush_cf(storage.families().index).unwrap();
        change(&mut record);
        let before = writes(&storage);
        let row = row_after(&storage, &record);
        commit(&storage, CommitBatch { entities: vec![row], ..CommitBatch::default() });
        assert_eq!(writes(&storage) - before, expected, "{step}");
    }
    write_entity(&storage, None);
    assert!(keys_in(&storage, Family::Index).is_empty());
}

/// As [`entity_row`], which would look for the file of a large value.
fn row_after(storage: &RocksStorage, record: &EntityRecord) -> (InstanceId, EntityRow) {
    let before = super::super::read::View::new(storage, false).entity(&entity_id()).unwrap();
    let before = before.map(|(before, _)| before);
    let freed = before.iter().filter_map(|before| before.large).collect();
    let indexed = before.map(|before| before.state.fields);
    (entity_id(), EntityRow { record: Some(record.clone()), indexed, freed })
}

#[test]
fn fields_that_are_given_twice_or_alike_are_entered_once_and_removed_once() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut record = entity_record("1");
    record.state.fields = fields(&[("a", "1"), ("a", "1"), ("a", "2"), ("ab", "1")]);
    write_entity(&storage, Some(record));
    assert_eq!(keys_in(&storage, Family::Index).len(), 4, "the name, three fields");
    check(&storage, "with fields");
    write_entity(&storage, Some(entity_record("1")));
    check(&storage, "without");
    super::compact(&storage, Family::Index);
    check(&storage, "in files");
}

#[test]
fn receipts_are_stored_and_in_no_index() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let receipt = InstanceId::receipt(&EntityId::new("Register", "1").unwrap(), "key");
    for record in [Some(entity_record("1")), Some(locked_record()), None] {
        let is_stored = record.is_some();
        write_entity_as(&storage, &receipt, record);
        assert_eq!(keys_in(&storage, Family::Instances).len(), usize::from(is_stored));
        assert!(keys_in(&storage, Family::Index).is_empty());
    }
}

#[test]
fn entity_locked_before_a_restart_gets_its_state_after_it() {
    let folder = tempfile::tempdir().unwrap();
    write_entity(&open(folder.path()), Some(locked_record()));
    let storage = open(folder.path());
    check(&storage, "locked");
    let row = entity_row(&storage, &entity_id(), Some(entity_record("1")));
    commit(&storage, CommitBatch { entities: vec![row], ..CommitBatch::default() });
    check(&storage, "with a state");
    super::compact(&storage, Family::Index);
    check(&storage, "in files");
}
