//! What clients do with orchestrations that exist.

use everstate_types::limits::EVENT_NAME_CHARS_MAX;
use everstate_types::{ComponentHash, EventKind, InstanceId, Payload, Timestamp};
use uuid::Uuid;

use super::check::check_name;
use super::{Client, ConflictPolicy, Observed, StartRequest, refusal};
use crate::error::ClientError;
use crate::partition::{LifecycleChange, Reply, Request};

impl Client {
    /// Raises an event at an orchestration. Names are matched without regard to case.
    ///
    /// # Errors
    /// [`ClientError::InvalidArgument`] for a name that is too long or has control characters,
    /// [`ClientError::NotFound`], [`ClientError::WrongState`] if it has ended, or the node has too
    /// much to do.
    pub async fn raise_event(
        &self,
        instance_id: &InstanceId,
        name: String,
        input: Payload,
    ) -> Result<Observed<()>, ClientError> {
        check_name("an event", &name, EVENT_NAME_CHARS_MAX)?;
        self.admit(instance_id)?;
        let instance_id = instance_id.clone();
        self.accepted(|reply_to| Request::RaiseEvent { instance_id, name, input, reply_to }).await
    }

    /// Ends an orchestration, and the children that it waits for if `recurse`; `reason` becomes its
    /// output. Activities that run come to their end, those that have not begun are dropped.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or [`ClientError::WrongState`] if it has ended.
    pub async fn terminate(
        &self,
        instance_id: &InstanceId,
        reason: Option<Payload>,
        recurse: bool,
    ) -> Result<Observed<()>, ClientError> {
        self.change(instance_id, LifecycleChange::Terminate { reason, recurse }).await
    }

    /// Pauses an orchestration. What happens meanwhile is kept in its order.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or [`ClientError::WrongState`] if it has ended or is paused.
    pub async fn suspend(
        &self,
        instance_id: &InstanceId,
        reason: Option<String>,
    ) -> Result<Observed<()>, ClientError> {
        self.change(instance_id, LifecycleChange::Suspend { reason }).await
    }

    /// Lets a suspended orchestration go on; one whose code did not fit its history with the newest
    /// code.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or [`ClientError::WrongState`] if it is not suspended.
    pub async fn resume(
        &self,
        instance_id: &InstanceId,
        reason: Option<String>,
    ) -> Result<Observed<()>, ClientError> {
        self.change(instance_id, LifecycleChange::Resume { reason }).await
    }

    /// Lets a failed orchestration do again what failed, with the newest code; what succeeded is not
    /// done again. Failed children are rewound too.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or [`ClientError::WrongState`] if it has not failed.
    pub async fn rewind(
        &self,
        instance_id: &InstanceId,
        reason: Option<String>,
    ) -> Result<Observed<()>, ClientError> {
        self.change(instance_id, LifecycleChange::Rewind { reason }).await
    }

    /// Removes a finished orchestration and its history, and the finished children that it waited
    /// for, and theirs, if `recurse`. How many it removed; 0: there was none.
    ///
    /// The children are removed by messages, which are durable with the answer and may still be on their
    /// way. They are counted before: a child that ends in between is removed and not counted.
    ///
    /// # Errors
    /// [`ClientError::WrongState`] if it has not ended.
    pub async fn purge(
        &self,
        instance_id: &InstanceId,
        recurse: bool,
    ) -> Result<Observed<u64>, ClientError> {
        let children = if recurse { self.count_finished_children(instance_id).await? } else { 0 };
        match self.change(instance_id, LifecycleChange::Purge { recurse }).await {
            Ok(done) => Ok(Observed { value: 1 + children, seq: done.seq }),
            Err(ClientError::NotFound(_)) => {
                Ok(Observed { value: 0, seq: self.node.commits.durable_seq() })
            }
            Err(error) => Err(error),
        }
    }

