//! What a node does with the messages that the last run has left behind.

use std::path::Path;
use std::sync::{Arc, Mutex};

use everstate_types::{
    EntityId, Failure, FunctionKind, InstanceId, Message, MessageBody, MessageId, Payload,
    RequestId,
};
use tokio::sync::watch;

use super::TaskHub;
use crate::clock::SystemClock;
use crate::guest::{
    ActivityWorkItem, Awaited, EntityEffect, EntityOptions, EntityOutcome, EntityWorkItem,
    FoundFunction, GuestExecutor, GuestFuture, OperationOutcome, OrchestrationOutcome,
    OrchestrationWorkItem,
};
use crate::storage::{
    CommitBatch, EntityFilter, EntityPage, EntityQuery, InstanceFilter, InstancePage,
    InstanceQuery, Recovered, Result, Storage, StorageError, StoredInstance,
};
use crate::{EngineConfig, Observers};

/// Recovered for the notes. So many that work which began with the first message could be done long before
/// the last one is delivered.
const NOTES: u64 = 20_000;

fn entity(name: &str) -> EntityId {
    EntityId::new(name, "1").expect("a valid id")
}

/// A folder that was left with messages.
struct Left(Mutex<Vec<(MessageId, Message)>>);

impl Storage for Left {
    fn recover(&self) -> Result<Recovered> {
        let messages = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let next_message_id = MessageId(messages.len() as u64 + 1);
        Ok(Recovered { messages, next_message_id, delayed: Vec::new() })
    }

    fn load(&self, _: &InstanceId) -> Result<Option<StoredInstance>> {
        Ok(None)
    }

    fn query(&self, _: &InstanceQuery) -> Result<InstancePage> {
        Ok(InstancePage::default())
    }

    fn count(&self, _: &InstanceFilter) -> Result<u64> {
        Ok(0)
    }

    fn query_entities(&self, _: &EntityQuery) -> Result<EntityPage> {
        Ok(EntityPage::default())
    }

    fn count_entities(&self, _: &EntityFilter) -> Result<u64> {
        Ok(0)
    }

    fn orchestrators(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn backup(&self, _: &Path) -> Result<()> {
        Err(StorageError("there is nothing to copy".into()))
    }

    fn write(&self, _: &CommitBatch) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// A `relay` that tells the `notes` of each of its operations, and `notes` that write down what they are
/// told.
struct RelayAndNotes(watch::Sender<Vec<String>>);

impl GuestExecutor for RelayAndNotes {
    fn find(&self, _kind: FunctionKind, _name: &str) -> Option<FoundFunction> {
        None
    }

    fn run_orchestration(&self, _item: OrchestrationWorkItem) -> GuestFuture<OrchestrationOutcome> {
        Box::pin(std::future::pending())
    }

    fn run_entity(&self, item: EntityWorkItem) -> GuestFuture<EntityOutcome> {
        let mut results = Vec::new();
        for operation in &item.operations {
            let mut effects = Vec::new();
            if item.entity.name() == "relay" {
                effects.push(EntityEffect::Signal {
                    entity: entity("notes"),
                    operation: "of the relay".to_owned(),
                    input: None,
                    at: None,
                });
            } else {
                self.0.send_modify(|notes| notes.push(operation.operation.clone()));
            }
            results.push(OperationOutcome { result: Ok(None), effects });
        }
        let (state, time_to_live_ms, large) = (item.state, None, None);
        Box::pin(async move { EntityOutcome { results, state, time_to_live_ms, large } })
    }

    fn entity_options(&self, _name: &str) -> Option<Arc<EntityOptions>> {
        Some(Arc::default())
    }

    fn run_activity(
        &self,
        _item: ActivityWorkItem,
    ) -> GuestFuture<std::result::Result<Payload, Failure>> {
        Box::pin(std::future::pending())
    }

    fn awaited(&self, _item: OrchestrationWorkItem) -> GuestFuture<Option<Vec<Awaited>>> {
        Box::pin(std::future::pending())
    }

    fn is_activity_running(&self, _idempotency_key: RequestId) -> bool {
        false
    }

    fn forget(&self, _instance_id: &InstanceId) {}
}

fn signal(id: u64, to: &EntityId, operation: String) -> (MessageId, Message) {
    let request_id = RequestId::from_u128(u128::from(id));
    let body = MessageBody::EntityOperation {
        request_id,
        operation,
        input: None,
        reply_to: None,
        trace: None,
    };
    (MessageId(id), Message { target: to.instance_id(), body })
}

/// The relay was told first, and has told the notes before: what it tells them now comes behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovered_messages_come_before_all_that_comes_of_them() {
    let relay = (1, entity("relay"), "go".to_owned());
    let notes = (2..2 + NOTES).map(|id| (id, entity("notes"), id.to_string()));
    let messages = std::iter::once(relay).chain(notes).map(|(id, to, what)| signal(id, &to, what));
    let storage = Arc::new(Left(Mutex::new(messages.collect())));
    let (sender, mut told) = watch::channel(Vec::new());
    let hub = TaskHub::start(
        &EngineConfig::default(),
        storage,
        Arc::new(RelayAndNotes(sender)),
        Arc::new(SystemClock),
        &Observers::default(),
        Box::new(|error| unreachable!("it never fails: {error}")),
    )
    .expect("it starts");
    let all = usize::try_from(NOTES).expect("few") + 1;
    let told = told.wait_for(|notes| notes.len() == all).await.expect("the engine lives").clone();
    let place = told.iter().position(|note| note == "of the relay");
    assert_eq!(place, Some(all - 1), "behind what it had told before");
    hub.stop();
}
