//! The bytes of version 1, as they are in `format_v1.txt` and in docs/storage-format.md. If one of
//! these tests fails, data that exists cannot be read any more: the change needs a new version of
//! the format, and code that still reads the old one.

use std::fmt::Write as _;

use everstate_engine::storage::{CommitBatch, Storage, StoredInstance};
use everstate_types::{
    EntityRecord, ExecutionId, Failure, InnerFailure, InstanceId, Message, MessageBody, MessageId,
    Payload, ReplyAddress, RuntimeStatus,
};
use rocksdb::IteratorMode;
use uuid::Uuid;

use super::{
    both_turns, commit, entity_id, entity_record, execution, first_turn, load, message, name, open,
    orchestration_id, record, row, time,
};
use crate::RocksStorage;
use crate::key::Family;

/// A line a row: column family, key, value.
const VERSION_1: &str = include_str!("format_v1.txt");

const DOCUMENT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/storage-format.md"));

fn finished_id() -> InstanceId {
    InstanceId::orchestration("transfer-2").unwrap()
}

fn start_message() -> Message {
    let body = MessageBody::StartOrchestration {
        name: name(),
        execution_id: execution(1),
        component: None,
        input: Payload::from("\"in\""),
        tags: vec![("team".to_owned(), "blue".to_owned())],
    };
    Message { target: orchestration_id(), body }
}

fn call_message() -> Message {
    let mut message = message("add");
    let MessageBody::EntityOperation { reply_to, .. } = &mut message.body else { panic!() };
    *reply_to = Some(ReplyAddress {
        instance_id: orchestration_id(),
        execution_id: ExecutionId::new(Uuid::from_u128(1)),
        scheduled_id: 3,
    });
    message
}

fn reply_message() -> Message {
    let failure = Failure {
        error_type: "E".to_owned(),
        error_message: "why".to_owned(),
        stack_trace: None,
        inner_failures: vec![InnerFailure {
            error_type: "I".to_owned(),
            error_message: "inner".to_owned(),
            stack_trace: Some("at".to_owned()),
        }],
        is_non_retriable: true,
        properties: vec![("k".to_owned(), "1".to_owned())],
    };
    let body = MessageBody::EntityReply {
        execution_id: execution(1),
        scheduled_id: 3,
        request_id: Uuid::from_u128(5),
        result: Err(failure),
    };
    Message { target: orchestration_id(), body }
}

/// One row of each kind.
fn batch() -> CommitBatch {
    CommitBatch {
        orchestrations: vec![
            (orchestration_id(), row(RuntimeStatus::Running, 0, first_turn())),
            (finished_id(), row(RuntimeStatus::Completed, 0, both_turns())),
        ],
        entities: vec![(entity_id(), Some(entity_record("\"my-value\"")))],
        messages_sent: vec![
            (MessageId(258), start_message()),
            (MessageId(259), call_message()),
            (MessageId(260), reply_message()),
        ],
        message_low: Some(MessageId(258)),
        ..CommitBatch::default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn all_rows(storage: &RocksStorage) -> String {
    let mut text = String::new();
    for family in Family::ALL {
        let handle = storage.db().cf_handle(family.name()).unwrap();
        for row in storage.db().iterator_cf(handle, IteratorMode::Start) {
            let (key, value) = row.unwrap();
            writeln!(text, "{} {} {}", family.name(), hex(&key), hex(&value)).unwrap();
        }
    }
    text
}

#[test]
fn rows_of_version_1_are_written_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    commit(&storage, batch());
    let written = all_rows(&storage);
    assert!(written == VERSION_1, "written now:\n{written}");
}

#[test]
fn rows_of_version_1_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    for line in VERSION_1.lines() {
        let [family, key, value] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let family = storage.db().cf_handle(family).unwrap();
        storage.db().put_cf(family, bytes(key), bytes(value)).unwrap();
    }
    assert_eq!(
        load(&storage, &entity_id()),
        StoredInstance::Entity(EntityRecord {
            state: Payload::from("\"my-value\""),
            updated_at: time(7)
        })
    );
    assert_eq!(
        load(&storage, &orchestration_id()),
        StoredInstance::Orchestration {
            record: record(RuntimeStatus::Running),
            history: first_turn()
        }
    );
    assert_eq!(
        load(&storage, &finished_id()),
        StoredInstance::Orchestration {
            record: record(RuntimeStatus::Completed),
            history: both_turns()
        }
    );
    let recovered = storage.recover().unwrap();
    assert_eq!(recovered.messages, batch().messages_sent);
}

/// The example in the document: the entity's row, cut into its fields.
#[test]
fn documented_example_is_what_is_written() {
    let line = VERSION_1.lines().find(|line| line.contains(&hex(b"@register@1"))).unwrap();
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
