//! What stands behind the server in these tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use everstate_engine::ClientError;
use everstate_engine::client::{
    EntityStatus, ExportedOrchestration, InstanceStatus, Observed, Seen, SignalOptions,
    StartRequest,
};
use everstate_engine::explain::Explanation;
use everstate_engine::guest::{
    FoundFunction, GuestFuture, HttpAnswer, HttpFunctionError, HttpFunctions, HttpRequest,
    HttpResponse,
};
use everstate_engine::storage::{
    CommitSeq, EntityFilter, EntityPage, EntityQuery, InstanceFilter, InstancePage, InstanceQuery,
};
use everstate_http::{Engine, EngineAnswer, EngineFuture};
use everstate_types::{
    ComponentHash, EntityId, EntityRecord, ExecutionId, Failure, FunctionName, InstanceId,
    OrchestrationRecord, Payload, RuntimeStatus, Timestamp, TraceContext,
};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::entities::FakeEntities;
use super::instances::{FakeInstances, text};

/// The state change that every answer of the fakes depends on.
pub(crate) const SEQ: CommitSeq = CommitSeq(7);

/// Functions that do what their names say; all others answer with what they were asked.
#[derive(Debug)]
pub(crate) struct FakeFunctions {
    /// What came in.
    pub(crate) requests: Mutex<Vec<HttpRequest>>,
    /// `Wait` answers when it gets a permit.
    pub(crate) go_on: Arc<Semaphore>,
    /// How often `Wait` began and ended.
    pub(crate) waits: watch::Sender<(u32, u32)>,
}

impl Default for FakeFunctions {
    fn default() -> Self {
        let (waits, _) = watch::channel((0, 0));
        Self { requests: Mutex::default(), go_on: Arc::new(Semaphore::new(0)), waits }
    }
}

impl FakeFunctions {
    pub(crate) fn last_request(&self) -> HttpRequest {
        self.requests.lock().expect("no panic").last().expect("a request").clone()
    }
}

impl HttpFunctions for FakeFunctions {
    fn handle(
        &self,
        function: FoundFunction,
        request: HttpRequest,
    ) -> GuestFuture<Result<HttpAnswer, HttpFunctionError>> {
        let name = function.name;
        self.requests.lock().expect("no panic").push(request.clone());
        let (go_on, waits) = (Arc::clone(&self.go_on), self.waits.clone());
        Box::pin(async move {
            match name.as_str() {
                "Wait" => {
                    waits.send_modify(|(begun, _)| *begun += 1);
                    go_on.acquire().await.expect("never closed").forget();
                    waits.send_modify(|(_, ended)| *ended += 1);
                    Ok(answer(&[], "waited"))
                }
                "Fail" => {
                    let failure = Failure::new("Boom", "the secret reason");
                    Err(HttpFunctionError::Failed { name, failure })
                }
                "Overloaded" => Err(HttpFunctionError::Overloaded),
                "Missing" => Err(HttpFunctionError::NotFound(name)),
                "BadHeader" => Ok(answer(&[("x-a", "b\r\nx-evil: 1")], "")),
                _ => Ok(answer(
                    &[
                        ("x-function", name.as_str()),
                        ("connection", "close"),
                        ("content-length", "1"),
                    ],
                    &format!("{} {}", request.method, request.url),
                )),
            }
        })
    }
}

fn answer(headers: &[(&str, &str)], body: &str) -> HttpAnswer {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let body = Bytes::copy_from_slice(body.as_bytes());
    HttpAnswer { response: HttpResponse { status: 200, headers, body }, seq: SEQ }
}

/// Knows the orchestrations and the entities that a test gave it.
#[derive(Debug)]
pub(crate) struct FakeEngine {
    pub(crate) instances: Mutex<FakeInstances>,
    pub(crate) entities: Mutex<FakeEntities>,
    /// Why orchestrations wait, by their ids.
    pub(crate) explanations: Mutex<HashMap<String, Explanation>>,
    /// Why new work is refused.
    pub(crate) refusal: Mutex<Option<ClientError>>,
    /// Counts changes of orchestrations.
    changed: watch::Sender<u32>,
    /// Everything up to this is durable.
    pub(crate) durable: watch::Sender<CommitSeq>,
    /// How many answers wait to be durable.
    pub(crate) waiting: watch::Sender<u32>,
}

impl Default for FakeEngine {
    fn default() -> Self {
        let (durable, _) = watch::channel(SEQ);
        let (waiting, _) = watch::channel(0);
        let (changed, _) = watch::channel(0);
        Self {
            instances: Mutex::default(),
            entities: Mutex::default(),
            explanations: Mutex::default(),
            refusal: Mutex::default(),
            changed,
            durable,
            waiting,
        }
    }
}

