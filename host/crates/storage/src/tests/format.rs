//! The bytes of version 4, as they are in `format_v4.txt` and in docs/storage-format.md. If one of
//! these tests fails, data that exists cannot be read any more: the change needs a new version of
//! the format, and code that still reads the old one.

use std::fmt::Write as _;
use std::fs;

use everstate_engine::storage::{
    CommitBatch, EntityFilter, EntityQuery, EntityRow, InstanceFilter, InstanceQuery,
    OrchestrationRow, Storage, StoredInstance,
};
use everstate_types::{
    DelayedKey, EntityId, EntityRecord, EntityState, Expiry, FunctionName, InstanceId, LargeId,
    Message, MessageId, OrchestrationRecord, Payload, RuntimeStatus,
};
use rocksdb::IteratorMode;

use super::{
    after, both_turns, commit, delayed_key, entity_id, entity_record, first_turn, load, lock,
    locked_record, new_entity_row, open, orchestration_id, record, row, samples, time,
    timer_message,
};
use crate::RocksStorage;
use crate::key::Family;
use crate::large::LARGE_BYTES_MIN;

/// A line a row: column family, key, value; `-` for an empty one.
const VERSION_4: &str = include_str!("format_v4.txt");

const DOCUMENT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/storage-format.md"));

/// The file of the large value that one of the rows refers to, and what is in it.
const LARGE_FILE: (&str, &str) = ("large/0000000000000102", "013dd12ac8226d792d76616c756522");

/// The id of the first message.
const FIRST_MESSAGE: u64 = 258;

/// Events in one chunk: so few that no value is compressed, whose bytes are the compressor's.
const EVENTS_IN_CHUNK: usize = 3;

fn finished_id() -> InstanceId {
    InstanceId::orchestration("transfer-2").unwrap()
}

/// The orchestration that has an event of each kind.
fn eventful_id() -> InstanceId {
    InstanceId::orchestration("transfer-3").unwrap()
}

/// A record with everything that one may have.
fn full_record() -> OrchestrationRecord {
    OrchestrationRecord {
        custom_status: Some(Payload::from("\"half\"")),
        parent: Some(samples::parent()),
        scheduled_start: Some(time(77)),
        rewinds: 2,
        lock_epoch: 1,
        awaits_lock: true,
        trace: Some(Box::new(samples::trace())),
        ..record(RuntimeStatus::Suspended)
    }
}

fn account(key: &str) -> InstanceId {
    EntityId::new("Account", key).unwrap().instance_id()
}

/// The record of an entity with everything that one may have.
fn full_entity() -> EntityRecord {
    EntityRecord {
        state: EntityState {
            value: Some(Payload::from("{\"owner\":\"eve\"}")),
            version: 2,
            fields: vec![("owner".to_owned(), Payload::from("\"eve\""))],
            time_to_live_ms: Some(60_000),
        },
        large: None,
        last_operation_at: time(7),
        lock: Some(lock()),
        expiry: Some(Expiry { due: time(77), time_to_live_ms: 60_000 }),
    }
}

/// The record of an entity whose value is in the file of the document's example.
fn large_entity() -> EntityRecord {
    let mut record = EntityRecord { large: Some(LargeId(258)), ..entity_record("\"my-value\"") };
    record.state.version = 1;
    record
}

fn messages() -> Vec<(MessageId, Message)> {
    (FIRST_MESSAGE..).map(MessageId).zip(samples::messages()).collect()
}

fn delayed() -> Vec<(DelayedKey, Message)> {
    vec![(delayed_key(9, 5), timer_message(3))]
}

fn entities() -> Vec<(InstanceId, EntityRow)> {
    let stored = [
        (entity_id(), entity_record("\"my-value\"")),
        (account("full"), full_entity()),
        (account("large"), large_entity()),
        (account("locked"), locked_record()),
        (
            InstanceId::receipt(&EntityId::new("Account", "full").unwrap(), "key"),
            entity_record("1"),
        ),
    ];
    stored.map(|(id, record)| (id, new_entity_row(record))).to_vec()
}

