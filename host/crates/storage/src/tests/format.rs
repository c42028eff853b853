//! The bytes of version 2, as they are in `format_v2.txt` and in docs/storage-format.md. If one of
//! these tests fails, data that exists cannot be read any more: the change needs a new version of
//! the format, and code that still reads the old one.

use std::fmt::Write as _;

use everstate_engine::storage::{
    CommitBatch, InstanceFilter, InstanceQuery, OrchestrationRow, Storage, StoredInstance,
};
use everstate_types::{
    DelayedKey, EntityRecord, InstanceId, Message, MessageId, OrchestrationRecord, Payload,
    RuntimeStatus,
};
use rocksdb::IteratorMode;

use super::{
    after, both_turns, commit, delayed_key, entity_id, entity_record, first_turn, load, open,
    orchestration_id, record, row, samples, time, timer_message,
};
use crate::RocksStorage;
use crate::key::Family;

/// A line a row: column family, key, value; `-` for an empty one.
const VERSION_2: &str = include_str!("format_v2.txt");

const DOCUMENT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/storage-format.md"));

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
        ..record(RuntimeStatus::Suspended)
    }
}

fn messages() -> Vec<(MessageId, Message)> {
    (FIRST_MESSAGE..).map(MessageId).zip(samples::messages()).collect()
}

fn delayed() -> Vec<(DelayedKey, Message)> {
    vec![(delayed_key(9, 5), timer_message(3))]
}

/// A row of each kind.
fn batch() -> CommitBatch {
    CommitBatch {
        orchestrations: vec![
            (orchestration_id(), row(RuntimeStatus::Running, 0, first_turn())),
            (finished_id(), row(RuntimeStatus::Completed, 0, both_turns())),
        ],
        entities: vec![(entity_id(), Some(entity_record("\"my-value\"")))],
        messages_sent: messages(),
        message_low: Some(MessageId(FIRST_MESSAGE)),
        delayed: delayed(),
        delayed_low: Some(time(9)),
        ..CommitBatch::default()
    }
}

/// Everything that `format_v2.txt` has.
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

/// A folder with the rows of the file, however they came into it.
fn open_fixture(folder: &tempfile::TempDir) -> RocksStorage {
    let storage = open(folder.path());
    for line in VERSION_2.lines() {
        let [family, key, value] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let family = storage.db().cf_handle(family).unwrap();
        storage.db().put_cf(family, bytes(key), bytes(value)).unwrap();
    }
    storage
}

#[test]
fn rows_of_version_2_are_written_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    write(&storage);
    let written = all_rows(&storage);
    assert!(written == VERSION_2, "written now:\n{written}");
}

#[test]
fn instances_of_version_2_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open_fixture(&folder);
    assert_eq!(
        load(&storage, &entity_id()),
        StoredInstance::Entity(EntityRecord {
            state: Payload::from("\"my-value\""),
            updated_at: time(7)
        })
    );
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
fn messages_of_version_2_are_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let recovered = open_fixture(&folder).recover().unwrap();
    assert_eq!(recovered.messages, messages());
    assert_eq!(recovered.delayed, delayed());
}

#[test]
fn orchestrations_of_version_2_are_found_by_each_kind_of_entry() {
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

/// The example in the document: the entity's row, cut into its fields.
#[test]
fn documented_example_is_what_is_written() {
    let line = VERSION_2.lines().find(|line| line.contains(&hex(b"@register@1"))).unwrap();
    let [_, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let fields = [
        (&key[..16], "XXH3-64 of `@register@1`, big-endian"),
        (&key[16..18], "kind 2: an entity"),
        (&key[18..], "`@register@1`"),
        (&value[..2], "layout of the value: 1"),
        (&value[2..10], "CRC-32 of the key and of what follows, little-endian"),
        (&value[10..12], "length of the state: 10"),
        (&value[12..32], "`\"my-value\"`"),
        (&value[32..], "updated 7 ms after 1970"),
    ];
    let drawn = fields.iter().fold(String::new(), |mut text, (hex, meaning)| {
        writeln!(text, "{hex:<24}{meaning}").unwrap();
        text
    });
    assert!(DOCUMENT.contains(&drawn), "the document should have:\n{drawn}");
}

/// The other example: the entry of `transfer-2` by its name and status.
#[test]
fn documented_entry_of_the_index_is_what_is_written() {
    let begin = format!("index {}", hex(b"\x01transfer\x00\x01"));
    let line = VERSION_2.lines().find(|line| line.starts_with(&begin)).unwrap();
    let key = line.split(' ').nth(1).unwrap();
    let fields = [
        (&key[..2], "kind 1: by name and status"),
        (&key[2..18], "`transfer`"),
        (&key[18..20], "end of the name"),
        (&key[20..22], "status 1: Completed"),
        (&key[22..38], "started 1 ms after 1970, big-endian"),
        (&key[38..], "`transfer-2`"),
    ];
    let drawn = fields.iter().fold(String::new(), |mut text, (hex, meaning)| {
        writeln!(text, "{hex:<24}{meaning}").unwrap();
        text
    });
    assert!(DOCUMENT.contains(&drawn), "the document should have:\n{drawn}");
}
