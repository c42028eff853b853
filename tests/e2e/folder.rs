//! The functions folder itself: files that claim what others have, files that come slowly, and a folder
//! that is gone or is another one.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::Client;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::Value;

use crate::deployments::{FILE, actions, file, put, version};
use crate::{database, options};

/// What the database says of a key that was never written.
const NOTHING: &str = "null";

/// Waits until the route answers like this.
async fn says(client: &Client, path: &str, expected: &str) -> Result<()> {
    eventually(&format!("{path} says {expected}"), START_DEADLINE, || async {
        let reply = client.get(path).await.ok()?;
        (reply.text() == expected).then_some(())
    })
    .await
}

/// The readiness reasons, when there is one of this kind.
async fn reason(client: &Client, kind: &str) -> Result<Value> {
    eventually(&format!("a reason {kind}"), START_DEADLINE, || async {
        let ready = client.get("/health/ready").await.ok()?.json().ok()?;
        let reasons = ready["reasons"].as_array()?.clone();
        reasons.into_iter().find(|reason| reason["kind"] == kind)
    })
    .await
}

/// Puts a file into a folder in one step.
fn put_file(host: &HostProcess, bytes: &[u8], name: &str) -> Result<()> {
    let staged = host.data().with_file_name("staged");
    fs::write(&staged, bytes)?;
    Ok(fs::rename(staged, host.functions().join(name))?)
}

/// Other bytes, the same functions.
fn changed(guest: &str) -> Result<Vec<u8>> {
    let mut bytes = fs::read(guest)?;
    bytes.extend([0, 2, 1, b'x']);
    Ok(bytes)
}

#[tokio::test]
async fn changed_file_that_claims_what_another_has_leaves_the_earlier_version_serving() -> Result<()>
{
    let mut host = HostProcess::start(options(&[guests::DATABASE])).await?;
    assert_eq!(put(&host.client(), guests::VERSION_ONE, "").await?.status, 200);
    put_file(&host, &changed(guests::DATABASE)?, FILE)?;
    for run in ["before", "after"] {
        let client = host.client();
        let told = reason(&client, "brokenComponent").await?;
        let message = told["message"].as_str().context("a text")?;
        assert!(message.contains("`Register`"), "{message}");
        assert!(message.contains("an earlier version is served"), "{message}");
        assert!(file(&client, "broken").await?.is_some_and(|file| file["hash"].is_string()));
        assert_eq!(version(&client, run).await?, "one");
        assert_eq!(actions(&client).await?, ["refused", "deployed"]);
        host.logs(&[FILE, "`Register`"]).await?;
        host.restart().await?;
    }
    let client = host.client();
    let rollback = format!("/admin/deployments/{FILE}/rollback");
    assert_eq!(client.post(&rollback, "").await?.status, 200);
    assert_eq!(version(&client, "back").await?, "one");
    assert!(file(&client, "serving").await?.is_some());
    Ok(())
}

#[tokio::test]
async fn new_file_that_has_nothing_of_its_own_is_refused_until_the_other_is_gone() -> Result<()> {
    let host = database().await?;
    let client = host.client();
    client.put("/Database/1", "kept").await?;
    put_file(&host, &changed(guests::DATABASE)?, FILE)?;
    let told = reason(&client, "brokenComponent").await?;
    assert!(!told.to_string().contains("earlier version"), "{told}");
    assert_eq!(actions(&client).await?, ["refused"]);
    let other = Path::new(guests::DATABASE).file_name().context("a name")?;
    fs::remove_file(host.functions().join(other))?;
    eventually("it has the functions", START_DEADLINE, || async {
        file(&client, "serving").await.ok().flatten()
    })
    .await?;
    says(&client, "/Database/1", r#""kept""#).await?;
    assert_eq!(actions(&client).await?, ["deployed", "refused"]);
    Ok(())
}

/// One gives what the other one takes, whichever is seen first.
#[tokio::test]
async fn functions_that_move_to_another_file_are_served_from_there() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    put_file(&host, &fs::read(guests::DATABASE)?, "a.wasm")?;
    put_file(&host, &fs::read(guests::VERSION_ONE)?, FILE)?;
    says(&host.client(), "/Database/1", NOTHING).await?;
    let tries = AtomicU64::new(0);
    eventually("the other is served too", START_DEADLINE, || async {
        let id = format!("first-{}", tries.fetch_add(1, Ordering::Relaxed));
        version(&host.client(), &id).await.ok()
    })
    .await?;
    put_file(&host, &fs::read(guests::VERSION_TWO)?, "a.wasm")?;
    put_file(&host, &changed(guests::DATABASE)?, FILE)?;
    let tries = AtomicU64::new(0);
    eventually("both have changed places", START_DEADLINE, || async {
        let id = format!("try-{}", tries.fetch_add(1, Ordering::Relaxed));
        let said = version(&host.client(), &id).await.ok()?;
        let ready = host.client().get("/health/ready").await.ok()?.json().ok()?;
        let is_well = ready["reasons"].as_array().is_some_and(Vec::is_empty);
        (said == "two" && is_well).then_some(())
    })
    .await?;
    says(&host.client(), "/Database/1", NOTHING).await
}