/// A row of each kind.
fn batch() -> CommitBatch {
    CommitBatch {
        orchestrations: vec![
            (orchestration_id(), row(RuntimeStatus::Running, 0, first_turn())),
            (finished_id(), row(RuntimeStatus::Completed, 0, both_turns())),
        ],
        entities: entities(),
        messages_sent: messages(),
        message_low: Some(MessageId(FIRST_MESSAGE)),
        delayed: delayed(),
        delayed_low: Some(time(9)),
        ..CommitBatch::default()
    }
}

/// Everything that `format_v4.txt` has.
fn write(storage: &RocksStorage) {
    commit(storage, batch());
    for (number, events) in samples::events().chunks(EVENTS_IN_CHUNK).enumerate() {
        let history_stored = number * EVENTS_IN_CHUNK;
        let row = row(RuntimeStatus::Suspended, history_stored, events.to_vec());
        let mut row = OrchestrationRow { record: full_record(), ..row };
        if number > 0 {
            row = after(&full_record(), row);
        }
        let orchestrations = vec![(eventful_id(), row)];
        commit(storage, CommitBatch { orchestrations, ..CommitBatch::default() });
    }
    let large = Payload::from("x".repeat(LARGE_BYTES_MIN));
    assert_eq!(storage.store_large(&large).unwrap(), Some(LargeId(0)));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex = hex.trim_start_matches('-');
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn all_rows(storage: &RocksStorage) -> String {
    let mut text = String::new();
    for family in Family::ALL {
        let handle = storage.db().cf_handle(family.name()).unwrap();
        for row in storage.db().iterator_cf(handle, IteratorMode::Start) {
            let (key, value) = row.unwrap();
            let value = if value.is_empty() { "-".to_owned() } else { hex(&value) };
            writeln!(text, "{} {} {value}", family.name(), hex(&key)).unwrap();
        }
    }
    text
}

/// A folder with the rows of the file, however they came into it, and the file of the large value.
fn open_fixture(folder: &tempfile::TempDir) -> RocksStorage {
    let storage = open(folder.path());
    let (name, content) = LARGE_FILE;
    fs::create_dir(folder.path().join("large")).unwrap();
    fs::write(folder.path().join(name), bytes(content)).unwrap();
    for line in VERSION_4.lines() {
        let [family, key, value] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let family = storage.db().cf_handle(family).unwrap();
        storage.db().put_cf(family, bytes(key), bytes(value)).unwrap();
    }
    storage
}

#[test]
fn rows_of_version_4_are_written_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write(&storage);
    let written = all_rows(&storage);
    assert!(written == VERSION_4, "written now:\n{written}");
}

#[test]
fn instances_of_version_4_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_fixture(&folder);
    for (id, row) in entities() {
        assert_eq!(load(&storage, &id), StoredInstance::Entity(row.record.unwrap()));
    }
    for (id, record, history) in [
        (orchestration_id(), record(RuntimeStatus::Running), first_turn()),
        (finished_id(), record(RuntimeStatus::Completed), both_turns()),
        (eventful_id(), full_record(), samples::events()),
    ] {
        let expected = StoredInstance::Orchestration { record, history };
        assert_eq!(load(&storage, &id), expected);
    }
}

#[test]
fn messages_of_version_4_are_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let recovered = open_fixture(&folder).recover().unwrap();
    assert_eq!(recovered.messages, messages());
    assert_eq!(recovered.delayed, delayed());
}

#[test]
fn orchestrations_of_version_4_are_found_by_each_kind_of_entry() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_fixture(&folder);
    let all = ["transfer-1", "transfer-2", "transfer-3"];
    let filters = [
        (InstanceFilter { name: Some(super::name()), ..InstanceFilter::default() }, &all[..]),
        (
            InstanceFilter {
                statuses: vec![RuntimeStatus::Completed],
                ..InstanceFilter::default()
            },
            &all[1..2],
        ),
        (
            InstanceFilter { id_prefix: Some("transfer".to_owned()), ..InstanceFilter::default() },
            &all,
        ),
        (InstanceFilter { tags: full_record().tags, ..InstanceFilter::default() }, &all),
        (
            InstanceFilter {
                custom_status: full_record().custom_status,
                ..InstanceFilter::default()
            },
            &all[2..],
        ),
    ];
    for (filter, expected) in filters {
        let query = InstanceQuery { filter, page_size: 9, continuation: None };
        let page = storage.query(&query).unwrap();
        let ids: Vec<_> = page.instances.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, expected, "{query:?}");
    }
}

