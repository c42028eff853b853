//! Trying again.

use std::time::Duration;

use everstate_sdk::{
    ActivityContext, ChildOptions, EntityContext, EntityId, Failure, OrchestrationContext,
    RetryPolicy, activity, entity, orchestrator,
};
use serde::{Deserialize, Serialize};

/// What is to be tried, and how.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trial {
    /// The attempt that succeeds.
    succeeds_at: u32,
    /// Failures are marked as ones that trying again cannot help.
    #[serde(default)]
    is_hopeless: bool,
    /// The type of the failures. The policy tries `Transient` again, and `Fatal` not.
    #[serde(default = "transient")]
    error_type: String,
    /// The activity. Default: `Flaky`.
    #[serde(default = "flaky")]
    activity: String,
    first_interval_ms: u64,
    attempts: u32,
    #[serde(default = "one")]
    coefficient: f64,
}

fn transient() -> String {
    "Transient".to_owned()
}

fn flaky() -> String {
    "Flaky".to_owned()
}

fn one() -> f64 {
    1.0
}

/// What an attempt says that succeeded.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Success {
    attempt: u32,
    idempotency_key: String,
}

#[activity]
fn Flaky(context: ActivityContext, trial: Trial) -> Result<Success, Failure> {
    let attempts = EntityId::new("Attempts", context.idempotency_key())?;
    context.client().signal_entity(&attempts, "add", &())?;
    let attempt = context.attempt();
    if attempt >= trial.succeeds_at {
        return Ok(Success { attempt, idempotency_key: context.idempotency_key().to_owned() });
    }
    let failure = Failure::new(trial.error_type, format!("attempt {attempt} failed"))
        .with_property("idempotencyKey", context.idempotency_key());
    Err(if trial.is_hopeless { failure.non_retriable() } else { failure })
}

/// `add` counts one.
#[entity]
fn Attempts(context: &mut EntityContext) -> Result<(), Failure> {
    let attempts = context.get_state::<u64>()?.unwrap_or(0);
    context.set_state(&(attempts + 1))
}

fn policy(trial: &Trial) -> RetryPolicy {
    RetryPolicy::new(Duration::from_millis(trial.first_interval_ms), trial.attempts)
        .backoff_coefficient(trial.coefficient)
        .handle(|failure| failure.error_type != "Fatal")
}

#[orchestrator]
async fn Persistent(context: OrchestrationContext, trial: Trial) -> Result<Success, Failure> {
    context.call_activity_with_retry(&trial.activity, &trial, &policy(&trial)).await
}

/// How long all attempts and the waits between them took by the orchestration's clock, in
/// milliseconds.
#[orchestrator]
async fn Patient(context: OrchestrationContext, trial: Trial) -> Result<u128, Failure> {
    let begun = context.current_time();
    context.call_activity_with_retry::<Success>(&trial.activity, &trial, &policy(&trial)).await?;
    Ok((context.current_time() - begun).as_millis())
}

/// Each child makes one attempt, so none but the policy of the parent tries again.
#[orchestrator]
async fn PersistentChild(context: OrchestrationContext, trial: Trial) -> Result<u64, Failure> {
    let key = context.instance_id();
    let tries = EntityId::new("Tries", key)?;
    let options = ChildOptions::default();
    context
        .call_sub_orchestration_with_retry::<()>("Try", &(key, &trial), &options, &policy(&trial))
        .await?;
    context.call_entity(&tries, "add", &()).await
}

#[orchestrator]
async fn Try(context: OrchestrationContext, task: (String, Trial)) -> Result<(), Failure> {
    let (key, trial) = task;
    let number: u64 = context.call_entity(&EntityId::new("Tries", &key)?, "add", &()).await?;
    if number < u64::from(trial.succeeds_at) {
        return Err(Failure::new(trial.error_type, format!("try {number} failed")));
    }
    Ok(())
}

/// `add` counts one and gives the count.
#[entity]
fn Tries(context: &mut EntityContext) -> Result<u64, Failure> {
    let tries = context.get_state::<u64>()?.unwrap_or(0) + 1;
    context.set_state(&tries)?;
    Ok(tries)
}

#[orchestrator]
async fn CatchLoop(context: OrchestrationContext, failures: u32) -> Result<u32, Failure> {
    let trial = Trial {
        succeeds_at: u32::MAX,
        is_hopeless: false,
        error_type: transient(),
        activity: flaky(),
        first_interval_ms: 1,
        attempts: 1,
        coefficient: 1.0,
    };
    let mut caught = 0;
    for _ in 0..failures {
        if context.call_activity::<Success>("Flaky", &trial).await.is_err() {
            caught += 1;
        }
    }
    Ok(caught)
}
