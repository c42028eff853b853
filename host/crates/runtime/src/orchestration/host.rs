//! The host side of the contract's interface `orchestration`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use everstate_types::limits::CUSTOM_STATUS_BYTES_MAX;
use everstate_types::{Action, InstanceId, Payload};
use rand::Rng;
use uuid::Uuid;

use super::script::ScriptError;
use crate::bindings::imports::orchestration::{
    Completion, Handle, Host, HttpCall, OrchestrationInfo, StartOptions,
};
use crate::bindings::imports::types::{EntityId, HostError, LogLevel};
use crate::convert::{
    entity_id, function_name, instance_id, level, not_available, optional_payload, payload,
    to_failure,
};
use crate::determinism::Seed;
use crate::error::Refusal;
use crate::state::{GuestState, Role, lock};

/// The purpose of the generator behind `random`; WASI's generators have others.
const RANDOM_PURPOSE: u64 = 3;

type Answer<T> = wasmtime::Result<Result<T, HostError>>;

impl Host for GuestState {
    fn info(&mut self) -> wasmtime::Result<OrchestrationInfo> {
        let script = self.script()?;
        let item = &script.item;
        Ok(OrchestrationInfo {
            name: item.name.to_string(),
            instance_id: item.instance_id.to_string(),
            execution_id: item.execution_id.to_string(),
            parent_instance_id: item.parent_instance_id.as_ref().map(ToString::to_string),
            tags: item.tags.clone(),
        })
    }

    fn input(&mut self) -> wasmtime::Result<String> {
        Ok(self.script()?.input().as_str().to_owned())
    }

    fn current_time(&mut self) -> wasmtime::Result<u64> {
        Ok(self.script()?.current_time().as_millis())
    }

    fn is_replaying(&mut self) -> wasmtime::Result<bool> {
        Ok(self.script()?.is_replaying())
    }

    fn new_guid(&mut self) -> wasmtime::Result<String> {
        let mut script = self.script()?;
        let number = script.next_guid();
        // Other names than those of actions, which are four bytes long.
        let name = [b"new-guid".as_slice(), &number.to_be_bytes()].concat();
        Ok(Uuid::new_v5(&script.item.execution_id.guid(), &name).hyphenated().to_string())
    }

    fn random(&mut self) -> wasmtime::Result<u64> {
        let mut script = self.script()?;
        let script = &mut *script;
        let seed = || Seed::of(&script.item.instance_id, script.item.execution_id);
        Ok(script.random.get_or_insert_with(|| seed().generator(RANDOM_PURPOSE)).next_u64())
    }

    fn log(&mut self, of: LogLevel, message: String) -> wasmtime::Result<()> {
        drop(self.script()?);
        GuestState::log(self, level(of), &message);
        Ok(())
    }

    fn set_custom_status(&mut self, status: Option<String>) -> Answer<()> {
        let mut script = self.script()?;
        if let Some(status) = &status
            && status.len() > CUSTOM_STATUS_BYTES_MAX
        {
            let bytes = status.len();
            return Ok(Err(HostError::LimitExceeded(format!(
                "the custom status has {bytes} bytes, {CUSTOM_STATUS_BYTES_MAX} allowed"
            ))));
        }
        script.set_custom_status(status.map(Payload::from));
        Ok(Ok(()))
    }

    fn call_activity(
        &mut self,
        _name: String,
        _input: String,
        _tags: Vec<(String, String)>,
    ) -> Answer<Handle> {
        self.unavailable_action("call-activity")
    }

    fn call_sub_orchestration(
        &mut self,
        _name: String,
        _input: String,
        _options: StartOptions,
    ) -> Answer<Handle> {
        self.unavailable_action("call-sub-orchestration")
    }

