//! The host side of the contract's interface `client`: what HTTP functions may ask of the engine.

use everstate_engine::ClientError;
use everstate_engine::client::{Client, ConflictPolicy, Observed, StartRequest};
use everstate_engine::storage::CommitSeq;
use everstate_types::FunctionName;

use crate::bindings::imports::client::{
    self, EntityPage, EntityQuery, Host, InstancePage, InstanceQuery, InstanceStatus, StartOptions,
    StatusOptions, WaitOptions,
};
use crate::bindings::imports::http_types::Response;
use crate::bindings::imports::types::{EntityId, Failure, HostError, LogLevel};
use crate::convert::{
    entity_id, instance_id, level, not_available, optional_payload, payload, to_failure,
    to_instance_status, to_response,
};
use crate::error::HostFault;
use crate::state::{GuestState, Role};

/// One request of an HTTP function under way.
#[derive(Debug)]
pub(crate) struct ClientRun {
    /// The function.
    pub(crate) function: FunctionName,
    base_url: String,
    /// The last state change that the function has seen.
    seq: CommitSeq,
}

impl ClientRun {
    pub(crate) fn new(function: FunctionName, base_url: String) -> Self {
        Self { function, base_url, seq: CommitSeq::default() }
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
        if options.start_at.is_some() {
            return Ok(Err(not_available("a start at a later time")));
        }
        let on_conflict = match options.on_conflict {
            client::ConflictPolicy::Fail => ConflictPolicy::Fail,
            client::ConflictPolicy::UseExisting => ConflictPolicy::UseExisting,
            client::ConflictPolicy::TerminateAndReplace => {
                return Ok(Err(not_available("terminate-and-replace")));
            }
        };
        let request = StartRequest {
            name,
            input: convert!(payload(input, self.host.config.payload_bytes_max)),
            instance_id: convert!(options.instance_id.as_deref().map(instance_id).transpose()),
            tags: options.tags,
            on_conflict,
        };
        let started = client.start_orchestration(request).await;
        let id = convert!(self.observe(started)?);
        Ok(Ok(id.to_string()))
    }

