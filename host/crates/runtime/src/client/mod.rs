//! The host side of the contract's interface `client`: what HTTP functions and activities may ask of
//! the engine. What it asks of entities is in `entity.rs`, the filters and pages of queries in `query.rs`.

mod entity;
mod query;

use everstate_engine::ClientError;
use everstate_engine::client::{Client, ConflictPolicy, Observed, StartRequest};
use everstate_engine::guest::ActivityWorkItem;
use everstate_engine::storage::CommitSeq;
use everstate_types::{FunctionName, InstanceId, Payload, Timestamp, TraceContext};

use self::entity::{Operation, SignalledEntities};
use crate::bindings::imports::client::{
    self, EntityFilter, EntityPage, EntityQuery, EntityStatus, Host, InstanceFilter, InstancePage,
    InstanceQuery, InstanceStatus, StartOptions, StatusOptions, WaitOptions,
};
use crate::bindings::imports::http_types::Response;
use crate::bindings::imports::types::{EntityId, Failure, HostError, LogLevel};
use crate::convert::{entity_id, instance_id, level, payload, to_instance_status, to_response};
use crate::error::HostFault;
use crate::state::{GuestState, Role};

/// One request of an HTTP function, or one attempt at an activity, under way.
#[derive(Debug)]
pub(crate) struct ClientRun {
    /// The function.
    pub(crate) function: FunctionName,
    /// The orchestration that waits for an activity.
    pub(crate) instance_id: Option<InstanceId>,
    /// Scheme and authority of the request, for links. An activity has none.
    base_url: Option<String>,
    /// The last state change that the function has seen.
    seq: CommitSeq,
    signalled: SignalledEntities,
    /// The trace that it belongs to, and its own span.
    pub(crate) trace: Option<Box<TraceContext>>,
}

impl ClientRun {
    pub(crate) fn of_request(
        function: FunctionName,
        base_url: String,
        trace: Option<Box<TraceContext>>,
    ) -> Self {
        let (base_url, seq) = (Some(base_url), CommitSeq::default());
        let signalled = SignalledEntities::default();
        Self { function, instance_id: None, base_url, seq, signalled, trace }
    }

    /// An activity depends on the state change that scheduled it.
    pub(crate) fn of_activity(function: FunctionName, item: &ActivityWorkItem) -> Self {
        Self {
            function,
            instance_id: Some(item.instance_id.clone()),
            base_url: None,
            seq: item.seq,
            signalled: SignalledEntities::default(),
            trace: item.trace.clone(),
        }
    }

    /// The last state change that the function has seen.
    pub(crate) fn seq(&self) -> CommitSeq {
        self.seq
    }
}

type Answer<T> = wasmtime::Result<Result<T, HostError>>;

