//! The management API raises events, ends, pauses and repairs orchestrations.

use anyhow::Result;
use serde_json::json;

use crate::management::{BASE, Manager};

/// S9.
#[tokio::test]
async fn event_reaches_its_orchestration_or_is_refused_with_the_reason() -> Result<()> {
    let api = Manager::start().await?;
    api.started("Counter", "a", "7").await?;
    api.expect(404, "POST", "/instances/unknown/raiseEvent/operation", "\"end\"").await?;
    let target = format!("{BASE}/instances/a/raiseEvent/operation");
    let client = api.host.client();
    let plain = [("content-type", "text/plain")];
    let reply = client.send("POST", &target, &plain, "x").await?;
    let message = "Only application/json request content is supported";
    assert_eq!(reply.json()?, json!({ "Message": message }));
    let reply = api.expect(400, "POST", "/instances/a/raiseEvent/operation", "{").await?;
    assert_eq!(reply.json()?["Message"], "Invalid JSON content");
    for event in ["incr", "incr", "end"] {
        let path = "/instances/a/raiseevent/OPERATION";
        let reply = api.expect(202, "POST", path, &json!(event).to_string()).await?;
        assert_eq!(reply.text(), "");
    }
    assert_eq!(api.until("a", "Completed").await?["output"], 9);
    // That it has ended is said before anything about the content.
    assert_eq!(client.send("POST", &target, &plain, "x").await?.status, 410);
    Ok(())
}

/// S11, S40.
#[tokio::test]
async fn terminated_orchestration_has_the_reason_as_its_output() -> Result<()> {
    let api = Manager::start().await?;
    api.started("Counter", "a", "0").await?;
    api.expect(202, "POST", "/instances/a/terminate?reason=say%C5%8Dnara", "").await?;
    assert_eq!(api.until("a", "Terminated").await?["output"], "sayōnara");
    api.expect(410, "POST", "/instances/a/terminate?reason=again", "").await?;
    api.expect(410, "POST", "/instances/a/raiseEvent/operation", "\"end\"").await?;
    api.expect(410, "POST", "/instances/a/suspend", "").await?;
    api.expect(410, "POST", "/instances/a/rewind", "").await?;
    api.expect(404, "POST", "/instances/unknown/terminate", "").await?;
    Ok(())
}

/// S11, S43.
#[tokio::test]
async fn suspended_orchestration_does_nothing_until_it_is_resumed() -> Result<()> {
    let api = Manager::start().await?;
    api.started("Counter", "a", "0").await?;
    api.until("a", "Running").await?;
    api.expect(409, "POST", "/instances/a/resume?reason=none", "").await?;
    api.expect(202, "POST", "/instances/a/suspend?reason=lunch", "").await?;
    api.until("a", "Suspended").await?;
    api.expect(409, "POST", "/instances/a/suspend", "").await?;
    for event in ["\"incr\"", "\"end\""] {
        api.expect(202, "POST", "/instances/a/raiseEvent/operation", event).await?;
    }
    let status = api.until("a", "Suspended").await?;
    assert_eq!(status["input"], 0, "nothing happened: {status:#}");
    api.expect(202, "POST", "/instances/a/resume?reason=back", "").await?;
    assert_eq!(api.until("a", "Completed").await?["output"], 1);
    Ok(())
}

/// S44.
#[tokio::test]
async fn rewound_orchestration_does_again_what_failed() -> Result<()> {
    let api = Manager::start().await?;
    api.started("Repair", "a", "\"Catherine\"").await?;
    api.until("a", "Failed").await?;
    api.expect(200, "POST", "/entities/Repaired/a/call?op=set", "true").await?;
    api.expect(202, "POST", "/instances/a/rewind?reason=fixed", "").await?;
    assert_eq!(api.until("a", "Completed").await?["output"], "Hello, Catherine!");
    api.expect(410, "POST", "/instances/a/rewind", "").await?;
    api.started("Counter", "alive", "0").await?;
    let reply = api.expect(412, "POST", "/instances/alive/rewind", "").await?;
    let message = "The rewind operation is only supported on failed orchestration instances.";
    assert_eq!(reply.json()?, json!({ "Message": message }));
    api.expect(404, "POST", "/instances/unknown/rewind", "").await?;
    Ok(())
}

/// A 202 is a promise.
#[tokio::test]
async fn change_that_was_accepted_outlives_kill_9() -> Result<()> {
    let mut api = Manager::start().await?;
    for id in ["raised", "terminated", "suspended"] {
        api.started("Counter", id, "5").await?;
    }
    api.expect(202, "POST", "/instances/raised/raiseEvent/operation", "\"end\"").await?;
    api.expect(202, "POST", "/instances/terminated/terminate?reason=r", "").await?;
    api.expect(202, "POST", "/instances/suspended/suspend?reason=r", "").await?;
    api.host.process().kill_9().await?;
    api.host.restart().await?;
    assert_eq!(api.until("raised", "Completed").await?["output"], 5);
    assert_eq!(api.until("terminated", "Terminated").await?["output"], "r");
    api.until("suspended", "Suspended").await?;
    api.expect(200, "POST", "/makeprimary", "").await?;
    Ok(())
}
