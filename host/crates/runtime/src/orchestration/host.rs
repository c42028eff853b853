//! The host side of the contract's interface `orchestration`: what an orchestrator may ask for.
//! Checks of what it passes are in `arguments.rs`; what it gets is decided in `script.rs`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use everstate_types::limits::CUSTOM_STATUS_BYTES_MAX;
use everstate_types::{Action, FunctionKind, FunctionName, InstanceId, Payload, Tags, Timestamp};
use rand::Rng;
use uuid::Uuid;

use super::arguments;
use super::script::{Script, ScriptError};
use crate::bindings::imports::orchestration::{
    ActivityOptions, Completion, Handle, Host, HttpCall, OrchestrationInfo, StartOptions,
};
use crate::bindings::imports::types::{EntityId, HostError, LogLevel};
use crate::convert::{
    entity_id, function_name, instance_id, invalid, level, optional_payload, payload, to_failure,
};
use crate::determinism::Seed;
use crate::error::{GuestError, Refusal};
use crate::state::{GuestState, Role, lock};

/// The purpose of the generator behind `random`; WASI's generators have others.
const RANDOM_PURPOSE: u64 = 3;

/// Turns that are replayed before others get a chance to run.
const REPLAYED_AT_ONCE_MAX: u64 = 128;

type Answer<T> = wasmtime::Result<Result<T, HostError>>;

/// Gives the guest the error of a check, and goes on with its value.
macro_rules! checked {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        }
    };
}

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
        // Other names than those of actions, which are shorter.
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
        // What was printed before comes before.
        self.flush_output();
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
        name: String,
        input: String,
        options: ActivityOptions,
    ) -> Answer<Handle> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let name = checked!(function_name(&name));
        let input = checked!(payload(input, bytes_max));
        let tags = checked!(arguments::tags(options.tags, &script.item.tags));
        let (first_attempt, attempt) = match options.retry_of {
            None => (None, 1),
            Some(handle) => match script.next_attempt(handle, &name) {
                Some((first_attempt, attempt)) => (Some(first_attempt), attempt),
                None => {
                    let problem = format!("retry-of: {handle} is no handle of activity '{name}'");
                    return Ok(Err(invalid(&problem)));
                }
            },
        };
        let action = Action::CallActivity { name, input, tags, first_attempt, attempt };
        answer(script.act(action))
    }

    fn call_sub_orchestration(
        &mut self,
        name: String,
        input: String,
        options: StartOptions,
    ) -> Answer<Handle> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let start = checked!(Start::new(&script, &name, input, options, bytes_max));
        let Start { name, instance_id, input, tags, start_at } = start;
        let own_id = script.item.instance_id.as_str();
        if instance_id.as_str().to_lowercase() == own_id.to_lowercase() {
            return Ok(Err(invalid(&"a child cannot have the id of its parent")));
        }
        let action = Action::CallSubOrchestration { name, instance_id, input, tags, start_at };
        answer(script.act(action))
    }

    fn start_orchestration(
        &mut self,
        name: String,
        input: String,
        options: StartOptions,
    ) -> Answer<String> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let start = checked!(Start::new(&script, &name, input, options, bytes_max));
        let Start { name, instance_id, input, tags, start_at } = start;
        let id = instance_id.to_string();
        let action = Action::StartOrchestration { name, instance_id, input, tags, start_at };
        answer(script.act(action).map(|_| id))
    }

    fn call_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
    ) -> Answer<Handle> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let entity = checked!(entity_id(&entity));
        let input = checked!(optional_payload(input, bytes_max));
        answer(script.act(Action::CallEntity { entity, operation, input }))
    }

    fn signal_entity(
        &mut self,
        entity: EntityId,
        operation: String,
        input: Option<String>,
        at: Option<u64>,
    ) -> Answer<()> {
        let bytes_max = self.host.config.payload_bytes_max;
        let is_replaying = self.script()?.is_replaying();
        let entity = checked!(entity_id(&entity));
        let input = checked!(optional_payload(input, bytes_max));
        let at = at.map(Timestamp::from_millis);
        let refusal = self.refusal(is_replaying, std::slice::from_ref(&entity));
        let action = Action::SignalEntity { entity, operation, input, at, refusal };
        answer(self.script()?.act(action).map(drop))
    }

    fn lock_entities(&mut self, entities: Vec<EntityId>) -> Answer<Handle> {
        let is_replaying = self.script()?.is_replaying();
        let entities = checked!(arguments::lock_set(&entities));
        let refusal = self.refusal(is_replaying, &entities);
        answer(self.script()?.act(Action::LockEntities { entities, refusal }))
    }

    fn unlock_entities(&mut self, lock: Handle) -> Answer<()> {
        answer(self.script()?.unlock(lock))
    }

    fn create_timer(&mut self, fire_at: u64) -> Answer<Handle> {
        let fire_at = Timestamp::from_millis(fire_at);
        answer(self.script()?.act(Action::CreateTimer { fire_at }))
    }

    fn wait_for_event(&mut self, name: String) -> Answer<Handle> {
        let mut script = self.script()?;
        checked!(arguments::event_name(&name));
        answer(script.wait_for_event(&name))
    }

    fn send_event(&mut self, id: String, name: String, data: String) -> Answer<()> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let instance_id = checked!(instance_id(&id));
        checked!(arguments::event_name(&name));
        let input = checked!(payload(data, bytes_max));
        answer(script.act(Action::SendEvent { instance_id, name, input }).map(drop))
    }

    fn call_http(&mut self, request: HttpCall) -> Answer<Handle> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let action = Action::CallActivity {
            name: FunctionName::http_activity(),
            input: checked!(arguments::http_call(&request, bytes_max)),
            tags: Tags::new(),
            first_attempt: None,
            attempt: 1,
        };
        answer(script.act(action))
    }

    fn cancel(&mut self, handle: Handle) -> wasmtime::Result<()> {
        self.script()?.cancel(handle).map_err(raise)
    }

    async fn wait_any(&mut self, handles: Vec<Handle>) -> wasmtime::Result<Completion> {
        drop(self.script()?);
        self.flush_output();
        let grown = self.limits.memory_grown_bytes();
        let Role::Orchestrator(script) = &self.role else { unreachable!("checked above") };
        let script = Arc::clone(script);
        let turns_before = lock(&script).turns_count();
        let (handle, outcome) = poll_fn(|_| {
            let mut script = lock(&script);
            match script.wait_any(&handles) {
                Ok(Some(completion)) => Poll::Ready(Ok(completion)),
                Ok(None) => {
                    // Nobody wakes this future: the executor polls it in the next turn.
                    script.memory_grown_bytes = grown;
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(raise(error))),
            }
        })
        .await?;
        let turns = lock(&script).turns_count();
        if turns != turns_before {
            self.limits.begin(self.host.config.turn_cpu_ms_max);
        }
        if turns / REPLAYED_AT_ONCE_MAX != turns_before / REPLAYED_AT_ONCE_MAX {
            tokio::task::yield_now().await;
        }
        let outcome = match outcome {
            Ok(result) => Ok(result.as_str().to_owned()),
            Err(failure) => Err(to_failure(failure)),
        };
        Ok(Completion { handle, outcome })
    }

    fn continue_as_new(&mut self, input: String, preserve_events: bool) -> wasmtime::Result<()> {
        let bytes_max = self.host.config.payload_bytes_max;
        let mut script = self.script()?;
        let bytes = input.len();
        if bytes > bytes_max {
            let text = format!(
                "continue-as-new: the input has {bytes} bytes, limits.payload_bytes_max allows \
                 {bytes_max}"
            );
            return Err(Refusal(text).into());
        }
        script.continue_as_new(Payload::from(input), preserve_events);
        Ok(())
    }
}