#[test]
fn entities_of_version_4_are_found_by_each_kind_of_entry() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_fixture(&folder);
    let all = ["@account@full", "@account@large", "@account@locked", "@register@1"];
    let name = FunctionName::new("Account").ok();
    let any = EntityFilter::default;
    let fields = full_entity().state.fields;
    for (filter, expected) in [
        (EntityFilter { includes_stateless: true, ..any() }, &all[..]),
        (EntityFilter { name: name.clone(), ..any() }, &all[..2]),
        (EntityFilter { name, fields, ..any() }, &all[..1]),
    ] {
        let query = EntityQuery { filter, page_size: 9, continuation: None, fetches_state: true };
        let page = storage.query_entities(&query).unwrap();
        let ids: Vec<_> = page.entities.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(ids, expected, "{query:?}");
    }
}

/// Each line: bytes in hexadecimal, and what they are.
fn drawn(fields: &[(&str, &str)]) -> String {
    fields.iter().fold(String::new(), |mut text, (hex, meaning)| {
        writeln!(text, "{hex:<24}{meaning}").unwrap();
        text
    })
}

fn check_document(fields: &[(&str, &str)]) {
    let drawn = drawn(fields);
    assert!(DOCUMENT.contains(&drawn), "the document should have:\n{drawn}");
}

/// The example in the document: the entity's row, cut into its fields.
#[test]
fn documented_example_is_what_is_written() {
    let line = VERSION_4.lines().find(|line| line.contains(&hex(b"\x02@register@1"))).unwrap();
    let [_, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    check_document(&[
        (&key[..16], "XXH3-64 of `@register@1`, big-endian"),
        (&key[16..18], "kind 2: an entity"),
        (&key[18..], "`@register@1`"),
        (&value[..2], "layout of the value: 1"),
        (&value[2..10], "CRC-32 of the key and of what follows, little-endian"),
        (&value[10..12], "it has a state"),
        (&value[12..14], "length of the state: 10"),
        (&value[14..34], "`\"my-value\"`"),
        (&value[34..36], "version of the state: 0"),
        (&value[36..38], "no fields that it is found by"),
        (&value[38..40], "no time to live of its own"),
        (&value[40..42], "the value is here, not in a file"),
        (&value[42..44], "last operation 7 ms after 1970"),
        (&value[44..46], "nobody holds it"),
        (&value[46..], "it does not expire"),
    ]);
}

/// The other example: the entry of `transfer-2` by its name and status.
#[test]
fn documented_entry_of_the_index_is_what_is_written() {
    let begin = format!("index {}", hex(b"\x01transfer\x00\x01"));
    let line = VERSION_4.lines().find(|line| line.starts_with(&begin)).unwrap();
    let key = line.split(' ').nth(1).unwrap();
    check_document(&[
        (&key[..2], "kind 1: by name and status"),
        (&key[2..18], "`transfer`"),
        (&key[18..20], "end of the name"),
        (&key[20..22], "status 1: Completed"),
        (&key[22..38], "started 1 ms after 1970, big-endian"),
        (&key[38..], "`transfer-2`"),
    ]);
}

/// The entry of `@account@full` by its owner.
#[test]
fn documented_entry_of_a_field_is_what_is_written() {
    let begin = format!("index {}", hex(b"\x06account\x00"));
    let line = VERSION_4.lines().find(|line| line.starts_with(&begin)).unwrap();
    let key = line.split(' ').nth(1).unwrap();
    check_document(&[
        (&key[..2], "kind 6: by a field"),
        (&key[2..16], "`account`"),
        (&key[16..18], "end of the name"),
        (&key[18..34], "XXH3-64 of `owner`, 0, `\"eve\"`, big-endian"),
        (&key[34..], "`full`"),
    ]);
}

/// That it is read is seen where the instances are.
#[test]
fn documented_file_of_a_large_value_is_what_is_read() {
    let (name, content) = LARGE_FILE;
    assert!(DOCUMENT.contains(&format!("`{name}`")));
    check_document(&[
        (&content[..2], "layout of the file: 1"),
        (&content[2..10], "CRC-32 of the id, big-endian, and of the text, little-endian"),
        (&content[10..], "`\"my-value\"`"),
    ]);
}
