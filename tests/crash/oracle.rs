//! The oracle: what must be true when the host is up again.
//!
//! - What was promised with 202 ends, and ends well.
//! - Whatever was posted either never began, or ended, and then took effect exactly once.
//! - What was acknowledged took effect.
//! - For each key there is one order of all operations that explains every answer.
//! - What holds of counters and signals is told beside them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use everstate_tests::http::{Client, Reply};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::Value;

use crate::API;
use crate::load::{Load, Posting};

/// How long what was left unfinished may take to end.
const END_DEADLINE: Duration = Duration::from_secs(60);

/// Checks one set of keys and accounts, and remembers the values for the very end.
pub(crate) async fn check(load: &Load, client: Client, last: &mut LastValues) -> Result<()> {
    let accepted = std::mem::take(&mut load.notes().accepted);
    for accepted in accepted {
        let status = ended(client, &accepted.status_path).await?;
        let status = status.with_context(|| format!("{} is unknown", accepted.status_path))?;
        let output = output(&status)?;
        if accepted.is_write {
            load.recorder.written(accepted.called);
        } else {
            load.recorder.was_read(accepted.called, output.as_str().map(str::to_owned));
        }
    }
    let postings = std::mem::take(&mut load.notes().postings);
    check_postings(load, client, &postings).await?;
    load.counters.check(client).await.context("counters")?;
    load.signals.check(client).await.context("signals")?;
    for key in load.keys() {
        let called = load.recorder.read(&key);
        let value = get(client, &format!("/Database/{key}")).await?.as_str().map(str::to_owned);
        load.recorder.was_read(called, value.clone());
        last.values.push((key, value));
    }
    load.recorder.check()
}

/// What each key had when it was last used; it must have it still.
#[derive(Default)]
pub(crate) struct LastValues {
    values: Vec<(String, Option<String>)>,
}

impl LastValues {
    /// Reads every key again.
    pub(crate) async fn check(&self, client: Client) -> Result<()> {
        for (key, expected) in &self.values {
            let value = get(client, &format!("/Database/{key}")).await?;
            ensure!(value.as_str() == expected.as_deref(), "{key}: {value}, not {expected:?}");
        }
        Ok(())
    }
}

async fn check_postings(load: &Load, client: Client, postings: &[Posting]) -> Result<()> {
    let mut took_effect: HashMap<&str, HashSet<&str>> = HashMap::new();
    for posting in postings {
        let Posting { account, token, acknowledged } = posting;
        match ended(client, &format!("{API}/instances/{token}")).await? {
            Some(status) => {
                ensure!(output(&status)? == token.as_str(), "{status}");
                took_effect.entry(account).or_default().insert(token);
            }
            None => ensure!(!acknowledged, "{token} was acknowledged and is unknown"),
        }
    }
    for account in load.accounts() {
        let expected = took_effect.remove(account.as_str()).unwrap_or_default();
        check_account(client, &account, &expected).await.with_context(|| account.clone())?;
    }
    Ok(())
}

async fn check_account(client: Client, account: &str, expected: &HashSet<&str>) -> Result<()> {
    // The tally hears of a token after the ledger has it, and nobody waits for that.
    let mut document = Value::Null;
    let path = format!("/Ledger/{account}");
    let tallied = eventually("the tally has heard of all tokens", END_DEADLINE, || {
        let path = path.clone();
        async move {
            let document = get(client, &path).await;
            let count = document.as_ref().ok().and_then(|document| document["tally"].as_u64());
            (count? >= expected.len() as u64).then_some(document)
        }
    })
    .await;
    if let Ok(found) = tallied {
        document = found?;
    }
    ensure!(document["tally"] == expected.len(), "{} tokens, {document}", expected.len());
    for side in ["first", "second"] {
        let tokens = document[side].as_array().context("no ledger")?;
        let distinct: HashSet<&str> = tokens.iter().filter_map(Value::as_str).collect();
        ensure!(distinct.len() == tokens.len(), "a token took effect twice: {side} {tokens:?}");
        ensure!(distinct == *expected, "{side} has {distinct:?}, not {expected:?}");
    }
    Ok(())
}

/// Waits until an orchestration has ended and gives its status document; `None` if there is none.
pub(crate) async fn ended(client: Client, path: &str) -> Result<Option<Value>> {
    let reply: Reply = eventually(&format!("{path} ends"), END_DEADLINE, || async {
        let reply = client.get(path).await.ok()?;
        (reply.status != StatusCode::ACCEPTED).then_some(reply)
    })
    .await?;
    match reply.status {
        StatusCode::OK => Ok(Some(reply.json()?)),
        StatusCode::NOT_FOUND => Ok(None),
        other => anyhow::bail!("{path} answers {other}: {}", reply.text()),
    }
}

/// The output of an orchestration that ended well.
pub(crate) fn output(status: &Value) -> Result<&Value> {
    ensure!(status["runtimeStatus"] == "Completed", "it did not end well: {status}");
    Ok(&status["output"])
}

/// GET of a function that answers with the output of its orchestration, be it late.
async fn get(client: Client, path: &str) -> Result<Value> {
    let reply = client.get(path).await?;
    match reply.status {
        StatusCode::OK => reply.json(),
        StatusCode::ACCEPTED => {
            let document = reply.json()?;
            let url: hyper::Uri =
                document["statusQueryGetUri"].as_str().unwrap_or_default().parse()?;
            let status =
                ended(client, url.path_and_query().context("no status URL")?.as_str()).await?;
            Ok(output(&status.context("what was promised is unknown")?)?.clone())
        }
        other => anyhow::bail!("{path} answers {other}: {}", reply.text()),
    }
}
