//! Operations of entities, and the host side of the contract's interface `entity-context`.

use std::sync::Arc;

use everstate_engine::guest::{EntityEffect, EntityOutcome, EntityWorkItem, OperationOutcome};
use everstate_types::limits::ENTITY_EFFECTS_MAX;
use everstate_types::{EntityId, FunctionKind, InstanceId, Payload, RequestId};
use uuid::Uuid;

use crate::bindings::exports::entity::{Guest, Operation};
use crate::bindings::imports::entity_context;
use crate::bindings::imports::types::{self, HostError, LogLevel};
use crate::component::{Code, Live, within};
use crate::convert::{
    entity_id, failure, function_name, instance_id, level, not_available, optional_payload,
    payload, to_entity_id,
};
use crate::error::GuestError;
use crate::executor::Host;
use crate::state::{GuestState, Role};

/// One operation under way: what it sees and what it wants.
#[derive(Debug)]
pub(crate) struct EntityRun {
    /// The entity.
    pub(crate) entity: EntityId,
    request_id: RequestId,
    state: Option<Payload>,
    effects: Vec<EntityEffect>,
}

/// Runs a batch of operations, one after the other.
pub(crate) async fn run(host: Arc<Host>, item: EntityWorkItem) -> EntityOutcome {
    let EntityWorkItem { entity, mut state, operations } = item;
    let Some(function) = host.catalog.find(FunctionKind::Entity, entity.name()) else {
        let failed = || {
            let error = GuestError::FunctionNotFound(entity.name().to_owned(), "an entity");
            OperationOutcome { result: Err(error.into_failure()), effects: Vec::new() }
        };
        return EntityOutcome { results: operations.iter().map(|_| failed()).collect(), state };
    };
    let _permit = host.turns.acquire().await.expect("the semaphore is never closed");
    let id = to_entity_id(&entity);
    let batch_size = u32::try_from(operations.len()).unwrap_or(u32::MAX);
    let mut results = Vec::with_capacity(operations.len());
    for (operation, batch_position) in operations.into_iter().zip(0..) {
        let run = EntityRun {
            entity: entity.clone(),
            request_id: operation.request_id,
            state: state.clone(),
            effects: Vec::new(),
        };
        let operation = Operation {
            entity: id.clone(),
            name: operation.operation,
            input: operation.input.map(|input| input.as_str().to_owned()),
            batch_size,
            batch_position,
        };
        results.push(match invoke(&host, &function.code, run, &operation).await {
            Ok(Ok((output, run))) => {
                state = run.state;
                OperationOutcome { result: Ok(output), effects: run.effects }
            }
            Ok(Err(failure)) => OperationOutcome { result: Err(failure), effects: Vec::new() },
            Err(error) => {
                tracing::warn!(function = entity.name(), instance = %entity, "{error}");
                OperationOutcome { result: Err(error.into_failure()), effects: Vec::new() }
            }
        });
    }
    EntityOutcome { results, state }
}

type Invoked = Result<(Option<Payload>, EntityRun), everstate_types::Failure>;

/// Does one operation on an instance of the component. An instance that failed in any other way
/// than by its own word is not used again.
async fn invoke(
    host: &Arc<Host>,
    code: &Code,
    run: EntityRun,
    operation: &Operation,
) -> Result<Invoked, GuestError> {
    let mut live = code.live_entity(host).await?;
    live.begin(Role::Entity(run), host.config.turn_cpu_ms_max);
    let Live { store, guest } = &mut live;
    let called = Guest::call_invoke(guest, &mut *store, operation);
    let called = within(host, host.config.operation_wall_ms_max, called).await;
    let (role, result) = live.end(called);
    let result = result?;
    code.keep_entity(host, live);
    let Role::Entity(run) = role else { unreachable!("the role that was set above") };
    let bytes_max = host.config.payload_bytes_max;
    match result {
        Ok(Some(output)) if output.len() > bytes_max => Err(GuestError::PayloadTooLarge {
            what: "the result",
            bytes: output.len(),
            limit: bytes_max,
        }),
        Ok(output) => Ok(Ok((output.map(Payload::from), run))),
        Err(reported) => Ok(Err(failure(reported))),
    }
}

type Answer<T> = wasmtime::Result<Result<T, HostError>>;

impl entity_context::Host for GuestState {
    fn get_state(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.entity()?.state.as_ref().map(|state| state.as_str().to_owned()))
    }

    fn set_state(&mut self, state: String) -> Answer<()> {
        let bytes_max = self.host.config.entity_state_bytes_max;
        let run = self.entity()?;
        if state.len() > bytes_max {
            return Ok(Err(HostError::LimitExceeded(format!(
                "limits.entity_state_bytes_max: {} bytes, {bytes_max} allowed",
                state.len()
            ))));
        }
        let state = Payload::from(state);
        run.state = (!state.is_null()).then_some(state);
        Ok(Ok(()))
    }

    fn delete_state(&mut self) -> wasmtime::Result<()> {
        self.entity()?.state = None;
        Ok(())
    }

    fn signal_entity(
        &mut self,
        entity: types::EntityId,
        operation: String,
        input: Option<String>,
        at: Option<u64>,
    ) -> Answer<()> {
        let bytes_max = self.host.config.payload_bytes_max;
        let run = self.entity()?;
        if at.is_some() {
            return Ok(Err(not_available("a signal at a later time")));
        }
        let effect = entity_id(&entity).and_then(|entity| {
            let input = optional_payload(input, bytes_max)?;
            Ok(EntityEffect::Signal { entity, operation, input })
        });
        Ok(effect.and_then(|effect| run.push(effect)))
    }

    fn start_orchestration(
        &mut self,
        name: String,
        input: String,
        id: Option<String>,
    ) -> Answer<String> {
        let bytes_max = self.host.config.payload_bytes_max;
        let run = self.entity()?;
        let effect = function_name(&name).and_then(|name| {
            let input = payload(input, bytes_max)?;
            let instance_id = match id.as_deref() {
                Some(id) => instance_id(id)?,
                None => run.derived_instance_id(),
            };
            Ok((instance_id.clone(), EntityEffect::Start { name, instance_id, input }))
        });
        Ok(effect.and_then(|(id, effect)| run.push(effect).map(|()| id.to_string())))
    }

    fn log(&mut self, of: LogLevel, message: String) -> wasmtime::Result<()> {
        self.entity()?;
        GuestState::log(self, level(of), &message);
        Ok(())
    }
}

impl EntityRun {
    fn push(&mut self, effect: EntityEffect) -> Result<(), HostError> {
        if self.effects.len() >= ENTITY_EFFECTS_MAX {
            return Err(HostError::LimitExceeded(format!(
                "an operation may send {ENTITY_EFFECTS_MAX} signals and starts"
            )));
        }
        self.effects.push(effect);
        Ok(())
    }

    /// The same if the operation is run again after a crash.
    fn derived_instance_id(&self) -> InstanceId {
        let name = self.effects.len().to_be_bytes();
        InstanceId::from_guid(Uuid::new_v5(&self.request_id, &name))
    }
}
