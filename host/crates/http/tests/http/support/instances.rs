//! Orchestrations as a test gave them, and what was asked of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use everstate_engine::ClientError;
use everstate_engine::client::{InstanceStatus, StartRequest};
use everstate_engine::storage::{InstanceFilter, InstancePage, InstanceQuery};
use everstate_types::{FunctionKind, FunctionName, InstanceId, Payload, RuntimeStatus};

use super::status;

/// Orchestrations. Those that are started here run on, except for `Echo`, which ends with its input,
/// and `Fail`, which fails; there is none of the name `missing`.
#[derive(Debug, Default)]
pub(crate) struct FakeInstances {
    pub(crate) known: HashMap<String, InstanceStatus>,
    pub(crate) starts: Vec<StartRequest>,
    /// How long each wait for an end was to take.
    pub(crate) limits: Vec<Duration>,
    /// What was changed: the verb, the id, and all else.
    pub(crate) changes: Vec<String>,
    pub(crate) queries: Vec<InstanceQuery>,
    pub(crate) counts: Vec<InstanceFilter>,
    pub(crate) purges: Vec<InstanceFilter>,
    /// Where the page ends that every query gets.
    pub(crate) continuation: Option<String>,
}

impl FakeInstances {
    pub(crate) fn get(&self, id: &InstanceId) -> Result<Option<Arc<InstanceStatus>>, ClientError> {
        if id.as_str() == "overloaded" {
            return Err(ClientError::Overloaded);
        }
        Ok(self.known.get(id.as_str()).cloned().map(Arc::new))
    }

    pub(crate) fn wait(
        &mut self,
        id: &InstanceId,
        limit: Duration,
    ) -> Result<Option<Arc<InstanceStatus>>, ClientError> {
        self.limits.push(limit);
        self.get(id)
    }

    pub(crate) fn start(&mut self, request: StartRequest) -> Result<InstanceId, ClientError> {
        self.starts.push(request.clone());
        let StartRequest { name, input, instance_id, .. } = request;
        if name == "missing" {
            return Err(ClientError::FunctionNotFound { kind: FunctionKind::Orchestrator, name });
        }
        let id = instance_id.unwrap_or_else(|| InstanceId::orchestration("new").expect("an id"));
        if let Some(status) = self.status_of(&id).filter(|status| !status.is_finished()) {
            return Err(ClientError::AlreadyExists { instance_id: id, status });
        }
        let mut begun = match name.as_str() {
            "Echo" => status(id.as_str(), RuntimeStatus::Completed),
            "Fail" => status(id.as_str(), RuntimeStatus::Failed),
            _ => status(id.as_str(), RuntimeStatus::Running),
        };
        begun.record.name = FunctionName::new(&name).expect("a valid name");
        begun.record.output = (name == "Echo").then(|| input.clone());
        begun.record.input = input;
        self.known.insert(id.as_str().to_owned(), begun);
        Ok(id)
    }

    pub(crate) fn restart(
        &mut self,
        id: &InstanceId,
        with_new_id: bool,
    ) -> Result<InstanceId, ClientError> {
        let found = self.get(id)?.ok_or_else(|| ClientError::NotFound(id.clone()))?;
        self.start(StartRequest {
            name: found.record.name.to_string(),
            input: found.record.input.clone(),
            instance_id: (!with_new_id).then(|| id.clone()),
            tags: Vec::new(),
            start_at: None,
            on_conflict: Default::default(),
        })
    }

    /// `verb` says what is done, and in which statuses it can be done.
    pub(crate) fn change(
        &mut self,
        verb: &'static str,
        id: &InstanceId,
        with: &str,
    ) -> Result<(), ClientError> {
        let status = self.status_of(id).ok_or_else(|| ClientError::NotFound(id.clone()))?;
        let is_allowed = match verb {
            "suspend" => !status.is_finished() && status != RuntimeStatus::Suspended,
            "resume" => status == RuntimeStatus::Suspended,
            "rewind" => status == RuntimeStatus::Failed,
            "purge" => status.is_finished(),
            _ => !status.is_finished(),
        };
        if !is_allowed {
            let instance_id = id.clone();
            return Err(ClientError::WrongState { operation: verb, instance_id, status });
        }
        self.changes.push(format!("{verb} {id} {with}"));
        Ok(())
    }

    /// With its children they are three.
    pub(crate) fn purge(&mut self, id: &InstanceId, recurse: bool) -> Result<u64, ClientError> {
        match self.change("purge", id, &recurse.to_string()) {
            Ok(()) => Ok(if recurse { 3 } else { 1 }),
            Err(ClientError::NotFound(_)) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// All that are known, whatever is asked for.
    pub(crate) fn query(&mut self, query: InstanceQuery) -> Result<InstancePage, ClientError> {
        if query.continuation.as_deref() == Some("wrong") {
            return Err(ClientError::InvalidArgument("the continuation is none".to_owned()));
        }
        self.queries.push(query);
        let known = self.known.values();
        let mut instances: Vec<_> =
            known.map(|status| (status.instance_id.clone(), status.record.clone())).collect();
        instances.sort_by_key(|(id, _)| id.clone());
        Ok(InstancePage { instances, continuation: self.continuation.clone() })
    }

    pub(crate) fn count(&mut self, filter: InstanceFilter) -> Result<u64, ClientError> {
        self.counts.push(filter);
        Ok(self.known.len() as u64)
    }

    pub(crate) fn purge_many(&mut self, filter: InstanceFilter) -> Result<u64, ClientError> {
        self.purges.push(filter);
        let ended = self.known.values().filter(|status| status.record.status.is_finished());
        Ok(ended.count() as u64)
    }

    fn status_of(&self, id: &InstanceId) -> Option<RuntimeStatus> {
        Some(self.known.get(id.as_str())?.record.status)
    }
}

/// What a test can compare: the payload's text, or nothing.
pub(crate) fn text(payload: Option<&Payload>) -> String {
    payload.map_or("-", Payload::as_str).to_owned()
}
