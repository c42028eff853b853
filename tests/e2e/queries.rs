//! Finding, counting and removing orchestrations, and how much of one is shown.

use anyhow::{Context as _, Result, ensure};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_tests::driver::{Driver, encoded};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::ways::{self, host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[
        guests::APPROVAL,
        guests::COUNTER,
        guests::FAMILY,
        guests::HELLO,
        guests::LIFECYCLE,
    ])
}

in_every_way!(
    status_shows_history_input_and_output_only_if_asked_to,
    instances_are_found_by_status_name_prefix_tag_custom_status_and_time,
    pages_have_every_instance_once,
    purged_orchestration_is_gone_and_one_that_is_alive_stays,
    purged_parent_takes_its_children_along_if_asked_to,
    purge_of_many_removes_those_that_have_ended_and_fit,
);

/// S27, S49.
async fn status_shows_history_input_and_output_only_if_asked_to(driver: &Driver) -> Result<()> {
    driver.run("HelloActivity", "a", json!("World")).await?;
    let status = driver.managed("a", "").await?;
    assert_eq!(status["input"], "World");
    assert_eq!(status["output"], "Hello, World!");
    assert!(status.get("historyEvents").is_none(), "{status:#}");
    let status = driver.managed("a", "?showInput=false").await?;
    assert_eq!(status["input"], Value::Null);
    let status = driver.managed("a", "?showHistory=true").await?;
    let history = status["historyEvents"].as_array().context("a history")?;
    let types: Vec<&Value> = history.iter().map(|event| &event["EventType"]).collect();
    assert_eq!(types, ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"], "{status:#}");
    assert_eq!(history[1]["FunctionName"], "SayHello");
    assert!(history[1].get("Result").is_none(), "{status:#}");
    let status = driver.managed("a", "?showHistory=true&showHistoryOutput=true").await?;
    assert_eq!(status["historyEvents"][1]["Result"], "Hello, World!");
    assert_eq!(status["historyEvents"][2]["Result"], "Hello, World!");
    Ok(())
}

/// The ids of the instances that fit, all pages of them.
async fn found(driver: &Driver, filter: &str) -> Result<Vec<String>> {
    found_by(driver, filter, 100).await
}

async fn found_by(driver: &Driver, filter: &str, page_size: usize) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/lifecycle/query?pageSize={page_size}&{filter}{token}");
        let reply = driver.get(&path).await?;
        ensure!(reply.status == StatusCode::OK, "{path}: {} {}", reply.status, reply.text());
        let page = reply.json()?;
        let instances = page["instances"].as_array().context("instances")?;
        assert!(instances.len() <= page_size, "{} in a page of {page_size}", instances.len());
        ids.extend(instances.iter().map(|it| it["instanceId"].as_str().unwrap_or("").to_owned()));
        match page["token"].as_str() {
            Some(next) => token = format!("&token={}", encoded(next)),
            None => break,
        }
    }
    let reply = driver.get(&format!("/lifecycle/count?{filter}")).await?;
    ensure!(reply.status == StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.json()?["count"], ids.len(), "count and query differ: {filter}");
    Ok(ids)
}

/// The same, in the order of the ids.
async fn sorted(driver: &Driver, filter: &str) -> Result<Vec<String>> {
    let mut ids = found(driver, filter).await?;
    ids.sort();
    Ok(ids)
}

