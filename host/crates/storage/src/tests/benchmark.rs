//! How fast commits are: `cargo test -p everstate-storage --release benchmark -- --ignored --nocapture`.
//! Prints figures, asserts nothing.

use std::time::{Duration, Instant};

use everstate_engine::storage::{CommitBatch, OrchestrationRow, Storage};
use everstate_types::{EntityId, InstanceId, RuntimeStatus};

use super::{both_turns, entity_record, open, record};

/// Rows of each kind in one commit.
const ROWS: u64 = 64;

fn batch(number: u64) -> CommitBatch {
    let orchestrations = (0..ROWS).map(|row| {
        let id = InstanceId::orchestration(&format!("{:032x}", number * ROWS + row)).unwrap();
        let row = OrchestrationRow {
            record: record(RuntimeStatus::Completed),
            history_stored: 0,
            events: both_turns(),
            replaces_history: false,
        };
        (id, row)
    });
    let entities = (0..ROWS).map(|row| {
        let key = (number * ROWS + row).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 100_000;
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
        println!(
            "sync {sync}: {:.0} rows/s, {:.0} commits/s, {:.1} us per write, {:.1} us per sync",
            (commits * 2 * ROWS) as f64 / seconds,
            commits as f64 / seconds,
            writing.as_secs_f64() * 1e6 / commits as f64,
            syncing.as_secs_f64() * 1e6 / commits as f64,
        );
    }
}