    async fn wait_for_completion_or_check_status(
        &mut self,
        id: String,
        options: WaitOptions,
    ) -> Answer<Response> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let limit = self.host.config.wait_limit(options.timeout);
        let status = convert!(self.observe(client.wait_for_completion(&id, limit).await)?);
        let on_failure = options.internal_server_error_on_failure;
        let response = match status {
            Some(status) if status.record.status.is_finished() => {
                self.host.responses.finished(&status, on_failure)
            }
            _ => self.host.responses.check_status(self.base_url(), &id, on_failure),
        };
        Ok(Ok(to_response(response)))
    }

    async fn check_status(&mut self, id: String, on_failure: bool) -> Answer<Response> {
        convert!(self.client()?);
        let id = convert!(instance_id(&id));
        let response = self.host.responses.check_status(self.base_url(), &id, on_failure);
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
        let status = convert!(self.observe(client.wait_for_completion(&id, limit).await)?);
        Ok(Ok(status.map(|status| to_instance_status(&status, true))))
    }

    async fn wait_for_start(
        &mut self,
        _id: String,
        _timeout: Option<u64>,
    ) -> Answer<Option<InstanceStatus>> {
        self.unavailable_request("wait-for-start")
    }

    async fn get_status(
        &mut self,
        id: String,
        options: StatusOptions,
    ) -> Answer<Option<InstanceStatus>> {
        let client = convert!(self.client()?);
        let id = convert!(instance_id(&id));
        if options.show_history {
            return Ok(Err(not_available("the history in a status")));
        }
        let status = convert!(self.observe(client.get_status(&id).await)?);
        Ok(Ok(status.map(|status| to_instance_status(&status, options.show_input))))
    }

    async fn query_instances(&mut self, _query: InstanceQuery) -> Answer<InstancePage> {
        self.unavailable_request("query-instances")
    }

    async fn raise_event(&mut self, _id: String, _name: String, _data: String) -> Answer<()> {
        self.unavailable_request("raise-event")
    }

    async fn terminate(
        &mut self,
        _id: String,
        _reason: Option<String>,
        _recursive: bool,
    ) -> Answer<()> {
        self.unavailable_request("terminate")
    }

    async fn suspend(&mut self, _id: String, _reason: Option<String>) -> Answer<()> {
        self.unavailable_request("suspend")
    }

    async fn resume(&mut self, _id: String, _reason: Option<String>) -> Answer<()> {
        self.unavailable_request("resume")
    }

    async fn rewind(&mut self, _id: String, _reason: Option<String>) -> Answer<()> {
        self.unavailable_request("rewind")
    }

    async fn restart(&mut self, _id: String, _with_new_instance_id: bool) -> Answer<String> {
        self.unavailable_request("restart")
    }

    async fn purge(&mut self, _id: String) -> Answer<bool> {
        self.unavailable_request("purge")
    }

    async fn signal_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
        at: Option<u64>,
    ) -> Answer<()> {
        let client = convert!(self.client()?);
        if at.is_some() {
            return Ok(Err(not_available("a signal at a later time")));
        }
        let entity = convert!(entity_id(&entity));
        let input = convert!(optional_payload(input, self.host.config.payload_bytes_max));
        let signaled = client.signal_entity(&entity, operation, input).await;
        self.observe(signaled)
    }

    async fn call_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
        timeout: Option<u64>,
    ) -> Answer<Result<Option<String>, Failure>> {
        let client = convert!(self.client()?);
        let entity = convert!(entity_id(&entity));
        let input = convert!(optional_payload(input, self.host.config.payload_bytes_max));
        let limit = self.host.config.wait_limit(timeout);
        let called = client.call_entity(&entity, operation, input, limit).await;
        let result = convert!(self.observe(called)?);
        Ok(Ok(result
            .map(|output| output.map(|output| output.as_str().to_owned()))
            .map_err(to_failure)))
    }

    async fn read_entity_state(&mut self, entity: EntityId) -> Answer<Option<String>> {
        let client = convert!(self.client()?);
        let entity = convert!(entity_id(&entity));
        let state = convert!(self.observe(client.read_entity_state(&entity).await)?);
        Ok(Ok(state.map(|state| state.as_str().to_owned())))
    }

    async fn list_entities(&mut self, _query: EntityQuery) -> Answer<EntityPage> {
        self.unavailable_request("list-entities")
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
            Role::Http(_) => {
                let missing = || HostFault("the engine is not connected".to_owned());
                return Ok(Ok(self.host.client().ok_or_else(missing)?));
            }
            Role::Orchestrator(_) => "an orchestrator cannot use `client`; use an activity",
            Role::Entity(_) => "an entity cannot use `client`; use `entity-context`",
            Role::Describe | Role::Idle => "`client` works inside a function only",
        };
        Ok(Err(HostError::NotSupported(instead.to_owned())))
    }

    fn base_url(&self) -> &str {
        match &self.role {
            Role::Http(run) => &run.base_url,
            _ => "",
        }
    }

    fn unavailable_request<T>(&self, what: &str) -> Answer<T> {
        convert!(self.client()?);
        Ok(Err(not_available(what)))
    }

    /// Notes what an answer depends on, and gives the guest its value.
    fn observe<T>(&mut self, answer: Result<Observed<T>, ClientError>) -> Answer<T> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(host_error(&error))),
        };
        if let Role::Http(run) = &mut self.role {
            run.seq = run.seq.max(answer.seq);
        }
        Ok(Ok(answer.value))
    }
}

fn host_error(error: &ClientError) -> HostError {
    let text = error.to_string();
    match error {
        ClientError::InvalidArgument(_) => HostError::InvalidArgument(text),
        ClientError::FunctionNotFound { .. } => HostError::NotFound(text),
        ClientError::AlreadyExists(_) => HostError::Conflict(text),
        ClientError::Busy(_) => HostError::Busy(text),
        // Overloaded, stopping, out of time: another try may help.
        _ => HostError::Overloaded(text),
    }
}