impl GuestState {
    /// Why these entities cannot be asked for anything: there is no function for one of them. Looked up
    /// when they are asked for the first time; a replay finds in its history what was found then.
    fn refusal(
        &self,
        is_replaying: bool,
        entities: &[everstate_types::EntityId],
    ) -> Option<String> {
        if is_replaying {
            return None;
        }
        let is_there =
            |name: &str| self.host.catalog.find_for_work(FunctionKind::Entity, name).is_some();
        let missing = entities.iter().find(|entity| !is_there(entity.name()))?;
        let error = GuestError::FunctionNotFound(missing.name().to_owned(), "an entity");
        Some(error.to_string())
    }
}

/// A start of another orchestration, checked.
struct Start {
    name: FunctionName,
    instance_id: InstanceId,
    input: Payload,
    tags: Tags,
    start_at: Option<Timestamp>,
}

impl Start {
    fn new(
        script: &Script,
        name: &str,
        input: String,
        options: StartOptions,
        bytes_max: usize,
    ) -> Result<Self, HostError> {
        let instance_id = match options.instance_id {
            Some(id) => instance_id(&id)?,
            None => {
                let guid = script.item.execution_id.action_guid(script.next_number());
                InstanceId::from_guid(guid)
            }
        };
        Ok(Self {
            name: function_name(name)?,
            instance_id,
            input: payload(input, bytes_max)?,
            tags: arguments::tags(options.tags, &script.item.tags)?,
            start_at: options.start_at.map(Timestamp::from_millis),
        })
    }
}

/// What the guest gets for what it asked.
fn answer<T>(result: Result<T, ScriptError>) -> Answer<T> {
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    let text = error.to_string();
    Ok(Err(match error {
        ScriptError::TooMany => HostError::LimitExceeded(text),
        ScriptError::Forbidden(_) => HostError::Conflict(text),
        ScriptError::NoSuchEntity(_) => HostError::NotFound(text),
        ScriptError::NoLock(_) => HostError::InvalidArgument(text),
        ScriptError::Diverged | ScriptError::BadHandle(_) => return Err(raise(error)),
    }))
}

/// The trap for a call that has no answer.
#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn raise(error: ScriptError) -> wasmtime::Error {
    Refusal(error.to_string()).into()
}
