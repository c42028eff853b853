//! Components over HTTP: verified before they are served, recorded, rolled back, removed; and never lost,
//! whenever the host dies.

use std::fs;

use anyhow::{Context as _, Result};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::{Client, Reply};
use everstate_tests::wait::eventually;
use serde_json::{Value, json};

use crate::options;

/// The management API.
pub(crate) const MANAGEMENT: &str = "/runtime/webhooks/durabletask";

/// The file in which the components under test take turns.
pub(crate) const FILE: &str = "versions.wasm";

/// Deploys a component as [`FILE`].
pub(crate) async fn put(client: &Client, component: &str, query: &str) -> Result<Reply> {
    let bytes = fs::read(component)?;
    client.put(&format!("/admin/deployments/{FILE}{query}"), bytes).await
}

/// Starts an orchestration.
pub(crate) async fn start(client: &Client, name: &str, id: &str) -> Result<()> {
    let path = format!("{MANAGEMENT}/orchestrators/{name}/{id}");
    let reply = post_json(client, &path).await?;
    anyhow::ensure!(reply.status == 202, "{} {}", reply.status, reply.text());
    Ok(())
}

/// Sends `null` as JSON.
pub(crate) async fn post_json(client: &Client, path: &str) -> Result<Reply> {
    client.send("POST", path, &[("content-type", "application/json")], "null").await
}

/// The status document of an orchestration when it is like this.
pub(crate) async fn until(client: &Client, id: &str, status: &str) -> Result<Value> {
    let path = format!("{MANAGEMENT}/instances/{id}?showHistory=true");
    eventually(&format!("{id} is {status}"), START_DEADLINE, || async {
        let document = client.get(&path).await.ok()?.json().ok()?;
        (document["runtimeStatus"] == status).then_some(document)
    })
    .await
}

/// What a new orchestration says of its code.
pub(crate) async fn version(client: &Client, id: &str) -> Result<Value> {
    start(client, "VersionedChild", id).await?;
    Ok(until(client, id, "Completed").await?["output"].clone())
}

/// The entry of [`FILE`] with this state.
pub(crate) async fn file(client: &Client, state: &str) -> Result<Option<Value>> {
    let listed = client.get("/admin/functions").await?.json()?;
    let files = listed["files"].as_array().context("no files")?;
    Ok(files.iter().find(|it| it["file"] == FILE && it["state"] == state).cloned())
}

