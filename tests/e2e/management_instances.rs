//! The management API shows, finds, counts and removes orchestrations.

use anyhow::{Result, ensure};
use everstate_tests::driver::encoded;
use everstate_tests::host::START_DEADLINE;
use everstate_tests::wait::eventually;
use serde_json::{Value, json};

use crate::management::{BASE, Manager, ids};

/// S6.
#[tokio::test]
async fn status_of_each_place_in_life_has_its_code_and_headers() -> Result<()> {
    let api = Manager::start().await?;
    api.ended("HelloInline", "completed", "\"World\"").await?;
    api.ended("ThrowOrchestrator", "failed", "\"Kah-BOOOOM!!!\"").await?;
    for id in ["running", "suspended", "terminated"] {
        api.started("Counter", id, "0").await?;
        api.until(id, "Running").await?;
    }
    api.expect(202, "POST", "/instances/suspended/suspend", "").await?;
    api.expect(202, "POST", "/instances/terminated/terminate", "").await?;
    for (id, code, runtime_status, output) in [
        ("completed", 200, "Completed", json!("Hello, World!")),
        ("terminated", 200, "Terminated", Value::Null),
        ("running", 202, "Running", Value::Null),
        ("suspended", 202, "Suspended", Value::Null),
    ] {
        let reply = api.expect(code, "GET", &format!("/instances/{id}"), "").await?;
        let status = reply.json()?;
        assert_eq!(
            (&status["runtimeStatus"], &status["output"]),
            (&json!(runtime_status), &output)
        );
        let (location, retry_after) = (reply.header("location"), reply.header("retry-after"));
        let own = format!("http://{}{BASE}/instances/{id}", api.host.client().address);
        let expected = if code == 202 { (own.as_str(), "5") } else { ("", "") };
        assert_eq!((location, retry_after), expected, "{id}");
    }
    api.expect(200, "GET", "/instances/failed", "").await?;
    let path = "/instances/failed?returnInternalServerErrorOnFailure=true";
    assert_eq!(api.expect(500, "GET", path, "").await?.json()?["runtimeStatus"], "Failed");
    api.expect(404, "GET", "/instances/unknown", "").await?;
    Ok(())
}

/// The ids on all pages.
async fn all(api: &Manager, query: &str, top: usize) -> Result<Vec<String>> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let target = format!("{BASE}/instances?top={top}&{query}");
        let headers = [("x-ms-continuation-token", token.as_str())];
        let reply = api.host.client().send("GET", &target, &headers, "").await?;
        let page = ids(&reply)?;
        ensure!(page.len() <= top, "{} on a page of {top}", page.len());
        found.extend(page);
        token = reply.header("x-ms-continuation-token").to_owned();
        if token.is_empty() {
            let reply = api.get(&format!("/instances?count&{query}")).await?;
            assert_eq!(reply.json()?, json!({ "count": found.len() }), "{query}");
            return Ok(found);
        }
    }
}

