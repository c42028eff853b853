//! New code for entities: states of older shapes, code that blocks its own entity, and a holder of locks
//! whose code does not fit its history.
//!
//! `guests/entity-one` and `guests/entity-two` have the same entities.

use anyhow::{Context as _, Result, ensure};
use everstate_tests::driver::Driver;
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, START_DEADLINE};
use everstate_tests::wait::eventually;
use serde_json::{Value, json};

use crate::steps::{call, go, hold, play};
use crate::ways::{self, host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::ENTITY_ONE, guests::ENTITIES, guests::LIFECYCLE])
}

in_every_way!(
    state_of_an_older_version_is_upgraded_when_it_is_read,
    upgrade_that_fails_leaves_the_state_as_it_is,
    state_of_a_newer_version_is_not_touched_by_older_code,
    proxy_of_another_component_reaches_its_entities_whichever_version_they_have,
    rewound_holder_takes_its_lock_again_before_it_goes_on,
    holder_whose_code_does_not_fit_releases_and_takes_its_lock_again_with_code_that_fits,
    holder_that_waits_for_its_lock_goes_on_with_the_code_that_is_newest_when_it_has_it,
);

/// Replaces the component, and waits until its entities run: a contact with this name is shown like that.
async fn deploy(driver: &Driver, component: &str, shown: &str) -> Result<()> {
    let file_name = guests::ENTITY_ONE.rsplit('/').next().unwrap_or_default();
    driver.host().await.replace(component, file_name)?;
    eventually(&format!("contacts are shown as {shown}"), START_DEADLINE, || async {
        // What the other component has made of it must not be in the way.
        driver.result("Contact", "probe", "delete", &Value::Null).await.ok()?;
        driver.result("Contact", "probe", "set", &json!("Ada Lovelace")).await.ok()?;
        let found = driver.result("Contact", "probe", "get", &Value::Null).await.ok()?;
        (found == shown).then_some(())
    })
    .await
}

async fn deploy_one(driver: &Driver) -> Result<()> {
    deploy(driver, guests::ENTITY_ONE, "Ada Lovelace").await
}

async fn deploy_two(driver: &Driver) -> Result<()> {
    deploy(driver, guests::ENTITY_TWO, "Lovelace, Ada").await
}

async fn state_of_an_older_version_is_upgraded_when_it_is_read(driver: &Driver) -> Result<()> {
    let grace = ("Contact", "grace");
    play(driver, "a", &[call(grace, "set", "Grace Hopper")]).await?;
    assert_eq!(driver.keys(r"name=Contact&field=name:%22Grace%20Hopper%22").await?, ["grace"]);
    deploy_two(driver).await?;
    assert_eq!(driver.result("Contact", "grace", "get", &Value::Null).await?, "Hopper, Grace");
    // Reading stores nothing.
    let status = driver.entity_status("Contact", "grace").await?.context("it is there")?;
    assert_eq!(status["state"], json!({ "name": "Grace Hopper" }));
    assert_ne!(status["stateVersion"], 2);
    // The next change does.
    play(driver, "b", &[call(grace, "set", "Grace Murray")]).await?;
    let status = driver.entity_status("Contact", "grace").await?.context("it is there")?;
    assert_eq!(status["state"], json!({ "first": "Grace", "last": "Murray" }));
    assert_eq!(status["stateVersion"], 2);
    assert_eq!(driver.keys("name=Contact&field=last:%22Murray%22").await?, ["grace"]);
    driver.kill_and_restart().await?;
    assert_eq!(driver.result("Contact", "grace", "get", &Value::Null).await?, "Murray, Grace");
    Ok(())
}

async fn upgrade_that_fails_leaves_the_state_as_it_is(driver: &Driver) -> Result<()> {
    play(driver, "a", &[call(("Contact", "plato"), "set", "Plato")]).await?;
    deploy_two(driver).await?;
    let failure = driver.call("Contact", "plato", "get", &Value::Null).await?.unwrap_err();
    assert_eq!(failure["errorType"], "NoLastName", "{failure:#}");
    assert_eq!(driver.entity("Contact", "plato").await?, Some(json!({ "name": "Plato" })));
    deploy_one(driver).await?;
    assert_eq!(driver.result("Contact", "plato", "get", &Value::Null).await?, "Plato");
    Ok(())
}

async fn state_of_a_newer_version_is_not_touched_by_older_code(driver: &Driver) -> Result<()> {
    let grace = ("Contact", "grace");
    deploy_two(driver).await?;
    play(driver, "a", &[call(grace, "set", "Grace Hopper")]).await?;
    deploy_one(driver).await?;
    let steps = [call(grace, "get", Value::Null), call(grace, "set", "Plato")];
    for outcome in play(driver, "b", &steps).await? {
        assert_eq!(outcome["error"], "StateTooNew", "{outcome}");
    }
    deploy_two(driver).await?;
    assert_eq!(driver.result("Contact", "grace", "get", &Value::Null).await?, "Hopper, Grace");
    Ok(())
}

async fn proxy_of_another_component_reaches_its_entities_whichever_version_they_have(
    driver: &Driver,
) -> Result<()> {
    let renaming = json!(["grace", "Grace Hopper"]);
    assert_eq!(driver.run("Rename", "one", renaming.clone()).await?, "Grace Hopper");
    deploy_two(driver).await?;
    assert_eq!(driver.run("Rename", "two", renaming).await?, "Hopper, Grace");
    Ok(())
}

