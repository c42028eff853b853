//! Orchestrators see orchestration time and seeded randomness, nothing else, and give the same results
//! whether their guest was kept or had to be replayed.

use anyhow::{Context, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::{StatusCode, Uri};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::options;

const TOKENS: usize = 50;

/// Posts tokens, all at once, with so many suspended guests kept.
async fn posts_are_done(suspended_guests_max: u32) -> Result<()> {
    let config = format!("[runtime]\nsuspended_guests_max = {suspended_guests_max}\n");
    let host = HostProcess::start(options(&[guests::LEDGER]).config(&config)).await?;
    let mut posts = JoinSet::new();
    for number in 0..TOKENS {
        let client = host.client();
        posts.spawn(async move { client.post(&format!("/Ledger/a/token-{number}"), "").await });
    }
    let mut answers = Vec::new();
    while let Some(reply) = posts.join_next().await {
        answers.push(reply??.json()?.as_str().unwrap_or_default().to_owned());
    }
    let mut expected: Vec<String> = (0..TOKENS).map(|number| format!("token-{number}")).collect();
    answers.sort();
    expected.sort();
    assert_eq!(answers, expected);
    let mut account = host.client().get("/Ledger/a").await?.json()?;
    for side in ["first", "second"] {
        let mut tokens: Vec<String> = serde_json::from_value(account[side].take())?;
        tokens.sort();
        assert_eq!(tokens, expected, "{side}");
    }
    assert_eq!(account["tally"], json!(TOKENS));
    Ok(())
}

#[tokio::test]
async fn suspended_guests_that_are_kept_finish_their_work_once() -> Result<()> {
    posts_are_done(1_000).await
}

#[tokio::test]
async fn suspended_guests_that_are_evicted_at_once_finish_their_work_once() -> Result<()> {
    posts_are_done(0).await
}

#[tokio::test]
async fn suspended_guests_that_are_evicted_by_others_finish_their_work_once() -> Result<()> {
    posts_are_done(3).await
}

/// What the environment guest sees as a function of this kind.
async fn view_of(kind: &str) -> Result<Value> {
    let options = options(&[guests::ENVIRONMENT]).env("SECRET", "of the host");
    let host = HostProcess::start(options).await?;
    host.client().get(&format!("/Environment/{kind}")).await?.json()
}

fn sees_no_machine(view: &Value) {
    assert_eq!(view["variables"], json!([]), "{view}");
    assert!(view["files"]["Ok"].as_array().is_none_or(Vec::is_empty), "{view}");
    assert!(view["written"]["Err"].is_string(), "{view}");
}

#[tokio::test]
async fn http_function_sees_no_environment_and_no_files() -> Result<()> {
    sees_no_machine(&view_of("http").await?);
    Ok(())
}

#[tokio::test]
async fn orchestrator_sees_no_environment_no_files_and_a_clock_that_stands_still() -> Result<()> {
    let views = view_of("orchestrator").await?;
    for view in [&views["before"], &views["after"]] {
        sees_no_machine(view);
        assert_eq!(view["monotonicClockMoves"], false, "{view}");
    }
    assert!(
        views["before"]["wallClock"].as_u64() <= views["after"]["wallClock"].as_u64(),
        "{views}"
    );
    Ok(())
}

/// Starts something that waits, looks at its custom status, kills the host if asked to, and
/// gives the custom status and the output.
async fn before_and_after(
    guest: &str,
    config: &str,
    start: (&str, &str, String),
    killed_meanwhile: bool,
) -> Result<(Value, Value)> {
    let config = format!("[runtime]\nwait_limit_ms = 0\n{config}");
    let mut host = HostProcess::start(options(&[guest]).config(&config)).await?;
    let (method, path, body) = start;
    let reply = host.client().send(method, path, &[], body).await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "it waits: {}", reply.text());
    let url: Uri = reply.header("location").parse()?;
    let path = url.path_and_query().context("a status URL")?.as_str();
    let waiting = eventually("it has a custom status", START_DEADLINE, || async {
        let status = host.client().get(path).await.ok()?.json().ok()?;
        (status["customStatus"] != Value::Null).then_some(status)
    })
    .await?;
    assert_eq!(waiting["runtimeStatus"], "Running", "it waits: {waiting}");
    if killed_meanwhile {
        host.restart().await?;
    }
    let mut ended = eventually("it ends", START_DEADLINE, || async {
        let reply = host.client().get(path).await.ok()?;
        (reply.status == StatusCode::OK).then(|| reply.json().ok()).flatten()
    })
    .await?;
    assert_eq!(ended["runtimeStatus"], "Completed", "{ended}");
    Ok((waiting["customStatus"].clone(), ended["output"].take()))
}

/// The clock, the order of a hash map: all that a view holds is the same when it is replayed.
async fn view_is_the_same(config: &str, killed_meanwhile: bool) -> Result<()> {
    let start = ("GET", "/Environment/orchestrator?ms=500", String::new());
    let (seen, output) =
        before_and_after(guests::ENVIRONMENT, config, start, killed_meanwhile).await?;
    assert_eq!(output["before"], seen);
    Ok(())
}

#[tokio::test]
async fn view_of_an_orchestrator_that_is_kept_is_the_same() -> Result<()> {
    view_is_the_same("", false).await
}

#[tokio::test]
async fn view_of_an_orchestrator_that_is_evicted_is_the_same_when_replayed() -> Result<()> {
    view_is_the_same("suspended_guests_max = 0\n", false).await
}

#[tokio::test]
async fn view_of_an_orchestrator_is_the_same_after_kill_9() -> Result<()> {
    view_is_the_same("", true).await
}
