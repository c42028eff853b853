//! Critical sections: who waits for whom, and that no lock outlives its holder.

use anyhow::{Context as _, Result};
use everstate_tests::driver::{Driver, events};
use serde_json::{Value, json};

use crate::steps::{Target, call, go, hold, host, lock, outcomes, play, request_lock, start, wait};
use crate::ways::in_every_way;

in_every_way!(
    s65_increments_under_one_lock_do_not_lose_one_another,
    locked_entity_does_what_its_holder_asks_and_all_else_waits_in_order,
    locks_are_taken_in_one_order_so_that_nobody_waits_for_ever,
    lock_does_not_create_and_shows_who_holds_it_since_when,
    dropped_guard_releases_while_the_holder_goes_on,
    lock_that_is_given_up_before_it_is_granted_is_not_held_later,
    holder_that_completes_releases,
    holder_that_fails_releases,
    holder_that_traps_releases,
    holder_that_starts_over_releases,
    holder_that_is_terminated_releases,
    holder_that_is_terminated_and_purged_releases,
    holder_that_is_replaced_releases,
    holder_that_is_suspended_keeps_what_it_holds,
    orchestration_that_is_terminated_while_it_waits_for_a_lock_holds_nothing,
    lock_can_be_broken_and_its_holder_is_shown_before,
    broken_lock_is_not_released_by_its_former_holder,
    locks_outlive_a_restart,
);

const A: Target<'_> = ("Number", "a");
const B: Target<'_> = ("Number", "b");

/// Both can be had: by a lock, and by calls.
async fn both_are_free(driver: &Driver) -> Result<()> {
    for (name, key) in [A, B] {
        driver.until_free(name, key).await?;
    }
    let steps = [lock(&[A, B]), call(A, "add", 1), json!("unlock"), call(B, "add", 1)];
    play(driver, "after", &steps).await.map(drop)
}

async fn s65_increments_under_one_lock_do_not_lose_one_another(driver: &Driver) -> Result<()> {
    let ids = ["one", "two", "three"];
    for id in ids {
        let increment = json!({ "lock": "lock", "count": "count" });
        driver.start_new("LockedIncrement", id, increment).await?;
    }
    let mut seen = Vec::new();
    for id in ids {
        seen.push(driver.output(id).await?.as_i64().context("a number")?);
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3]);
    driver.until_free("Number", "lock").await
}

async fn locked_entity_does_what_its_holder_asks_and_all_else_waits_in_order(
    driver: &Driver,
) -> Result<()> {
    let sequence = ("Sequence", "a");
    let note = |text: &str| call(sequence, "note", text);
    hold(driver, "holder", &[sequence], &[note("holder"), note("again")]).await?;
    let others = [
        ("caller", vec![note("caller")]),
        ("locker", vec![lock(&[sequence]), note("locker"), note("again")]),
        ("last", vec![note("last")]),
    ];
    for (index, (id, steps)) in others.iter().enumerate() {
        start(driver, id, steps).await?;
        let waits = format!("{id} waits");
        driver
            .until_entity("Sequence", "a", &waits, |it| it["waitingOperations"] == index + 1)
            .await?;
    }
    assert_eq!(driver.entity("Sequence", "a").await?, None, "reading waits for no lock");
    go(driver, "holder").await?;
    outcomes(driver, "last").await?;
    let expected = json!({ "notes": ["holder", "again", "caller", "locker", "again", "last"] });
    assert_eq!(driver.entity("Sequence", "a").await?, Some(expected));
    Ok(())
}

/// Each of them asks for the same entities in another order, and some for one of them twice.
async fn locks_are_taken_in_one_order_so_that_nobody_waits_for_ever(driver: &Driver) -> Result<()> {
    let c = ("Number", "c");
    let orders = [[A, B, c, A], [c, B, A, c], [B, c, A, B], [c, A, B, A], [B, A, c, c]];
    for (index, order) in orders.iter().enumerate() {
        let id = format!("locker-{index}");
        start(driver, &id, &[lock(order), call(A, "add", 1), call(c, "add", 1)]).await?;
    }
    for index in 0..orders.len() {
        let outcomes = outcomes(driver, &format!("locker-{index}")).await?;
        assert_eq!(outcomes[1], outcomes[2], "somebody came between the two");
    }
    assert_eq!(driver.entity("Number", "c").await?, Some(json!({ "value": orders.len() })));
    Ok(())
}