/// What happened to [`FILE`], newest first.
pub(crate) async fn actions(client: &Client) -> Result<Vec<String>> {
    let record = client.get(&format!("/admin/deployments?file={FILE}")).await?.json()?;
    let record = record.as_array().context("no list")?;
    Ok(record.iter().filter_map(|it| it["action"].as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn component_is_served_when_its_deployment_is_answered_and_rolled_back_by_one_request()
-> Result<()> {
    let mut host = HostProcess::start(options(&[])).await?;
    let client = host.client();
    let reply = put(&client, guests::VERSION_ONE, "").await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()?["file"], FILE);
    assert_eq!(version(&client, "a").await?, "one");
    assert_eq!(put(&client, guests::VERSION_TWO, "").await?.status, 200);
    assert_eq!(version(&client, "b").await?, "two");
    let rollback = format!("/admin/deployments/{FILE}/rollback");
    assert_eq!(client.post(&rollback, "").await?.status, 200);
    assert_eq!(version(&client, "c").await?, "one");
    assert_eq!(actions(&client).await?, ["rolledBack", "deployed", "deployed"]);
    // A restart finds what was served, and takes none of it for something new.
    host.restart().await?;
    assert_eq!(version(&host.client(), "d").await?, "one");
    assert_eq!(actions(&host.client()).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn component_that_is_refused_changes_nothing() -> Result<()> {
    let host = HostProcess::start(options(&[guests::DATABASE])).await?;
    let client = host.client();
    let path = format!("/admin/deployments/{FILE}");
    assert_eq!(put(&client, guests::VERSION_ONE, "").await?.status, 200);
    let garbage = client.put(&path, "no component at all").await?;
    assert_eq!(garbage.status, 422, "{}", garbage.text());
    // Another file has these functions.
    let conflict = put(&client, guests::DATABASE, "").await?;
    assert_eq!(conflict.status, 422, "{}", conflict.text());
    assert!(conflict.text().contains("Database_HttpStart"), "{}", conflict.text());
    for name in ["versions.txt", "..%2Fversions.wasm", ".hidden.wasm"] {
        let reply = client.put(&format!("/admin/deployments/{name}"), "x").await?;
        assert_eq!(reply.status, 400, "{name}: {}", reply.text());
    }
    assert_eq!(actions(&client).await?, ["refused", "refused", "deployed"]);
    assert_eq!(version(&client, "a").await?, "one");
    assert!(file(&client, "serving").await?.is_some_and(|file| file["message"].is_null()));
    let names: Vec<_> = fs::read_dir(host.functions())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    assert_eq!(names.len(), 2, "{names:?}");
    Ok(())
}

#[tokio::test]
async fn broken_file_leaves_the_old_one_serving_over_a_restart_and_is_named() -> Result<()> {
    let mut host = HostProcess::start(options(&[])).await?;
    assert_eq!(put(&host.client(), guests::VERSION_ONE, "").await?.status, 200);
    fs::write(host.functions().join(FILE), b"half a compon")?;
    for run in ["before", "after"] {
        let client = host.client();
        let broken = eventually("the file is named as broken", START_DEADLINE, || async {
            file(&client, "broken").await.ok().flatten()
        })
        .await?;
        assert!(broken["message"].is_string() && broken["hash"].is_string(), "{broken}");
        let ready = client.get("/health/ready").await?;
        assert_eq!(ready.status, 200, "{}", ready.text());
        assert!(ready.text().contains(FILE), "{}", ready.text());
        assert_eq!(version(&client, run).await?, "one");
        host.restart().await?;
    }
    let client = host.client();
    assert_eq!(actions(&client).await?, ["refused", "deployed"]);
    let rollback = format!("/admin/deployments/{FILE}/rollback");
    assert_eq!(client.post(&rollback, "").await?.status, 200);
    assert!(file(&client, "serving").await?.is_some());
    assert_eq!(actions(&client).await?, ["rolledBack", "refused", "deployed"]);
    Ok(())
}

#[tokio::test]
async fn file_that_is_removed_retires_until_nothing_is_pinned_to_it() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let client = host.client();
    assert_eq!(put(&client, guests::VERSION_ONE, "").await?.status, 200);
    start(&client, "Versioned", "a").await?;
    until(&client, "a", "Running").await?;
    let path = format!("/admin/deployments/{FILE}");
    assert_eq!(client.send("DELETE", &path, &[], "").await?.status, 200);
    assert_eq!(client.send("DELETE", &path, &[], "").await?.status, 404);
    let retiring = file(&client, "retiring").await?.context("it is needed")?;
    assert_eq!(retiring["pinned"], 1);
    let again = start(&client, "Versioned", "b").await;
    assert!(again.is_err(), "its functions are gone");
    post_json(&client, &format!("{MANAGEMENT}/instances/a/raiseEvent/go")).await?;
    let ended = until(&client, "a", "Completed").await?;
    assert_eq!(ended["output"], json!(["one", "one", "one"]));
    assert_eq!(file(&client, "retiring").await?, None);
    assert_eq!(actions(&client).await?, ["removed", "deployed"]);
    Ok(())
}

#[tokio::test]
async fn each_version_that_is_kept_can_be_rolled_back_to() -> Result<()> {
    let host = HostProcess::start(options(&[])).await?;
    let client = host.client();
    let mut third = fs::read(guests::VERSION_TWO)?;
    third.extend([0, 2, 1, b'x']);
    let one = put(&client, guests::VERSION_ONE, "").await?.json()?;
    assert_eq!(put(&client, guests::VERSION_TWO, "").await?.status, 200);
    assert_eq!(client.put(&format!("/admin/deployments/{FILE}"), third).await?.status, 200);
    let record = client.get(&format!("/admin/deployments?file={FILE}")).await?.json()?;
    let first = record.as_array().and_then(|record| record.last()).context("three")?;
    let hash: String = one["hash"].as_str().context("a hash")?.chars().take(12).collect();
    let second = record[1]["id"].to_string();
    for (to, says) in [(hash.as_str(), "one"), (&second, "two"), (&first["id"].to_string(), "one")]
    {
        let rollback = format!("/admin/deployments/{FILE}/rollback?to={to}");
        let reply = client.post(&rollback, "").await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(version(&client, &format!("{to}-{says}")).await?, says);
    }
    for unknown in ["999", "ffffffffffff", "", &hash[..3]] {
        let rollback = format!("/admin/deployments/{FILE}/rollback?to={unknown}");
        assert_eq!(client.post(&rollback, "").await?.status, 404, "{unknown:?}");
    }
    Ok(())
}

/// Killed as soon as the component begins to come in, and as soon as it has taken its place.
#[tokio::test]
async fn host_that_dies_in_a_deployment_serves_the_old_or_the_new_component() -> Result<()> {
    let mut host = HostProcess::start(options(&[guests::LIFECYCLE])).await?;
    assert_eq!(put(&host.client(), guests::VERSION_ONE, "").await?.status, 200);
    let one = fs::read(guests::VERSION_ONE)?;
    for (round, kills_late) in [false, true, false, true].into_iter().enumerate() {
        let (client, folder) = (host.client(), host.functions());
        let component = if round < 2 { guests::VERSION_TWO } else { guests::VERSION_ONE };
        let deploying = tokio::spawn(async move { put(&client, component, "").await });
        let before = fs::read(folder.join(FILE))?;
        eventually("the component comes in", START_DEADLINE, || async {
            let names = fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.file_name());
            let is_partial = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".part");
            let is_there = match kills_late {
                true => fs::read(folder.join(FILE)).is_ok_and(|now| now != before),
                false => names.into_iter().any(is_partial),
            };
            (is_there || deploying.is_finished()).then_some(())
        })
        .await?;
        host.restart().await?;
        deploying.abort();
        let said = version(&host.client(), &format!("round-{round}")).await?;
        let is_one = fs::read(host.functions().join(FILE))? == one;
        assert_eq!(said, if is_one { "one" } else { "two" });
        let partial = fs::read_dir(host.functions())?.flatten();
        assert_eq!(partial.count(), 2, "nothing is left of what did not come in");
    }
    Ok(())
}
