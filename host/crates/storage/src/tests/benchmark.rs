//! How fast commits, recoveries and queries are, and how much commits write. With `cargo nextest`:
//! `--run-ignored only --no-capture -E 'package(everstate-storage) and test(benchmark)'`. Prints
//! figures, asserts nothing.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use everstate_engine::storage::{
    CommitBatch, EntityFilter, EntityQuery, EntityRow, InstanceFilter, InstanceQuery,
    OrchestrationRow, Storage,
};
use everstate_types::{EntityId, EventKind, FunctionName, InstanceId, Payload, RuntimeStatus};

use super::{
    after, both_turns, commit, delayed_key, entity_record, new_entity_row, open, row, time,
    timer_message,
};
use crate::RocksStorage;

/// How many entities there are.
const KEYS: u64 = 100_000;

/// Rows of each kind in one commit.
const ROWS: u64 = 64;

fn batch(number: u64) -> CommitBatch {
    let orchestrations = (0..ROWS).map(|row| {
        let number = number * ROWS + row;
        let id = format!("{:016x}{:016x}", spread(number), spread(!number));
        let mut row = row_of_a_put();
        row.record.created_at = time(number / 20);
        (InstanceId::orchestration(&id).unwrap(), row)
    });
    let entities = (0..ROWS).map(|row| {
        let number = number * ROWS + row;
        let key = (number % KEYS).to_string();
        let id = EntityId::new("Register", &key).unwrap().instance_id();
        let row = new_entity_row(entity_record(&format!("\"{}\"", "v".repeat(100))));
        // Each key has its turn before the first has another.
        (id, EntityRow { indexed: (number >= KEYS).then(Vec::new), ..row })
    });
    CommitBatch {
        orchestrations: orchestrations.collect(),
        entities: entities.collect(),
        ..CommitBatch::default()
    }
}

#[test]
#[ignore = "prints figures, takes half a minute"]
fn benchmark_of_commits() {
    for sync in [false, true] {
        let folder = tempfile::Builder::new().tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let storage = open(folder.path());
        let bytes = bytes_written();
        let (mut commits, mut writing, mut syncing) = (0, Duration::ZERO, Duration::ZERO);
        while writing + syncing < Duration::from_secs(10) {
            let batch = batch(commits);
            let begin = Instant::now();
            storage.write(&batch).unwrap();
            let written = Instant::now();
            if sync {
                storage.sync().unwrap();
            }
            writing += written - begin;
            syncing += written.elapsed();
            commits += 1;
        }
        let seconds = (writing + syncing).as_secs_f64();
        drop(storage);
        println!(
            "sync {sync}: {:.0} bytes on disk per orchestration and entity",
            (bytes_written() - bytes) as f64 / (commits * ROWS) as f64,
        );
        println!(
            "sync {sync}: {:.0} rows/s, {:.0} commits/s, {:.1} us per write, {:.1} us per sync",
            (commits * 2 * ROWS) as f64 / seconds,
            commits as f64 / seconds,
            writing.as_secs_f64() * 1e6 / commits as f64,
            syncing.as_secs_f64() * 1e6 / commits as f64,
        );
    }
}

/// What commits wait when large values are stored beside them: the longest of all, and one in a hundred.
#[test]
#[ignore = "prints figures, takes a quarter of a minute"]
fn benchmark_of_commits_beside_large_values() {
    for has_large in [false, true] {
        let folder = tempfile::Builder::new().tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let storage = open(folder.path());
        let value = Payload::from("v".repeat(64 << 20));
        let is_over = AtomicBool::new(false);
        let mut took = Vec::new();
        let stored = std::thread::scope(|scope| {
            let large = scope.spawn(|| {
                let mut stored = 0;
                while has_large && !is_over.load(Ordering::Acquire) {
                    storage.store_large(&value).unwrap();
                    // Nothing refers to it; here it only takes space.
                    fs::remove_dir_all(folder.path().join("large")).unwrap();
                    fs::create_dir(folder.path().join("large")).unwrap();
                    stored += 1;
                }
                stored
            });
            let begin = Instant::now();
            let mut number = 0;
            while begin.elapsed() < Duration::from_secs(5) {
                let begin = Instant::now();
                commit(&storage, batch(number));
                storage.sync().unwrap();
                took.push(begin.elapsed());
                number += 1;
            }
            is_over.store(true, Ordering::Release);
            large.join().unwrap()
        });
        took.sort();
        println!(
            "{stored} values of 64 MiB stored: {} commits, half in {:?}, 99 of 100 in {:?}, all in {:?}",
            took.len(),
            took[took.len() / 2],
            took[took.len() * 99 / 100],
            took[took.len() - 1],
        );
    }
}

/// About what a PUT of the database writes.
fn row_of_a_put() -> OrchestrationRow {
    let mut row = row(RuntimeStatus::Completed, 0, both_turns());
    row.record.name = FunctionName::new("Database_PUT_Orchestrator").unwrap();
    row.record.tags.clear();
    for event in &mut row.events {
        if let EventKind::ExecutionStarted { name, tags, .. } = &mut event.kind {
            name.clone_from(&row.record.name);
            tags.clear();
        }
    }
    row
}

/// Bytes that this process has caused to be written to disk.
fn bytes_written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

