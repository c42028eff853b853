//! Looking into what is under way: why an orchestration waits, waiting for one, its history as it
//! happens, the locks, the end of an entity, health.

use anyhow::{Context as _, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::options;
use crate::steps::{Target, call, lock, wait};

const BASE: &str = "/runtime/webhooks/durabletask";

const JSON: (&str, &str) = ("content-type", "application/json");

const A: Target<'_> = ("Number", "a");
const B: Target<'_> = ("Number", "b");

/// Without kept guests whatever waits has to be replayed to say for what.
const NOTHING_IS_KEPT: &str = "[runtime]\nsuspended_guests_max = 0\n";

async fn host(config: &str) -> Result<HostProcess> {
    HostProcess::start(options(&[guests::ENTITIES, guests::APPROVAL]).config(config)).await
}

async fn start(host: &HostProcess, name: &str, id: &str, input: Value) -> Result<()> {
    let path = format!("{BASE}/orchestrators/{name}/{id}");
    let reply = host.client().post(&path, input.to_string()).await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    Ok(())
}

async fn raise(host: &HostProcess, id: &str, event: &str) -> Result<()> {
    let path = format!("{BASE}/instances/{id}/raiseEvent/{event}");
    let reply = host.client().send("POST", &path, &[JSON], "null").await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    Ok(())
}

/// Why an orchestration waits, once it waits for one thing of this kind.
async fn why(host: &HostProcess, id: &str, kind: &str) -> Result<(Value, Value)> {
    let path = format!("{BASE}/instances/{id}/why");
    eventually(&format!("{id} waits for a {kind}"), START_DEADLINE, || async {
        let found = host.client().get(&path).await.ok()?.json().ok()?;
        let reasons = found["reasons"].as_array()?;
        let [reason] = reasons.as_slice() else { return None };
        (reason["kind"] == kind).then(|| (reason.clone(), found.clone()))
    })
    .await
}

/// What waits for events, timers, locks and entities says so, and who holds what.
async fn everything_that_waits_says_for_what(host: &HostProcess) -> Result<()> {
    let (event, found) = why(host, "holder", "event").await?;
    assert_eq!(event["name"], "go");
    assert_eq!(found["runtimeStatus"], "Running");
    assert_eq!(found["locksHeld"][0]["entityId"], "@number@a");
    let since = found["locksHeld"][0]["since"].clone();
    let held_by = json!({ "instanceId": "holder", "since": since });
    let (asked, _) = why(host, "locker", "lock").await?;
    assert_eq!((&asked["entityId"], &asked["heldBy"]), (&json!("@number@a"), &held_by));
    let (called, found) = why(host, "caller", "entity").await?;
    assert_eq!((&called["name"], &called["entityId"]), (&json!("add"), &json!("@number@a")));
    assert_eq!(called["heldBy"], held_by);
    assert!(called["waitingOperations"].as_u64() >= Some(1), "{called}");
    assert_eq!(found["locksHeld"], json!([]));
    let (timer, _) = why(host, "sleeper", "timer").await?;
    assert!(timer["dueTime"].as_str() > timer["since"].as_str(), "{timer}");
    let locks = host.client().get(&format!("{BASE}/locks")).await?.json()?;
    let held = json!([{
        "entityId": "@number@a",
        "heldBy": { "instanceId": "holder" },
        "since": since,
    }]);
    assert_eq!(locks, held);
    let purge = format!("{BASE}/entities/Number/a?purge");
    let refused = host.client().send("DELETE", &purge, &[], "").await?;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    Ok(())
}

async fn explained_before_and_after_a_restart(config: &str) -> Result<()> {
    let mut host = host(config).await?;
    start(&host, "Script", "holder", json!([lock(&[A]), wait("go"), call(A, "add", 1)])).await?;
    why(&host, "holder", "event").await?;
    start(&host, "Script", "locker", json!([lock(&[A, B]), wait("go")])).await?;
    start(&host, "Script", "caller", json!([call(A, "add", 5)])).await?;
    start(&host, "Script", "sleeper", json!([{ "sleep": 3_600_000 }])).await?;
    everything_that_waits_says_for_what(&host).await?;
    host.process().kill_9().await?;
    host.restart().await?;
    everything_that_waits_says_for_what(&host).await?;
    raise(&host, "holder", "go").await?;
    let (event, found) = why(&host, "locker", "event").await?;
    assert_eq!(event["name"], "go");
    assert_eq!(found["locksHeld"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn orchestration_that_waits_says_for_what_also_after_a_restart() -> Result<()> {
    explained_before_and_after_a_restart("").await
}

#[tokio::test]
async fn orchestration_that_is_not_kept_says_for_what_it_waits_all_the_same() -> Result<()> {
    explained_before_and_after_a_restart(NOTHING_IS_KEPT).await
}

#[tokio::test]
async fn suspended_orchestration_says_by_whom_and_what_it_waits_for_besides() -> Result<()> {
    let host = host("").await?;
    start(&host, "Votes", "a", json!(1)).await?;
    why(&host, "a", "event").await?;
    let suspend = format!("{BASE}/instances/a/suspend?reason=lunch");
    host.client().post(&suspend, "").await?;
    let found = host.client().get(&format!("{BASE}/instances/a/why")).await?.json()?;
    let kinds: Vec<_> =
        found["reasons"].as_array().context("reasons")?.iter().map(|r| &r["kind"]).collect();
    assert_eq!(kinds, ["suspended", "event"], "{found}");
    assert_eq!(found["reasons"][0]["message"], "lunch");
    Ok(())
}

#[tokio::test]
async fn wait_returns_with_the_end() -> Result<()> {
    let host = host("").await?;
    start(&host, "Votes", "a", json!(1)).await?;
    let client = host.client();
    let begun = client.get(&format!("{BASE}/instances/a/wait?for=start")).await?;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text());
    let late = client.get(&format!("{BASE}/instances/a/wait?timeout=0")).await?;
    assert_eq!(late.status, StatusCode::ACCEPTED);
    let wait = format!("{BASE}/instances/a/wait?timeout=60");
    let waiting = tokio::spawn(async move { client.get(&wait).await });
    raise(&host, "a", "vote").await?;
    let ended = waiting.await??;
    assert_eq!(
        (ended.status, &ended.json()?["runtimeStatus"]),
        (StatusCode::OK, &json!("Completed"))
    );
    Ok(())
}

/// The events of a stream: id, name and data.
fn events_of(text: &str) -> Result<Vec<(String, String, Value)>> {
    let mut events = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':')) {
        let field = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        events.push((field("id: "), field("event: "), serde_json::from_str(&field("data: "))?));
    }
    Ok(events)
}

fn told(events: &[(String, String, Value)]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|(_, name, data)| match name.as_str() {
            "history" => data["EventType"].as_str(),
            "status" => data["runtimeStatus"].as_str(),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn stream_tells_the_history_as_it_happens_up_to_the_end() -> Result<()> {
    let host = host("").await?;
    start(&host, "Votes", "a", json!(1)).await?;
    why(&host, "a", "event").await?;
    let (client, path) = (host.client(), format!("{BASE}/instances/a/history/stream"));
    let stream = tokio::spawn(async move { client.get(&path).await });
    raise(&host, "a", "vote").await?;
    let reply = stream.await??;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let events = events_of(&reply.text())?;
    let names = told(&events);
    let history: Vec<_> =
        names.iter().filter(|name| !["Running", "Completed"].contains(name)).collect();
    let expected = ["ExecutionStarted", "EventRaised", "GenericEvent", "ExecutionCompleted"];
    assert_eq!(history, expected.iter().collect::<Vec<_>>(), "{names:?}");
    assert_eq!(names.last(), Some(&"Completed"), "{names:?}");
    // Who comes back gets what it has not seen, and the state.
    let seen = events.iter().find(|(_, _, data)| data["EventType"] == "EventRaised");
    let (id, ..) = seen.context("the event was told")?;
    let path = format!("{BASE}/instances/a/history/stream");
    let rest = host.client().send("GET", &path, &[("last-event-id", id.as_str())], "").await?;
    let rest = events_of(&rest.text())?;
    assert_eq!(told(&rest), ["GenericEvent", "ExecutionCompleted", "Completed"]);
    // Who has seen the end does not have to come back.
    let (end, name, _) = events.last().context("an end")?;
    assert_eq!(name, "end");
    let nothing = host.client().send("GET", &path, &[("last-event-id", end.as_str())], "").await?;
    assert_eq!(nothing.status, StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test]
async fn stream_follows_an_orchestration_that_continues_as_new() -> Result<()> {
    let host = host("").await?;
    let steps = json!([wait("first"), { "continueAsNew": [wait("second")] }]);
    start(&host, "Script", "a", steps).await?;
    why(&host, "a", "event").await?;
    let (client, path) = (host.client(), format!("{BASE}/instances/a/history/stream"));
    let stream = tokio::spawn(async move { client.get(&path).await });
    raise(&host, "a", "first").await?;
    raise(&host, "a", "second").await?;
    let events = events_of(&stream.await??.text())?;
    assert_eq!(told(&events).last(), Some(&"Completed"), "{events:?}");
    let second = events.iter().find(|(_, _, data)| data["Name"] == "second");
    let (id, ..) = second.context("the next generation is told")?;
    let of_generation = |id: &str| id.rsplit_once('.').map(|(generation, _)| generation.to_owned());
    let last = events.iter().rev().find(|(_, name, _)| name == "history").context("a history")?;
    assert_eq!(of_generation(id), of_generation(&last.0));
    Ok(())
}

#[tokio::test]
async fn purged_entity_is_gone_also_after_a_restart() -> Result<()> {
    let mut host = host("").await?;
    start(&host, "Script", "a", json!([call(A, "add", 5)])).await?;
    let wait = format!("{BASE}/instances/a/wait");
    assert_eq!(host.client().get(&wait).await?.status, StatusCode::OK);
    let path = format!("{BASE}/entities/Number/a");
    assert_eq!(host.client().get(&path).await?.json()?, json!({ "value": 5 }));
    let purge = format!("{path}?purge");
    let purged = host.client().send("DELETE", &purge, &[], "").await?;
    assert_eq!(purged.json()?, json!({ "entitiesDeleted": 1 }));
    host.process().kill_9().await?;
    host.restart().await?;
    assert_eq!(host.client().get(&path).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(host.client().send("DELETE", &purge, &[], "").await?.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn host_is_alive_and_ready() -> Result<()> {
    let host = host("").await?;
    assert_eq!(host.client().get("/health/live").await?.json()?, json!({ "status": "alive" }));
    let ready = host.client().get("/health/ready").await?;
    assert_eq!((ready.status, &ready.json()?["status"]), (StatusCode::OK, &json!("ready")));
    Ok(())
}
