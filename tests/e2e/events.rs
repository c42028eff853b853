//! External events: waiters and buffers, limits, and custom status that events set.

use anyhow::Result;
use everstate_tests::driver::{Driver, events};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::APPROVAL, guests::LIFECYCLE])
}

/// A limit that is never over while a test runs, in milliseconds.
const AN_HOUR: u64 = 60 * 60 * 1000;

in_every_way!(
    event_within_the_limit_ends_the_wait_at_once,
    event_is_found_whatever_the_case_of_its_name,
    limit_without_default_fails_with_the_text_of_the_original,
    limit_with_default_gives_the_default,
    event_that_wins_against_a_timer_approves,
    timer_that_wins_against_an_event_expires,
    events_that_nobody_waits_for_are_kept_in_order,
    event_goes_to_the_newest_waiter_first,
    log_line_appears_once_however_often_it_is_replayed,
    several_events_are_taken_in_whatever_order_they_come,
    event_is_not_lost_with_a_waiter_that_gave_up,
    event_to_nobody_answers_404_and_to_one_that_has_ended_409,
    custom_status_stays_when_the_orchestration_has_ended,
    custom_status_follows_the_events,
);

/// S33: the event comes, the timer is cancelled.
async fn event_within_the_limit_ends_the_wait_at_once(driver: &Driver) -> Result<()> {
    driver.start_new("ApprovalWithin", "a", json!(AN_HOUR)).await?;
    driver.raise("a", "Approval", json!("ApprovalValue")).await?;
    assert_eq!(driver.output("a").await?, "ApprovalValue");
    let status = driver.status("a").await?.unwrap_or_default();
    assert_eq!(events(&status, "TimerFired").len(), 0, "{status:#}");
    Ok(())
}

/// S33: another case.
async fn event_is_found_whatever_the_case_of_its_name(driver: &Driver) -> Result<()> {
    for (id, name) in [("a", "approval"), ("b", "APPROVAL"), ("c", "aPpRoVaL")] {
        driver.start_new("ApprovalOr", id, json!(AN_HOUR)).await?;
        driver.raise(id, name, json!(name)).await?;
        assert_eq!(driver.output(id).await?, name);
    }
    Ok(())
}

/// S33: the time is over.
async fn limit_without_default_fails_with_the_text_of_the_original(driver: &Driver) -> Result<()> {
    driver.start_new("ApprovalWithin", "a", json!(200)).await?;
    let status = driver.ended("a").await?;
    assert_eq!(status["runtimeStatus"], "Failed", "{status:#}");
    assert_eq!(status["failure"]["errorType"], "Timeout", "{status:#}");
    let message = "Event Approval not received in 00:00:00.2000000";
    assert_eq!(status["failure"]["errorMessage"], message);
    let expected = format!("Orchestrator function 'ApprovalWithin' failed: {message}");
    assert_eq!(driver.managed("a", "").await?["output"], expected);
    Ok(())
}

/// S33: the default.
async fn limit_with_default_gives_the_default(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("ApprovalOr", "a", json!(200)).await?, "nobody answered");
    Ok(())
}

/// S34: the event wins.
async fn event_that_wins_against_a_timer_approves(driver: &Driver) -> Result<()> {
    driver.start_new("Approval", "a", json!(AN_HOUR)).await?;
    driver.raise("a", "approval", json!(true)).await?;
    assert_eq!(driver.output("a").await?, "Approved");
    Ok(())
}

/// S34: the timer wins.
async fn timer_that_wins_against_an_event_expires(driver: &Driver) -> Result<()> {
    assert_eq!(driver.run("Approval", "a", json!(200)).await?, "Expired");
    let reply = driver.post("/lifecycle/raise/a/approval", &json!(true)).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT, "too late: {}", reply.text());
    Ok(())
}

/// Trap 5: buffered events are served oldest first.
async fn events_that_nobody_waits_for_are_kept_in_order(driver: &Driver) -> Result<()> {
    driver.start_new("Votes", "a", json!(20)).await?;
    for number in 0..20 {
        driver.raise_once("a", "vote", json!(number)).await?;
    }
    let expected: Vec<u64> = (0..20).collect();
    assert_eq!(driver.output("a").await?, json!(expected));
    Ok(())
}