/// A waiting orchestration's timer each.
#[test]
#[ignore = "prints figures, takes half a minute"]
fn benchmark_of_a_million_timers() {
    const TIMERS: u64 = 1_000_000;
    let folder = tempfile::Builder::new().tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    {
        let storage = open(folder.path());
        for begin in (0..TIMERS).step_by(1_000) {
            let delayed = (begin..begin + 1_000).map(|number| {
                let due = spread(number) % 10_000_000;
                (delayed_key(due, u128::from(number)), timer_message(1))
            });
            commit(&storage, CommitBatch { delayed: delayed.collect(), ..CommitBatch::default() });
        }
        storage.sync().unwrap();
    }
    let begin = Instant::now();
    let storage = open(folder.path());
    let opened = begin.elapsed();
    let recovered = storage.recover().unwrap().delayed.len();
    println!(
        "{recovered} timers: opened in {opened:?}, recovered in {:?}",
        begin.elapsed() - opened
    );
}

/// Entities that nobody uses: what they cost at a start, and to be found.
#[test]
#[ignore = "prints figures, takes half a minute"]
fn benchmark_of_a_million_idle_entities() {
    const ENTITIES: u64 = 1_000_000;
    let folder = tempfile::Builder::new().tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    {
        let storage = open(folder.path());
        for begin in (0..ENTITIES).step_by(1_000) {
            let entities = (begin..begin + 1_000).map(|number| {
                let id = EntityId::new("Counter", &spread(number).to_string()).unwrap();
                (id.instance_id(), new_entity_row(entity_record(&number.to_string())))
            });
            let entities = entities.collect();
            commit(&storage, CommitBatch { entities, ..CommitBatch::default() });
        }
        storage.sync().unwrap();
    }
    let begin = Instant::now();
    let storage = open(folder.path());
    let opened = begin.elapsed();
    let recovered = storage.recover().unwrap().messages.len();
    println!(
        "opened in {opened:?}, {recovered} messages recovered in {:?}",
        begin.elapsed() - opened
    );
    let name = FunctionName::new("Counter").ok();
    let filter = EntityFilter { name, ..EntityFilter::default() };
    let begin = Instant::now();
    let count = storage.count_entities(&filter).unwrap();
    println!("counted {count} in {:?}", begin.elapsed());
    let begin = Instant::now();
    let query = EntityQuery { filter, page_size: 100, continuation: None, fetches_state: true };
    let found = storage.query_entities(&query).unwrap().entities.len();
    println!("{found} in {:?}", begin.elapsed());
}

/// Orchestrations that ran for a while each, of a few orchestrators, with a tag.
const ORCHESTRATIONS: u64 = 1_000_000;

#[test]
#[ignore = "prints figures, takes a minute"]
fn benchmark_of_queries_over_a_million() {
    let folder = tempfile::Builder::new().tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let storage = open(folder.path());
    let begin = Instant::now();
    for first in (0..ORCHESTRATIONS).step_by(1_000) {
        let numbers = first..first + 1_000;
        let started = numbers.clone().map(|number| tagged(number, RuntimeStatus::Running));
        let started: Vec<_> = started.collect();
        let ended = numbers.zip(&started).map(|(number, (_, started))| {
            let (id, ended) = tagged(number, RuntimeStatus::Completed);
            (id, after(&started.record, ended))
        });
        let ended = ended.collect();
        for orchestrations in [started, ended] {
            commit(&storage, CommitBatch { orchestrations, ..CommitBatch::default() });
        }
    }
    println!("written in {:?}", begin.elapsed());
    let all = InstanceFilter::default;
    let prefix = |text: &str| InstanceFilter { id_prefix: Some(text.to_owned()), ..all() };
    let running = vec![RuntimeStatus::Running];
    let name = FunctionName::new("orchestrator3").ok();
    let tags = vec![("customer".to_owned(), "77".to_owned())];
    let created_from = Some(time(ORCHESTRATIONS / 2));
    for (what, filter) in [
        ("all", all()),
        ("running", InstanceFilter { statuses: running.clone(), ..all() }),
        ("name", InstanceFilter { name, ..all() }),
        ("from", InstanceFilter { created_from, ..all() }),
        ("prefix", prefix("0000000000000000ab")),
        ("tag", InstanceFilter { tags, ..all() }),
        ("none of all", InstanceFilter { statuses: running, ..prefix("") }),
    ] {
        print_query(&storage, what, filter);
    }
}

fn tagged(number: u64, status: RuntimeStatus) -> (InstanceId, OrchestrationRow) {
    let mut row = row(status, 0, Vec::new());
    row.record.name = FunctionName::new(&format!("Orchestrator{}", number % 5)).unwrap();
    row.record.created_at = time(number);
    row.record.tags = vec![("customer".to_owned(), (number % 1_000).to_string())];
    (InstanceId::orchestration(&format!("{:032x}", spread(number))).unwrap(), row)
}

fn print_query(storage: &RocksStorage, what: &str, filter: InstanceFilter) {
    let begin = Instant::now();
    let query = InstanceQuery { filter, page_size: 100, continuation: None };
    let first = storage.query(&query).unwrap();
    let (found, took) = (first.instances.len(), begin.elapsed());
    let begin = Instant::now();
    let continuation = first.continuation;
    let second = storage.query(&InstanceQuery { continuation, ..query.clone() }).unwrap();
    let (found_next, took_next) = (second.instances.len(), begin.elapsed());
    let begin = Instant::now();
    let count = storage.count(&query.filter).unwrap();
    println!(
        "{what}: {found} in {took:?}, then {found_next} in {took_next:?}; counted {count} in {:?}",
        begin.elapsed()
    );
}

/// The same numbers in another order.
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
