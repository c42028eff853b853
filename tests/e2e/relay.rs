//! Entities and orchestrations that reach one another.

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::options;

/// A host with the guest, and how many suspended guests it keeps.
async fn relay(suspended_guests_max: u32) -> Result<HostProcess> {
    let config = format!("[runtime]\nsuspended_guests_max = {suspended_guests_max}\n");
    HostProcess::start(options(&[guests::RELAY]).config(&config)).await
}

/// Runs an orchestrator to its end; gives its output.
async fn run(host: &HostProcess, orchestrator: &str, input: Value) -> Result<Value> {
    let reply = host.client().post(&format!("/Relay/{orchestrator}"), input.to_string()).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()
}

/// Waits until the tally has this total.
async fn tally_becomes(host: &HostProcess, tally: &str, total: i64) -> Result<()> {
    eventually(&format!("{tally} becomes {total}"), START_DEADLINE, || async {
        let found = run(host, "Relay_Get_Orchestrator", json!(tally)).await.ok()?;
        (found == total).then_some(())
    })
    .await
}

#[tokio::test]
async fn entity_operation_sends_its_signal_and_its_start_once() -> Result<()> {
    let host = relay(1_000).await?;
    let input = json!({ "relay": "r", "tally": "t", "amount": 3 });
    let started = run(&host, "Relay_Forward_Orchestrator", input).await?;
    assert!(started.as_str().is_some_and(|id| !id.is_empty()), "{started}");
    tally_becomes(&host, "t", 6).await
}

#[tokio::test]
async fn entity_operation_that_fails_sends_nothing() -> Result<()> {
    let host = relay(1_000).await?;
    let input = json!({ "relay": "r", "tally": "t", "amount": 3, "fails": true });
    let status = run(&host, "Relay_Forward_Orchestrator", input).await?;
    assert_eq!(status["runtimeStatus"], "Failed", "{status}");
    // A second one that does not fail: had the first one sent, the total would be more.
    let input = json!({ "relay": "r", "tally": "t", "amount": 1 });
    run(&host, "Relay_Forward_Orchestrator", input).await?;
    tally_becomes(&host, "t", 2).await
}

#[tokio::test]
async fn signals_of_an_orchestration_arrive_before_its_later_call() -> Result<()> {
    let host = relay(1_000).await?;
    let input = json!({ "tally": "t", "count": 200 });
    assert_eq!(run(&host, "Relay_Signal_Orchestrator", input).await?, 200);
    Ok(())
}

#[tokio::test]
async fn calls_under_way_together_are_all_answered_in_their_places() -> Result<()> {
    for suspended_guests_max in [1_000, 0] {
        let host = relay(suspended_guests_max).await?;
        let additions: Vec<Value> = (0..20)
            .map(|number| json!({ "tally": number.to_string(), "amount": number }))
            .collect();
        let report = run(&host, "Relay_Report_Orchestrator", json!(additions)).await?;
        let totals: Vec<i64> = (0..20).collect();
        assert_eq!(report["totals"], json!(totals));
        let guids = report["guids"].as_array().unwrap();
        assert!(guids.len() == 3 && guids[0] != guids[1] && guids[1] != guids[2], "{report}");
        let times = report["times"].as_array().unwrap();
        assert!(times[0].as_u64() <= times[1].as_u64(), "{report}");
    }
    Ok(())
}