impl FakeEngine {
    /// Puts an orchestration in the place of one that is known, and wakes who waits for that.
    pub(crate) fn set(&self, status: InstanceStatus) {
        let id = status.instance_id.to_string();
        self.instances.lock().expect("no panic").known.insert(id, status);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Answers when an orchestration is as it is waited for, is not there, or the time is over.
    fn wait_for<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        limit: Duration,
        has_come: impl Fn(&InstanceStatus) -> bool + Send + Sync + 'a,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        let known = move || {
            let instances = self.instances.lock().expect("no panic");
            instances.known.get(instance_id.as_str()).cloned().map(Arc::new)
        };
        Box::pin(async move {
            let mut changed = self.changed.subscribe();
            let come = changed.wait_for(|_| known().is_none_or(|status| has_come(&status)));
            // When the time is over, it is told as it is.
            drop(tokio::time::timeout(limit, come).await);
            Ok(Observed { value: known(), seq: SEQ })
        })
    }

    /// Answers from what is known of orchestrations.
    fn of_instances<'a, T: Send + 'a>(
        &'a self,
        answer: impl FnOnce(&mut FakeInstances) -> Result<T, ClientError> + Send + 'a,
    ) -> EngineAnswer<'a, T> {
        Box::pin(async move {
            let value = answer(&mut self.instances.lock().expect("no panic"))?;
            Ok(Observed { value, seq: SEQ })
        })
    }

    /// Answers from what is known of entities.
    fn of_entities<'a, T: Send + 'a>(
        &'a self,
        answer: impl FnOnce(&mut FakeEntities) -> Result<T, ClientError> + Send + 'a,
    ) -> EngineAnswer<'a, T> {
        Box::pin(async move {
            let value = answer(&mut self.entities.lock().expect("no panic"))?;
            Ok(Observed { value, seq: SEQ })
        })
    }
}

