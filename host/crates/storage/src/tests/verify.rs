//! An examination finds nothing in good data, and each thing that is damaged.

use std::fs;
use std::path::Path;

use everstate_engine::partition::open_timers;
use everstate_engine::storage::{CommitBatch, Storage};
use everstate_types::{
    ComponentHash, DelayedKey, EntityLock, EntityRecord, EventKind, InstanceId, MessageBody,
    MessageId, Payload, RuntimeStatus,
};

use super::{
    after, both_turns, commit, delayed_key, entity_id, entity_record, execution, first_turn,
    last_turn, lock, message, messages_batch, new_entity_row, open, orchestration_batch,
    orchestration_id, record, row, time, timer_message, write_entity,
};
use crate::key::{self, Family, Row};
use crate::large::LARGE_BYTES_MIN;
use crate::{Counts, Error, RocksStorage, codec, verify};

/// The problems of a folder.
fn problems(folder: &Path) -> Vec<String> {
    let report = verify(folder).expect("the folder can be opened");
    assert_eq!(report.problem_count, report.problems.len() as u64);
    report.problems
}

/// A folder with some of everything, in which then something is done to the database.
fn damaged(damage: impl FnOnce(&RocksStorage)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    commit(&storage, orchestration_batch(1, row(RuntimeStatus::Running, 0, first_turn())));
    write_entity(&storage, Some(entity_record("1")));
    commit(&storage, messages_batch(&[5, 6], &[], Some(5)));
    let delayed = vec![(timer(), timer_message(0))];
    let delayed_low = Some(time(3));
    commit(&storage, CommitBatch { delayed, delayed_low, ..CommitBatch::default() });
    damage(&storage);
    storage.sync().unwrap();
    drop(storage);
    folder
}

/// The timer that the orchestration waits for.
fn timer() -> DelayedKey {
    open_timers(&record(RuntimeStatus::Running), &first_turn())[0]
}

fn put(storage: &RocksStorage, family: Family, key: &[u8], value: &[u8]) {
    storage.db().put_cf(crate::db::family(storage.db(), family), key, value).unwrap();
}

fn delete(storage: &RocksStorage, family: Family, key: &[u8]) {
    storage.db().delete_cf(crate::db::family(storage.db(), family), key).unwrap();
}

fn instance_key(id: &InstanceId) -> Vec<u8> {
    let mut key = Vec::new();
    key::instance(&mut key, id);
    key
}

fn chunk_key(id: &InstanceId, number: u128, index: u32) -> Vec<u8> {
    let mut key = Vec::new();
    key::chunk(&mut key, id, execution(number), index);
    key
}

#[test]
fn good_data_has_no_problems_and_is_counted() {
    let folder = damaged(|_| ());
    let report = verify(folder.path()).unwrap();
    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.notes, [""; 0]);
    assert_eq!(report.format, Some(crate::STORAGE_FORMAT));
    let expected = Counts {
        orchestrations: 1,
        live: 1,
        entities: 1,
        receipts: 0,
        events: 4,
        messages: 2,
        delayed: 1,
        index_entries: 4,
        large_values: 0,
    };
    assert_eq!(report.counts, expected);
    let pinned = &report.pinned[&ComponentHash([7; 32])];
    assert_eq!((pinned.count, &pinned.example), (1, &orchestration_id()));
    // It changed nothing: once more, and a host opens it.
    assert_eq!(verify(folder.path()).unwrap(), report);
    drop(open(folder.path()));
    assert_eq!(problems(folder.path()), [""; 0]);
}

#[test]
fn folder_without_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = verify(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NoData { .. }), "{error}");
}

#[test]
fn row_that_is_damaged_is_named_and_the_others_are_examined() {
    let folder = damaged(|storage| {
        put(storage, Family::Instances, &instance_key(&entity_id()), b"?");
        put(storage, Family::Instances, b"short", b"");
        put(storage, Family::Messages, &key::message(MessageId(6)), b"?");
    });
    let found = problems(folder.path());
    assert_eq!(
        found,
        [
            "the stored family `instances` is damaged: a key is none of an instance",
            "the stored instance `@register@1` is damaged: its value has 1 bytes",
            "the stored message 6 is damaged: its value has 1 bytes",
        ]
    );
}

