//! Metrics: what /metrics has, docs/metrics.md says and the dashboard shows are the same.

use std::collections::BTreeSet;

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::Value;

use crate::options;

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

const DASHBOARD: &str = include_str!("../../assets/grafana/everstate.json");

/// A host that has done something of each kind, and what it says of itself.
async fn metrics() -> Result<(HostProcess, String)> {
    let host = HostProcess::start(options(&[guests::HELLO, guests::DATABASE])).await?;
    let client = host.client();
    assert_eq!(client.put("/Database/1", "v").await?.status, StatusCode::OK);
    assert_eq!(client.post("/Hello/Hello5", "null").await?.status, StatusCode::OK);
    assert_eq!(client.get("/runtime/health").await?.status, StatusCode::OK);
    let reply = client.get("/metrics").await?;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("content-type").starts_with("application/openmetrics-text"));
    Ok((host, reply.text()))
}

/// Names and types of the metrics in a rendering.
fn families(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let split = |line: &str| line.split_once(' ').map(|(name, kind)| (name.into(), kind.into()));
    types.filter_map(split).collect()
}

/// The names of the series that a metric has.
fn series((name, kind): &(String, String)) -> Vec<String> {
    match kind.as_str() {
        "counter" => vec![format!("{name}_total")],
        "info" => vec![format!("{name}_info")],
        "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
        _ => vec![name.clone()],
    }
}

/// The names in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    words.filter(|word| word.starts_with("everstate_")).map(str::to_owned).collect()
}

/// All queries of the panels.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| queries(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn documented_metrics_are_those_that_a_host_has_and_a_dashboard_shows_them_all() -> Result<()>
{
    let (_host, text) = metrics().await?;
    let families = families(&text);
    let documented: BTreeSet<_> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `everstate_"))
        .filter_map(|row| row.split('|').next().zip(row.split('|').nth(1)))
        .map(|(name, kind)| {
            (format!("everstate_{}", name.trim().trim_end_matches('`')), kind.trim().to_owned())
        })
        .collect();
    assert_eq!(documented, families, "the table and the host");
    let mut found = Vec::new();
    queries(&serde_json::from_str(DASHBOARD)?, &mut found);
    let shown = names_in(&found.join("\n"));
    let all: BTreeSet<_> = families.iter().flat_map(series).collect();
    let unknown: Vec<_> = shown.difference(&all).collect();
    assert!(unknown.is_empty(), "the dashboard asks for what no host has: {unknown:?}");
    let is_shown =
        |family: &&(String, String)| series(family).iter().any(|series| shown.contains(series));
    let hidden: Vec<_> = families.iter().filter(|family| !is_shown(family)).collect();
    assert!(hidden.is_empty(), "the dashboard shows nothing of {hidden:?}");
    Ok(())
}

/// Guests call what they like, in any letter case.
#[tokio::test]
async fn activity_has_one_series_however_it_is_called_and_an_unknown_one_is_no_failure_of_a_guest()
-> Result<()> {
    let host = HostProcess::start(options(&[guests::RETRIES])).await?;
    for (id, activity) in [("a", "FLAKY"), ("b", "flaky"), ("c", "Nobody")] {
        let trial = format!(
            r#"{{"succeedsAt":1,"firstIntervalMs":1,"attempts":1,"activity":"{activity}"}}"#
        );
        let path = format!("/runtime/webhooks/durabletask/orchestrators/persistent/{id}");
        assert_eq!(host.client().post(&path, trial).await?.status, StatusCode::ACCEPTED);
    }
    let has_ended = |text: &str| {
        let end = |line: &str| line.starts_with("everstate_orchestration_completions_total");
        let ended = text.lines().filter(|line| end(line)).filter_map(|line| line.split(' ').nth(1));
        ended.filter_map(|count| count.parse::<u32>().ok()).sum::<u32>() == 3
    };
    let text = eventually("all have ended", START_DEADLINE, || async {
        let text = host.client().get("/metrics").await.ok()?.text();
        has_ended(&text).then_some(text)
    })
    .await?;
    let of = |name: &str| -> Vec<_> {
        text.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>()
    };
    let attempts = of("everstate_activity_attempts_total");
    for line in [
        "everstate_activity_attempts_total{function=\"Flaky\",status=\"completed\"} 2",
        "everstate_activity_attempts_total{function=\"(other)\",status=\"failed\"} 1",
    ] {
        assert!(attempts.contains(&line), "no `{line}` in {attempts:#?}");
    }
    assert!(!attempts.iter().any(|line| line.contains("FLAKY") || line.contains("\"flaky")));
    assert_eq!(
        of("everstate_guest_failures_total{kind=\"other\"}"),
        ["everstate_guest_failures_total{kind=\"other\"} 0"]
    );
    Ok(())
}

#[tokio::test]
async fn work_is_counted_by_function_and_unknown_names_make_no_labels() -> Result<()> {
    let (host, text) = metrics().await?;
    let has =
        |text: &str, line: &str| assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
    for line in [
        "everstate_http_requests_total{function=\"Database_HttpStart\",status=\"200\"} 1",
        "everstate_orchestration_starts_total{function=\"Hello5\"} 1",
        "everstate_orchestration_completions_total{function=\"Hello5\",status=\"completed\"} 1",
        "everstate_entity_operations_total{function=\"Register\",status=\"completed\"} 1",
        "everstate_activity_attempts_total{function=\"SayHello\",status=\"completed\"} 5",
        "everstate_activities_running 0",
    ] {
        has(&text, line);
    }
    for path in ["/nobody", "/nothing/here"] {
        assert_eq!(host.client().get(path).await?.status, StatusCode::NOT_FOUND);
    }
    let text = host.client().get("/metrics").await?.text();
    has(&text, "everstate_http_requests_total{function=\"(other)\",status=\"404\"} 2");
    assert!(!text.contains("nobody"), "{text}");
    Ok(())
}