/// A holder that has failed, whose next step would not fail any more.
async fn failed_holder(driver: &Driver) -> Result<()> {
    driver.start_new("Holding", "holding", json!("k")).await?;
    let status = driver.ended("holding").await?;
    assert_eq!(status["runtimeStatus"], "Failed", "{status:#}");
    driver.until_free("Held", "k").await?;
    driver.signal("HeldRepaired", "holding", "set").await
}

async fn rewound_holder_takes_its_lock_again_before_it_goes_on(driver: &Driver) -> Result<()> {
    let held = ("Held", "k");
    failed_holder(driver).await?;
    hold(driver, "other", &[held], &[call(held, "add", 10)]).await?;
    driver.apply("rewind", "holding", "").await?;
    driver.until_entity("Held", "k", "it waits", |it| it["waitingOperations"] == 1).await?;
    driver.until_held("Held", "k", "other").await?;
    go(driver, "other").await?;
    assert_eq!(driver.output("holding").await?, json!([1, 12]));
    driver.until_free("Held", "k").await
}

/// A holder that was rewound with code that does not fit, and so has given its lock back: another
/// orchestration has it.
async fn stopped_holder(driver: &Driver) -> Result<()> {
    let held = ("Held", "k");
    failed_holder(driver).await?;
    deploy_two(driver).await?;
    driver.apply("rewind", "holding", "").await?;
    let status = driver.until_is("holding", "Suspended").await?;
    assert_eq!(status["failure"]["errorType"], "NonDeterminism", "{status:#}");
    driver.until_free("Held", "k").await?;
    hold(driver, "other", &[held], &[call(held, "add", 10)]).await
}

/// The other one ends, and the holder goes on.
async fn goes_on(driver: &Driver) -> Result<()> {
    driver.until_entity("Held", "k", "it waits", |it| it["waitingOperations"] == 1).await?;
    go(driver, "other").await?;
    assert_eq!(driver.output("holding").await?, json!([1, 12]));
    driver.until_free("Held", "k").await
}

async fn holder_whose_code_does_not_fit_releases_and_takes_its_lock_again_with_code_that_fits(
    driver: &Driver,
) -> Result<()> {
    stopped_holder(driver).await?;
    deploy_one(driver).await?;
    goes_on(driver).await
}

async fn holder_that_waits_for_its_lock_goes_on_with_the_code_that_is_newest_when_it_has_it(
    driver: &Driver,
) -> Result<()> {
    stopped_holder(driver).await?;
    // A host that was killed has let it try again when it started.
    if let Err(error) = driver.apply("resume", "holding", "?reason=try").await {
        ensure!(error.to_string().contains("is in the Running state"), "{error:#}");
    }
    driver.until_entity("Held", "k", "it waits", |it| it["waitingOperations"] == 1).await?;
    deploy_one(driver).await?;
    goes_on(driver).await
}

/// How many operations wait at the entity that misbehaves.
const QUEUE: usize = 200;

/// An entity that misbehaves blocks itself, and nobody else; what waits there is done by code that does not.
async fn unruly_entity_blocks_only_itself(how: &str) -> Result<()> {
    let limits = "[runtime]\nturn_cpu_ms_max = 1_000\nmemory_bytes_max = 67_108_864\n";
    ways::plainly(host().config(limits), async |driver| {
        let unruly = ("Unruly", "unruly");
        let work = json!({ "signal": ["Unruly", "unruly", "work", how] });
        play(driver, "sender", &vec![work; QUEUE]).await?;
        for number in 0..20 {
            let key = format!("other-{number}");
            assert_eq!(driver.result("Unruly", &key, "work", &json!("well")).await?, 1);
            driver.result("Contact", &key, "set", &json!("Ada Lovelace")).await?;
        }
        driver.entity(unruly.0, unruly.1).await?;
        if how == "loop" {
            let status = driver.entity_status(unruly.0, unruly.1).await?.context("it is there")?;
            assert!(status["waitingOperations"].as_u64() > Some(0), "nothing waits: {status:#}");
        }
        deploy_two(driver).await?;
        let done = play(driver, "last", &[call(unruly, "work", how)]).await?;
        let done = done[0].as_u64().context("a number")?;
        // Each of the others took a second, or was too fast for the deployment.
        assert!(done >= 1 && (how != "loop" || done > 1), "{done} were done by the new code");
        let status = driver.entity_status(unruly.0, unruly.1).await?.context("it is there")?;
        assert_eq!(status["waitingOperations"], 0, "{status:#}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn entity_that_loops_blocks_only_itself_until_it_is_replaced() -> Result<()> {
    unruly_entity_blocks_only_itself("loop").await
}

#[tokio::test]
async fn entity_that_traps_blocks_only_itself_until_it_is_replaced() -> Result<()> {
    unruly_entity_blocks_only_itself("trap").await
}

#[tokio::test]
async fn entity_that_eats_memory_blocks_only_itself_until_it_is_replaced() -> Result<()> {
    unruly_entity_blocks_only_itself("allocate").await
}
