//! Parents and children: awaited ones, and those that nobody waits for.

use anyhow::{Context as _, Result};
use everstate_tests::driver::{Driver, events};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::FAMILY, guests::LIFECYCLE])
}

in_every_way!(
    child_that_nobody_waits_for_ends_after_its_parent,
    child_knows_its_parent_and_an_orchestration_that_was_started_has_none,
    child_with_an_id_of_its_own_can_be_found_by_it,
    child_with_the_id_of_its_parent_fails_the_parent,
    children_side_by_side_do_their_work_once,
    parent_gets_the_output_of_the_last_generation_of_its_child,
);

/// S18.
async fn child_that_nobody_waits_for_ends_after_its_parent(driver: &Driver) -> Result<()> {
    let errand = json!({ "id": "herald", "name": "Heloise" });
    assert_eq!(driver.run("FireAndForget", "parent", errand).await?, "herald");
    let child = driver.until("herald", "it is there", |_| true).await?;
    assert!(["Pending", "Running"].iter().any(|it| child["runtimeStatus"] == *it), "{child:#}");
    driver.raise("herald", "speak", Value::Null).await?;
    assert_eq!(driver.output("herald").await?, "Hello, Heloise!");
    Ok(())
}

/// S19: the parent's id.
async fn child_knows_its_parent_and_an_orchestration_that_was_started_has_none(
    driver: &Driver,
) -> Result<()> {
    let descent = driver.run("Parent", "parent", Value::Null).await?;
    assert_eq!(descent["parent"], "parent");
    let child = descent["child"].as_str().context("an id")?;
    assert_ne!(child, "parent");
    assert_eq!(driver.output(child).await?, descent);
    let alone = driver.run("Child", "alone", Value::Null).await?;
    assert_eq!(alone, json!({ "child": "alone", "parent": null }));
    Ok(())
}

async fn child_with_an_id_of_its_own_can_be_found_by_it(driver: &Driver) -> Result<()> {
    let descent = driver.run("Parent", "parent", json!("chosen")).await?;
    assert_eq!(descent, json!({ "child": "chosen", "parent": "parent" }));
    assert_eq!(driver.output("chosen").await?, descent);
    Ok(())
}

/// S19: the same id.
async fn child_with_the_id_of_its_parent_fails_the_parent(driver: &Driver) -> Result<()> {
    driver.start_new("Selfish", "parent", Value::Null).await?;
    let status = driver.ended("parent").await?;
    assert_eq!(status["runtimeStatus"], "Failed", "{status:#}");
    assert_eq!(status["name"], "Selfish", "it was replaced by its child: {status:#}");
    Ok(())
}

/// S52: each child is one, whatever happens. Whoever is counted as the n-th says n.
async fn children_side_by_side_do_their_work_once(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("Household", "home", json!(8)).await?, (1..=8).sum::<u64>());
    assert_eq!(driver.entity("Births", "home").await?, Some(json!(8)));
    let status = driver.status("home").await?.context("it was run")?;
    assert_eq!(events(&status, "SubOrchestrationInstanceCompleted").len(), 8, "{status:#}");
    Ok(())
}

async fn parent_gets_the_output_of_the_last_generation_of_its_child(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("Heir", "parent", json!(5)).await?, "zero, for parent");
    Ok(())
}
