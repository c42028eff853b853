//! [`Engine`]: the little that the HTTP surface itself asks of the engine.
//!
//! Not a seam of the system: there is one implementation, [`Client`]. The trait keeps lanes and
//! guests out of the tests of this crate.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use everstate_engine::client::{
    EntityStatus, ExportedOrchestration, InstanceStatus, Observed, Seen, SignalOptions,
    StartRequest,
};
use everstate_engine::explain::Explanation;
use everstate_engine::storage::{
    CommitSeq, EntityFilter, EntityPage, EntityQuery, InstanceFilter, InstancePage, InstanceQuery,
};
use everstate_engine::{Client, ClientError};
use everstate_types::{
    ComponentHash, EntityId, EntityRecord, Failure, InstanceId, OrchestrationRecord, Payload,
    TraceContext,
};

/// An answer of the engine under way.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer, what it depends on, or why there is none.
pub type EngineAnswer<'a, T> = EngineFuture<'a, Result<Observed<T>, ClientError>>;

/// What the HTTP surface asks of the engine.
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// Returns when a state change is durable.
    fn durable(&self, seq: CommitSeq) -> EngineFuture<'_, ()>;

    /// The same engine, for requests that belong to a trace.
    fn in_trace(self: Arc<Self>, trace: &TraceContext) -> Arc<dyn Engine>;

    /// The status of an orchestration; `None` if there is none of that id.
    fn get_status<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>>;

    /// Starts an orchestration and gives its id.
    fn start(&self, request: StartRequest) -> EngineAnswer<'_, InstanceId>;

    /// The status of an orchestration when it has ended, or when `limit` is over; `None` at once if
    /// there is none of that id.
    fn wait_for_completion<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>>;

    /// The status of an orchestration when it has begun to run, or when `limit` is over.
    fn wait_for_start<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>>;

    /// The status of an orchestration when there is more to be told of it than `seen`, or when
    /// `limit` is over.
    fn wait_for_change<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        seen: Seen,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>>;

    /// Why an orchestration waits; `None` if there is none of that id.
    fn explain<'a>(&'a self, instance_id: &'a InstanceId) -> EngineAnswer<'a, Option<Explanation>>;

    /// Why new work would be refused now; `None`: it would not.
    fn refusal(&self) -> Option<ClientError>;

    /// Raises an event at an orchestration.
    fn raise_event<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        name: String,
        input: Payload,
    ) -> EngineAnswer<'a, ()>;

    /// Ends an orchestration, and the children that it waits for if `recurse`; `reason` becomes its
    /// output.
    fn terminate<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<Payload>,
        recurse: bool,
    ) -> EngineAnswer<'a, ()>;

    /// Pauses an orchestration.
    fn suspend<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()>;

    /// Lets a suspended orchestration go on.
    fn resume<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()>;

    /// Lets a failed orchestration do again what failed.
    fn rewind<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()>;

    /// Starts an orchestration again with the input that it had, and gives the id.
    fn restart<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        with_new_id: bool,
    ) -> EngineAnswer<'a, InstanceId>;

    /// Removes an orchestration that has ended, and its children if `recurse`; false if there was none.
    fn purge<'a>(&'a self, instance_id: &'a InstanceId, recurse: bool) -> EngineAnswer<'a, u64>;

    /// A page of the orchestrations that fit.
    fn query_instances(&self, query: InstanceQuery) -> EngineAnswer<'_, InstancePage>;

    /// How many orchestrations fit.
    fn count_instances(&self, filter: InstanceFilter) -> EngineAnswer<'_, u64>;

    /// Removes the orchestrations that fit and have ended, and says how many.
    fn purge_instances(&self, filter: InstanceFilter) -> EngineAnswer<'_, u64>;

    /// What is known of an entity; `None` if it has no state, is not locked and nothing waits.
    fn get_entity<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, Option<EntityStatus>>;

    /// Has an entity do an operation, and waits at most for `limit` for the result.
    fn call_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        operation: String,
        input: Option<Payload>,
        limit: Duration,
    ) -> EngineAnswer<'a, Result<Option<Payload>, Failure>>;

    /// Has an entity do an operation some time soon.
    fn signal_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        operation: String,
        input: Option<Payload>,
        options: SignalOptions,
    ) -> EngineAnswer<'a, ()>;

    /// Breaks the lock of an entity; false if it was not locked.
    fn release_lock<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, bool>;

    /// Removes an entity; false if there was nothing to remove.
    fn purge_entity<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, bool>;

    /// An orchestration as another host could take it; `None` if there is none of that id.
    fn export_orchestration<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineAnswer<'a, Option<Box<ExportedOrchestration>>>;

    /// The code with which an orchestration would go on that comes from elsewhere.
    ///
    /// # Errors
    /// If there is none.
    fn code_of(&self, record: &OrchestrationRecord) -> Result<Option<ComponentHash>, ClientError>;

    /// Takes on an orchestration as it was exported.
    fn import_orchestration<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        exported: Box<ExportedOrchestration>,
        is_replacing: bool,
    ) -> EngineAnswer<'a, ()>;

    /// Takes on the state of an entity as it was exported.
    fn import_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        record: Box<EntityRecord>,
        is_replacing: bool,
    ) -> EngineAnswer<'a, ()>;

    /// A page of the entities that fit.
    fn query_entities(&self, query: EntityQuery) -> EngineAnswer<'_, EntityPage>;

    /// How many entities fit.
    fn count_entities(&self, filter: EntityFilter) -> EngineAnswer<'_, u64>;
}