/// Lines of an orchestrator's log are kept with the instance.
async fn log_line_appears_once_however_often_it_is_replayed(driver: &Driver) -> Result<()> {
    driver.start_new("Votes", "a", json!(3)).await?;
    for number in 0..3 {
        driver.raise_once("a", "vote", json!(number)).await?;
    }
    driver.ended("a").await?;
    let status = driver.status("a").await?.unwrap_or_default();
    let lines: Vec<_> = events(&status, "GenericEvent").iter().map(|it| &it["Data"]).collect();
    let expected = [0, 1, 2].map(|n| json!(format!("information: vote {} of 3: {n}", n + 1)));
    assert_eq!(lines, expected.iter().collect::<Vec<_>>(), "{status:#}");
    Ok(())
}

/// Trap 5: waiters are served newest first.
async fn event_goes_to_the_newest_waiter_first(driver: &Driver) -> Result<()> {
    driver.start_new("NewestFirst", "a", Value::Null).await?;
    driver.until("a", "it waits", |it| it["runtimeStatus"] == "Running").await?;
    driver.raise_once("a", "vote", json!("one")).await?;
    driver.raise_once("a", "vote", json!("two")).await?;
    assert_eq!(driver.output("a").await?, json!(["two", "one"]), "older, newer");
    Ok(())
}

async fn several_events_are_taken_in_whatever_order_they_come(driver: &Driver) -> Result<()> {
    driver.start_new("AllOf", "a", Value::Null).await?;
    for name in ["third", "first", "second"] {
        driver.raise("a", name, json!(name)).await?;
    }
    assert_eq!(driver.output("a").await?, json!(["first", "second", "third"]));
    Ok(())
}

/// Trap 15: what the original loses.
async fn event_is_not_lost_with_a_waiter_that_gave_up(driver: &Driver) -> Result<()> {
    driver.start_new("ChangeOfMind", "a", Value::Null).await?;
    driver.raise("a", "skip", Value::Null).await?;
    driver.until("a", "it gave up", |it| it["customStatus"] == "skipped").await?;
    driver.raise_once("a", "vote", json!("kept")).await?;
    driver.raise("a", "again", Value::Null).await?;
    assert_eq!(driver.output("a").await?, "kept");
    Ok(())
}

/// S40, S52: events that can reach nobody.
async fn event_to_nobody_answers_404_and_to_one_that_has_ended_409(driver: &Driver) -> Result<()> {
    let reply = driver.post("/lifecycle/raise/nobody/approval", &json!(1)).await?;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.text());
    assert_eq!(reply.json()?["Message"], "No instance with ID 'nobody' was found.");
    driver.run("Greeter", "ended", json!("World")).await?;
    let reply = driver.post("/lifecycle/raise/ended/approval", &json!(1)).await?;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text());
    Ok(())
}

/// S17: an object.
async fn custom_status_stays_when_the_orchestration_has_ended(driver: &Driver) -> Result<()> {
    driver.start_new("Greeter", "a", json!("World")).await?;
    let status = driver.ended("a").await?;
    assert_eq!(status["output"], "Hello, World!");
    assert_eq!(status["customStatus"], json!({ "nextActions": ["A", "B", "C"], "foo": 2 }));
    Ok(())
}

/// S17: none at first, then a value, none again, an object.
async fn custom_status_follows_the_events(driver: &Driver) -> Result<()> {
    driver.start_new("StatusBoard", "a", Value::Null).await?;
    let begun = driver.until_is("a", "Running").await?;
    assert_eq!(begun["customStatus"], Value::Null);
    for shown in [json!("value"), Value::Null, json!({ "an": ["object"] })] {
        driver.raise("a", "show", shown.clone()).await?;
        driver.until("a", "it shows that", |it| it["customStatus"] == shown).await?;
    }
    driver.raise("a", "end", Value::Null).await?;
    let status = driver.ended("a").await?;
    assert_eq!(status["customStatus"], json!({ "an": ["object"] }));
    Ok(())
}
