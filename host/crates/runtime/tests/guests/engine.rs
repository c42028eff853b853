//! An engine on a storage that forgets, and whose disk a test can hold back.

use std::sync::{Arc, Condvar, Mutex};

use everstate_engine::clock::SystemClock;
use everstate_engine::storage::{
    CommitBatch, EntityFilter, EntityPage, EntityQuery, InstanceFilter, InstancePage,
    InstanceQuery, Recovered, Result, Storage, StorageError, StoredInstance,
};
use everstate_engine::{EngineConfig, Observers, TaskHub};
use everstate_runtime::Runtime;
use everstate_types::InstanceId;
use tokio::sync::watch;

/// A storage that takes everything and has nothing.
pub(crate) struct HeldStorage {
    is_held: Mutex<bool>,
    released: Condvar,
    /// How often the engine began to make something durable.
    syncs: watch::Sender<usize>,
}

impl HeldStorage {
    /// From now on nothing becomes durable.
    pub(crate) fn hold(&self) {
        *self.is_held.lock().expect("no panic") = true;
    }

    /// Returns when the engine tries to make something durable, which it does only when somebody
    /// waits for that.
    pub(crate) async fn sync_begun(&self, syncs_before: usize) {
        let mut syncs = self.syncs.subscribe();
        syncs.wait_for(|count| *count > syncs_before).await.expect("the sender lives");
    }

    /// How often that was so far.
    pub(crate) fn syncs(&self) -> usize {
        *self.syncs.borrow()
    }

    /// Lets the disk go on.
    pub(crate) fn release(&self) {
        *self.is_held.lock().expect("no panic") = false;
        self.released.notify_all();
    }
}

impl Storage for HeldStorage {
    fn recover(&self) -> Result<Recovered> {
        Ok(Recovered::default())
    }

    fn load(&self, _id: &InstanceId) -> Result<Option<StoredInstance>> {
        Ok(None)
    }

    fn query(&self, _query: &InstanceQuery) -> Result<InstancePage> {
        Ok(InstancePage::default())
    }

    fn count(&self, _filter: &InstanceFilter) -> Result<u64> {
        Ok(0)
    }

    fn query_entities(&self, _query: &EntityQuery) -> Result<EntityPage> {
        Ok(EntityPage::default())
    }

    fn count_entities(&self, _filter: &EntityFilter) -> Result<u64> {
        Ok(0)
    }

    fn orchestrators(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn backup(&self, _: &std::path::Path) -> Result<()> {
        Err(StorageError("there is nothing to copy".into()))
    }

    fn write(&self, _batch: &CommitBatch) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.syncs.send_modify(|count| *count += 1);
        let held = self.is_held.lock().expect("no panic");
        drop(self.released.wait_while(held, |is_held| *is_held).expect("no panic"));
        Ok(())
    }
}

/// Starts an engine for the runtime's guests. The disk is held back.
pub(crate) fn start(runtime: &Runtime) -> (TaskHub, Arc<HeldStorage>) {
    let storage = Arc::new(HeldStorage {
        is_held: Mutex::new(false),
        released: Condvar::new(),
        syncs: watch::Sender::new(0),
    });
    let config = EngineConfig { commit_delay_ms: 3_600_000, ..EngineConfig::default() };
    let hub = TaskHub::start(
        &config,
        Arc::<HeldStorage>::clone(&storage),
        Arc::new(runtime.clone()),
        Arc::new(SystemClock),
        &Observers::default(),
        Box::new(|error| unreachable!("it never fails: {error}")),
    );
    let hub = hub.expect("it starts");
    storage.hold();
    (hub, storage)
}
