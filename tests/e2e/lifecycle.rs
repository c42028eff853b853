//! What clients do with orchestrations: starting, ending, pausing, rewinding, restarting.

use anyhow::{Context as _, Result};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_tests::driver::{Driver, encoded};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::COUNTER, guests::FAMILY, guests::RETRIES, guests::HELLO, guests::LIFECYCLE])
}

in_every_way!(
    terminated_orchestration_has_the_reason_as_its_output,
    terminated_orchestration_does_not_take_its_children_along,
    terminated_orchestration_takes_its_children_along_if_asked_to,
    suspended_orchestration_does_nothing_until_it_is_resumed,
    suspended_orchestration_can_be_terminated,
    rewound_orchestration_does_again_only_what_failed,
    rewound_fan_out_keeps_the_results_that_it_had,
    rewound_fan_out_with_several_failures_completes_after_one_rewind,
    rewound_parent_rewinds_its_failed_child,
    start_of_an_id_that_is_alive_is_refused_and_one_that_has_ended_runs_again,
    start_that_replaces_terminates_the_one_that_is_alive,
    start_that_uses_the_existing_one_starts_nothing,
    restarted_orchestration_runs_again_with_its_input,
    scheduled_start_is_pending_until_it_is_due,
    scheduled_start_keeps_events_and_can_be_terminated,
    operation_that_the_state_forbids_answers_409,
    operation_on_nobody_answers_404,
);

/// S40.
async fn terminated_orchestration_has_the_reason_as_its_output(driver: &Driver) -> Result<()> {
    driver.start_new("Counter", "a", json!(0)).await?;
    driver.until_is("a", "Running").await?;
    let reason = "sayōnara";
    driver.apply("terminate", "a", &format!("?reason={}", encoded(reason))).await?;
    let status = driver.ended("a").await?;
    assert_eq!(status["runtimeStatus"], "Terminated", "{status:#}");
    assert_eq!(status["output"], reason);
    let reply = driver.post("/lifecycle/raise/a/operation", &json!("incr")).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text());
    Ok(())
}

/// A tree of three levels, all of it waiting; gives the ids of the leaves.
async fn tree(driver: &Driver) -> Result<Vec<String>> {
    driver.start_new("TreeRoot", "root", json!(3)).await?;
    let leaves: Vec<String> = (0..3).map(|leaf| format!("root-branch-leaf-{leaf}")).collect();
    for leaf in &leaves {
        driver.until_is(leaf, "Running").await?;
    }
    Ok(leaves)
}

/// S42, not recursive.
async fn terminated_orchestration_does_not_take_its_children_along(driver: &Driver) -> Result<()> {
    let leaves = tree(driver).await?;
    driver.apply("terminate", "root", "?reason=enough").await?;
    assert_eq!(driver.ended("root").await?["runtimeStatus"], "Terminated");
    for leaf in &leaves {
        driver.raise(leaf, "go", Value::Null).await?;
    }
    assert_eq!(driver.output("root-branch").await?, 1 + 2);
    Ok(())
}

/// S42, recursive.
async fn terminated_orchestration_takes_its_children_along_if_asked_to(
    driver: &Driver,
) -> Result<()> {
    let leaves = tree(driver).await?;
    driver.apply("terminate", "root", "?reason=enough&recursive=true").await?;
    let family = ["root".to_owned(), "root-branch".to_owned()];
    for id in family.iter().chain(&leaves) {
        let status = driver.ended(id).await?;
        assert_eq!(status["runtimeStatus"], "Terminated", "{status:#}");
    }
    for leaf in &leaves {
        let reply = driver.post(&format!("/lifecycle/raise/{leaf}/go"), &Value::Null).await?;
        assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text());
        let status = driver.status(leaf).await?.unwrap_or_default();
        let text = status["history"].to_string();
        assert!(!text.contains("Mark"), "its activity ran: {status:#}");
    }
    Ok(())
}

/// S43.
async fn suspended_orchestration_does_nothing_until_it_is_resumed(driver: &Driver) -> Result<()> {
    driver.start_new("Counter", "a", json!(0)).await?;
    driver.until_is("a", "Running").await?;
    driver.apply("suspend", "a", "?reason=pause").await?;
    driver.until_is("a", "Suspended").await?;
    for operation in ["incr", "end"] {
        driver.raise_once("a", "operation", json!(operation)).await?;
    }
    // Another one has all the time it needs, from its start to its end.
    driver.run("HelloActivity", "b", json!("World")).await?;
    let status = driver.status("a").await?.context("it was started")?;
    assert_eq!((&status["runtimeStatus"], &status["input"]), (&json!("Suspended"), &json!(0)));
    driver.apply("resume", "a", "?reason=go").await?;
    assert_eq!(driver.output("a").await?, 1);
    Ok(())
}

async fn suspended_orchestration_can_be_terminated(driver: &Driver) -> Result<()> {
    driver.start_new("Counter", "a", json!(0)).await?;
    driver.until_is("a", "Running").await?;
    driver.apply("suspend", "a", "").await?;
    driver.apply("terminate", "a", "?reason=enough").await?;
    let status = driver.ended("a").await?;
    assert_eq!(
        (&status["runtimeStatus"], &status["output"]),
        (&json!("Terminated"), &json!("enough"))
    );
    Ok(())
}