impl Engine for Client {
    fn durable(&self, seq: CommitSeq) -> EngineFuture<'_, ()> {
        Box::pin(self.durable(seq))
    }

    fn in_trace(self: Arc<Self>, trace: &TraceContext) -> Arc<dyn Engine> {
        Arc::new(Self::clone(&self).in_trace(Some(Box::new(trace.clone()))))
    }

    fn get_status<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        Box::pin(self.get_status(instance_id))
    }

    fn start(&self, request: StartRequest) -> EngineAnswer<'_, InstanceId> {
        Box::pin(self.start_orchestration(request))
    }

    fn wait_for_completion<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        Box::pin(self.wait_for_completion(instance_id, limit))
    }

    fn wait_for_start<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        Box::pin(self.wait_for_start(instance_id, limit))
    }

    fn wait_for_change<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        seen: Seen,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        Box::pin(self.wait_for_change(instance_id, seen, limit))
    }

    fn explain<'a>(&'a self, instance_id: &'a InstanceId) -> EngineAnswer<'a, Option<Explanation>> {
        Box::pin(self.explain(instance_id))
    }

    fn refusal(&self) -> Option<ClientError> {
        self.refusal()
    }

    fn raise_event<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        name: String,
        input: Payload,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.raise_event(instance_id, name, input))
    }

    fn terminate<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<Payload>,
        recurse: bool,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.terminate(instance_id, reason, recurse))
    }

    fn suspend<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.suspend(instance_id, reason))
    }

    fn resume<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.resume(instance_id, reason))
    }

    fn rewind<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.rewind(instance_id, reason))
    }

    fn restart<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        with_new_id: bool,
    ) -> EngineAnswer<'a, InstanceId> {
        Box::pin(self.restart(instance_id, with_new_id))
    }

    fn purge<'a>(&'a self, instance_id: &'a InstanceId, recurse: bool) -> EngineAnswer<'a, u64> {
        Box::pin(self.purge(instance_id, recurse))
    }

    fn query_instances(&self, query: InstanceQuery) -> EngineAnswer<'_, InstancePage> {
        Box::pin(self.query_instances(query))
    }

    fn count_instances(&self, filter: InstanceFilter) -> EngineAnswer<'_, u64> {
        Box::pin(self.count_instances(filter))
    }

    fn purge_instances(&self, filter: InstanceFilter) -> EngineAnswer<'_, u64> {
        Box::pin(self.purge_instances(filter))
    }

    fn get_entity<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, Option<EntityStatus>> {
        Box::pin(self.get_entity(entity))
    }

    fn call_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        operation: String,
        input: Option<Payload>,
        limit: Duration,
    ) -> EngineAnswer<'a, Result<Option<Payload>, Failure>> {
        // A request has nothing before it that it must come after.
        Box::pin(self.call_entity(entity, operation, input, false, limit))
    }

    fn signal_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        operation: String,
        input: Option<Payload>,
        options: SignalOptions,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.signal_entity(entity, operation, input, options))
    }

    fn release_lock<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, bool> {
        Box::pin(self.release_lock(entity))
    }

    fn purge_entity<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, bool> {
        Box::pin(self.purge_entity(entity))
    }

    fn export_orchestration<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineAnswer<'a, Option<Box<ExportedOrchestration>>> {
        Box::pin(self.export_orchestration(instance_id))
    }

    fn code_of(&self, record: &OrchestrationRecord) -> Result<Option<ComponentHash>, ClientError> {
        self.code_of(record)
    }

    fn import_orchestration<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        exported: Box<ExportedOrchestration>,
        is_replacing: bool,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.import_orchestration(instance_id, exported, is_replacing))
    }

    fn import_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        record: Box<EntityRecord>,
        is_replacing: bool,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(self.import_entity(entity, record, is_replacing))
    }

    fn query_entities(&self, query: EntityQuery) -> EngineAnswer<'_, EntityPage> {
        Box::pin(self.query_entities(query))
    }

    fn count_entities(&self, filter: EntityFilter) -> EngineAnswer<'_, u64> {
        Box::pin(self.count_entities(filter))
    }
}