async fn lock_does_not_create_and_shows_who_holds_it_since_when(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A], &[]).await?;
    let status = driver.entity_status(A.0, A.1).await?.context("it is locked")?;
    assert_eq!(status["exists"], false, "{status:#}");
    assert_eq!(status["lock"]["instanceId"], "holder");
    let created = driver.status("holder").await?.context("it is there")?["createdTime"].as_u64();
    assert!(status["lock"]["since"].as_u64() >= created, "{status:#}, {created:?}");
    assert_eq!(driver.entity(A.0, A.1).await?, None);
    assert!(driver.keys("name=Number").await?.is_empty());
    assert_eq!(driver.keys("name=Number&stateless=true").await?, ["a"]);
    go(driver, "holder").await?;
    outcomes(driver, "holder").await?;
    driver.until_entity(A.0, A.1, "nothing is left", Value::is_null).await?;
    Ok(())
}

async fn dropped_guard_releases_while_the_holder_goes_on(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A, B], &[json!("unlock"), wait("end")]).await?;
    go(driver, "holder").await?;
    both_are_free(driver).await?;
    let status = driver.status("holder").await?.context("it is there")?;
    assert_eq!(status["runtimeStatus"], "Running", "{status:#}");
    driver.raise("holder", "end", Value::Null).await?;
    outcomes(driver, "holder").await?;
    let status = driver.status("holder").await?.context("it is there")?;
    assert_eq!(events(&status, "EntityUnlockSent").len(), 2, "{status:#}");
    Ok(())
}

/// It has the first of its entities, and waits for the second.
async fn lock_that_is_given_up_before_it_is_granted_is_not_held_later(
    driver: &Driver,
) -> Result<()> {
    hold(driver, "holder", &[B], &[]).await?;
    let steps = [request_lock(&[A, B]), wait("go"), json!("dropRequest"), wait("end")];
    start(driver, "other", &steps).await?;
    driver.until_held(A.0, A.1, "other").await?;
    go(driver, "other").await?;
    driver.until_free(A.0, A.1).await?;
    go(driver, "holder").await?;
    both_are_free(driver).await?;
    // The critical section is over: it may begin another one.
    driver.raise("other", "end", Value::Null).await?;
    outcomes(driver, "other").await.map(drop)
}

/// Holds both without a guard, so that nobody but the host can release them, and goes on with this step.
async fn ends(driver: &Driver, last: Option<Value>, runtime_status: &str) -> Result<()> {
    let then: Vec<Value> = [json!("loseGuard")].into_iter().chain(last).collect();
    hold(driver, "holder", &[A, B], &then).await?;
    go(driver, "holder").await?;
    both_are_free(driver).await?;
    driver.until_is("holder", runtime_status).await.map(drop)
}

async fn holder_that_completes_releases(driver: &Driver) -> Result<()> {
    ends(driver, None, "Completed").await
}

async fn holder_that_fails_releases(driver: &Driver) -> Result<()> {
    ends(driver, Some(json!("fail")), "Failed").await
}

async fn holder_that_traps_releases(driver: &Driver) -> Result<()> {
    ends(driver, Some(json!("trap")), "Failed").await
}

/// The next generation goes on, without the lock, and may take another one.
async fn holder_that_starts_over_releases(driver: &Driver) -> Result<()> {
    let next = json!({ "continueAsNew": [wait("end"), lock(&[A, B])] });
    ends(driver, Some(next), "Running").await?;
    driver.raise("holder", "end", Value::Null).await?;
    outcomes(driver, "holder").await.map(drop)
}

async fn holder_that_is_terminated_releases(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A, B], &[]).await?;
    driver.apply("terminate", "holder", "").await?;
    both_are_free(driver).await
}

async fn holder_that_is_terminated_and_purged_releases(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A, B], &[]).await?;
    driver.apply("terminate", "holder", "").await?;
    driver.apply("purge", "holder", "").await?;
    driver.gone("holder").await?;
    both_are_free(driver).await
}

