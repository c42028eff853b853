//! A copy that is made while others write has all that was written before, and a prefix of the rest.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use everstate_engine::storage::{CommitBatch, EntityFilter, Storage, StoredInstance};
use everstate_types::{EntityId, InstanceId, Payload};

use super::{
    both_turns, commit, entity_id, entity_record, entity_row, load, open, orchestration_batch,
    orchestration_id, row, write_entity,
};
use crate::large::LARGE_BYTES_MIN;
use crate::verify;

fn account(number: usize) -> InstanceId {
    EntityId::new("Account", &number.to_string()).unwrap().instance_id()
}

fn balance(storage: &dyn Storage, number: usize) -> i64 {
    match storage.load(&account(number)).unwrap() {
        Some(StoredInstance::Entity(record)) => {
            record.state.value.unwrap().as_str().parse().unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn copy_has_what_was_written_and_the_original_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let storage = open(&folder.path().join("data"));
    write_entity(&storage, Some(entity_record("1")));
    commit(&storage, orchestration_batch(2, row(super::RuntimeStatus::Completed, 0, both_turns())));
    // Not synced: what was written counts.
    storage.backup(&copy).unwrap();
    write_entity(&storage, Some(entity_record("2")));
    let copied = open(&copy);
    assert_eq!(load(&copied, &entity_id()), StoredInstance::Entity(entity_record("1")));
    assert!(matches!(load(&copied, &orchestration_id()), StoredInstance::Orchestration { .. }));
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record("2")));
    drop(copied);
    let report = verify(&copy).unwrap();
    assert_eq!(report.problems, [""; 0]);
    assert_eq!((report.counts.entities, report.counts.orchestrations), (1, 1));
}

#[test]
fn folder_that_is_there_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder.path().join("data"));
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("mine"), "kept").unwrap();
    let error = storage.backup(&copy).unwrap_err().to_string();
    assert!(error.starts_with("the data cannot be copied"), "{error}");
    assert_eq!(fs::read_to_string(copy.join("mine")).unwrap(), "kept");
    write_entity(&storage, Some(entity_record("1")));
    assert_eq!(load(&storage, &entity_id()), StoredInstance::Entity(entity_record("1")));
}

/// Money goes from account to account: each copy has all of it, and no transfer that it lacks came
/// before one that it has.
#[test]
fn copies_made_under_load_are_consistent_and_have_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder.path().join("data"));
    let write = |batch: &[(usize, String)]| {
        let row = |(number, state): &(usize, String)| {
            entity_row(&storage, &account(*number), Some(entity_record(state)))
        };
        let entities = batch.iter().map(row).collect();
        commit(&storage, CommitBatch { entities, ..CommitBatch::default() });
    };
    for number in 0..10 {
        write(&[(number, "100".to_owned())]);
    }
    write(&[(10, "0".to_owned())]);
    let is_over = AtomicBool::new(false);
    let transfers = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut balances = [100_i64; 10];
            let mut number = 0_usize;
            while !is_over.load(Ordering::Acquire) {
                number += 1;
                let (from, to) = (number % 10, (number * 7 + 3) % 10);
                if from != to {
                    balances[from] -= 1;
                    balances[to] += 1;
                    let state = |at: usize| (at, balances[at].to_string());
                    write(&[state(from), state(to), (10, number.to_string())]);
                    transfers.store(number, Ordering::Release);
                }
                if number.is_multiple_of(50) {
                    storage.sync().unwrap();
                }
            }
        });
        for round in 0..5 {
            let copy = folder.path().join(format!("copy-{round}"));
            super::wait_until(|| match transfers.load(Ordering::Acquire) > round * 200 {
                true => Ok(()),
                false => Err("nothing is transferred".to_owned()),
            });
            let before = transfers.load(Ordering::Acquire);
            storage.backup(&copy).unwrap();
            let copied = open(&copy);
            let sum: i64 = (0..10).map(|number| balance(&copied, number)).sum();
            assert_eq!(sum, 1_000, "copy {round}");
            let counted = usize::try_from(balance(&copied, 10)).unwrap();
            assert!(counted >= before, "copy {round} has {counted} transfers of {before}");
            drop(copied);
            assert_eq!(verify(&copy).unwrap().problems, [""; 0]);
        }
        is_over.store(true, Ordering::Release);
    });
}

/// Large values are replaced and freed while copies are made: each copy has those that it refers to.
#[test]
fn copies_made_while_large_values_are_replaced_have_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder.path().join("data"));
    let store = |number: u64| {
        let text = format!("\"{}\"", number.to_string().repeat(LARGE_BYTES_MIN));
        let mut record = entity_record(&text);
        record.large = storage.store_large(&Payload::from(text)).unwrap();
        write_entity(&storage, Some(record));
        storage.sync().unwrap();
    };
    store(1);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1;
            while !is_over.load(Ordering::Acquire) {
                number = 1 + number % 9;
                store(number);
            }
        });
        for round in 0..10 {
            let copy = folder.path().join(format!("copy-{round}"));
            storage.backup(&copy).unwrap();
            let names = fs::read_dir(copy.join("large")).unwrap().map(|e| e.unwrap().file_name());
            assert_eq!(names.collect::<HashSet<_>>().len(), 1);
            let report = verify(&copy).unwrap();
            assert_eq!((report.problems, report.counts.large_values), (Vec::new(), 1));
            let copied = open(&copy);
            assert_eq!(copied.count_entities(&EntityFilter::default()).unwrap(), 1);
            assert!(matches!(load(&copied, &entity_id()), StoredInstance::Entity(_)));
        }
        is_over.store(true, Ordering::Release);
    });
}

#[test]
fn copy_of_a_copy_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder.path().join("data"));
    commit(&storage, orchestration_batch(1, row(super::RuntimeStatus::Completed, 0, both_turns())));
    storage.backup(&folder.path().join("first")).unwrap();
    let first = open(&folder.path().join("first"));
    first.backup(&folder.path().join("second")).unwrap();
    let second = open(&folder.path().join("second"));
    assert_eq!(load(&second, &orchestration_id()), load(&storage, &orchestration_id()));
}
