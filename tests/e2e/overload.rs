//! More work than the host takes: refused before it is accepted, with when to come back.

use anyhow::{Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::{Connection, Reply};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use tokio::task::JoinSet;

use crate::options;

const CLIENTS: usize = 64;
const ROUNDS: usize = 10;

fn is_refused(reply: &Reply) -> bool {
    reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.header("retry-after") == "1"
}

#[tokio::test]
async fn request_beyond_the_concurrent_ones_is_refused_until_there_is_room() -> Result<()> {
    let config = "[runtime]\nhttp_concurrent_max = 1\n";
    let host = HostProcess::start(options(&[guests::SLOW]).config(config)).await?;
    eventually("of two requests at a time one is refused", START_DEADLINE, || async {
        let client = host.client();
        let (one, other) =
            tokio::join!(client.put("/Slow/1/300", ""), client.put("/Slow/2/300", ""));
        let (one, other) = (one.ok()?, other.ok()?);
        let is_one_each =
            |done: &Reply, refused: &Reply| done.status == StatusCode::OK && is_refused(refused);
        (is_one_each(&one, &other) || is_one_each(&other, &one)).then_some(())
    })
    .await?;
    assert_eq!(host.client().put("/Slow/2/0", "").await?.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn full_commit_queue_refuses_some_and_keeps_what_it_acknowledged() -> Result<()> {
    let config = "[engine]\ncommit_queue_bytes_max = 1\n";
    let options = options(&[guests::DATABASE]).config(config);
    let mut host = HostProcess::start(options).await?;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = host.address();
        clients.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut written = Vec::new();
            let mut refused = 0;
            for round in 0..ROUNDS {
                let key = format!("{client}-{round}");
                let path = format!("/Database/{key}");
                let reply = connection.send("PUT", &path, &[], key.clone()).await?;
                if is_refused(&reply) {
                    refused += 1;
                } else {
                    ensure!(reply.status == StatusCode::OK, "{}: {}", reply.status, reply.text());
                    written.push(key);
                }
            }
            Ok((written, refused))
        });
    }
    let mut written = Vec::new();
    let mut refused = 0;
    while let Some(done) = clients.join_next().await {
        let (keys, count): (Vec<String>, usize) = done??;
        written.extend(keys);
        refused += count;
    }
    assert!(refused > 0 && !written.is_empty(), "{refused} refused, {} written", written.len());
    host.process().kill_9().await?;
    host.restart().await?;
    for key in written {
        let reply = host.client().get(&format!("/Database/{key}")).await?;
        assert_eq!(reply.json()?, key.as_str());
    }
    Ok(())
}
