//! The management API starts orchestrations, waits for them, and starts them again.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::management::{BASE, Manager};

/// S3, S8.
#[tokio::test]
async fn links_of_a_start_lead_to_what_they_say() -> Result<()> {
    let api = Manager::start().await?;
    let reply = api.expect(202, "POST", "/orchestrators/counter", "0").await?;
    let links = reply.json()?;
    let names: Vec<&String> = links.as_object().context("an object")?.keys().collect();
    assert_eq!(names.len(), 8, "{links:#}");
    let id = links["id"].as_str().context("an id")?;
    assert_eq!(id.len(), 32, "{id}");
    assert_eq!(reply.header("location"), links["statusQueryGetUri"]);
    assert_eq!(reply.header("retry-after"), "10");
    let instance = format!("http://{}{BASE}/instances/{id}", api.host.client().address);
    let hub = "taskHub=Everstate&connection=Storage";
    assert_eq!(links["sendEventPostUri"], format!("{instance}/raiseEvent/{{eventName}}?{hub}"));
    api.until(id, "Running").await?;

    let reply = api.follow("GET", &links["statusQueryGetUri"], "").await?;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (202, "5"));
    assert_eq!(reply.json()?["name"], "Counter");
    assert_eq!(api.follow("POST", &links["suspendPostUri"], "a%20b").await?.status, 202);
    api.until(id, "Suspended").await?;
    assert_eq!(api.follow("POST", &links["resumePostUri"], "c").await?.status, 202);
    api.until(id, "Running").await?;
    assert_eq!(api.follow("POST", &links["terminatePostUri"], "say%C5%8Dnara").await?.status, 202);
    assert_eq!(api.until(id, "Terminated").await?["output"], "sayōnara");
    assert_eq!(api.follow("POST", &links["restartPostUri"], "").await?.status, 202);
    let reply = api.follow("DELETE", &links["purgeHistoryDeleteUri"], "").await?;
    assert_eq!((reply.status.as_u16(), reply.json()?), (200, json!({ "instancesDeleted": 1 })));
    assert_eq!(api.follow("GET", &links["statusQueryGetUri"], "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn ids_and_names_that_would_lead_nowhere_are_refused() -> Result<()> {
    let api = Manager::start().await?;
    let long = "x".repeat(257);
    for path in [
        "/orchestrators/counter/.".to_owned(),
        "/orchestrators/counter/..".to_owned(),
        "/orchestrators/counter/a?tag.=1".to_owned(),
        format!("/orchestrators/counter/a?tag.{long}=1"),
        "/orchestrators/counter/a?tag.a%07=1".to_owned(),
    ] {
        api.expect(400, "POST", &path, "0").await?;
    }
    api.started("counter", "a", "0").await?;
    for event in [long.as_str(), "a%07"] {
        let path = format!("/instances/a/raiseEvent/{event}");
        api.expect(400, "POST", &path, "1").await?;
    }
    Ok(())
}

/// S8: a 202 is a promise.
#[tokio::test]
async fn start_that_was_accepted_outlives_kill_9() -> Result<()> {
    let mut api = Manager::start().await?;
    let mut expected = Vec::new();
    for number in 0..20 {
        api.started(
            "HelloActivity",
            &format!("a-{number}"),
            &json!(number.to_string()).to_string(),
        )
        .await?;
        expected.push(format!("Hello, {number}!"));
    }
    api.host.process().kill_9().await?;
    api.host.restart().await?;
    for (number, greeting) in expected.iter().enumerate() {
        assert_eq!(api.until(&format!("a-{number}"), "Completed").await?["output"], *greeting);
    }
    Ok(())
}

/// S8.
#[tokio::test]
async fn start_is_refused_for_json_that_is_none_for_unknown_names_and_for_ids_that_are_alive()
-> Result<()> {
    let api = Manager::start().await?;
    let reply = api.expect(400, "POST", "/orchestrators/HelloInline", "{\"a\":").await?;
    assert_eq!(reply.json()?["Message"], "Invalid JSON content");
    let reply = api.expect(400, "POST", "/orchestrators/NoSuch", "1").await?;
    let message = reply.json()?["Message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("The function 'NoSuch' doesn't exist"), "{message}");
    api.expect(400, "POST", "/orchestrators/HelloInline/@a@b", "1").await?;
    api.started("Counter", "alive", "1").await?;
    api.until("alive", "Running").await?;
    let reply = api.expect(409, "POST", "/orchestrators/Counter/alive", "2").await?;
    let message = "An Orchestration instance with the status Running already exists.";
    assert_eq!(reply.json()?, json!({ "Message": message }));
    api.expect(202, "POST", "/instances/alive/terminate", "").await?;
    assert_eq!(api.ended("HelloInline", "alive", "\"again\"").await?.json()?, "Hello, again!");
    Ok(())
}

/// S4.
#[tokio::test]
async fn start_that_waits_gives_the_output_or_says_where_to_look() -> Result<()> {
    let api = Manager::start().await?;
    let path = "/orchestrators/HelloActivity?timeout=100&pollingInterval=60";
    let reply = api.expect(200, "POST", path, "\"Tokyo\"").await?;
    assert_eq!(reply.text(), "\"Hello, Tokyo!\"");
    assert_eq!(reply.header("location"), "");

    let path = "/orchestrators/Counter/slow?timeout=0.2&pollingInterval=0.1";
    let reply = api.expect(202, "POST", path, "0").await?;
    assert_eq!((reply.json()?["id"].as_str(), reply.header("retry-after")), (Some("slow"), "10"));

    let path = "/orchestrators/ThrowOrchestrator?timeout=60";
    let reply = api.expect(200, "POST", path, "\"Kah-BOOOOM!!!\"").await?;
    assert_eq!(reply.json()?["runtimeStatus"], "Failed");
    let path = format!("{path}&returnInternalServerErrorOnFailure=true");
    api.expect(500, "POST", &path, "\"Kah-BOOOOM!!!\"").await?;

    let path = "/orchestrators/HelloInline/none?timeout=0&pollingInterval=100";
    let reply = api.expect(400, "POST", path, "\"x\"").await?;
    let message = "Total timeout 0 should be bigger than retry timeout 100";
    assert_eq!(reply.json()?["Message"], message);
    assert_eq!(api.get("/instances/none").await?.status, 404);
    Ok(())
}

/// S11.
#[tokio::test]
async fn restart_runs_again_with_the_same_input() -> Result<()> {
    let api = Manager::start().await?;
    api.ended("HelloInline", "first", "\"World\"").await?;
    let reply = api.expect(202, "POST", "/instances/first/restart", "").await?;
    let id = reply.json()?["id"].as_str().context("an id")?.to_owned();
    assert_ne!(id, "first");
    let status = api.until(&id, "Completed").await?;
    assert_eq!((&status["input"], &status["output"]), (&json!("World"), &json!("Hello, World!")));
    let path = "/instances/first/restart?restartWithNewInstanceId=false&timeout=60";
    let path = format!("{path}&pollingInterval=1");
    assert_eq!(api.expect(200, "POST", &path, "").await?.json()?, "Hello, World!");
    api.started("Counter", "alive", "1").await?;
    let path = "/instances/alive/restart?restartWithNewInstanceId=false";
    api.expect(409, "POST", path, "").await?;
    let reply = api.expect(400, "POST", "/instances/unknown/restart", "").await?;
    let message = "InstanceId does not match a valid orchestration instance.";
    assert_eq!(reply.json()?["Message"], message);
    Ok(())
}

#[tokio::test]
async fn input_reaches_the_orchestration_letter_for_letter() -> Result<()> {
    let api = Manager::start().await?;
    let input = r#"{"b": 1,"a":2.00,"b":"\u00e9"}"#;
    api.started("Counter", "a", input).await?;
    let reply = api.get("/instances/a").await?;
    assert!(reply.text().contains(&format!(r#""input":{input},"#)), "{}", reply.text());
    api.started("Counter", "none", "").await?;
    assert_eq!(api.get("/instances/none").await?.json()?["input"], Value::Null);
    Ok(())
}
