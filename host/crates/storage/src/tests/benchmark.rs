//! How fast commits, recoveries and queries are, and how much commits write. With `cargo nextest`:
//! `--run-ignored only --no-capture -E 'package(everstate-storage) and test(benchmark)'`. Prints
//! figures, asserts nothing.

use std::time::{Duration, Instant};

use everstate_engine::storage::{
    CommitBatch, InstanceFilter, InstanceQuery, OrchestrationRow, Storage,
};
use everstate_types::{EntityId, EventKind, FunctionName, InstanceId, RuntimeStatus};

use super::{
    after, both_turns, commit, delayed_key, entity_record, open, row, time, timer_message,
};
use crate::RocksStorage;

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
        let key = spread(number * ROWS + row) % 100_000;
        let id = EntityId::new("Register", &key.to_string()).unwrap().instance_id();
        (id, Some(entity_record(&format!("\"{}\"", "v".repeat(100)))))
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
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
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
