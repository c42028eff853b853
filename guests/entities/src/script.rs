//! An orchestrator that does what its input says, step by step, and gives what came of each step: a
//! result, or `{"error": …, "message": …}`.

use std::time::Duration;

use everstate_sdk::{
    ActivityContext, ChildOptions, DurableFuture, EntityId, EntityLock, Failure,
    OrchestrationContext, Timestamp, activity, orchestrator,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The name and the key of an entity.
type Target = (String, String);

/// The name and the key of an entity, an operation and its input.
type Asked = (String, String, String, Value);

/// What is to be done next.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Step {
    /// Calls an entity and waits for the result.
    Call(Asked),
    /// Calls an entity and does not wait.
    Begin(Asked),
    /// Waits for all calls that have begun; gives what came of each.
    Finish,
    Signal(Asked),
    SignalAt(Asked, Timestamp),
    /// Sends so many signals whose inputs are the instance's id and a number, from 0.
    SignalMany(String, String, String, u64),
    /// Locks entities and waits until it has them.
    Lock(Vec<Target>),
    /// Asks for locks and does not wait.
    RequestLock(Vec<Target>),
    /// Waits for what it asked for.
    AwaitLock,
    /// Drops what it asked for.
    DropRequest,
    /// Drops the guard.
    Unlock,
    /// Loses the guard without dropping it, so that only the host can release the entities.
    LoseGuard,
    Child,
    StartOther(String),
    Activity,
    Wait(String),
    Show(Value),
    Sleep(u64),
    Fail,
    Trap,
    /// Starts over with these steps.
    ContinueAsNew(Vec<Self>),
}

/// What the steps so far have left open.
#[derive(Default)]
struct Open {
    calls: Vec<DurableFuture<Value>>,
    request: Option<DurableFuture<EntityLock>>,
    lock: Option<EntityLock>,
}

#[orchestrator]
async fn Script(context: OrchestrationContext, steps: Vec<Step>) -> Result<Vec<Value>, Failure> {
    let mut open = Open::default();
    let mut outcomes = Vec::new();
    for step in steps {
        if matches!(step, Step::Fail) {
            return Err(Failure::new("AskedToFail", "failed as asked"));
        }
        outcomes.push(told(open.take(&context, step).await));
    }
    Ok(outcomes)
}

impl Open {
    async fn take(&mut self, context: &OrchestrationContext, step: Step) -> Result<Value, Failure> {
        match step {
            Step::Call(asked) => call(context, &asked)?.await,
            Step::Begin(asked) => {
                self.calls.push(call(context, &asked)?);
                Ok(Value::Null)
            }
            Step::Finish => {
                let mut outcomes = Vec::new();
                for call in self.calls.drain(..) {
                    outcomes.push(told(call.await));
                }
                Ok(Value::Array(outcomes))
            }
            Step::Lock(_)
            | Step::RequestLock(_)
            | Step::AwaitLock
            | Step::DropRequest
            | Step::LoseGuard
            | Step::Unlock => self.take_lock(context, step).await,
            other => take_other(context, other).await,
        }
    }

    async fn take_lock(
        &mut self,
        context: &OrchestrationContext,
        step: Step,
    ) -> Result<Value, Failure> {
        match step {
            Step::Lock(targets) => self.lock = Some(context.lock_entities(&ids(&targets)?).await?),
            Step::RequestLock(targets) => {
                self.request = Some(context.lock_entities(&ids(&targets)?));
            }
            Step::AwaitLock => {
                if let Some(request) = self.request.take() {
                    self.lock = Some(request.await?);
                }
            }
            Step::DropRequest => drop(self.request.take()),
            Step::LoseGuard => {
                Box::leak(Box::new(self.lock.take()));
            }
            _ => drop(self.lock.take()),
        }
        Ok(Value::Null)
    }
}

/// The steps that leave nothing open.
async fn take_other(context: &OrchestrationContext, step: Step) -> Result<Value, Failure> {
    match step {
        Step::Signal((name, key, operation, input)) => {
            context.signal_entity(&EntityId::new(&name, &key)?, &operation, &input)?;
        }
        Step::SignalAt((name, key, operation, input), at) => {
            context.signal_entity_at(&EntityId::new(&name, &key)?, &operation, &input, at)?;
        }
        Step::SignalMany(name, key, operation, count) => {
            let entity = EntityId::new(&name, &key)?;
            for number in 0..count {
                context.signal_entity(&entity, &operation, &(context.instance_id(), number))?;
            }
        }
        Step::Child => {
            return context.call_sub_orchestration("Nothing", &(), &ChildOptions::default()).await;
        }
        Step::StartOther(id) => {
            let options = ChildOptions { instance_id: Some(id), ..ChildOptions::default() };
            context.start_orchestration("Nothing", &(), &options)?;
        }
        Step::Activity => return context.call_activity("Nothing", &()).await,
        Step::Wait(event) => return context.wait_for_event(&event).await,
        Step::Show(status) => context.set_custom_status(&status)?,
        Step::Sleep(ms) => context.sleep(Duration::from_millis(ms)).await?,
        Step::ContinueAsNew(steps) => context.continue_as_new(&steps)?,
        _ => trap_as_asked(),
    }
    Ok(Value::Null)
}

fn call(context: &OrchestrationContext, asked: &Asked) -> Result<DurableFuture<Value>, Failure> {
    let (name, key, operation, input) = asked;
    Ok(context.call_entity(&EntityId::new(name, key)?, operation, input))
}

fn ids(targets: &[Target]) -> Result<Vec<EntityId>, Failure> {
    targets.iter().map(|(name, key)| Ok(EntityId::new(name, key)?)).collect()
}

fn told(outcome: Result<Value, Failure>) -> Value {
    outcome.unwrap_or_else(
        |failure| json!({ "error": failure.error_type, "message": failure.error_message }),
    )
}

#[expect(clippy::panic, reason = "that is what was asked for")]
fn trap_as_asked() -> ! {
    panic!("trapped as asked")
}

#[orchestrator(name = "Nothing")]
async fn nothing_done(_context: OrchestrationContext) -> bool {
    true
}

#[activity(name = "Nothing")]
fn nothing_run(_context: ActivityContext) -> bool {
    true
}
