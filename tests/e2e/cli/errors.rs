//! What the commands say when something is wrong: one line, with what to do next.

use std::future::IntoFuture as _;

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::HostProcess;

use super::{run, run_in};
use crate::{database, options};

#[tokio::test]
async fn host_that_is_not_there_is_to_be_started() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Nobody can listen on port 1 without being asked to.
    let args = ["instances", "list", "--host", "127.0.0.1:1"];
    let line = run_in(folder.path(), &args).await?.failure()?;
    for words in ["http://127.0.0.1:1", "is the host running?", "everstate run", "--host"] {
        assert!(line.contains(words), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn unknown_orchestrator_offers_those_that_are_like_it() -> Result<()> {
    let host = HostProcess::start(options(&[guests::HELLO])).await?;
    let line = run(&host, &["instances", "start", "HeloActivity"]).await?.failure()?;
    assert!(line.contains("`HeloActivity`") && line.contains("`HelloActivity`"), "{line}");
    let line = run(&host, &["entities", "call", "Greting", "1", "add"]).await?.failure()?;
    assert!(line.contains("`Greting`") && line.contains("`Greetings`"), "{line}");
    Ok(())
}

#[tokio::test]
async fn mistakes_about_instances_say_what_to_do() -> Result<()> {
    let host = HostProcess::start(options(&[guests::HELLO])).await?;
    run(&host, &["instances", "start", "Hello5", "--id", "done", "--wait"]).await?.ok()?;
    for (args, words) in [
        (&["show", "nope"][..], "everstate instances list"),
        (&["history", "nope"], "no orchestration `nope`"),
        (&["wait", "nope"], "no orchestration `nope`"),
        (&["watch", "nope"], "no orchestration `nope`"),
        (&["why", "nope"], "no orchestration `nope`"),
        (&["purge", "nope", "--yes"], "no orchestration `nope`"),
        (&["restart", "nope"], "no orchestration `nope`"),
        (&["raise", "nope", "go"], "no orchestration `nope`"),
        (&["raise", "done", "go"], "has ended"),
        (&["suspend", "done"], "has ended"),
        (&["start", "HelloActivity", "--input", "Ada"], "is not JSON"),
        (&["start", "HelloActivity", "--input", "@nowhere.json"], "nowhere.json"),
    ] {
        let line = run(&host, &[&["instances"], args].concat()).await?.failure()?;
        assert!(line.contains(words), "{args:?}: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn failed_operation_of_an_entity_is_its_reason() -> Result<()> {
    let host = database().await?;
    let line = run(&host, &["entities", "call", "Register", "1", "explode"]).await?.failure()?;
    assert!(line.contains("explode"), "{line}");
    Ok(())
}

#[tokio::test]
async fn arguments_that_do_not_fit_end_with_two() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for args in [
        &["instances"][..],
        &["instances", "list", "--status", "Sleeping"],
        &["instances", "list", "--created-after", "yesterday"],
        &["instances", "purge"],
        &["instances", "purge", "a", "--status", "Failed"],
        &["instances", "purge", "--status", "Completed", "--created-before", "2026-99-99", "--yes"],
        &["instances", "purge", "--created-after", "2026-11-24T25:00:00Z", "--yes"],
        &["instances", "purge", "", "--yes"],
        &["instances", "show", ""],
        &["instances", "history", ""],
        &["instances", "raise", "a", ""],
        &["instances", "start", ""],
        &["instances", "start", "A", "--id", ""],
        &["entities", "list", "", "--count"],
        &["entities", "list", "--used-before", "2020-02-30"],
        &["entities", "get", "", "1"],
        &["entities", "call", "A", "1", ""],
        &["keys", "delete", "host", ""],
        &["deploy", "--remove", ""],
        &["new"],
        &["nonsense"],
    ] {
        assert_eq!(run_in(folder.path(), args).await?.code, 2, "{args:?}");
    }
    Ok(())
}

#[tokio::test]
async fn address_that_is_none_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let args = ["locks", "--host", "http://"];
    let line = run_in(folder.path(), &args).await?.failure()?;
    assert!(line.contains("no URL of a server"), "{line}");
    let args = ["locks", "--host", "https://127.0.0.1:1", "--ca", "nowhere.pem"];
    let line = run_in(folder.path(), &args).await?.failure()?;
    assert!(line.contains("nowhere.pem"), "{line}");
    Ok(())
}

/// Something that speaks HTTP and is no host: its pages are not printed, and its 404 says nothing about an
/// orchestration.
#[tokio::test]
async fn answer_of_something_else_is_told_as_one() -> Result<()> {
    let page = format!("<html><body>{}</body></html>", "<p>Not here</p>".repeat(200));
    let routes = axum::Router::new()
        .fallback(move || async move { (hyper::StatusCode::NOT_FOUND, page.clone()) });
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", socket.local_addr()?);
    let serving = tokio::spawn(axum::serve(socket, routes).into_future());
    let folder = tempfile::tempdir()?;
    for args in [
        &["instances", "show", "a"][..],
        &["instances", "purge", "--status", "Failed", "--yes"],
        &["entities", "get", "A", "1"],
        &["keys", "delete", "host"],
        &["deploy", "--remove", "a"],
        &["deploy", "--rollback", "a"],
        &["instances", "watch", "a"],
    ] {
        let line = run_in(folder.path(), &[args, &["--host", &url]].concat()).await?.failure()?;
        assert!(line.contains("404 and not as hosts of Everstate answer"), "{args:?}: {line}");
        assert!(line.len() < 400, "{args:?}: {line}");
    }
    serving.abort();
    Ok(())
}

#[tokio::test]
async fn name_without_an_address_is_told_as_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let args = ["locks", "--host", "http://nowhere.invalid:7071"];
    let line = run_in(folder.path(), &args).await?.failure()?;
    assert!(line.contains("has no address"), "{line}");
    Ok(())
}