async fn holder_that_is_replaced_releases(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A, B], &[]).await?;
    let steps = json!([wait("end"), lock(&[A])]);
    driver.start_with("Script", "holder", "&onConflict=terminateAndReplace", steps).await?;
    both_are_free(driver).await?;
    driver.raise("holder", "end", Value::Null).await?;
    outcomes(driver, "holder").await.map(drop)
}

async fn holder_that_is_suspended_keeps_what_it_holds(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A], &[call(A, "add", 1)]).await?;
    driver.apply("suspend", "holder", "").await?;
    driver.until_is("holder", "Suspended").await?;
    start(driver, "other", &[call(A, "add", 10)]).await?;
    driver.until_entity(A.0, A.1, "the other waits", |it| it["waitingOperations"] == 1).await?;
    driver.until_held(A.0, A.1, "holder").await?;
    driver.apply("resume", "holder", "").await?;
    go(driver, "holder").await?;
    assert_eq!(outcomes(driver, "holder").await?[2], 1);
    assert_eq!(outcomes(driver, "other").await?, [11]);
    Ok(())
}

async fn orchestration_that_is_terminated_while_it_waits_for_a_lock_holds_nothing(
    driver: &Driver,
) -> Result<()> {
    hold(driver, "holder", &[B], &[]).await?;
    start(driver, "other", &[lock(&[A, B])]).await?;
    driver.until_held(A.0, A.1, "other").await?;
    driver.apply("terminate", "other", "").await?;
    driver.until_free(A.0, A.1).await?;
    driver.until_held(B.0, B.1, "holder").await?;
    go(driver, "holder").await?;
    both_are_free(driver).await
}

async fn lock_can_be_broken_and_its_holder_is_shown_before(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A], &[call(A, "add", 100)]).await?;
    start(driver, "other", &[call(A, "add", 1)]).await?;
    driver.until_entity(A.0, A.1, "the other waits", |it| it["waitingOperations"] == 1).await?;
    let was_locked = driver.release_lock(A.0, A.1).await?;
    assert!(was_locked || driver.has_died(), "it was locked");
    assert_eq!(outcomes(driver, "other").await?, [1]);
    assert!(!driver.release_lock(A.0, A.1).await?, "it is not locked any more");
    // The holder does not know, and is served like anybody.
    go(driver, "holder").await?;
    assert_eq!(outcomes(driver, "holder").await?[2], 101);
    Ok(())
}

async fn broken_lock_is_not_released_by_its_former_holder(driver: &Driver) -> Result<()> {
    hold(driver, "former", &[A], &[json!("unlock"), wait("end")]).await?;
    driver.release_lock(A.0, A.1).await?;
    hold(driver, "holder", &[A], &[]).await?;
    go(driver, "former").await?;
    driver
        .until("former", "it has sent its unlock", |it| events(it, "EntityUnlockSent").len() == 1)
        .await?;
    driver.raise("former", "end", Value::Null).await?;
    outcomes(driver, "former").await?;
    // An operation that comes behind the unlock still waits.
    start(driver, "other", &[call(A, "add", 1)]).await?;
    driver.until_entity(A.0, A.1, "the other waits", |it| it["waitingOperations"] == 1).await?;
    driver.until_held(A.0, A.1, "holder").await?;
    go(driver, "holder").await?;
    assert_eq!(outcomes(driver, "other").await?, [1]);
    Ok(())
}

async fn locks_outlive_a_restart(driver: &Driver) -> Result<()> {
    hold(driver, "holder", &[A, B], &[call(A, "add", 1)]).await?;
    start(driver, "other", &[lock(&[A, B]), call(A, "add", 10)]).await?;
    driver.until_entity(A.0, A.1, "the other waits", |it| it["waitingOperations"] == 1).await?;
    driver.kill_and_restart().await?;
    driver.until_held(A.0, A.1, "holder").await?;
    driver.until_held(B.0, B.1, "holder").await?;
    go(driver, "holder").await?;
    assert_eq!(outcomes(driver, "holder").await?[2], 1);
    assert_eq!(outcomes(driver, "other").await?[1], 11);
    both_are_free(driver).await
}
