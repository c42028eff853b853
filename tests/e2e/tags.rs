//! Tags: given at the start, seen by all that comes of it.

use anyhow::Result;
use everstate_tests::driver::Driver;
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use serde_json::json;

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::FAMILY, guests::LIFECYCLE])
}

in_every_way!(
    tags_of_a_start_are_inherited_and_merged_by_children_and_activities,
    tags_survive_continue_as_new,
);

/// Runs one with tags, which starts over first if it is asked to.
async fn tags_are_seen(driver: &Driver, starts_over: bool) -> Result<()> {
    let tags = "&tags=team:red,level:parent";
    driver.start_with("Tagged", "a", tags, json!(starts_over)).await?;
    let expected = json!({
        "own": { "team": "red", "level": "parent" },
        "child": { "team": "red", "level": "child" },
        "activity": { "team": "red", "level": "activity" },
    });
    assert_eq!(driver.output("a").await?, expected);
    let status = driver.status("a").await?.unwrap_or_default();
    assert_eq!(status["tags"], json!({ "team": "red", "level": "parent" }), "{status:#}");
    Ok(())
}

/// S74: the tags of a call win against those that it inherits.
async fn tags_of_a_start_are_inherited_and_merged_by_children_and_activities(
    driver: &Driver,
) -> Result<()> {
    tags_are_seen(driver, false).await
}

/// S74: the next generation.
async fn tags_survive_continue_as_new(driver: &Driver) -> Result<()> {
    tags_are_seen(driver, true).await
}