#[test]
fn row_without_its_entries_and_entries_without_their_row_are_named() {
    let mut by_id = vec![2];
    by_id.extend_from_slice(b"transfer-1");
    let folder = damaged(|storage| delete(storage, Family::Index, &by_id));
    let expected = "the stored family `index` is damaged: `transfer-1` cannot be found by its id";
    assert_eq!(problems(folder.path()), [expected]);

    let folder = damaged(|storage| delete(storage, Family::Instances, &instance_key(&entity_id())));
    let expected = "the stored family `index` is damaged: it has an entry of `@register@1`, which is not stored";
    assert_eq!(problems(folder.path()), [expected]);

    let folder = damaged(|storage| {
        delete(storage, Family::Index, &by_id);
        put(storage, Family::Index, &[9, 9], b"");
        let created = 1_u64.to_be_bytes();
        let key = [b"\x01transfer\x00\x01", &created[..], b"transfer-1"].concat();
        put(storage, Family::Index, &key, b"");
        put(storage, Family::Index, &crate::index::large(everstate_types::LargeId(3)), b"");
    });
    let index = "the stored family `index` is damaged:";
    assert_eq!(
        problems(folder.path()),
        [
            format!("{index} `transfer-1` cannot be found by its id"),
            format!("{index} it has an entry of `transfer-1` that does not fit what is stored"),
            format!("{index} it has a large value that no row has"),
            format!("{index} a key is none of an entry"),
        ]
    );
}

#[test]
fn history_that_lacks_something_or_belongs_to_nobody_is_named() {
    let id = orchestration_id();
    let folder = damaged(|storage| delete(storage, Family::History, &chunk_key(&id, 1, 0)));
    let expected = "the stored history of `transfer-1` is damaged: it has 0 events instead of 4";
    assert_eq!(problems(folder.path()), [expected]);

    let other = InstanceId::orchestration("nobody").unwrap();
    let folder = damaged(|storage| {
        put(storage, Family::History, &chunk_key(&id, 2, 0), b"");
        put(storage, Family::History, &chunk_key(&other, 1, 0), b"");
        put(storage, Family::History, b"123", b"");
    });
    let mut found = problems(folder.path());
    found.sort();
    assert_eq!(
        found,
        [
            "the stored family `history` is damaged: a key is none of a chunk",
            "the stored history of `nobody` is left over: there is no such instance",
            "the stored history of `transfer-1` is left over: it is of an execution that is not the \
             current one",
        ]
    );
}

#[test]
fn history_that_does_not_fit_its_record_is_named() {
    let folder = damaged(|storage| {
        let ended =
            after(&record(RuntimeStatus::Running), row(RuntimeStatus::Failed, 4, last_turn()));
        commit(storage, orchestration_batch(2, ended));
    });
    let expected = "the stored history of `transfer-1` does not fit: event 6 ends it otherwise than as \
                    Failed";
    assert_eq!(problems(folder.path()), [expected]);

    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let mut events = both_turns();
    events[5].kind = EventKind::TimerFired { timer_id: 3, fire_at: time(9) };
    commit(&storage, orchestration_batch(1, row(RuntimeStatus::Completed, 0, events)));
    drop(storage);
    let expected = "the stored history of `transfer-1` does not fit: event 5 is the result of action 3, \
                    which is none";
    assert_eq!(problems(folder.path()), [expected]);
}

#[test]
fn message_that_cannot_be_meant_or_found_is_named() {
    let folder = damaged(|storage| {
        let mut strange = message("add");
        strange.body = MessageBody::RaiseEvent { name: "e".to_owned(), input: Payload::null() };
        let key = key::message(MessageId(7));
        let mut value = Vec::new();
        codec::encode(&mut value, Row::Message(MessageId(7)), &key, &strange).unwrap();
        put(storage, Family::Messages, &key, &value);
        let (key, low) = (key::message(MessageId(4)), MessageId(4));
        codec::encode(&mut value, Row::Message(low), &key, &message("add")).unwrap();
        put(storage, Family::Messages, &key, &value);
        for due in [2, 8] {
            let (delayed, timer) = (delayed_key(due, 5), timer_message(0));
            let key = key::delayed(delayed);
            codec::encode(&mut value, Row::Delayed(delayed), &key, &timer).unwrap();
            put(storage, Family::Timers, &key, &value);
        }
    });
    let delayed = "the stored message 00000000-0000-0000-0000-000000000005, due \
                   1970-01-01T00:00:00Z, is damaged";
    assert_eq!(
        problems(folder.path()),
        [
            "the stored message 4 is damaged: it is where no start looks for it".to_owned(),
            "the stored message 7 is damaged: it is nothing to tell `@register@1`".to_owned(),
            format!("{delayed}: it is where no start looks for it"),
            format!("{delayed}: its timer is due at 1970-01-01T00:00:00Z"),
            format!("{delayed}: its timer is due at 1970-01-01T00:00:00Z"),
        ]
    );
}