impl Engine for FakeEngine {
    fn durable(&self, seq: CommitSeq) -> EngineFuture<'_, ()> {
        Box::pin(async move {
            self.waiting.send_modify(|count| *count += 1);
            let mut durable = self.durable.subscribe();
            durable.wait_for(|durable| *durable >= seq).await.expect("the sender lives");
        })
    }

    fn in_trace(self: Arc<Self>, _: &TraceContext) -> Arc<dyn Engine> {
        self
    }

    fn get_status<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        self.of_instances(|instances| instances.get(instance_id))
    }

    fn start(&self, request: StartRequest) -> EngineAnswer<'_, InstanceId> {
        self.of_instances(|instances| instances.start(request))
    }

    fn wait_for_completion<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        self.of_instances(move |instances| instances.wait(instance_id, limit))
    }

    fn raise_event<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        name: String,
        input: Payload,
    ) -> EngineAnswer<'a, ()> {
        let with = format!("{name} {}", input.as_str());
        self.of_instances(move |instances| instances.change("raise", instance_id, &with))
    }

    fn terminate<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<Payload>,
        recurse: bool,
    ) -> EngineAnswer<'a, ()> {
        let with = format!("{} {recurse}", text(reason.as_ref()));
        self.of_instances(move |instances| instances.change("terminate", instance_id, &with))
    }

    fn suspend<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()> {
        let with = reason.unwrap_or_default();
        self.of_instances(move |instances| instances.change("suspend", instance_id, &with))
    }

    fn resume<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()> {
        let with = reason.unwrap_or_default();
        self.of_instances(move |instances| instances.change("resume", instance_id, &with))
    }

    fn rewind<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        reason: Option<String>,
    ) -> EngineAnswer<'a, ()> {
        let with = reason.unwrap_or_default();
        self.of_instances(move |instances| instances.change("rewind", instance_id, &with))
    }

    fn restart<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        with_new_id: bool,
    ) -> EngineAnswer<'a, InstanceId> {
        self.of_instances(move |instances| instances.restart(instance_id, with_new_id))
    }

    fn purge<'a>(&'a self, instance_id: &'a InstanceId, recurse: bool) -> EngineAnswer<'a, u64> {
        self.of_instances(move |instances| instances.purge(instance_id, recurse))
    }

    fn query_instances(&self, query: InstanceQuery) -> EngineAnswer<'_, InstancePage> {
        self.of_instances(|instances| instances.query(query))
    }

    fn count_instances(&self, filter: InstanceFilter) -> EngineAnswer<'_, u64> {
        self.of_instances(|instances| instances.count(filter))
    }

    fn purge_instances(&self, filter: InstanceFilter) -> EngineAnswer<'_, u64> {
        self.of_instances(|instances| instances.purge_many(filter))
    }

    fn wait_for_start<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        let pending = RuntimeStatus::Pending;
        self.wait_for(instance_id, limit, move |status| status.record.status != pending)
    }

    fn wait_for_change<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        seen: Seen,
        limit: Duration,
    ) -> EngineAnswer<'a, Option<Arc<InstanceStatus>>> {
        self.wait_for(instance_id, limit, move |status| {
            Seen::of(&status.record, &status.history) != seen
        })
    }

    fn explain<'a>(&'a self, instance_id: &'a InstanceId) -> EngineAnswer<'a, Option<Explanation>> {
        Box::pin(async move {
            let value =
                self.explanations.lock().expect("no panic").get(instance_id.as_str()).cloned();
            Ok(Observed { value, seq: SEQ })
        })
    }

    fn refusal(&self) -> Option<ClientError> {
        self.refusal.lock().expect("no panic").clone()
    }

    fn get_entity<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, Option<EntityStatus>> {
        self.of_entities(|entities| entities.get(entity))
    }

    fn call_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        operation: String,
        input: Option<Payload>,
        limit: Duration,
    ) -> EngineAnswer<'a, Result<Option<Payload>, Failure>> {
        self.of_entities(move |entities| entities.call(entity, &operation, input, limit))
    }

    fn signal_entity<'a>(
        &'a self,
        entity: &'a EntityId,
        operation: String,
        input: Option<Payload>,
        options: SignalOptions,
    ) -> EngineAnswer<'a, ()> {
        self.of_entities(move |entities| entities.signal(entity, operation, input, options))
    }

    fn release_lock<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, bool> {
        self.of_entities(|entities| Ok(entities.release_lock(entity)))
    }

    fn purge_entity<'a>(&'a self, entity: &'a EntityId) -> EngineAnswer<'a, bool> {
        self.of_entities(|entities| entities.purge(entity))
    }

    fn export_orchestration<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineAnswer<'a, Option<Box<ExportedOrchestration>>> {
        let record = status(instance_id.as_str(), RuntimeStatus::Completed).record;
        let exported = ExportedOrchestration { record, history: Vec::new(), waiting: Vec::new() };
        let is_there = instance_id.as_str() == "there";
        Box::pin(
            async move { Ok(Observed { value: is_there.then(|| Box::new(exported)), seq: SEQ }) },
        )
    }

    fn code_of(&self, record: &OrchestrationRecord) -> Result<Option<ComponentHash>, ClientError> {
        Ok(record.component)
    }

    fn import_orchestration<'a>(
        &'a self,
        instance_id: &'a InstanceId,
        _: Box<ExportedOrchestration>,
        is_replacing: bool,
    ) -> EngineAnswer<'a, ()> {
        let (instance_id, status) = (instance_id.clone(), RuntimeStatus::Running);
        Box::pin(async move {
            match is_replacing {
                true => Ok(Observed { value: (), seq: SEQ }),
                false => Err(ClientError::AlreadyExists { instance_id, status }),
            }
        })
    }

    fn import_entity<'a>(
        &'a self,
        _: &'a EntityId,
        _: Box<EntityRecord>,
        _: bool,
    ) -> EngineAnswer<'a, ()> {
        Box::pin(async { Ok(Observed { value: (), seq: SEQ }) })
    }

    fn query_entities(&self, query: EntityQuery) -> EngineAnswer<'_, EntityPage> {
        self.of_entities(|entities| entities.query(query))
    }

    fn count_entities(&self, filter: EntityFilter) -> EngineAnswer<'_, u64> {
        self.of_entities(|entities| entities.count(filter))
    }
}

/// An orchestration in this status.
pub(crate) fn status(id: &str, status: RuntimeStatus) -> InstanceStatus {
    let record = OrchestrationRecord {
        status,
        input: Payload::from(r#""in""#),
        custom_status: Some(Payload::from("42")),
        updated_at: Timestamp::from_millis(1_000),
        ..OrchestrationRecord::pending(
            FunctionName::new("Hello").expect("a valid name"),
            ExecutionId::new(Uuid::nil()),
            Timestamp::from_millis(0),
        )
    };
    let instance_id = InstanceId::orchestration(id).expect("a valid id");
    InstanceStatus { instance_id, record, history: Arc::default() }
}
