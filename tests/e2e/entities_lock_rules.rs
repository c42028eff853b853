//! What an orchestrator must not do in a critical section (S68): each attempt is refused with the
//! text of the rule, changes nothing, and leaves the orchestrator usable.

use anyhow::Result;
use everstate_tests::driver::{Driver, events};
use serde_json::{Value, json};

use crate::steps::{
    Target, begin, call, failed, go, hold, host, lock, outcomes, play, request_lock, signal, start,
    wait,
};
use crate::ways::in_every_way;

in_every_way!(
    s68_another_critical_section_is_refused,
    s68_child_is_refused,
    s68_signal_to_a_locked_entity_is_refused,
    s68_call_to_an_entity_that_is_not_locked_is_refused,
    s68_second_call_while_one_is_pending_is_refused,
    s68_calls_before_the_lock_is_granted_are_refused,
    s68_what_is_allowed_works_in_a_critical_section_and_everything_behind_it,
);

const A: Target<'_> = ("Number", "a");
const B: Target<'_> = ("Number", "b");
const OTHER: Target<'_> = ("Number", "other");

fn refused(message: &str) -> Value {
    failed("Conflict", message)
}

/// Tries this within a critical section of `A` and `B`, and once more behind it; gives what came of both.
/// In between, `A` does as it is asked.
async fn tried(driver: &Driver, step: Value) -> Result<(Value, Value)> {
    let steps =
        [lock(&[A, B]), step.clone(), call(A, "add", 1), call(B, "add", 1), json!("unlock"), step];
    let mut outcomes = play(driver, "a", &steps).await?;
    assert_eq!(outcomes[2..4], [json!(1), json!(1)], "it is not usable");
    let last = outcomes.pop().unwrap_or_default();
    Ok((outcomes.swap_remove(1), last))
}

async fn s68_another_critical_section_is_refused(driver: &Driver) -> Result<()> {
    let message = "Must not enter another critical section from within a critical section.";
    assert_eq!(tried(driver, lock(&[OTHER])).await?, (refused(message), Value::Null));
    Ok(())
}

async fn s68_child_is_refused(driver: &Driver) -> Result<()> {
    let message = "While holding locks, cannot call suborchestrators.";
    assert_eq!(tried(driver, json!("child")).await?, (refused(message), json!(true)));
    Ok(())
}

async fn s68_signal_to_a_locked_entity_is_refused(driver: &Driver) -> Result<()> {
    let message = "Must not signal a locked entity from a critical section.";
    assert_eq!(tried(driver, signal(A, "add", 10)).await?, (refused(message), Value::Null));
    driver.until_entity(A.0, A.1, "it is told once", |it| it["state"]["value"] == 11).await?;
    Ok(())
}

async fn s68_call_to_an_entity_that_is_not_locked_is_refused(driver: &Driver) -> Result<()> {
    let message =
        "Must not call an entity from a critical section if it is not one of the locked entities.";
    assert_eq!(tried(driver, call(OTHER, "add", 1)).await?, (refused(message), json!(1)));
    Ok(())
}

async fn s68_second_call_while_one_is_pending_is_refused(driver: &Driver) -> Result<()> {
    let message = "Must not call an entity from a critical section while a prior call to the same \
                   entity is still pending.";
    let both = || [begin(A, "add", 1), begin(A, "add", 1), json!("finish")];
    let steps = [
        vec![lock(&[A, B])],
        both().to_vec(),
        vec![call(A, "add", 1), json!("unlock")],
        both().to_vec(),
    ]
    .concat();
    let outcomes = play(driver, "a", &steps).await?;
    assert_eq!(outcomes[3], json!([1, refused(message)]));
    assert_eq!(outcomes[4], 2);
    assert_eq!(outcomes[8], json!([3, 4]));
    Ok(())
}

async fn s68_calls_before_the_lock_is_granted_are_refused(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[B], &[]).await?;
    let steps = [
        request_lock(&[A, B]),
        call(A, "add", 1),
        call(OTHER, "add", 1),
        signal(A, "add", 1),
        lock(&[OTHER]),
        json!("child"),
        json!({ "show": "refused" }),
        json!("awaitLock"),
        call(A, "add", 1),
    ];
    start(driver, "a", &steps).await?;
    driver.until("a", "it has tried", |it| it["customStatus"] == "refused").await?;
    driver.until_held(A.0, A.1, "a").await?;
    go(driver, "holder").await?;
    let outcomes = outcomes(driver, "a").await?;
    let message = "Must await the completion of the lock request prior to calling any entity.";
    for outcome in &outcomes[1..4] {
        assert_eq!(*outcome, refused(message));
    }
    let message = "Must not enter another critical section from within a critical section.";
    assert_eq!(outcomes[4], refused(message));
    assert_eq!(outcomes[5], refused("While holding locks, cannot call suborchestrators."));
    assert_eq!(outcomes[7..], [Value::Null, json!(1)]);
    assert_eq!(driver.entity(OTHER.0, OTHER.1).await?, None, "a refused call was done");
    Ok(())
}

async fn s68_what_is_allowed_works_in_a_critical_section_and_everything_behind_it(
    driver: &Driver,
) -> Result<()> {
    let allowed = [
        // Calls to different entities at the same time.
        begin(A, "add", 1),
        begin(B, "add", 2),
        json!("finish"),
        signal(OTHER, "add", 1),
        json!("activity"),
        json!({ "sleep": 10 }),
        json!({ "startOther": "started" }),
        wait("go"),
    ];
    let steps = [
        vec![lock(&[A, B])],
        allowed.to_vec(),
        vec![json!("unlock"), call(A, "add", 1), signal(B, "add", 1), json!("child")],
        vec![lock(&[B]), call(B, "get", Value::Null)],
    ]
    .concat();
    start(driver, "a", &steps).await?;
    driver.until_held(B.0, B.1, "a").await?;
    go(driver, "a").await?;
    let outcomes = outcomes(driver, "a").await?;
    assert_eq!(outcomes[3], json!([1, 2]));
    assert_eq!(outcomes[5], true);
    assert_eq!(outcomes[10..], [json!(2), Value::Null, json!(true), Value::Null, json!(3)]);
    driver.until_entity(OTHER.0, OTHER.1, "it is told", |it| it["state"]["value"] == 1).await?;
    driver.until_is("started", "Completed").await?;
    let status = driver.status("a").await?.unwrap_or_default();
    assert_eq!(events(&status, "EntityLockGranted").len(), 2, "{status:#}");
    Ok(())
}