    fn start_orchestration(
        &mut self,
        name: String,
        input: String,
        options: StartOptions,
    ) -> Answer<String> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        if options.start_at.is_some() {
            return Ok(Err(not_available("a start at a later time")));
        }
        let parsed = function_name(&name).and_then(|name| Ok((name, payload(input, bytes_max)?)));
        let (name, input) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Err(error)),
        };
        let id = match options.instance_id.as_deref().map(instance_id) {
            Some(Ok(id)) => id,
            Some(Err(error)) => return Ok(Err(error)),
            None => {
                let guid = script.item.execution_id.action_guid(script.next_number());
                InstanceId::from_guid(guid)
            }
        };
        let started = id.to_string();
        let action =
            Action::StartOrchestration { name, instance_id: id, input, tags: options.tags };
        let sent = script.send(action);
        answer(sent.map(|()| started))
    }

    fn call_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
    ) -> Answer<Handle> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let parsed =
            entity_id(&entity).and_then(|entity| Ok((entity, optional_payload(input, bytes_max)?)));
        match parsed {
            Ok((entity, input)) => {
                answer(script.call(Action::CallEntity { entity, operation, input }))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn signal_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
        at: Option<u64>,
    ) -> Answer<()> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        if at.is_some() {
            return Ok(Err(not_available("a signal at a later time")));
        }
        let parsed =
            entity_id(&entity).and_then(|entity| Ok((entity, optional_payload(input, bytes_max)?)));
        match parsed {
            Ok((entity, input)) => {
                answer(script.send(Action::SignalEntity { entity, operation, input }))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn lock_entities(&mut self, _entities: Vec<EntityId>) -> Answer<Handle> {
        self.unavailable_action("lock-entities")
    }

    fn unlock_entities(&mut self, _lock: Handle) -> Answer<()> {
        self.unavailable_action("unlock-entities")
    }

    fn create_timer(&mut self, _fire_at: u64) -> Answer<Handle> {
        self.unavailable_action("create-timer")
    }

    fn wait_for_event(&mut self, _name: String) -> Answer<Handle> {
        self.unavailable_action("wait-for-event")
    }

    fn send_event(&mut self, _instance_id: String, _name: String, _data: String) -> Answer<()> {
        self.unavailable_action("send-event")
    }

    fn call_http(&mut self, _request: HttpCall) -> Answer<Handle> {
        self.unavailable_action("call-http")
    }

    fn cancel(&mut self, handle: Handle) -> wasmtime::Result<()> {
        self.script()?.cancel(handle);
        Ok(())
    }

    async fn wait_any(&mut self, handles: Vec<Handle>) -> wasmtime::Result<Completion> {
        drop(self.script()?);
        self.flush_output();
        let grown = self.limits.memory_grown_bytes();
        let Role::Orchestrator(script) = &self.role else { unreachable!("checked above") };
        let script = Arc::clone(script);
        let mut was_suspended = false;
        let (handle, outcome) = poll_fn(|_| {
            let mut script = lock(&script);
            match script.wait_any(&handles) {
                Ok(Some(completion)) => Poll::Ready(Ok(completion)),
                Ok(None) => {
                    // Nobody wakes this future: the executor polls it in the next turn.
                    script.memory_grown_bytes = grown;
                    was_suspended = true;
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(raise(error))),
            }
        })
        .await?;
        if was_suspended {
            self.limits.begin(self.host.config.turn_cpu_ms_max);
        }
        let outcome = match outcome {
            Ok(result) => Ok(result.as_str().to_owned()),
            Err(failure) => Err(to_failure(failure)),
        };
        Ok(Completion { handle, outcome })
    }

    fn continue_as_new(&mut self, _input: String, _preserve_events: bool) -> wasmtime::Result<()> {
        drop(self.script()?);
        let text = "continue-as-new is not available in this version of the host";
        Err(Refusal(text.to_owned()).into())
    }
}

impl GuestState {
    fn unavailable_action<T>(&mut self, what: &str) -> Answer<T> {
        drop(self.script()?);
        Ok(Err(not_available(what)))
    }
}

/// What the guest gets for an action.
fn answer<T>(result: Result<T, ScriptError>) -> Answer<T> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(ScriptError::TooManyActions) => {
            let problem = "one execution has too many actions; use continue-as-new";
            Ok(Err(HostError::LimitExceeded(problem.to_owned())))
        }
        Err(error) => Err(raise(error)),
    }
}

/// The trap for a call that has no answer.
fn raise(error: ScriptError) -> wasmtime::Error {
    let text = match error {
        ScriptError::Mismatch => "the run does not follow its history".to_owned(),
        ScriptError::TooManyActions => "too many actions".to_owned(),
        ScriptError::BadHandle(text) => text,
    };
    Refusal(text).into()
}