/// Runs one that fails, repairs what is broken, and rewinds it; gives its output.
async fn repaired(driver: &Driver, name: &str, input: Value) -> Result<Value> {
    driver.start_new(name, "a", input).await?;
    let status = driver.ended("a").await?;
    assert_eq!(status["runtimeStatus"], "Failed", "{status:#}");
    assert!(driver.managed("a", "").await?["output"].to_string().contains("cannot be greeted"));
    driver.signal("Repaired", "a", "set").await?;
    driver.apply("rewind", "a", "?reason=repaired").await?;
    driver.output("a").await
}

/// How often a piece of work was done: once, or at least once if the host was killed.
async fn was_done_once(driver: &Driver, name: &str) -> Result<()> {
    let key = encoded(&format!("a {name}"));
    let runs = driver.entity("Runs", &key).await?.and_then(|runs| runs.as_u64());
    let is_right = if driver.has_died() { runs >= Some(1) } else { runs == Some(1) };
    assert!(is_right, "{name} was done {runs:?} times");
    Ok(())
}

/// S44.
async fn rewound_orchestration_does_again_only_what_failed(driver: &Driver) -> Result<()> {
    let greeting = repaired(driver, "Repair", json!("Catherine")).await?;
    assert_eq!(greeting, "Hello, Catherine!");
    was_done_once(driver, "first").await?;
    was_done_once(driver, "Catherine").await
}

/// S44, fan-out.
async fn rewound_fan_out_keeps_the_results_that_it_had(driver: &Driver) -> Result<()> {
    let names = ["Anna", "Bella", "Clara"];
    let greetings = repaired(driver, "RepairMany", json!(names)).await?;
    assert_eq!(greetings, json!(names.map(|name| format!("Hello, {name}!"))));
    for name in names {
        was_done_once(driver, name).await?;
    }
    Ok(())
}

/// S44, fan-out: one rewind repairs all that failed.
async fn rewound_fan_out_with_several_failures_completes_after_one_rewind(
    driver: &Driver,
) -> Result<()> {
    let names = ["Anna", "Bella", "Clara", "Dora", "Ella"];
    driver.start_new("RepairMany", "a", json!(names)).await?;
    assert_eq!(driver.ended("a").await?["runtimeStatus"], "Failed");
    driver.signal("Repaired", "a", "set").await?;
    driver.apply("rewind", "a", "?reason=repaired").await?;
    let greetings = driver.output("a").await?;
    assert_eq!(greetings, json!(names.map(|name| format!("Hello, {name}!"))));
    for name in names {
        was_done_once(driver, name).await?;
    }
    Ok(())
}

/// S44, nested.
async fn rewound_parent_rewinds_its_failed_child(driver: &Driver) -> Result<()> {
    let greeting = repaired(driver, "RepairNested", json!("Catherine")).await?;
    assert_eq!(greeting, "Hello, Catherine!");
    for name in ["first", "second", "Catherine"] {
        was_done_once(driver, name).await?;
    }
    Ok(())
}

/// S45: the default policy.
async fn start_of_an_id_that_is_alive_is_refused_and_one_that_has_ended_runs_again(
    driver: &Driver,
) -> Result<()> {
    driver.start_new("Counter", "a", json!(7)).await?;
    driver.until_is("a", "Running").await?;
    let reply = driver.post("/lifecycle/start/Counter?id=a", &json!(8)).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text());
    let message = "An Orchestration instance with the status Running already exists.";
    assert_eq!(reply.json()?["Message"], message);
    driver.raise("a", "operation", json!("end")).await?;
    assert_eq!(driver.output("a").await?, 7);
    // It waits, so that one that is asked for twice finds the first one alive.
    let reply =
        driver.post("/lifecycle/start/Counter?id=a&onConflict=useExisting", &json!(9)).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    driver.raise("a", "operation", json!("end")).await?;
    driver.until("a", "the second one has ended", |it| it["output"] == 9).await?;
    Ok(())
}

/// S45: any state.
async fn start_that_replaces_terminates_the_one_that_is_alive(driver: &Driver) -> Result<()> {
    driver.start_new("Counter", "a", json!(7)).await?;
    driver.until_is("a", "Running").await?;
    let path = "/lifecycle/start/Counter?id=a&onConflict=terminateAndReplace";
    let reply = driver.post(path, &json!(8)).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let new = driver.until_is("a", "Running").await?;
    assert_eq!(new["input"], 8, "{new:#}");
    driver.raise("a", "operation", json!("end")).await?;
    assert_eq!(driver.output("a").await?, 8);
    Ok(())
}

async fn start_that_uses_the_existing_one_starts_nothing(driver: &Driver) -> Result<()> {
    driver.start_new("Counter", "a", json!(7)).await?;
    let reply =
        driver.post("/lifecycle/start/Counter?id=a&onConflict=useExisting", &json!(8)).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.json()?, json!({ "id": "a" }));
    driver.raise("a", "operation", json!("end")).await?;
    assert_eq!(driver.output("a").await?, 7);
    Ok(())
}