/// Gives the guest the error of a conversion, and goes on with its value.
macro_rules! convert {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

impl Host for GuestState {
    async fn start_orchestration(
        &mut self,
        name: String,
        input: String,
        options: StartOptions,
    ) -> Answer<String> {
        let client = convert!(self.client()?);
        let on_conflict = match options.on_conflict {
            client::ConflictPolicy::Fail => ConflictPolicy::Fail,
            client::ConflictPolicy::UseExisting => ConflictPolicy::UseExisting,
            client::ConflictPolicy::TerminateAndReplace => ConflictPolicy::TerminateAndReplace,
        };
        let request = StartRequest {
            name,
            input: convert!(payload(input, self.host.config.payload_bytes_max)),
            instance_id: convert!(options.instance_id.as_deref().map(instance_id).transpose()),
            tags: options.tags,
            start_at: options.start_at.map(Timestamp::from_millis),
            on_conflict,
        };
        let started = client.start_orchestration(request).await;
        let id = convert!(self.observe(started));
        Ok(Ok(id.to_string()))
    }

    async fn wait_for_completion_or_check_status(
        &mut self,
        id: String,
        options: WaitOptions,
    ) -> Answer<Response> {
        let client = convert!(self.client()?);
        convert!(self.base_url());
        let id = convert!(instance_id(&id));
        let limit = self.host.config.wait_limit(options.timeout);
        let status = convert!(self.observe(client.wait_for_completion(&id, limit).await));
        let on_failure = options.internal_server_error_on_failure;
        let response = match status {
            Some(status) if status.record.status.is_finished() => {
                self.host.responses.finished(&status, on_failure)
            }
            _ => {
                let base_url = convert!(self.base_url());
                self.host.responses.check_status(base_url, &id, on_failure)
            }
        };
        Ok(Ok(to_response(response)))
    }

    async fn check_status(&mut self, id: String, on_failure: bool) -> Answer<Response> {
        convert!(self.client()?);
        let base_url = convert!(self.base_url());
        let id = convert!(instance_id(&id));
        let response = self.host.responses.check_status(base_url, &id, on_failure);
        Ok(Ok(to_response(response)))
    }

    async fn wait_for_completion(
        &mut self,
        id: String,
        timeout: Option<u64>,
    ) -> Answer<Option<InstanceStatus>> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let limit = self.host.config.wait_limit(timeout);
        let status = convert!(self.observe(client.wait_for_completion(&id, limit).await));
        Ok(Ok(status.map(|status| to_instance_status(&status.instance_id, &status.record, true))))
    }

    async fn wait_for_start(
        &mut self,
        id: String,
        timeout: Option<u64>,
    ) -> Answer<Option<InstanceStatus>> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let limit = self.host.config.wait_limit(timeout);
        let status = convert!(self.observe(client.wait_for_start(&id, limit).await));
        Ok(Ok(status.map(|status| to_instance_status(&status.instance_id, &status.record, true))))
    }

    async fn get_status(
        &mut self,
        id: String,
        options: StatusOptions,
    ) -> Answer<Option<InstanceStatus>> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let status = convert!(self.observe(client.get_status(&id).await));
        Ok(Ok(status.map(|status| {
            let mut shown =
                to_instance_status(&status.instance_id, &status.record, options.show_input);
            if options.show_history {
                let history = self.host.responses.history(&status, options.show_history_output);
                shown.history = Some(history.as_str().to_owned());
            }
            shown
        })))
    }

    async fn query_instances(&mut self, query: InstanceQuery) -> Answer<InstancePage> {
        let client = convert!(self.client()?);
        let shows_input = query.show_input;
        let query = convert!(query::instance_query(query));
        let page = convert!(self.observe(client.query_instances(query).await));
        Ok(Ok(query::to_instance_page(page, shows_input)))
    }

    async fn count_instances(&mut self, filter: InstanceFilter) -> Answer<u64> {
        let client = convert!(self.client()?);
        let filter = convert!(query::instance_filter(filter));
        Ok(self.observe(client.count_instances(filter).await))
    }

    async fn raise_event(&mut self, id: String, name: String, data: String) -> Answer<()> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let data = convert!(payload(data, self.host.config.payload_bytes_max));
        Ok(self.observe(client.raise_event(&id, name, data).await))
    }

    async fn terminate(
        &mut self,
        id: String,
        reason: Option<String>,
        recursive: bool,
    ) -> Answer<()> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let reason =
            reason.map(|reason| Payload::from(serde_json::Value::from(reason).to_string()));
        Ok(self.observe(client.terminate(&id, reason, recursive).await))
    }

    async fn suspend(&mut self, id: String, reason: Option<String>) -> Answer<()> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        Ok(self.observe(client.suspend(&id, reason).await))
    }

    async fn resume(&mut self, id: String, reason: Option<String>) -> Answer<()> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        Ok(self.observe(client.resume(&id, reason).await))
    }

    async fn rewind(&mut self, id: String, reason: Option<String>) -> Answer<()> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        Ok(self.observe(client.rewind(&id, reason).await))
    }

    async fn restart(&mut self, id: String, with_new_instance_id: bool) -> Answer<String> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let restarted = client.restart(&id, with_new_instance_id).await;
        Ok(self.observe(restarted).map(|id| id.to_string()))
    }

    async fn purge(&mut self, id: String, recursive: bool) -> Answer<bool> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        Ok(self.observe(client.purge(&id, recursive).await).map(|count| count > 0))
    }

    async fn purge_instances(&mut self, filter: InstanceFilter) -> Answer<u64> {
        let client = convert!(self.client()?);
        let filter = convert!(query::instance_filter(filter));
        Ok(self.observe(client.purge_instances(filter).await))
    }

    async fn signal_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
        at: Option<u64>,
    ) -> Answer<()> {
        let client = convert!(self.client()?);
        let operation = Operation { entity, name: operation, input };
        Ok(self.signal(client, operation, at, None).await)
    }

    async fn signal_entity_once(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
        at: Option<u64>,
        idempotency_key: String,
    ) -> Answer<()> {
        let client = convert!(self.client()?);
        let operation = Operation { entity, name: operation, input };
        Ok(self.signal(client, operation, at, Some(idempotency_key)).await)
    }

    async fn call_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
        timeout: Option<u64>,
    ) -> Answer<Result<Option<String>, Failure>> {
        let client = convert!(self.client()?);
        let operation = Operation { entity, name: operation, input };
        Ok(self.call(client, operation, timeout).await)
    }

    async fn read_entity_state(&mut self, entity: EntityId) -> Answer<Option<String>> {
        let client = convert!(self.client()?);
        Ok(self.read_state(client, &entity).await)
    }

    async fn get_entity(
        &mut self,
        entity: EntityId,
        fetch_state: bool,
    ) -> Answer<Option<EntityStatus>> {
        let client = convert!(self.client()?);
        Ok(self.status_of_entity(client, &entity, fetch_state).await)
    }

    async fn list_entities(&mut self, query: EntityQuery) -> Answer<EntityPage> {
        let client = convert!(self.client()?);
        Ok(self.page_of_entities(client, query).await)
    }

    async fn count_entities(&mut self, filter: EntityFilter) -> Answer<u64> {
        let client = convert!(self.client()?);
        let filter = convert!(query::entity_filter(filter));
        Ok(self.observe(client.count_entities(filter).await))
    }

    async fn release_lock(&mut self, entity: EntityId) -> Answer<bool> {
        let client = convert!(self.client()?);
        let entity = convert!(entity_id(&entity));
        Ok(self.observe(client.release_lock(&entity).await))
    }

    fn log(&mut self, of: LogLevel, message: String) -> wasmtime::Result<()> {
        GuestState::log(self, level(of), &message);
        Ok(())
    }
}