/// S50.
async fn instances_are_found_by_status_name_prefix_tag_custom_status_and_time(
    driver: &Driver,
) -> Result<()> {
    let before = SystemClock.now().as_millis();
    driver.start_with("Counter", "x-alive", "&tags=team:red,size:big", json!(0)).await?;
    driver.until_is("x-alive", "Running").await?;
    driver.start_with("HelloInline", "x-ended", "&tags=team:red", json!("World")).await?;
    driver.ended("x-ended").await?;
    driver.run("Greeter", "y-ended", json!("World")).await?;
    driver.start_new("ThrowOrchestrator", "y-failed", json!("Kah-BOOOOM!!!")).await?;
    driver.ended("y-failed").await?;
    let after = SystemClock.now().as_millis() + 1;
    let custom_status = encoded(r#"{"nextActions":["A","B","C"],"foo":2}"#);
    for (filter, expected) in [
        ("".to_owned(), vec!["x-alive", "x-ended", "y-ended", "y-failed"]),
        ("statuses=Running".to_owned(), vec!["x-alive"]),
        ("statuses=Completed".to_owned(), vec!["x-ended", "y-ended"]),
        ("statuses=Completed,Failed".to_owned(), vec!["x-ended", "y-ended", "y-failed"]),
        ("statuses=Terminated".to_owned(), vec![]),
        ("name=HelloInline".to_owned(), vec!["x-ended"]),
        ("prefix=x-".to_owned(), vec!["x-alive", "x-ended"]),
        ("prefix=y-&statuses=Failed".to_owned(), vec!["y-failed"]),
        ("tags=team:red".to_owned(), vec!["x-alive", "x-ended"]),
        ("tags=team:red,size:big".to_owned(), vec!["x-alive"]),
        ("tags=team:blue".to_owned(), vec![]),
        (format!("customStatus={custom_status}"), vec!["y-ended"]),
        (format!("createdFrom={after}"), vec![]),
        (format!("createdTo={}", before.saturating_sub(1)), vec![]),
        (format!("createdFrom={before}&createdTo={after}&name=Greeter"), vec!["y-ended"]),
    ] {
        assert_eq!(sorted(driver, &filter).await?, expected, "{filter}");
    }
    let reply = driver.get("/lifecycle/query?statuses=Nonsense").await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    Ok(())
}

/// S50: paging.
async fn pages_have_every_instance_once(driver: &Driver) -> Result<()> {
    let ids: Vec<String> = (0..7).map(|number| format!("page-{number}")).collect();
    for id in &ids {
        driver.run("HelloInline", id, json!("World")).await?;
    }
    for page_size in [1, 2, 7, 100] {
        assert_eq!(found_by(driver, "prefix=page-", page_size).await?, ids, "{page_size} a page");
        let mut oldest_first = found_by(driver, "name=HelloInline", page_size).await?;
        oldest_first.sort();
        assert_eq!(oldest_first, ids, "{page_size} a page");
    }
    Ok(())
}

/// S47: one.
async fn purged_orchestration_is_gone_and_one_that_is_alive_stays(driver: &Driver) -> Result<()> {
    driver.run("Echo", "ended", json!(50_000)).await?;
    driver.apply("purge", "ended", "").await?;
    assert!(driver.status("ended").await?.is_none());
    assert!(found(driver, "prefix=ended").await?.is_empty());
    let reply = driver.post("/lifecycle/purge/ended", &Value::Null).await?;
    assert_eq!(reply.json()?, json!({ "purged": false }), "there is none any more");
    driver.start_new("Counter", "alive", json!(1)).await?;
    driver.until_is("alive", "Running").await?;
    let reply = driver.post("/lifecycle/purge/alive", &Value::Null).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text());
    driver.raise("alive", "operation", json!("end")).await?;
    assert_eq!(driver.output("alive").await?, 1);
    Ok(())
}

/// S47: recursive, and not.
async fn purged_parent_takes_its_children_along_if_asked_to(driver: &Driver) -> Result<()> {
    for (parent, recursive) in [("one", false), ("two", true)] {
        let child = format!("{parent}-child");
        driver.run("Parent", parent, json!(child)).await?;
        driver.apply("purge", parent, &format!("?recursive={recursive}")).await?;
        assert!(driver.status(parent).await?.is_none());
        if recursive {
            driver.gone(&child).await?;
        } else {
            assert!(driver.status(&child).await?.is_some(), "the child was purged as well");
        }
    }
    Ok(())
}

/// S47: by a filter; never one that is alive.
async fn purge_of_many_removes_those_that_have_ended_and_fit(driver: &Driver) -> Result<()> {
    for id in ["x-1", "x-2", "y-1"] {
        driver.run("HelloInline", id, json!("World")).await?;
    }
    driver.start_new("ThrowOrchestrator", "x-failed", json!("Kah-BOOOOM!!!")).await?;
    driver.ended("x-failed").await?;
    driver.start_new("Counter", "x-alive", json!(0)).await?;
    driver.until_is("x-alive", "Running").await?;
    driver.post("/lifecycle/purge-many?prefix=x-&statuses=Failed", &Value::Null).await?;
    assert_eq!(sorted(driver, "").await?, ["x-1", "x-2", "x-alive", "y-1"]);
    driver.post("/lifecycle/purge-many?prefix=x-", &Value::Null).await?;
    assert_eq!(sorted(driver, "").await?, ["x-alive", "y-1"]);
    let reply = driver.post("/lifecycle/purge-many?statuses=Running", &Value::Null).await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    driver.post("/lifecycle/purge-many", &Value::Null).await?;
    assert_eq!(sorted(driver, "").await?, ["x-alive"]);
    Ok(())
}

/// S47: more than a thousand, which a page does not hold.
#[tokio::test]
async fn purge_of_more_than_a_thousand_removes_all_of_them() -> Result<()> {
    ways::plainly(host(), async |driver| {
        for number in 0..1_100 {
            driver.start_new("HelloInline", &format!("many-{number}"), json!("World")).await?;
        }
        driver.output("many-1099").await?;
        driver.until_count("prefix=many-&statuses=Completed", 1_100).await?;
        let reply = driver.post("/lifecycle/purge-many?prefix=many-", &Value::Null).await?;
        assert_eq!(reply.json()?, json!({ "purged": 1_100 }));
        assert!(found(driver, "prefix=many-").await?.is_empty());
        Ok(())
    })
    .await
}
