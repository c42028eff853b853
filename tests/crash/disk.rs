//! What is on the disk when the host has ended in an orderly way.

use anyhow::Result;
use everstate_engine::storage::{
    EntityFilter, EntityQuery, InstanceFilter, InstanceQuery, Storage as _,
};
use everstate_storage::{RocksStorage, StorageConfig};
use everstate_tests::host::{EXIT_DEADLINE, HostProcess};
use everstate_types::{EntityId, EntityRecord, InstanceId, MessageBody, OrchestrationRecord};

/// Rows of a page.
const PAGE_SIZE: usize = 1_000;

/// Ends the host and opens its data. No message may wait for anybody and no timer may be armed; only
/// the receipts of signals with idempotency keys last longer than a test.
pub(crate) async fn nothing_is_left(host: &mut HostProcess) -> Result<RocksStorage> {
    host.process().terminate()?;
    host.process().wait_exit(EXIT_DEADLINE).await?;
    let storage = RocksStorage::open(host.database(), &StorageConfig::default())?;
    let recovered = storage.recover()?;
    let messages = recovered.messages;
    assert!(messages.is_empty(), "messages that nobody consumed: {messages:#?}");
    let mut delayed = recovered.delayed;
    delayed.retain(|(_, message)| {
        !(message.target.is_receipt() && matches!(message.body, MessageBody::EntityExpiry))
    });
    assert!(delayed.is_empty(), "timers that nobody waits for: {delayed:#?}");
    Ok(storage)
}

/// Every orchestration.
pub(crate) fn orchestrations(
    storage: &RocksStorage,
) -> Result<Vec<(InstanceId, OrchestrationRecord)>> {
    let mut found = Vec::new();
    let mut continuation = None;
    loop {
        let filter = InstanceFilter::default();
        let query = InstanceQuery { filter, page_size: PAGE_SIZE, continuation };
        let mut page = storage.query(&query)?;
        found.append(&mut page.instances);
        continuation = page.continuation;
        if continuation.is_none() {
            return Ok(found);
        }
    }
}

/// Every entity, with its state; those that are only locked included.
pub(crate) fn entities(storage: &RocksStorage) -> Result<Vec<(EntityId, EntityRecord)>> {
    let mut found = Vec::new();
    let mut continuation = None;
    loop {
        let filter = EntityFilter { includes_stateless: true, ..EntityFilter::default() };
        let query = EntityQuery { filter, page_size: PAGE_SIZE, continuation, fetches_state: true };
        let mut page = storage.query_entities(&query)?;
        found.append(&mut page.entities);
        continuation = page.continuation;
        if continuation.is_none() {
            return Ok(found);
        }
    }
}
