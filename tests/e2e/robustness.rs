//! Guests that misbehave, and files that are no guests: one clear message each, and everything else
//! goes on.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, HostProcess};
use everstate_tests::http::{Client, Reply};
use hyper::StatusCode;

use crate::options;

/// The seed beside a guest that fails, under limits that a test can wait for.
async fn host_with_faults() -> Result<HostProcess> {
    let config = "[runtime]\nturn_cpu_ms_max = 300\nhttp_cpu_ms_max = 300\n";
    HostProcess::start(options(&[guests::DATABASE, guests::FAULTS]).config(config)).await
}

/// Asks for it while others work; they must be served all the time.
async fn fault(host: &HostProcess, kind: &str, what: &str) -> Result<Reply> {
    let path = format!("/Faults/{kind}/{what}");
    let client = host.client();
    let fault = tokio::spawn(async move { client.post(&path, "").await });
    for number in 0..20 {
        others_are_served(host.client(), number).await?;
    }
    let reply = fault.await??;
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
async fn http_function_fails(what: &str) -> Result<()> {
    let host = host_with_faults().await?;
    let reply = fault(&host, "http", what).await?;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", reply.text());
    assert!(!reply.text().contains("as asked"), "details: {}", reply.text());
    host.logs(&["Faults_HttpStart"]).await?;
    // The function is not broken for the next request.
    let reply = host.client().post("/Faults/elsewhere/fail", "").await?;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.text());
    Ok(())
}

/// An orchestration that fails is told about with its status document, and in the log.
async fn orchestration_fails(kind: &str, what: &str, named: &str) -> Result<HostProcess> {
    let host = host_with_faults().await?;
    let reply = fault(&host, kind, what).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let document = reply.json()?;
    assert_eq!(document["runtimeStatus"], "Failed", "{document}");
    assert!(document["output"].as_str().is_some_and(|reason| !reason.is_empty()), "{document}");
    // That a guest says itself that it cannot do something is nothing for the operator.
    if what != "fail" {
        host.logs(&[named]).await?;
    }
    Ok(host)
}

/// The entity changes its state before it fails; nothing of that may be left.
async fn entity_fails(what: &str) -> Result<()> {
    let host = orchestration_fails("entity", what, "@faulty@1").await?;
    let get = host.client().post("/Faults/entity/get", "").await?;
    assert_eq!((get.status, get.text().as_str()), (StatusCode::OK, "null"));
    host.client().post("/Faults/entity/set", "").await?;
    let again = host.client().post(&format!("/Faults/entity/{what}"), "").await?;
    assert_eq!(again.json()?["runtimeStatus"], "Failed");
    let get = host.client().post("/Faults/entity/get", "").await?;
    assert_eq!(get.text(), r#""kept""#);
    Ok(())
}

#[tokio::test]
async fn http_function_that_panics_answers_500_and_hurts_nobody() -> Result<()> {
    http_function_fails("panic").await
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
async fn http_function_that_recurses_without_end_answers_500_and_hurts_nobody() -> Result<()> {
    http_function_fails("deep").await
}

#[tokio::test]
async fn http_function_that_gives_a_failure_answers_500_and_hurts_nobody() -> Result<()> {
    http_function_fails("fail").await
}

#[tokio::test]
async fn orchestrator_that_panics_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "panic", "Faults_Orchestrator").await.map(drop)
}

#[tokio::test]
async fn orchestrator_that_traps_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "trap", "Faults_Orchestrator").await.map(drop)
}

#[tokio::test]
async fn orchestrator_in_an_endless_loop_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "loop", "Faults_Orchestrator").await.map(drop)
}

#[tokio::test]
async fn orchestrator_that_allocates_without_end_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "allocate", "Faults_Orchestrator").await.map(drop)
}

#[tokio::test]
async fn orchestrator_that_recurses_without_end_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "deep", "Faults_Orchestrator").await.map(drop)
}

#[tokio::test]
async fn orchestrator_that_gives_a_failure_fails_and_hurts_nobody() -> Result<()> {
    orchestration_fails("orchestrator", "fail", "Faults_Orchestrator").await.map(drop)
}

#[tokio::test]
async fn entity_that_panics_fails_its_caller_and_changes_nothing() -> Result<()> {
    entity_fails("panic").await
}

#[tokio::test]
async fn entity_that_traps_fails_its_caller_and_changes_nothing() -> Result<()> {
    entity_fails("trap").await
}

#[tokio::test]
async fn entity_in_an_endless_loop_fails_its_caller_and_changes_nothing() -> Result<()> {
    entity_fails("loop").await
}

#[tokio::test]
async fn entity_that_allocates_without_end_fails_its_caller_and_changes_nothing() -> Result<()> {
    entity_fails("allocate").await
}

#[tokio::test]
async fn entity_that_recurses_without_end_fails_its_caller_and_changes_nothing() -> Result<()> {
    entity_fails("deep").await
}

#[tokio::test]
async fn entity_that_gives_a_failure_fails_its_caller_and_changes_nothing() -> Result<()> {
    entity_fails("fail").await
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
    host.logs(words).await?;
    others_are_served(host.client(), 0).await?;
    assert_eq!(host.output().lines_with(words).len(), 1, "{}", host.output().all());
    Ok(host)
}

#[tokio::test]
async fn component_with_a_missing_import_is_reported_by_name() -> Result<()> {
    let bytes = fs::read(guests::MISSING_IMPORT)?;
    let words = ["missing.wasm", "example:weather/forecast"];
    let host = host_reports(&[("missing.wasm", bytes)], &words).await?;
    assert_eq!(host.client().get("/Forecast").await?.status, StatusCode::NOT_FOUND);
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
    let words = ["second.wasm", "guest_database.wasm", "`Register`"];
    let host = host_reports(&[("second.wasm", bytes)], &words).await?;
    let reply = host.client().get("/Database/others").await?;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, r#""0""#));
    Ok(())
}

#[tokio::test]
async fn other_component_with_the_same_route_and_entity_is_reported_by_name() -> Result<()> {
    let bytes = fs::read(guests::CONFLICT)?;
    let words = ["other.wasm", "guest_database.wasm", "`Register`"];
    let host = host_reports(&[("other.wasm", bytes)], &words).await?;
    host.logs(&["Conflict_HttpStart", "Database/{key}", "Database_HttpStart"]).await?;
    assert_eq!(host.client().get("/Database/others").await?.text(), r#""0""#);
    Ok(())
}
