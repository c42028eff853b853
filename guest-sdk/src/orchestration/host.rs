//! The host as an orchestrator sees it: the [`Host`] of a component, and of a test.
//!
//! It is the imported interface `orchestration` in the SDK's own types, one method for one
//! function, and nothing more.

use std::fmt::Debug;

use crate::bindings::imports::orchestration as wit;
use crate::error::{Failure, HostError, failure_from_wit};
use crate::executor::{self, Handle};
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::orchestration::{ChildOptions, HttpCall};
use crate::time::{Timestamp, span_ms};

/// What an orchestrator asks of the host. What the functions mean stands in `wit/orchestration.wit`.
pub(crate) trait Host: executor::Host + Debug {
    fn info(&self) -> wit::OrchestrationInfo;
    fn input(&self) -> String;
    fn current_time(&self) -> Timestamp;
    fn is_replaying(&self) -> bool;
    fn new_guid(&self) -> String;
    fn random(&self) -> u64;
    fn log(&self, level: LogLevel, message: &str);
    fn set_custom_status(&self, status: Option<&str>) -> Result<(), HostError>;
    fn call_activity(
        &self,
        name: &str,
        input: &str,
        tags: &[(String, String)],
        retry_of: Option<Handle>,
    ) -> Result<Handle, HostError>;
    fn call_sub_orchestration(
        &self,
        name: &str,
        input: &str,
        options: &ChildOptions,
    ) -> Result<Handle, HostError>;
    fn start_orchestration(
        &self,
        name: &str,
        input: &str,
        options: &ChildOptions,
    ) -> Result<String, HostError>;
    fn call_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
    ) -> Result<Handle, HostError>;
    fn signal_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), HostError>;
    fn lock_entities(&self, entities: &[EntityId]) -> Result<Handle, HostError>;
    fn unlock_entities(&self, lock: Handle) -> Result<(), HostError>;
    fn create_timer(&self, fire_at: Timestamp) -> Result<Handle, HostError>;
    fn wait_for_event(&self, name: &str) -> Result<Handle, HostError>;
    fn send_event(&self, instance_id: &str, name: &str, data: &str) -> Result<(), HostError>;
    fn call_http(&self, request: &HttpCall) -> Result<Handle, HostError>;
    fn continue_as_new(&self, input: &str, preserve_events: bool);
}

/// The host of the component that this code is compiled into.
#[derive(Debug)]
pub(super) struct ComponentHost;

impl executor::Host for ComponentHost {
    fn wait_any(&self, handles: &[Handle]) -> (Handle, Result<String, Failure>) {
        let completion = wit::wait_any(handles);
        (completion.handle, completion.outcome.map_err(failure_from_wit))
    }

    fn cancel(&self, handle: Handle) {
        wit::cancel(handle);
    }
}

impl Host for ComponentHost {
    fn info(&self) -> wit::OrchestrationInfo {
        wit::info()
    }

    fn input(&self) -> String {
        wit::input()
    }

    fn current_time(&self) -> Timestamp {
        Timestamp::from_unix_ms(wit::current_time())
    }

    fn is_replaying(&self) -> bool {
        wit::is_replaying()
    }

    fn new_guid(&self) -> String {
        wit::new_guid()
    }

    fn random(&self) -> u64 {
        wit::random()
    }

    fn log(&self, level: LogLevel, message: &str) {
        wit::log(level.into(), message);
    }

    fn set_custom_status(&self, status: Option<&str>) -> Result<(), HostError> {
        Ok(wit::set_custom_status(status)?)
    }

    fn call_activity(
        &self,
        name: &str,
        input: &str,
        tags: &[(String, String)],
        retry_of: Option<Handle>,
    ) -> Result<Handle, HostError> {
        let options = wit::ActivityOptions { tags: tags.to_vec(), retry_of };
        Ok(wit::call_activity(name, input, &options)?)
    }

    fn call_sub_orchestration(
        &self,
        name: &str,
        input: &str,
        options: &ChildOptions,
    ) -> Result<Handle, HostError> {
        Ok(wit::call_sub_orchestration(name, input, &start_options(options))?)
    }

    fn start_orchestration(
        &self,
        name: &str,
        input: &str,
        options: &ChildOptions,
    ) -> Result<String, HostError> {
        Ok(wit::start_orchestration(name, input, &start_options(options))?)
    }

    fn call_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
    ) -> Result<Handle, HostError> {
        Ok(wit::call_entity(&entity.to_wit(), operation, input)?)
    }

    fn signal_entity(
        &self,
        entity: &EntityId,
        operation: &str,
        input: Option<&str>,
        at: Option<Timestamp>,
    ) -> Result<(), HostError> {
        let at = at.map(Timestamp::unix_ms);
        Ok(wit::signal_entity(&entity.to_wit(), operation, input, at)?)
    }

    fn lock_entities(&self, entities: &[EntityId]) -> Result<Handle, HostError> {
        let entities: Vec<_> = entities.iter().map(EntityId::to_wit).collect();
        Ok(wit::lock_entities(&entities)?)
    }

    fn unlock_entities(&self, lock: Handle) -> Result<(), HostError> {
        Ok(wit::unlock_entities(lock)?)
    }

    fn create_timer(&self, fire_at: Timestamp) -> Result<Handle, HostError> {
        Ok(wit::create_timer(fire_at.unix_ms())?)
    }

    fn wait_for_event(&self, name: &str) -> Result<Handle, HostError> {
        Ok(wit::wait_for_event(name)?)
    }

    fn send_event(&self, instance_id: &str, name: &str, data: &str) -> Result<(), HostError> {
        Ok(wit::send_event(instance_id, name, data)?)
    }

    fn call_http(&self, request: &HttpCall) -> Result<Handle, HostError> {
        let request = wit::HttpCall {
            method: request.method.clone(),
            uri: request.uri.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            timeout: request.timeout.map(span_ms),
        };
        Ok(wit::call_http(&request)?)
    }

    fn continue_as_new(&self, input: &str, preserve_events: bool) {
        wit::continue_as_new(input, preserve_events);
    }
}

fn start_options(options: &ChildOptions) -> wit::StartOptions {
    wit::StartOptions {
        instance_id: options.instance_id.clone(),
        start_at: options.start_at.map(Timestamp::unix_ms),
        tags: options.tags.clone(),
    }
}