impl GuestState {
    /// The engine's client, if what is being run may use it.
    fn client(&self) -> Answer<Client> {
        let instead = match &self.role {
            Role::Http(run) | Role::Activity(run) => {
                let missing = || HostFault("the engine is not connected".to_owned());
                let client = self.host.client().ok_or_else(missing)?;
                let client = client.in_trace(run.trace.clone());
                // An activity works for an orchestration, which may be older than what is served.
                return Ok(Ok(match self.role {
                    Role::Activity(_) => client.of_work(),
                    _ => client,
                }));
            }
            Role::Orchestrator(_) => "an orchestrator cannot use `client`; use an activity",
            Role::Entity(_) => "an entity cannot use `client`; use `entity-context`",
            Role::Describe | Role::Idle | Role::IdleActivity => {
                "`client` works inside a function only"
            }
        };
        Ok(Err(HostError::NotSupported(instead.to_owned())))
    }

    /// What links of responses begin with, if there is a request that they are made for.
    fn base_url(&self) -> Result<&str, HostError> {
        match &self.role {
            Role::Http(ClientRun { base_url: Some(base_url), .. }) => Ok(base_url),
            _ => Err(HostError::NotSupported(
                "there is no HTTP request that a response could be made for; use \
                 `wait-for-completion` or `get-status`"
                    .to_owned(),
            )),
        }
    }

    /// Notes what an answer depends on, and gives the guest its value.
    fn observe<T>(&mut self, answer: Result<Observed<T>, ClientError>) -> Result<T, HostError> {
        let answer = answer.map_err(|error| host_error(&error))?;
        if let Role::Http(run) | Role::Activity(run) = &mut self.role {
            run.seq = run.seq.max(answer.seq);
        }
        Ok(answer.value)
    }
}

fn host_error(error: &ClientError) -> HostError {
    let text = error.to_string();
    match error {
        ClientError::InvalidArgument(_) => HostError::InvalidArgument(text),
        ClientError::FunctionNotFound { .. } | ClientError::NotFound(_) => {
            HostError::NotFound(text)
        }
        ClientError::AlreadyExists { .. } | ClientError::WrongState { .. } => {
            HostError::Conflict(text)
        }
        ClientError::Busy(_) => HostError::Busy(text),
        // Overloaded, stopping, out of time: another try may help.
        _ => HostError::Overloaded(text),
    }
}
