//! Backups of a host at work, and what comes back of them elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{EXIT_DEADLINE, HostProcess};
use everstate_tests::http::{Client, Reply};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::{database, options};

const DEADLINE: Duration = Duration::from_secs(60);

async fn backup(client: &Client, folder: &Path) -> Result<Reply> {
    client.post("/admin/backup", json!({ "folder": folder }).to_string()).await
}

/// Runs a command of the command line; gives whether it went well and what it printed.
async fn everstate(args: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_host-under-test")).args(args).output().await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

async fn restore(from: &Path, data: &Path) -> Result<(bool, String)> {
    let (from, data) = (from.to_string_lossy(), data.to_string_lossy());
    everstate(&["restore", "--from", &from, "--data", &data]).await
}

async fn doctor(data: &Path) -> Result<(bool, String)> {
    everstate(&["doctor", "--data", &data.to_string_lossy(), "--json"]).await
}

/// Clients that put ever greater numbers, each under a key of its own.
struct Writers {
    acknowledged: Arc<Vec<AtomicU64>>,
    is_over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Writers {
    fn start(client: &Client, count: usize) -> Self {
        let acknowledged: Arc<Vec<AtomicU64>> =
            Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
        let is_over = Arc::new(AtomicBool::new(false));
        let task = |key: usize| {
            let (client, acknowledged) = (*client, Arc::clone(&acknowledged));
            let is_over = Arc::clone(&is_over);
            tokio::spawn(async move {
                let mut number = 0;
                while !is_over.load(Ordering::SeqCst) {
                    number += 1;
                    let path = format!("/Database/{key}");
                    match client.put(&path, number.to_string()).await {
                        Ok(reply) if reply.status == StatusCode::OK => {
                            acknowledged[key].store(number, Ordering::SeqCst);
                        }
                        // The host was killed, which the test wants.
                        _ => return,
                    }
                }
            })
        };
        let tasks = (0..count).map(task).collect();
        Self { acknowledged, is_over, tasks }
    }

    fn now(&self) -> Vec<u64> {
        self.acknowledged.iter().map(|number| number.load(Ordering::SeqCst)).collect()
    }

    /// Waits until each has put so many.
    async fn until(&self, count: u64) -> Result<()> {
        eventually("everybody has written", DEADLINE, || async {
            self.now().iter().all(|number| *number >= count).then_some(())
        })
        .await
    }

    async fn end(self) -> Result<Vec<u64>> {
        self.is_over.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await?;
        }
        Ok(self.acknowledged.iter().map(|number| number.load(Ordering::SeqCst)).collect())
    }
}

/// Each key has at least this.
async fn has_at_least(host: &HostProcess, numbers: &[u64]) -> Result<()> {
    for (key, least) in numbers.iter().enumerate() {
        let reply = host.client().get(&format!("/Database/{key}")).await?;
        let value = reply.json()?;
        let found = value.as_str().unwrap_or_default().parse::<u64>().context("a number")?;
        ensure!(found >= *least, "key {key} has {found}, {least} was acknowledged");
    }
    Ok(())
}

/// It is made by threads that go on whatever the client does, so all of it does.
#[tokio::test]
async fn backup_whose_client_goes_away_is_made_all_the_same() -> Result<()> {
    let host = database().await?;
    assert_eq!(host.client().put("/Database/1", "v").await?.status, StatusCode::OK);
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("backup");
    let body = json!({ "folder": target }).to_string();
    let mut stream = TcpStream::connect(host.address()).await?;
    let head = "POST /admin/backup HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await?;
    let partial = folder.path().join("backup.everstate-partial");
    eventually("it has begun", DEADLINE, || async {
        (partial.exists() || target.exists()).then_some(())
    })
    .await?;
    drop(stream);
    eventually("it is made", DEADLINE, || async { target.exists().then_some(()) }).await?;
    assert!(!partial.exists());
    let (is_restored, text) = restore(&target, &folder.path().join("data")).await?;
    ensure!(is_restored, "{text}");
    eventually("another can be made", DEADLINE, || async {
        let next = folder.path().join("next");
        let reply = backup(&host.client(), &next).await.ok()?;
        (reply.status == StatusCode::OK).then_some(())
    })
    .await
}

#[tokio::test]
async fn backup_under_load_restored_elsewhere_has_all_that_was_acknowledged_before() -> Result<()> {
    let host = database().await?;
    let folder = tempfile::tempdir()?;
    let writers = Writers::start(&host.client(), 8);
    let mut promised = Vec::new();
    for round in 0..3_u64 {
        writers.until(20 * (round + 1)).await?;
        let before = writers.now();
        let target = folder.path().join(format!("backup-{round}"));
        let reply = backup(&host.client(), &target).await?;
        ensure!(reply.status == StatusCode::OK, "{}", reply.text());
        let made = reply.json()?;
        assert_eq!(made["folder"], json!(target));
        assert!(made["bytes"].as_u64() > Some(0) && made["files"].as_u64() > Some(5), "{made}");
        promised.push((target, before));
    }
    let last = writers.end().await?;
    has_at_least(&host, &last).await?;
    drop(host);
    for (round, (target, numbers)) in promised.iter().enumerate() {
        let data = folder.path().join(format!("data-{round}"));
        let (is_done, text) = restore(target, &data).await?;
        ensure!(is_done, "{text}");
        let (is_good, text) = doctor(&data).await?;
        ensure!(is_good, "{text}");
        let restored = HostProcess::start(options(&[guests::DATABASE]).data(&data)).await?;
        has_at_least(&restored, numbers).await?;
        restored.client().put("/Database/0", "it goes on").await?;
    }
    Ok(())
}

/// The host that was restored has the code of what runs, though nobody deployed it there.
#[tokio::test]
async fn orchestration_that_waits_goes_on_where_it_is_restored() -> Result<()> {
    let host = HostProcess::start(options(&[guests::COUNTER])).await?;
    let instances = "/runtime/webhooks/durabletask/instances";
    let start = "/runtime/webhooks/durabletask/orchestrators/Counter/a";
    let headers = [("content-type", "application/json")];
    host.client().send("POST", start, &headers, "5").await?;
    is_running(&host, instances).await?;
    let folder = tempfile::tempdir()?;
    let (target, data) = (folder.path().join("backup"), folder.path().join("data"));
    assert_eq!(backup(&host.client(), &target).await?.status, StatusCode::OK);
    drop(host);
    let (is_done, text) = restore(&target, &data).await?;
    ensure!(is_done, "{text}");

    let restored = HostProcess::start(options(&[]).data(&data)).await?;
    is_running(&restored, instances).await?;
    let raise = format!("{instances}/a/raiseEvent/operation");
    let headers = [("content-type", "application/json")];
    let reply = restored.client().send("POST", &raise, &headers, r#""end""#).await?;
    ensure!(reply.status.is_success(), "{} {}", reply.status, reply.text());
    let output = eventually("it ends", DEADLINE, || async {
        let status = restored.client().get(&format!("{instances}/a")).await.ok()?.json().ok()?;
        (status["runtimeStatus"] == "Completed").then(|| status["output"].clone())
    })
    .await?;
    assert_eq!(output, 5);
    Ok(())
}

async fn is_running(host: &HostProcess, instances: &str) -> Result<()> {
    eventually("it runs", DEADLINE, || async {
        let status = host.client().get(&format!("{instances}/a")).await.ok()?.json().ok()?;
        (status["runtimeStatus"] == "Running").then_some(())
    })
    .await
}

#[tokio::test]
async fn host_that_is_killed_within_a_backup_leaves_none_and_the_next_one_succeeds() -> Result<()> {
    let mut host = database().await?;
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("backup");
    let partial = folder.path().join("backup.everstate-partial");
    let writers = Writers::start(&host.client(), 4);
    writers.until(5).await?;
    let client = host.client();
    let asked = target.clone();
    let asking = tokio::spawn(async move { backup(&client, &asked).await });
    eventually("the backup has begun", DEADLINE, || async {
        (partial.exists() || target.exists()).then_some(())
    })
    .await?;
    host.process().kill_9().await?;
    drop(asking.await?);
    let acknowledged = writers.end().await?;
    host.restart().await?;
    has_at_least(&host, &acknowledged).await?;

    // It may have been done just before.
    if !target.exists() {
        let (is_done, text) = restore(&partial, &folder.path().join("half")).await?;
        assert!(!is_done && text.contains("is no complete backup"), "{text}");
        assert_eq!(backup(&host.client(), &target).await?.status, StatusCode::OK);
        assert!(!partial.exists());
    }
    let data = folder.path().join("data");
    let (is_done, text) = restore(&target, &data).await?;
    ensure!(is_done, "{text}");
    let (is_good, text) = doctor(&data).await?;
    ensure!(is_good, "{text}");
    Ok(())
}

#[tokio::test]
async fn place_that_cannot_be_a_backup_is_refused_and_nothing_is_touched() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/1", "kept").await?;
    let folder = tempfile::tempdir()?;
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken)?;
    std::fs::write(taken.join("mine"), "kept")?;
    for (place, status, words) in [
        (Path::new("relative").to_owned(), 400, "no absolute path"),
        (folder.path().join("no/such/folder"), 400, "there is no folder"),
        (host.data().join("inside"), 400, "in the data folder itself"),
        (taken.clone(), 409, "no empty folder"),
        (taken.join("mine"), 409, "no empty folder"),
    ] {
        let reply = backup(&host.client(), &place).await?;
        assert_eq!(reply.status.as_u16(), status, "{}", place.display());
        assert!(reply.text().contains(words), "{}", reply.text());
    }
    assert_eq!(std::fs::read_to_string(taken.join("mine"))?, "kept");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);

    // An empty folder is as good as none, but it is one backup only.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty)?;
    assert_eq!(backup(&host.client(), &empty).await?.status, StatusCode::OK);
    assert_eq!(backup(&host.client(), &empty).await?.status, StatusCode::CONFLICT);
    assert_eq!(host.client().get("/Database/1").await?.text(), r#""kept""#);
    let (is_done, text) = restore(&empty, &taken).await?;
    assert!(!is_done && text.contains("exists and is not empty"), "{text}");
    Ok(())
}

