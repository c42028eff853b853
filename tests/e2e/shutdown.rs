//! SIGTERM: a drain, exit status 0, and nothing acknowledged is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};
use everstate_tests::history::Recorder;
use everstate_tests::host::{EXIT_DEADLINE, START_DEADLINE};
use everstate_tests::http::{Client, Connection};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use tokio::task::JoinSet;

use crate::database;

const CLIENTS: usize = 16;

#[tokio::test]
async fn sigterm_of_an_idle_host_exits_0() -> Result<()> {
    let mut host = database().await?;
    host.process().terminate()?;
    let status = host.process().wait_exit(EXIT_DEADLINE).await?;
    assert_eq!(status.code(), Some(0), "{}", host.output().all());
    Ok(())
}

#[tokio::test]
async fn sigterm_under_load_answers_or_refuses_and_loses_nothing_acknowledged() -> Result<()> {
    let mut host = database().await?;
    let recorder = Arc::new(Recorder::default());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (recorder, count) = (Arc::clone(&recorder), Arc::clone(&acknowledged));
        clients.spawn(write_until_refused(host.client(), client, recorder, count));
    }
    eventually("the load is on", START_DEADLINE, || async {
        (acknowledged.load(Ordering::SeqCst) >= 500).then_some(())
    })
    .await?;
    host.process().terminate()?;
    let status = host.process().wait_exit(EXIT_DEADLINE).await?;
    assert_eq!(status.code(), Some(0), "{}", host.output().all());
    while let Some(done) = clients.join_next().await {
        done??;
    }
    host.restart().await?;
    for client in 0..CLIENTS {
        let key = format!("client-{client}");
        let called = recorder.read(&key);
        let reply = host.client().get(&format!("/Database/{key}")).await?;
        assert_eq!(reply.status, StatusCode::OK);
        recorder.was_read(called, reply.json()?.as_str().map(str::to_owned));
    }
    recorder.check()
}

/// PUTs until the host ends. Each is answered, refused with 503, or finds a closed connection.
async fn write_until_refused(
    client: Client,
    number: usize,
    recorder: Arc<Recorder>,
    acknowledged: Arc<AtomicUsize>,
) -> Result<()> {
    let key = format!("client-{number}");
    let mut connection = Connection::open(client.address).await?;
    for round in 0.. {
        let value = format!("{key}-{round}");
        let called = recorder.write(&key, &value);
        match connection.send("PUT", &format!("/Database/{key}"), &[], value).await {
            Ok(reply) if reply.status == StatusCode::OK => {
                recorder.written(called);
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Ok(reply) if reply.status == StatusCode::SERVICE_UNAVAILABLE => return Ok(()),
            Ok(reply) => {
                bail!("neither an answer nor a refusal: {} {}", reply.status, reply.text())
            }
            // Between two requests a drained host may close the connection.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}
