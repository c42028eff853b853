//! Turns of orchestrators: a fresh guest or a suspended one, run until it ends or waits.

mod arguments;
mod description;
mod events;
mod handles;
mod history;
mod host;
mod outcome;
mod script;
mod section;
#[cfg(test)]
pub(crate) mod tests;
mod turns;

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use everstate_engine::client::InstanceStatus;
use everstate_engine::guest::{
    Awaited, OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use everstate_types::{EventKind, Failure, HistoryEvent, Payload};

pub(crate) use self::script::Script;
use crate::component::Code;
use crate::error::GuestError;
use crate::executor::Host;
use crate::state::{Role, lock};
use crate::suspended::{OrchestratorFuture, OrchestratorGuest};

/// How a run ends: with an output, with a failure that the guest gives, or by the host.
type RunResult = Result<Result<String, Failure>, GuestError>;

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
            Ok(code) => {
                if !item.history.is_empty() {
                    host.metrics.replays.inc();
                }
                begin(&host, code, item)
            }
            Err(error) => return Script::new(item).end(Err(error.into_failure())),
        },
    };
    let result = run_to_wait(&host, &mut guest).await;
    conclude(&host, guest, result)
}

/// What the guest of an execution waits for, given its history and nothing new. One that is kept is
/// asked and left as it is; else one is made for the question, whose replay has no effect.
pub(crate) async fn awaited(host: Arc<Host>, item: OrchestrationWorkItem) -> Option<Vec<Awaited>> {
    if let Some(awaited) = lock(&host.suspended).awaited(&item) {
        return Some(awaited);
    }
    let _check = host.checks.acquire().await.expect("the semaphore is never closed");
    let _permit = host.turns.acquire().await.expect("the semaphore is never closed");
    let code = host.catalog.code(item.component).await.ok()?;
    let mut guest = begin(&host, code, item);
    match run_to_wait(&host, &mut guest).await {
        None => Some(lock(&guest.script).awaited()),
        // It has ended, where its history says that it waits.
        Some(_) => None,
    }
}

/// Replays the history of an orchestration on other code, and says how that does not follow it.
pub(crate) async fn check(
    host: &Arc<Host>,
    code: &Arc<Code>,
    status: &InstanceStatus,
) -> Result<(), Failure> {
    let is_turn = |event: &HistoryEvent| event.kind == EventKind::OrchestratorStarted;
    if !status.history.iter().any(is_turn) {
        return Ok(());
    }
    let _check = host.checks.acquire().await.expect("the semaphore is never closed");
    let _permit = host.turns.acquire().await.expect("the semaphore is never closed");
    let record = &status.record;
    let item = OrchestrationWorkItem {
        instance_id: status.instance_id.clone(),
        execution_id: record.execution_id,
        name: record.name.clone(),
        component: code.hash,
        parent_instance_id: record.parent.as_ref().map(|parent| parent.instance_id.clone()),
        tags: record.tags.clone(),
        trace_id: None,
        history: Arc::clone(&status.history),
        // A live turn in which nothing has come: the guest gets there only if it has repeated all.
        new_events: Arc::default(),
    };
    let mut guest = begin(host, Arc::clone(code), item);
    let result = match run_to_wait(host, &mut guest).await {
        None => return Ok(()),
        Some(Err(GuestError::Host(problem))) => {
            return Err(GuestError::Host(problem).into_failure());
        }
        Some(Err(error)) => Err(error.into_failure()),
        Some(Ok(result)) => result.map(Payload::from),
    };
    match lock(&guest.script).end(result).result {
        OrchestrationResult::Diverged(failure) => Err(failure),
        _ => Ok(()),
    }
}

/// Runs a guest to its end, which is given, or until it waits for what has not come.
async fn run_to_wait(host: &Host, guest: &mut OrchestratorGuest) -> Option<RunResult> {
    poll_fn(|context| {
        host.engine.ticker.mark();
        match guest.run.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            // Otherwise it only gave way to others, and will be polled again.
            Poll::Pending if lock(&guest.script).is_waiting() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A guest that has not run yet.
fn begin(host: &Arc<Host>, code: Arc<Code>, item: OrchestrationWorkItem) -> OrchestratorGuest {
    let script = Arc::new(Mutex::new(Script::new(item)));
    let run = run_to_end(Arc::clone(host), code, Arc::clone(&script));
    OrchestratorGuest { run, script }
}

fn run_to_end(host: Arc<Host>, code: Arc<Code>, script: Arc<Mutex<Script>>) -> OrchestratorFuture {
    Box::pin(async move {
        let name = lock(&script).item.name.clone();
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
        store.data_mut().flush_output();
        result
    })
}

/// Keeps a guest that waits; makes an outcome of what it did.
fn conclude(
    host: &Host,
    guest: OrchestratorGuest,
    result: Option<RunResult>,
) -> OrchestrationOutcome {
    let mut script = lock(&guest.script);
    let Some(result) = result else {
        let outcome = script.suspend();
        let id = script.item.instance_id.clone();
        let grown = script.memory_grown_bytes;
        drop(script);
        let dropped = lock(&host.suspended).keep(id, guest, grown);
        drop(dropped);
        return outcome;
    };
    let (result, problem) = match result {
        Ok(Ok(output)) => (output_of(output, &script, host.config.payload_bytes_max), None),
        Ok(Err(failure)) => (Err(failure), None),
        Err(error) => {
            host.metrics.failed(&error);
            let problem = error.to_string();
            (Err(error.into_failure()), Some(problem))
        }
    };
    let outcome = script.end(result);
    let problem = match &outcome.result {
        OrchestrationResult::Diverged(failure) => Some(&failure.error_message),
        _ => problem.as_ref(),
    };
    if let Some(problem) = problem {
        let OrchestrationWorkItem { name, instance_id, .. } = &script.item;
        tracing::warn!(function = %name, instance = %instance_id, "{problem}");
    }
    outcome
}

/// What an orchestrator returned, unless it is too large. What nobody will see may have any size.
fn output_of(output: String, script: &Script, bytes_max: usize) -> Result<Payload, Failure> {
    if output.len() > bytes_max && !script.begins_anew() {
        let (bytes, limit) = (output.len(), bytes_max);
        let error = GuestError::PayloadTooLarge { what: "the output", bytes, limit };
        return Err(error.into_failure());
    }
    Ok(Payload::from(output))
}
