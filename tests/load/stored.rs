//! Data of `load scale` that is written straight into the storage, because making it through the host
//! would take hours. It is as the engine would have written it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_engine::storage::{CommitBatch, CommitSeq, EntityRow, Storage as _};
use everstate_storage::{RocksStorage, StorageConfig};
use everstate_types::{
    DelayedKey, EntityId, EntityRecord, EntityState, ExecutionId, Expiry, InstanceId, Message,
    MessageBody, Payload, RequestId, Timestamp,
};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::bench::progress;

/// Rows of one commit while the data is written.
const COMMIT_ROWS: usize = 10_000;

/// A year, in milliseconds: when what is delayed is due.
const YEAR_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// What each idle entity has beside its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing, but there is a timer of an orchestration for each entity.
    Timer,
    /// A time to live of a year.
    TimeToLive,
}

/// Idle entities.
pub(crate) fn write_idle(data: &Path, count: usize, beside: Beside) -> Result<()> {
    let storage = open(data)?;
    for first in (0..count).step_by(COMMIT_ROWS) {
        let mut batch = batch(first);
        for number in first..count.min(first + COMMIT_ROWS) {
            let id = EntityId::new("register", &format!("idle-{number}"))?.instance_id();
            let mut record = record("\"idle\"".to_owned());
            match beside {
                Beside::Timer => batch.delayed.push(timer(number)?),
                Beside::TimeToLive => {
                    let due = in_a_year(number);
                    record.expiry = Some(Expiry { due, time_to_live_ms: YEAR_MS });
                    batch.delayed.push(expiry(&id, due));
                }
            }
            batch.entities.push((id, row(record)));
        }
        storage.write(&batch)?;
    }
    storage.sync().context("the data is not durable")?;
    progress(&format!("{count} idle entities are written, each with {beside:?}"));
    Ok(())
}

/// Entities with states of 100 KiB that do not compress.
pub(crate) fn write_states(data: &Path, mib: usize) -> Result<()> {
    const STATE_BYTES: usize = 100 << 10;
    let storage = open(data)?;
    let mut random = SmallRng::seed_from_u64(1);
    for number in 0..(mib << 20) / STATE_BYTES {
        let letters = (0..STATE_BYTES).map(|_| char::from(random.random_range(b'a'..=b'z')));
        let state = format!("\"{}\"", letters.collect::<String>());
        let id = EntityId::new("register", &format!("large-{number}"))?.instance_id();
        let mut batch = batch(number);
        batch.entities.push((id, row(record(state))));
        storage.write(&batch)?;
    }
    storage.sync().context("the data is not durable")?;
    progress(&format!("{mib} MiB of states are written"));
    Ok(())
}

fn open(data: &Path) -> Result<RocksStorage> {
    Ok(RocksStorage::open(data.join("state"), &StorageConfig::default())?)
}

fn batch(number: usize) -> CommitBatch {
    CommitBatch { seq: CommitSeq(number as u64 + 1), ..CommitBatch::default() }
}

fn record(state: String) -> EntityRecord {
    let value = Some(Payload::from(state));
    EntityRecord {
        state: EntityState { value, ..EntityState::default() },
        last_operation_at: SystemClock.now(),
        ..EntityRecord::default()
    }
}

/// Of an entity that is new.
fn row(record: EntityRecord) -> EntityRow {
    EntityRow { record: Some(record), indexed: None, freed: Vec::new() }
}

fn timer(number: usize) -> Result<(DelayedKey, Message)> {
    let guid = RequestId::from_u128(number as u128 + 1);
    let fire_at = in_a_year(number);
    let body = MessageBody::TimerFired {
        execution_id: ExecutionId::new(guid),
        timer_id: 0,
        request_id: guid,
        fire_at,
    };
    let target = InstanceId::orchestration(&format!("{:032x}", number / 100))?;
    Ok((DelayedKey { due: fire_at, guid }, Message { target, body }))
}

fn expiry(id: &InstanceId, due: Timestamp) -> (DelayedKey, Message) {
    let guid = RequestId::new_v5(&RequestId::NAMESPACE_OID, id.as_str().as_bytes());
    (DelayedKey { due, guid }, Message { target: id.clone(), body: MessageBody::EntityExpiry })
}

fn in_a_year(number: usize) -> Timestamp {
    SystemClock.now().saturating_add(Duration::from_millis(YEAR_MS + number as u64))
}
