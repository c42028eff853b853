//! Operations of entities: batches of them, one after the other. What an operation may ask of the host
//! is in `context.rs`.

mod context;

use std::sync::Arc;
use std::time::{Duration, Instant};

use everstate_engine::guest::{EntityOperation, EntityOutcome, EntityWorkItem, OperationOutcome};
use everstate_types::{EntityId, EntityState, FunctionKind, Payload};
use tokio::task::yield_now;

pub(crate) use self::context::EntityRun;
use crate::bindings::exports::entity::{Guest, Operation};
use crate::catalog::PublishedFunction;
use crate::component::{Live, within};
use crate::convert::{failure, to_entity_id};
use crate::engine::EPOCH_TICK_MS;
use crate::error::GuestError;
use crate::executor::Host;
use crate::state::Role;

/// Elapsed time after which a batch begins no further operation, in milliseconds: its results can be
/// committed then, others have a turn, and the next batch runs the newest code.
const ENTITY_BATCH_MS: u64 = 10;

/// Bytes of state or input that give an operation a further millisecond of CPU time: to read and write
/// a large value takes a guest several nanoseconds a byte, however little it does with it.
const BYTES_PER_CPU_MS: usize = 64 << 10;

/// Runs operations, one after the other: as many as there is time for, and none after one that ended
/// in any other way than by the guest's own word. What is left the engine gives again.
pub(crate) async fn run(host: Arc<Host>, item: EntityWorkItem) -> EntityOutcome {
    let EntityWorkItem { entity, mut state, operations } = item;
    let _permit = host.turns.acquire().await.expect("the semaphore is never closed");
    // Found anew for each work item, so that new code is used as soon as it is there.
    let Some(function) = host.catalog.find_for_work(FunctionKind::Entity, entity.name()) else {
        return unknown(&entity, state, operations.len());
    };
    let batch_size = u32::try_from(operations.len()).unwrap_or(u32::MAX);
    let mut results = Vec::with_capacity(operations.len());
    let begun = Instant::now();
    let mut resumed = begun;
    for (operation, batch_position) in operations.into_iter().zip(0..) {
        let place = Place { entity: &entity, batch_size, batch_position };
        let (outcome, is_sound) = operate(&host, &function, place, operation, &mut state).await;
        if let Some(ends) = &function.ends {
            ends.count(outcome.result.is_err());
        }
        results.push(outcome);
        // Guests give way at ticks, but what is shorter than a tick never sees one.
        if resumed.elapsed() >= Duration::from_millis(EPOCH_TICK_MS) {
            yield_now().await;
            resumed = Instant::now();
        }
        if !is_sound || begun.elapsed() >= Duration::from_millis(ENTITY_BATCH_MS) {
            break;
        }
    }
    let time_to_live_ms = function.entity.time_to_live_ms;
    EntityOutcome { results, state, time_to_live_ms, large: None }
}

/// Every operation fails, because nothing could do it.
fn unknown(entity: &EntityId, state: EntityState, count: usize) -> EntityOutcome {
    let failed = || {
        let error = GuestError::FunctionNotFound(entity.name().to_owned(), "an entity");
        OperationOutcome { result: Err(error.into_failure()), effects: Vec::new() }
    };
    let results = (0..count).map(|_| failed()).collect();
    EntityOutcome { results, state, time_to_live_ms: None, large: None }
}

/// Whose operation it is, and its place in the batch.
#[derive(Clone, Copy)]
struct Place<'a> {
    entity: &'a EntityId,
    batch_size: u32,
    batch_position: u32,
}

/// Does one operation, and takes its state if it went well. Whether it ended by the guest's own word.
async fn operate(
    host: &Arc<Host>,
    function: &PublishedFunction,
    place: Place<'_>,
    operation: EntityOperation,
    state: &mut EntityState,
) -> (OperationOutcome, bool) {
    let Place { entity, batch_size, batch_position } = place;
    let run = EntityRun::new((&function.name, &function.entity), entity, &operation, state.clone());
    let operation = Operation {
        entity: to_entity_id(entity),
        name: operation.operation,
        input: operation.input.map(|input| input.as_str().to_owned()),
        batch_size,
        batch_position,
    };
    match invoke(host, function, run, &operation).await {
        Ok(Ok((output, run))) => {
            let (state_after, effects) = run.into_effects();
            *state = state_after;
            (OperationOutcome { result: Ok(output), effects }, true)
        }
        Ok(Err(failure)) => (OperationOutcome { result: Err(failure), effects: Vec::new() }, true),
        Err(error) => {
            host.metrics.failed(&error);
            let function = function.name.as_str();
            tracing::warn!(function, instance = %entity, operation = operation.name, "{error}");
            (OperationOutcome { result: Err(error.into_failure()), effects: Vec::new() }, false)
        }
    }
}

type Invoked = Result<(Option<Payload>, EntityRun), everstate_types::Failure>;

/// Has an instance of the component do one operation. An instance that failed in any other way than by
/// its own word is not used again.
async fn invoke(
    host: &Arc<Host>,
    function: &PublishedFunction,
    run: EntityRun,
    operation: &Operation,
) -> Result<Invoked, GuestError> {
    let mut live = function.code.live_entity(host).await?;
    let given_bytes = run.state_bytes().max(operation.input.as_ref().map_or(0, String::len));
    let more_ms = u64::try_from(given_bytes / BYTES_PER_CPU_MS).unwrap_or(u64::MAX);
    let cpu_ms_max = host.config.turn_cpu_ms_max.saturating_add(more_ms);
    let weight = live.begin(Role::Entity(run), cpu_ms_max, given_bytes);
    let Live { store, guest } = &mut live;
    let called = Guest::call_invoke(guest, &mut *store, operation);
    let called = within(host, host.config.operation_wall_ms_max, &weight, called).await;
    let (role, result) = live.end(called);
    let result = result?;
    function.code.keep_entity(host, live);
    let Role::Entity(run) = role else { unreachable!("the role that was set above") };
    let limit = host.config.payload_bytes_max;
    match result {
        Ok(Some(output)) if output.len() > limit => {
            let (what, bytes) = ("the result", output.len());
            Err(GuestError::PayloadTooLarge { what, bytes, limit })
        }
        Ok(output) => Ok(Ok((output.map(Payload::from), run))),
        Err(reported) => Ok(Err(failure(reported))),
    }
}