/// Who came first keeps a route over a restart, whatever the times of the files are.
#[tokio::test]
async fn file_that_came_first_keeps_what_both_claim_over_a_restart() -> Result<()> {
    let mut host = HostProcess::start(options(&[])).await?;
    host.deploy(guests::DATABASE, "z.wasm")?;
    says(&host.client(), "/Database/1", NOTHING).await?;
    put_file(&host, &fs::read(guests::RIVAL)?, "a.wasm")?;
    reason(&host.client(), "brokenComponent").await?;
    let rival = fs::File::options().write(true).open(host.functions().join("a.wasm"))?;
    rival.set_modified(UNIX_EPOCH)?;
    host.restart().await?;
    says(&host.client(), "/Database/1", NOTHING).await
}

#[tokio::test]
async fn file_that_comes_in_pieces_is_not_reported_before_it_is_whole() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let client = host.client();
    let whole = fs::read(guests::DATABASE)?;
    let (begin, rest) = whole.split_at(whole.len() / 2);
    let path = host.functions().join("database.wasm");
    fs::write(&path, begin)?;
    // Whoever came later is there.
    put_file(&host, &fs::read(guests::RIVAL)?, "other.wasm")?;
    says(&client, "/Database/1", "rival").await?;
    fs::remove_file(host.functions().join("other.wasm"))?;
    fs::File::options().append(true).open(&path)?.write_all(rest)?;
    says(&client, "/Database/1", NOTHING).await?;
    let record = client.get("/admin/deployments?file=database.wasm").await?.json()?;
    assert_eq!(record.as_array().map(Vec::len), Some(1), "{record}");
    Ok(())
}

#[tokio::test]
async fn folder_that_was_replaced_is_followed_and_one_that_is_gone_is_told() -> Result<()> {
    let host = database().await?;
    let client = host.client();
    let away = host.data().with_file_name("away");
    fs::rename(host.functions(), &away)?;
    let told = reason(&client, "functionsFolder").await?;
    assert!(told["message"].as_str().is_some_and(|it| it.contains("cannot read")), "{told}");
    let reply = client.get("/Database/1").await?;
    assert_eq!(reply.status, StatusCode::OK, "what is loaded is served");
    fs::create_dir(host.functions())?;
    host.deploy(guests::RIVAL, "rival.wasm")?;
    says(&client, "/Database/1", "rival").await?;
    eventually("nothing is wrong any more", START_DEADLINE, || async {
        let ready = client.get("/health/ready").await.ok()?.json().ok()?;
        ready["reasons"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await?;
    // It is watched, not only looked at.
    host.replace(guests::DATABASE, "rival.wasm")?;
    says(&client, "/Database/1", NOTHING).await
}

#[tokio::test]
async fn file_behind_a_link_is_loaded_anew_when_it_changes() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let behind = host.data().with_file_name("behind.wasm");
    fs::copy(guests::DATABASE, &behind)?;
    std::os::unix::fs::symlink(&behind, host.functions().join("link.wasm"))?;
    says(&host.client(), "/Database/1", NOTHING).await?;
    let staged = host.data().with_file_name("staged");
    fs::copy(guests::RIVAL, &staged)?;
    fs::rename(staged, behind)?;
    says(&host.client(), "/Database/1", "rival").await
}
