//! Instances leave for another host and come from one.

use std::sync::Arc;

use everstate_types::limits::TAGS_MAX;
use everstate_types::{
    EntityId, EntityRecord, EventKind, FunctionKind, FunctionName, HistoryEvent, InstanceId,
    OrchestrationRecord, check_history,
};

use super::{Client, Observed, refusal};
use crate::error::ClientError;
use crate::partition::{Reply, Request, Transfer};

/// All that another host needs to go on with an orchestration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedOrchestration {
    /// What is stored of it.
    pub record: OrchestrationRecord,
    /// The history of its current execution, oldest event first.
    pub history: Vec<HistoryEvent>,
    /// What has come in and no turn has taken up, as the events that it will become.
    pub waiting: Vec<EventKind>,
}

impl Client {
    /// An orchestration as another host could take it; `None` if there is none of that id.
    ///
    /// # Errors
    /// If the id names an entity, or the host is stopping.
    pub async fn export_orchestration(
        &self,
        instance_id: &InstanceId,
    ) -> Result<Observed<Option<Box<ExportedOrchestration>>>, ClientError> {
        let instance_id = instance_id.clone();
        let transfer = |reply_to| Transfer::Export { instance_id, reply_to };
        let answer = self.ask(|reply_to| Request::Transfer(Box::new(transfer(reply_to)))).await?;
        match answer.value {
            Reply::Exported(exported) => Ok(Observed { value: exported, seq: answer.seq }),
            other => Err(refusal(other)),
        }
    }

    /// Takes on an orchestration as it was exported. One that has not ended goes on: with the code that it
    /// is pinned to, if the host has that, else with the newest. One of that id that has ended here is
    /// replaced, one that is alive only if `is_replacing`.
    ///
    /// # Errors
    /// [`ClientError::InvalidArgument`] if it does not fit itself, [`ClientError::AlreadyExists`],
    /// [`ClientError::Conflict`] if it waits for something that cannot be asked for again, or the node has
    /// too much to do.
    pub async fn import_orchestration(
        &self,
        instance_id: &InstanceId,
        mut exported: Box<ExportedOrchestration>,
        is_replacing: bool,
    ) -> Result<Observed<()>, ClientError> {
        self.admit(instance_id)?;
        check(&exported).map_err(ClientError::InvalidArgument)?;
        if !exported.record.status.is_finished() {
            self.find_code(&mut exported.record)?;
        }
        let instance_id = instance_id.clone();
        let transfer =
            |reply_to| Transfer::Orchestration { instance_id, exported, is_replacing, reply_to };
        let answer = self.ask(|reply_to| Request::Transfer(Box::new(transfer(reply_to)))).await?;
        accepted(answer)
    }

    /// Takes on the state of an entity as it was exported. A state that it has here is replaced if
    /// `is_replacing`.
    ///
    /// # Errors
    /// [`ClientError::Conflict`] if it has a state, is locked or is at work; or the node has too much to
    /// do.
    pub async fn import_entity(
        &self,
        entity: &EntityId,
        mut record: Box<EntityRecord>,
        is_replacing: bool,
    ) -> Result<Observed<()>, ClientError> {
        let instance_id = entity.instance_id();
        self.admit(&instance_id)?;
        let Some(value) = record.state.value.clone() else {
            let problem = format!("'{instance_id}' has no state");
            return Err(ClientError::InvalidArgument(problem));
        };
        let storage = Arc::clone(&self.node.storage);
        let stored = tokio::task::spawn_blocking(move || storage.store_large(&value)).await;
        record.large = match stored.map_err(|_| ClientError::Stopping)? {
            Ok(large) => large,
            Err(error) => {
                self.node.fatal(&error);
                return Err(ClientError::Stopping);
            }
        };
        let transfer = |reply_to| Transfer::Entity { instance_id, record, is_replacing, reply_to };
        let answer = self.ask(|reply_to| Request::Transfer(Box::new(transfer(reply_to)))).await?;
        accepted(answer)
    }

    /// Pins a record to the newest code, if the host does not have the code that it is pinned to.
    fn find_code(&self, record: &mut OrchestrationRecord) -> Result<(), ClientError> {
        let executor = &self.node.executor;
        if record.component.is_some_and(|component| executor.has_component(component)) {
            return Ok(());
        }
        let (kind, name) = (FunctionKind::Orchestrator, record.name.as_str());
        let Some(found) = executor.find(kind, name) else {
            return Err(ClientError::FunctionNotFound { kind, name: name.to_owned() });
        };
        record.component = Some(found.component);
        Ok(())
    }
}

fn accepted(answer: Observed<Reply>) -> Result<Observed<()>, ClientError> {
    match answer.value {
        Reply::Accepted => Ok(Observed { value: (), seq: answer.seq }),
        other => Err(refusal(other)),
    }
}

/// Why this could not have been exported by any host.
fn check(exported: &ExportedOrchestration) -> Result<(), String> {
    let ExportedOrchestration { record, history, waiting } = exported;
    if FunctionName::new(record.name.as_str()).is_err() {
        return Err(format!("`{}` is no name of an orchestrator", record.name));
    }
    if record.tags.len() > TAGS_MAX {
        return Err(format!("it has {} tags, more than {TAGS_MAX}", record.tags.len()));
    }
    check_history(record, history)
        .map_err(|problem| format!("its history does not fit: {problem}"))?;
    let kinds = history.iter().map(|event| &event.kind).chain(waiting);
    for kind in kinds {
        let is_good = match kind {
            EventKind::SubOrchestrationCreated { instance_id, .. }
            | EventKind::OrchestrationStartSent { instance_id, .. }
            | EventKind::EventSent { instance_id, .. } => {
                InstanceId::orchestration(instance_id.as_str()).is_ok()
            }
            EventKind::EntityOperationCalled { entity, .. }
            | EventKind::EntityOperationSignaled { entity, .. }
            | EventKind::EntityUnlockSent { entity, .. } => is_entity(entity),
            EventKind::EntityLockRequested { lock_set, .. } => lock_set.iter().all(is_entity),
            _ => true,
        };
        if !is_good {
            return Err("an id in its history is none".to_owned());
        }
    }
    check_waiting(exported)
}

fn is_entity(entity: &EntityId) -> bool {
    EntityId::new(entity.name(), entity.key()).is_ok_and(|good| good == *entity)
}

/// What waits has to be what could come next.
fn check_waiting(exported: &ExportedOrchestration) -> Result<(), String> {
    let ExportedOrchestration { record, history, waiting } = exported;
    if record.status.is_finished() && !waiting.is_empty() {
        return Err("it has ended, and something waits for it".to_owned());
    }
    let now = record.updated_at;
    let mut longer = history.clone();
    longer.extend(waiting.iter().map(|kind| HistoryEvent::new(now, kind.clone())));
    let last = history.last().map_or(now, |event| event.timestamp);
    if last > now {
        return Err("its history is younger than its record".to_owned());
    }
    let is_taken_in = |kind: &EventKind| {
        !matches!(
            kind,
            EventKind::OrchestratorStarted
                | EventKind::OrchestratorCompleted
                | EventKind::ExecutionCompleted { .. }
                | EventKind::ExecutionTerminated { .. }
                | EventKind::ContinuedAsNew { .. }
        )
    };
    if !waiting.iter().all(is_taken_in) {
        return Err("what waits for it is nothing that comes in".to_owned());
    }
    check_history(record, &longer)
        .map_err(|problem| format!("what waits for it does not fit: {problem}"))
}
