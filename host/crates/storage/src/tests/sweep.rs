//! What is deleted gives its space back to the disk, and nobody has to ask for it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use everstate_engine::storage::{CommitBatch, EntityRow, PurgedRow, Storage};
use everstate_types::{EntityId, InstanceId, Payload, RuntimeStatus};

use super::{
    Indexed, both_turns, commit, digits, entity_record, new_entity_row, open, record, row,
    wait_until,
};
use crate::RocksStorage;

/// Instances of which nobody needs any at the end.
const INSTANCES: usize = 20_000;

/// Rows of one commit.
const ROWS: usize = 500;

/// Bytes of the disk that the files in a folder take.
fn bytes_on_disk(folder: &Path) -> u64 {
    let bytes = |entry: std::io::Result<std::fs::DirEntry>| {
        // RocksDB removes files while they are counted.
        entry.unwrap().metadata().map_or(0, |metadata| metadata.blocks() * 512)
    };
    std::fs::read_dir(folder).unwrap().map(bytes).sum()
}

/// Waits until the files are a small part of what they were.
fn wait_for_small_part(folder: &Path, before: u64) {
    wait_until(|| {
        let now = bytes_on_disk(folder);
        if now <= before / 10 { Ok(()) } else { Err(format!("{now} of {before} bytes are left")) }
    });
}

/// Writes what `batch` makes of each number, a few hundred in a commit.
fn write_all(storage: &RocksStorage, batch: impl Fn(&mut CommitBatch, usize)) {
    for begin in (0..INSTANCES).step_by(ROWS) {
        let mut commits = CommitBatch::default();
        for number in begin..begin + ROWS {
            batch(&mut commits, number);
        }
        commit(storage, commits);
    }
    storage.sync().unwrap();
}

#[test]
fn deleted_entities_give_their_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let state = digits(5_000);
    let id = |number: usize| EntityId::new("Register", &number.to_string()).unwrap().instance_id();
    write_all(&storage, |batch, number| {
        let row = new_entity_row(entity_record(&format!("\"{number}-{state}\"")));
        batch.entities.push((id(number), row));
    });
    let before = bytes_on_disk(folder.path());
    assert!(before > 20 << 20, "only {before} bytes were written");
    write_all(&storage, |batch, number| {
        let row = EntityRow { record: None, indexed: Some(Vec::new()), freed: Vec::new() };
        batch.entities.push((id(number), row));
    });
    wait_for_small_part(folder.path(), before);
}

#[test]
fn purged_orchestrations_give_their_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path());
    let id = |number: usize| InstanceId::orchestration(&format!("transfer-{number}")).unwrap();
    let mut stored = row(RuntimeStatus::Failed, 0, both_turns());
    stored.record.output = Some(Payload::from(digits(3_000)));
    write_all(&storage, |batch, number| batch.orchestrations.push((id(number), stored.clone())));
    let before = bytes_on_disk(folder.path());
    write_all(&storage, |batch, number| {
        let indexed = Box::new(Indexed::of(&stored.record));
        let execution_id = record(RuntimeStatus::Failed).execution_id;
        batch.purged.push((id(number), PurgedRow { execution_id, indexed }));
    });
    wait_for_small_part(folder.path(), before);
}