/// S7, and what is beyond it.
#[tokio::test]
async fn instances_are_found_by_everything_that_is_known_of_them() -> Result<()> {
    let api = Manager::start().await?;
    let tagged = "/lifecycle/start/Counter?id=x-alive&tags=team:red,size:big";
    assert_eq!(api.host.client().post(tagged, "0").await?.status, 200);
    api.until("x-alive", "Running").await?;
    api.ended("HelloInline", "x-ended", "\"World\"").await?;
    api.ended("Greeter", "y-ended", "\"World\"").await?;
    api.ended("ThrowOrchestrator", "y-failed", "\"Kah-BOOOOM!!!\"").await?;
    let custom_status = encoded(r#"{"nextActions":["A","B","C"],"foo":2}"#);
    for (query, expected) in [
        ("", vec!["x-alive", "x-ended", "y-ended", "y-failed"]),
        ("runtimeStatus=Running", vec!["x-alive"]),
        ("runtimeStatus=Completed,Failed", vec!["x-ended", "y-ended", "y-failed"]),
        ("runtimeStatus=Running&runtimeStatus=Failed", vec!["x-alive", "y-failed"]),
        ("runtimeStatus=Canceled", vec![]),
        ("instanceIdPrefix=x-&runtimeStatus=Completed", vec!["x-ended"]),
        ("instanceIdPrefix=@", vec![]),
        ("name=helloinline", vec!["x-ended"]),
        ("tag.team=red&tag.size=big", vec!["x-alive"]),
        ("tag.team=blue", vec![]),
        (&format!("customStatus={custom_status}"), vec!["y-ended"]),
        ("createdTimeFrom=2019-01-01&createdTimeTo=2019-12-31T23:59:59Z", vec![]),
        ("createdTimeFrom=2019-01-01&name=Greeter", vec!["y-ended"]),
    ] {
        for top in [1, 100] {
            let mut found = all(&api, query, top).await?;
            found.sort();
            assert_eq!(found, expected, "{query}, {top} a page");
        }
    }
    let list = api.get("/instances?instanceIdPrefix=y-e&showInput=false").await?.json()?;
    assert_eq!((&list[0]["input"], &list[0]["output"]), (&Value::Null, &json!("Hello, World!")));
    assert!(list[0].get("historyEvents").is_none(), "{list:#}");
    api.expect(400, "GET", "/instances?customStatus=x", "").await?;
    Ok(())
}

#[tokio::test]
async fn purge_removes_what_has_ended_and_says_how_many() -> Result<()> {
    let api = Manager::start().await?;
    for id in ["a", "b", "c"] {
        api.ended("HelloInline", id, "\"World\"").await?;
    }
    api.ended("ThrowOrchestrator", "failed", "\"Kah-BOOOOM!!!\"").await?;
    api.started("Counter", "alive", "0").await?;
    let reply = api.expect(200, "DELETE", "/instances/a", "").await?;
    assert_eq!(reply.json()?, json!({ "instancesDeleted": 1 }));
    api.expect(404, "DELETE", "/instances/a", "").await?;
    api.expect(409, "DELETE", "/instances/alive", "").await?;
    let reply = api.expect(400, "DELETE", "/instances?runtimeStatus=Failed", "").await?;
    assert_eq!(reply.text(), r#""Please provide value for 'createdTimeFrom' parameter.""#);
    let path = "/instances?createdTimeFrom=2019-01-01";
    api.expect(404, "DELETE", &format!("{path}&runtimeStatus=Running"), "").await?;
    api.expect(404, "DELETE", &format!("{path}&createdTimeTo=2019-12-31"), "").await?;
    api.expect(404, "DELETE", &format!("{path}&runtimeStatus=5"), "").await?;
    api.expect(400, "DELETE", &format!("{path}&runtimeStatus=failed"), "").await?;
    api.expect(400, "DELETE", &format!("{path}&createdTimeTo=then"), "").await?;
    let reply = api.expect(200, "DELETE", &format!("{path}&runtimeStatus=3"), "").await?;
    assert_eq!(reply.json()?, json!({ "instancesDeleted": 1 }));
    let reply = api.expect(200, "DELETE", path, "").await?;
    assert_eq!(reply.json()?, json!({ "instancesDeleted": 2 }));
    api.expect(404, "DELETE", path, "").await?;
    assert_eq!(ids(&api.get("/instances").await?)?, ["alive"]);
    Ok(())
}

#[tokio::test]
async fn recursive_purge_counts_what_it_removes() -> Result<()> {
    let api = Manager::start().await?;
    api.started("TreeRoot", "root", "2").await?;
    let leaves = ["root-branch-leaf-0", "root-branch-leaf-1"];
    for leaf in leaves {
        api.until(leaf, "Running").await?;
        api.expect(202, "POST", &format!("/instances/{leaf}/raiseEvent/go"), "null").await?;
    }
    api.until("root", "Completed").await?;
    let reply = api.expect(200, "DELETE", "/instances/root?recursive=true", "").await?;
    assert_eq!(reply.json()?, json!({ "instancesDeleted": 4 }));
    api.expect(404, "DELETE", "/instances/root?recursive=true", "").await?;
    eventually("its children are gone", START_DEADLINE, || async {
        let left = api.get("/instances?instanceIdPrefix=root").await.ok()?;
        (left.text() == "[]").then_some(())
    })
    .await
}

/// What the document says is what is served.
#[tokio::test]
async fn openapi_document_names_the_routes_of_this_host() -> Result<()> {
    let api = Manager::start().await?;
    let document = api.expect(200, "GET", "/openapi.json", "").await?.json()?;
    let version = document["info"]["version"].as_str().unwrap_or_default();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let path = format!("{BASE}/instances/{{instanceId}}/raiseEvent/{{eventName}}");
    assert_eq!(document["paths"][path]["post"]["operationId"], "raiseEvent");
    Ok(())
}
