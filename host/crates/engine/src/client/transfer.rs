//! Instances leave for another host and come from one.

use std::sync::Arc;

use everstate_types::{
    ComponentHash, EntityId, EntityRecord, FunctionKind, InstanceId, OrchestrationRecord, Payload,
};

use super::exported::{ExportedOrchestration, check_exported_entity};
use super::{Client, Observed, refusal};
use crate::error::ClientError;
use crate::partition::{Reply, Request, Transfer, delayed_of};

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
        exported.check().map_err(|problem| ClientError::InvalidArgument(problem.reason))?;
        exported.record.component = self.code_of(&exported.record)?;
        self.refuse_running_elsewhere(instance_id, &exported)?;
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
        let problem = |reason| ClientError::InvalidArgument(format!("'{instance_id}': {reason}"));
        check_exported_entity(&record).map_err(problem)?;
        let value = record.state.value.clone().unwrap_or_else(Payload::null);
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

    /// The code with which an orchestration goes on that comes from elsewhere: the one that it is pinned to,
    /// or the newest if the host does not have that. One that has ended needs none.
    ///
    /// # Errors
    /// If there is none.
    pub fn code_of(
        &self,
        record: &OrchestrationRecord,
    ) -> Result<Option<ComponentHash>, ClientError> {
        let executor = &self.node.executor;
        let has_code = |component| executor.has_component(component);
        if record.status.is_finished() || record.component.is_some_and(has_code) {
            return Ok(record.component);
        }
        let (kind, name) = (FunctionKind::Orchestrator, record.name.as_str());
        let Some(found) = executor.find(kind, name) else {
            return Err(ClientError::FunctionNotFound { kind, name: name.to_owned() });
        };
        Ok(Some(found.component))
    }

    /// Refuses an execution that goes on here under another id: the timers of both would have the same
    /// rows.
    fn refuse_running_elsewhere(
        &self,
        instance_id: &InstanceId,
        exported: &ExportedOrchestration,
    ) -> Result<(), ClientError> {
        let timers = &self.node.timers;
        let holders = delayed_of(exported).into_iter().filter_map(|key| timers.target(&key));
        match holders.into_iter().find(|holder| holder != instance_id) {
            None => Ok(()),
            Some(holder) => Err(ClientError::Conflict(format!(
                "'{instance_id}' is not imported: its execution goes on here already, as '{holder}'."
            ))),
        }
    }
}

fn accepted(answer: Observed<Reply>) -> Result<Observed<()>, ClientError> {
    match answer.value {
        Reply::Accepted => Ok(Observed { value: (), seq: answer.seq }),
        other => Err(refusal(other)),
    }
}