#[tokio::test]
async fn doctor_refuses_a_folder_in_use_and_names_what_is_damaged() -> Result<()> {
    let mut host = database().await?;
    for key in 0..20 {
        host.client().put(&format!("/Database/{key}"), "value").await?;
    }
    let data = host.data();
    let (is_good, text) = doctor(&data).await?;
    assert!(!is_good && text.contains("open: stop it first"), "{text}");
    assert_eq!(host.client().get("/Database/1").await?.text(), r#""value""#);

    host.process().kill_9().await?;
    let (is_good, text) = doctor(&data).await?;
    ensure!(is_good, "{text}");
    let report: Value = serde_json::from_str(text.trim())?;
    assert_eq!(report["counts"]["entities"], 20, "{report:#}");
    assert_eq!(report["problemCount"], 0);

    // Everything is in files after an orderly end and another start.
    host.restart().await?;
    host.process().terminate()?;
    host.process().wait_exit(EXIT_DEADLINE).await?;
    let tables =
        std::fs::read_dir(host.database())?.filter_map(Result::ok).map(|entry| entry.path());
    let mut tables: Vec<_> =
        tables.filter(|path| path.extension().is_some_and(|e| e == "sst")).collect();
    tables.sort();
    let table = tables.first().context("there is a table")?;
    let mut bytes = std::fs::read(table)?;
    bytes[20] ^= 0x40;
    std::fs::write(table, bytes)?;
    let (is_good, text) = doctor(&data).await?;
    assert!(!is_good && text.contains("is damaged"), "{text}");
    let nowhere = data.join("nowhere");
    let (is_good, text) = doctor(&nowhere).await?;
    assert!(!is_good && text.contains("there is no data in"), "{text}");
    Ok(())
}
