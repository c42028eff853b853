//! Guests that misbehave, and files that are no guests: one clear message each, and everything else
//! goes on.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, HostProcess};
use everstate_tests::http::Client;
use hyper::StatusCode;

use crate::options;

/// The seed beside a guest that misbehaves, under limits that a test can wait for.
async fn host_with_misbehaving() -> Result<HostProcess> {
    let config = "[runtime]\nturn_cpu_ms_max = 300\nhttp_cpu_ms_max = 300\n";
    let options = options(&[guests::DATABASE, guests::MISBEHAVING]).config(config);
    HostProcess::start(options).await
}

/// Asks for it while others work; they must be served all the time.
async fn misbehave(
    host: &HostProcess,
    place: &str,
    how: &str,
) -> Result<everstate_tests::http::Reply> {
    let path = format!("/Misbehave/{place}/{how}");
    let client = host.client();
    let misbehaviour = tokio::spawn(async move { client.post(&path, "").await });
    for number in 0..20 {
        others_are_served(host.client(), number).await?;
    }
    let reply = misbehaviour.await??;
    others_are_served(host.client(), 20).await?;
    Ok(reply)
}

async fn others_are_served(client: Client, number: usize) -> Result<()> {
    let put = client.put("/Database/others", number.to_string());
    let reply = tokio::time::timeout(Duration::from_secs(10), put).await??;
    ensure!(reply.status == StatusCode::OK, "{}: {}", reply.status, reply.text());
    Ok(())
}

/// An HTTP function that fails answers 500 without details; the log has them.
async fn http_function_fails(how: &str) -> Result<()> {
    let host = host_with_misbehaving().await?;
    let reply = misbehave(&host, "http", how).await?;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", reply.text());
    assert!(!reply.text().contains("asked to"), "details: {}", reply.text());
    host.says(&["Misbehave_HttpStart"]).await?;
    // The function is not broken for the next request.
    let reply = host.client().post("/Misbehave/http/behave", "").await?;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "behave"));
    Ok(())
}

/// An orchestration that fails is told about with its status document.
async fn orchestration_fails(place: &str, how: &str, says: &str) -> Result<()> {
    let host = host_with_misbehaving().await?;
    let reply = misbehave(&host, place, how).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let document = reply.json()?;
    assert_eq!(document["runtimeStatus"], "Failed", "{document}");
    assert!(document["output"].as_str().is_some_and(|reason| !reason.is_empty()), "{document}");
    host.says(&[says]).await?;
    let reply = host.client().post(&format!("/Misbehave/{place}/behave"), "").await?;
    assert_eq!(reply.json()?, "behave");
    Ok(())
}

#[tokio::test]
async fn http_function_that_traps_answers_500_and_hurts_nobody() -> Result<()> {
    http_function_fails("trap").await
}

#[tokio::test]
async fn http_function_in_an_endless_loop_answers_500_and_hurts_nobody() -> Result<()> {
    http_function_fails("loop").await
}

#[tokio::test]
async fn http_function_that_allocates_without_end_answers_500_and_hurts_nobody() -> Result<()> {
    http_function_fails("allocate").await
}

#[tokio::test]
async fn orchestrator_that_traps_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "trap", "Misbehave_Orchestrator").await
}

#[tokio::test]
async fn orchestrator_in_an_endless_loop_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "loop", "Misbehave_Orchestrator").await
}

#[tokio::test]
async fn orchestrator_that_allocates_without_end_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "allocate", "Misbehave_Orchestrator").await
}

#[tokio::test]
async fn entity_that_traps_fails_its_caller_and_hurts_nobody() -> Result<()> {
    orchestration_fails("entity", "trap", "@misbehaving@trap").await
}

#[tokio::test]
async fn entity_in_an_endless_loop_fails_its_caller_and_hurts_nobody() -> Result<()> {
    orchestration_fails("entity", "loop", "@misbehaving@loop").await
}

#[tokio::test]
async fn entity_that_allocates_without_end_fails_its_caller_and_hurts_nobody() -> Result<()> {
    orchestration_fails("entity", "allocate", "@misbehaving@allocate").await
}

/// Starts a host whose functions folder has the seed and what `prepare` adds to it; the host must say
/// one line with all of these words, and serve the seed.
async fn host_reports(extra: &[(&str, Vec<u8>)], words: &[&str]) -> Result<HostProcess> {
    let folder = tempfile::tempdir()?;
    let mut options: HostOptions = options(&[guests::DATABASE]);
    for (name, bytes) in extra {
        let path = folder.path().join(name);
        fs::write(&path, bytes)?;
        options.guests.push(path);
    }
    let host = HostProcess::start(options).await?;
    host.says(words).await?;
    others_are_served(host.client(), 0).await?;
    assert_eq!(host.output().lines_with(words).len(), 1, "{}", host.output().all());
    Ok(host)
}

#[tokio::test]
async fn component_with_a_missing_import_is_reported_by_name() -> Result<()> {
    let bytes = fs::read(guests::MISSING_IMPORT)?;
    let words = ["missing.wasm", "nowhere:missing/thing"];
    let host = host_reports(&[("missing.wasm", bytes)], &words).await?;
    assert_eq!(host.client().get("/Missing").await?.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn file_that_is_no_component_is_reported_by_name() -> Result<()> {
    host_reports(&[("garbage.wasm", b"no component at all".to_vec())], &["garbage.wasm"]).await?;
    Ok(())
}

#[tokio::test]
async fn empty_file_is_reported_by_name() -> Result<()> {
    host_reports(&[("empty.wasm", Vec::new())], &["empty.wasm"]).await?;
    Ok(())
}

#[tokio::test]
async fn core_module_is_reported_by_name() -> Result<()> {
    host_reports(&[("module.wasm", b"\0asm\x01\0\0\0".to_vec())], &["module.wasm"]).await?;
    Ok(())
}

#[tokio::test]
async fn component_without_functions_is_reported_by_name() -> Result<()> {
    host_reports(&[("nothing.wasm", b"\0asm\x0d\0\x01\0".to_vec())], &["nothing.wasm"]).await?;
    Ok(())
}

/// Other bytes, the same functions.
#[tokio::test]
async fn second_component_with_the_same_functions_is_reported_by_name() -> Result<()> {
    let mut bytes = fs::read(guests::DATABASE)?;
    bytes.extend([0, 2, 1, b'x']);
    let host =
        host_reports(&[("second.wasm", bytes)], &["second.wasm", "guest_database.wasm"]).await?;
    let reply = host.client().get("/Database/others").await?;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, r#""0""#));
    Ok(())
}

#[tokio::test]
async fn second_component_with_the_same_route_is_reported_by_name() -> Result<()> {
    let bytes = fs::read(guests::RIVAL)?;
    let words = ["rival.wasm", "Database/{key}", "Database_HttpStart"];
    let host = host_reports(&[("rival.wasm", bytes)], &words).await?;
    assert_eq!(host.client().get("/Database/others").await?.text(), r#""0""#);
    Ok(())
}
