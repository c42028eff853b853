//! Durable HTTP requests: answers of every status, and polling until one is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use everstate_tests::driver::{Driver, events};
use everstate_tests::guests;
use everstate_tests::host::HostOptions;
use serde_json::json;
use tokio::net::TcpListener;

use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    let allowed = "[outgoing_http]\nallow = [\"127.0.0.1\"]\n";
    host_with(&[guests::MONITOR, guests::LIFECYCLE]).config(allowed)
}

in_every_way!(
    request_that_is_accepted_is_polled_until_it_is_done,
    answer_of_any_status_is_a_result,
    request_that_gets_no_answer_is_a_failure,
);

/// How often the service says that it is not done yet.
const UNFINISHED: u32 = 3;

/// A service that takes on work and has it done after some questions.
async fn service() -> Result<SocketAddr> {
    let asked = Arc::new(AtomicU32::new(0));
    let accepted = || {
        let headers = [("location", "/job/status"), ("retry-after", "0")];
        (StatusCode::ACCEPTED, headers, "not yet").into_response()
    };
    let status = move || {
        let asked = asked.fetch_add(1, Ordering::SeqCst);
        let answer: Response = if asked < UNFINISHED { accepted() } else { "done".into_response() };
        async move { answer }
    };
    let routes = Router::new()
        .route("/work", get(move || async move { accepted() }))
        .route("/job/status", get(status))
        .route("/teapot", get(|| async { (StatusCode::IM_A_TEAPOT, "short and stout") }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// 1.8: each question is a request of its own in the history, each wait a durable timer.
async fn request_that_is_accepted_is_polled_until_it_is_done(driver: &Driver) -> Result<()> {
    let address = service().await?;
    let fetched = driver.run("Fetch", "a", json!(format!("http://{address}/work"))).await?;
    assert_eq!(fetched, json!({ "statusCode": 200, "content": "done" }));
    let status = driver.status("a").await?.unwrap_or_default();
    let timers = events(&status, "TimerFired").len();
    assert_eq!(events(&status, "TaskCompleted").len(), timers + 1, "{status:#}");
    assert!(timers >= 1, "{status:#}");
    Ok(())
}

/// 1.8: a status that is no success is a response, not a failure.
async fn answer_of_any_status_is_a_result(driver: &Driver) -> Result<()> {
    let address = service().await?;
    let fetched = driver.run("Fetch", "a", json!(format!("http://{address}/teapot"))).await?;
    assert_eq!(fetched, json!({ "statusCode": 418, "content": "short and stout" }));
    Ok(())
}

/// Nobody listens there, or the host may not ask there.
async fn request_that_gets_no_answer_is_a_failure(driver: &Driver) -> Result<()> {
    let nobody = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    for (id, address) in
        [("closed", format!("http://{nobody}/")), ("forbidden", "http://localhost/".to_owned())]
    {
        driver.start_new("Fetch", id, json!(address)).await?;
        let status = driver.ended(id).await?;
        assert_eq!(status["runtimeStatus"], "Failed", "{status:#}");
    }
    Ok(())
}