#[test]
fn large_value_that_is_damaged_or_missing_is_named_and_one_too_many_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let text = format!("\"{}\"", "e".repeat(LARGE_BYTES_MIN));
    let mut large = entity_record(&text);
    large.large = storage.store_large(&Payload::from(text)).unwrap();
    let entities = vec![(entity_id(), new_entity_row(large))];
    commit(&storage, CommitBatch { entities, ..CommitBatch::default() });
    storage.sync().unwrap();
    drop(storage);
    assert_eq!(problems(folder.path()), [""; 0]);

    let stray = folder.path().join("large/00000000000000ff");
    fs::write(&stray, "?").unwrap();
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.problem_count, report.notes.len()), (0, 1));
    assert!(report.notes[0].starts_with("1 files of large values belong to no row"));
    fs::remove_file(stray).unwrap();

    let path = folder.path().join("large/0000000000000000");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let found = problems(folder.path()).remove(0);
    assert!(
        found.contains("`@register@1` is damaged") && found.contains("is not what was written")
    );
    fs::remove_file(&path).unwrap();
    let found = problems(folder.path()).remove(0);
    assert!(found.contains("`@register@1` is damaged") && found.contains("is missing"), "{found}");
}

/// A file that nobody can write, root neither, stands for a disk that is only to be read.
#[cfg(target_os = "linux")]
#[test]
fn folder_that_cannot_be_written_is_examined() {
    let folder = damaged(|_| ());
    let lock = folder.path().join("LOCK");
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink("/sys/kernel/uevent_seqnum", lock).unwrap();
    assert_eq!(problems(folder.path()), [""; 0]);
    // A copy has no such file, and gets none.
    fs::remove_file(folder.path().join("LOCK")).unwrap();
    assert_eq!(problems(folder.path()), [""; 0]);
    assert!(!folder.path().join("LOCK").exists());
}

#[test]
fn timer_that_is_missing_and_holder_that_is_missing_are_named() {
    let folder = damaged(|storage| delete(storage, Family::Timers, &key::delayed(timer())));
    let expected = "the stored instance `transfer-1` waits for a timer, due 1970-01-01T00:00:00Z, that is \
                    not stored";
    assert_eq!(problems(folder.path()), [expected]);
    let locked = |lock: EntityLock| {
        damaged(|storage| {
            let record = EntityRecord { lock: Some(lock), ..entity_record("1") };
            write_entity(storage, Some(record));
        })
    };
    assert_eq!(problems(locked(lock()).path()), [""; 0]);
    let instance_id = InstanceId::orchestration("gone").unwrap();
    let folder = locked(EntityLock { instance_id, ..lock() });
    let expected = "the stored instance `@register@1` is held by `gone`, which is not stored";
    assert_eq!(problems(folder.path()), [expected]);
}

#[test]
fn folder_of_another_version_is_refused_and_one_without_a_version_named() {
    let folder = damaged(|storage| {
        crate::meta::write(storage.db(), key::MetaKey::Format, &99_u32).unwrap();
    });
    let error = verify(folder.path()).unwrap_err().to_string();
    assert!(error.contains("has storage format 99"), "{error}");
    let folder = damaged(|storage| delete(storage, Family::Meta, b"format"));
    assert_eq!(problems(folder.path()), ["the version of the storage format is missing"]);
}

#[test]
fn flipped_byte_in_a_table_file_is_named_and_the_other_families_are_examined() {
    let folder = damaged(|storage| {
        storage.db().flush_cf(storage.families().messages).unwrap();
    });
    let table = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[20] ^= 0x40;
    fs::write(&table, bytes).unwrap();
    let report = verify(folder.path()).unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.problems[0].contains("cannot be read to its end"), "{:?}", report.problems);
    assert_eq!((report.counts.orchestrations, report.counts.entities), (1, 1));
}

#[test]
fn report_lists_a_hundred_problems_and_counts_all() {
    let folder = damaged(|storage| {
        for number in 0..150_u64 {
            put(storage, Family::Messages, &key::message(MessageId(100 + number)), b"?");
        }
    });
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.problems.len(), report.problem_count), (100, 150));
}
