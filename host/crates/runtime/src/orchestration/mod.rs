//! Turns of orchestrators: a fresh guest or a suspended one, run until it ends or waits.

mod history;
mod host;
mod script;
#[cfg(test)]
pub(crate) mod tests;

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem};
use everstate_types::{Failure, Payload};

pub(crate) use self::script::Script;
use crate::component::Code;
use crate::error::GuestError;
use crate::executor::Host;
use crate::state::{Role, lock};
use crate::suspended::{OrchestratorFuture, OrchestratorGuest};

/// Runs one turn.
pub(crate) async fn run(host: Arc<Host>, item: OrchestrationWorkItem) -> OrchestrationOutcome {
    let _permit = host.turns.acquire().await.expect("the semaphore is never closed");
    let (suspended, stale) = lock(&host.suspended).take(&item);
    drop(stale);
    let mut guest = match suspended {
        Some(guest) => {
            lock(&guest.script).continue_with(item);
            guest
        }
        None => match host.catalog.code(item.component).await {
            Ok(code) => begin(&host, code, item),
            Err(error) => return ended(OrchestrationResult::Failed(error.into_failure())),
        },
    };
    let result = poll_fn(|context| {
        host.engine.ticker.mark();
        match guest.run.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            // Otherwise it only gave way to others, and will be polled again.
            Poll::Pending if lock(&guest.script).is_waiting() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    conclude(&host, guest, result)
}

/// A guest that has not run yet.
fn begin(host: &Arc<Host>, code: Arc<Code>, item: OrchestrationWorkItem) -> OrchestratorGuest {
    let script = Arc::new(Mutex::new(Script::new(item)));
    let run = run_to_end(Arc::clone(host), code, Arc::clone(&script));
    OrchestratorGuest { run, script }
}

fn run_to_end(host: Arc<Host>, code: Arc<Code>, script: Arc<Mutex<Script>>) -> OrchestratorFuture {
    Box::pin(async move {
        let (name, instance_id) = {
            let item = &lock(&script).item;
            (item.name.clone(), item.instance_id.clone())
        };
        let Some(interface) = &code.orchestrator else {
            return Err(GuestError::FunctionNotFound(name.to_string(), "an orchestrator"));
        };
        let cpu_ms_max = host.config.turn_cpu_ms_max;
        let (mut store, instance) =
            code.instantiate(&host, Role::Orchestrator(script), cpu_ms_max).await?;
        let result = match interface.load(&mut store, &instance) {
            Ok(guest) => guest.call_run(&mut store, name.as_str()).await,
            Err(error) => Err(error),
        };
        let result = match result {
            Ok(result) => Ok(result.map_err(crate::convert::failure)),
            Err(error) => Err(GuestError::of_call(&error, store.data_mut())),
        };
        if let Err(error) = &result {
            tracing::warn!(function = %name, instance = %instance_id, "{error}");
        }
        store.data_mut().flush_output();
        result
    })
}

/// Keeps a guest that waits; makes an outcome of what it did.
fn conclude(
    host: &Host,
    guest: OrchestratorGuest,
    result: Option<Result<Result<String, Failure>, GuestError>>,
) -> OrchestrationOutcome {
    let mut script = lock(&guest.script);
    if let Some(Ok(_)) = &result {
        script.end();
    }
    if let Some(mismatch) = script.take_mismatch() {
        return ended(OrchestrationResult::Failed(mismatch));
    }
    let (actions, custom_status) = script.take_outcome();
    let result = match result {
        Some(result) => ending(result, host.config.payload_bytes_max),
        None => {
            let id = script.item.instance_id.clone();
            let grown = script.memory_grown_bytes;
            drop(script);
            let dropped = lock(&host.suspended).keep(id, guest, grown);
            drop(dropped);
            OrchestrationResult::Waiting
        }
    };
    OrchestrationOutcome { actions, custom_status, result }
}

/// How an orchestrator ended that did.
fn ending(
    result: Result<Result<String, Failure>, GuestError>,
    bytes_max: usize,
) -> OrchestrationResult {
    match result {
        Ok(Ok(output)) if output.len() > bytes_max => {
            let (bytes, limit) = (output.len(), bytes_max);
            let error = GuestError::PayloadTooLarge { what: "the output", bytes, limit };
            OrchestrationResult::Failed(error.into_failure())
        }
        Ok(Ok(output)) => OrchestrationResult::Completed(Payload::from(output)),
        Ok(Err(failure)) => OrchestrationResult::Failed(failure),
        Err(error) => OrchestrationResult::Failed(error.into_failure()),
    }
}

/// An outcome without anything but an end.
fn ended(result: OrchestrationResult) -> OrchestrationOutcome {
    OrchestrationOutcome { actions: Vec::new(), custom_status: None, result }
}