    /// How many orchestrations below this one would be removed with it: finished ones all the way down.
    async fn count_finished_children(&self, instance_id: &InstanceId) -> Result<u64, ClientError> {
        let (mut count, mut parents) = (0, vec![instance_id.clone()]);
        while let Some(parent_id) = parents.pop() {
            let Some(parent) = self.get_status(&parent_id).await?.value else { continue };
            for event in parent.history.iter() {
                let EventKind::SubOrchestrationCreated { instance_id, .. } = &event.kind else {
                    continue;
                };
                let found = self.get_status(instance_id).await?.value;
                let is_child = found.is_some_and(|child| {
                    let of = child.record.parent.as_ref();
                    child.record.status.is_finished()
                        && of.is_some_and(|of| {
                            of.instance_id == parent_id
                                && of.execution_id == parent.record.execution_id
                                && of.scheduled_id == event.event_id
                        })
                });
                if is_child {
                    count += 1;
                    parents.push(instance_id.clone());
                }
            }
        }
        Ok(count)
    }

    /// Pins an orchestration that has not ended to other code. The caller has seen that the code is kept,
    /// has the orchestrator and follows the history; if it does not after all, the orchestration stops as
    /// if it had been rewound with such code. One that has stopped so already tries the newest code.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or [`ClientError::WrongState`] if it has ended.
    pub async fn migrate(
        &self,
        instance_id: &InstanceId,
        component: ComponentHash,
    ) -> Result<Observed<()>, ClientError> {
        self.change(instance_id, LifecycleChange::Migrate { component }).await
    }

    /// Removes an orchestration that has ended and did not change after `before`. False: there is none,
    /// or it is another one by now.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn purge_ended(
        &self,
        instance_id: &InstanceId,
        before: Timestamp,
    ) -> Result<Observed<bool>, ClientError> {
        match self.change(instance_id, LifecycleChange::PurgeEnded { before }).await {
            Ok(done) => Ok(Observed { value: true, seq: done.seq }),
            Err(ClientError::NotFound(_) | ClientError::WrongState { .. }) => {
                Ok(Observed { value: false, seq: self.node.commits.durable_seq() })
            }
            Err(error) => Err(error),
        }
    }

    /// Starts an orchestration again with its name, input and tags: under a new id, or under its own
    /// if it has ended. Gives the id.
    ///
    /// # Errors
    /// [`ClientError::NotFound`]; as for a start.
    pub async fn restart(
        &self,
        instance_id: &InstanceId,
        with_new_id: bool,
    ) -> Result<Observed<InstanceId>, ClientError> {
        let found = self.get_status(instance_id).await?.value;
        let Some(found) = found else { return Err(ClientError::NotFound(instance_id.clone())) };
        let new_id = || InstanceId::from_guid(Uuid::new_v4());
        // What it has was allowed when it was started.
        self.start_checked(StartRequest {
            name: found.record.name.to_string(),
            input: found.record.input.clone(),
            instance_id: Some(if with_new_id { new_id() } else { instance_id.clone() }),
            tags: found.record.tags.clone(),
            start_at: None,
            on_conflict: ConflictPolicy::Fail,
        })
        .await
    }

    async fn change(
        &self,
        instance_id: &InstanceId,
        change: LifecycleChange,
    ) -> Result<Observed<()>, ClientError> {
        if self.node.is_stopping() {
            return Err(ClientError::Stopping);
        }
        let instance_id = instance_id.clone();
        self.accepted(|reply_to| Request::Change { instance_id, change, reply_to }).await
    }

    async fn accepted(
        &self,
        request: impl FnOnce(crate::lane::ReplySender) -> Request<crate::lane::ReplySender>,
    ) -> Result<Observed<()>, ClientError> {
        let answer = self.ask(request).await?;
        match answer.value {
            Reply::Accepted => Ok(Observed { value: (), seq: answer.seq }),
            other => Err(refusal(other)),
        }
    }
}
