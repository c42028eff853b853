//! Orchestrators give the same results whether their guest was kept or had to be replayed.

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use serde_json::json;
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