/// S46.
async fn restarted_orchestration_runs_again_with_its_input(driver: &Driver) -> Result<()> {
    driver.run("HelloActivity", "a", json!("World")).await?;
    driver.apply("restart", "a", "").await?;
    assert_eq!(driver.output("a").await?, "Hello, World!");
    let reply = driver.post("/lifecycle/restart/a?newId=true", &Value::Null).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let reply = reply.json()?;
    let id = reply["id"].as_str().context("an id")?;
    assert_ne!(id, "a");
    assert_eq!(driver.output(id).await?, "Hello, World!");
    assert_eq!(driver.output("a").await?, "Hello, World!");
    Ok(())
}

/// S48. Nobody looks whether it starts late.
async fn scheduled_start_is_pending_until_it_is_due(driver: &Driver) -> Result<()> {
    let start_at = SystemClock.now().as_millis() + 700;
    driver.start_with("Child", "a", &format!("&startAt={start_at}"), Value::Null).await?;
    let status = driver.status("a").await?.context("it is there")?;
    let is_late = SystemClock.now().as_millis() >= start_at;
    assert!(is_late || status["runtimeStatus"] == "Pending", "{status:#}");
    let reply = driver.get("/lifecycle/wait-start/a?timeout=20000").await?.json()?;
    assert_ne!(reply["runtimeStatus"], "Pending", "{reply:#}");
    let status = driver.ended("a").await?;
    assert_eq!(status["runtimeStatus"], "Completed", "{status:#}");
    let ended = status["lastUpdatedTime"].as_u64().context("a time")?;
    assert!(ended >= start_at, "{ended} is before {start_at}");
    Ok(())
}

/// Pending: events are kept; terminated, it never runs.
async fn scheduled_start_keeps_events_and_can_be_terminated(driver: &Driver) -> Result<()> {
    let now = SystemClock.now().as_millis();
    let soon = format!("&startAt={}", now + 500);
    driver.start_with("Counter", "soon", &soon, json!(5)).await?;
    driver.raise_once("soon", "operation", json!("incr")).await?;
    driver.raise_once("soon", "operation", json!("end")).await?;
    let late = format!("&startAt={}", now + 3_600_000);
    driver.start_with("Counter", "late", &late, json!(5)).await?;
    assert_eq!(driver.status("late").await?.context("it is there")?["runtimeStatus"], "Pending");
    driver.apply("terminate", "late", "?reason=enough").await?;
    let status = driver.ended("late").await?;
    assert_eq!(
        (&status["runtimeStatus"], &status["output"]),
        (&json!("Terminated"), &json!("enough"))
    );
    assert_eq!(driver.output("soon").await?, 6);
    Ok(())
}

/// 1.9: what is not allowed from where.
async fn operation_that_the_state_forbids_answers_409(driver: &Driver) -> Result<()> {
    driver.run("HelloInline", "ended", json!("World")).await?;
    driver.start_new("Counter", "alive", json!(0)).await?;
    driver.until_is("alive", "Running").await?;
    let cannot = |verb: &str, id: &str, status: &str| {
        format!(
            "Cannot {verb} the orchestration instance {id} because instance is in the {status} state."
        )
    };
    let rewind = "The rewind operation is only supported on failed orchestration instances.";
    for (verb, id, message) in [
        ("terminate", "ended", cannot("terminate", "ended", "Completed")),
        ("suspend", "ended", cannot("suspend", "ended", "Completed")),
        ("resume", "ended", cannot("resume", "ended", "Completed")),
        ("resume", "alive", cannot("resume", "alive", "Running")),
        ("rewind", "ended", rewind.to_owned()),
        ("rewind", "alive", rewind.to_owned()),
    ] {
        let reply = driver.post(&format!("/lifecycle/{verb}/{id}"), &Value::Null).await?;
        assert_eq!(reply.status, StatusCode::CONFLICT, "{verb} {id}: {}", reply.text());
        assert_eq!(reply.json()?["Message"], message);
    }
    for verb in ["restart", "purge"] {
        let reply = driver.post(&format!("/lifecycle/{verb}/alive"), &Value::Null).await?;
        assert_eq!(reply.status, StatusCode::CONFLICT, "{verb}: {}", reply.text());
    }
    driver.apply("suspend", "alive", "").await?;
    let reply = driver.post("/lifecycle/suspend/alive", &Value::Null).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT, "twice: {}", reply.text());
    Ok(())
}

async fn operation_on_nobody_answers_404(driver: &Driver) -> Result<()> {
    driver.run("Child", "somebody", Value::Null).await?;
    for verb in ["terminate", "suspend", "resume", "rewind", "restart"] {
        let reply = driver.post(&format!("/lifecycle/{verb}/nobody"), &Value::Null).await?;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{verb}: {}", reply.text());
    }
    assert!(driver.status("nobody").await?.is_none());
    Ok(())
}
