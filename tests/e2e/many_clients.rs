//! Many clients on one key, and the order that they see.

use std::sync::Arc;

use anyhow::{Result, ensure};
use everstate_tests::history::Recorder;
use everstate_tests::http::{Client, Connection, Reply};
use hyper::StatusCode;
use tokio::task::JoinSet;

use crate::database;

const CLIENTS: usize = 64;
const ROUNDS: usize = 4;

#[tokio::test]
async fn put_by_64_clients_on_one_key_answers_each_its_own_value() -> Result<()> {
    let host = database().await?;
    let recorder = Arc::new(Recorder::default());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(write_and_read(host.client(), client, Arc::clone(&recorder)));
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    // The last round of every client is a PUT, so that the final value is one of those.
    let last: String =
        host.client().get("/Database/shared").await?.json()?.as_str().unwrap().into();
    assert!(last.ends_with(&format!("round-{}", ROUNDS - 1)), "{last}");
    let called = recorder.read("shared");
    recorder.was_read(called, Some(last));
    recorder.check()
}

/// PUT and GET in turn; ends with a PUT.
async fn write_and_read(client: Client, number: usize, recorder: Arc<Recorder>) -> Result<()> {
    let mut connection = Connection::open(client.address).await?;
    for round in 0..ROUNDS {
        if round > 0 {
            let called = recorder.read("shared");
            let reply = ok(connection.send("GET", "/Database/shared", &[], "").await?)?;
            recorder.was_read(called, reply.json()?.as_str().map(str::to_owned));
        }
        let value = format!("client-{number}-round-{round}");
        let called = recorder.write("shared", &value);
        let reply = ok(connection.send("PUT", "/Database/shared", &[], value.clone()).await?)?;
        recorder.written(called);
        ensure!(reply.json()? == value.as_str(), "PUT {value} answered {}", reply.text());
    }
    Ok(())
}

fn ok(reply: Reply) -> Result<Reply> {
    ensure!(reply.status == StatusCode::OK, "{}: {}", reply.status, reply.text());
    Ok(reply)
}
