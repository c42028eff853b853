//! Components come and go over HTTP: what is passed on, and what the answers look like.

use serde_json::{Value, json};

use crate::support::{Response, TestServer};

fn document(response: &Response) -> Value {
    serde_json::from_str(&response.body).expect("JSON")
}

#[tokio::test]
async fn component_is_served_recorded_and_removed() {
    let server = TestServer::start().await;
    let path = "/admin/deployments/hello.wasm";
    let reply = server.send("PUT", &format!("{path}?check=true&migrate"), &[], "good").await;
    assert_eq!(reply.status, 200);
    let hash = "ab".repeat(32);
    let function = json!({
        "name": "Hello_HttpStart", "kind": "http", "file": "hello.wasm", "hash": hash,
        "route": "hello", "methods": ["GET"], "authLevel": "function",
    });
    let check = json!({
        "file": "hello.wasm", "checked": 3, "diverging": [], "divergingCount": 0, "missing": [],
    });
    let served = json!({
        "file": "hello.wasm", "hash": hash, "functions": [function], "check": check, "migrated": 2,
        "notMigratedCount": 1,
        "notMigrated": [{ "instanceId": "a", "name": "Hello", "message": "at event 3" }],
        "problem": "the disk is slow",
    });
    assert_eq!(document(&reply), served);
    let path_of_record = "/admin/deployments?file=hello.wasm";
    let record = json!([{
        "id": 1, "file": "hello.wasm", "hash": hash, "time": "1970-01-01T00:00:01.234Z",
        "action": "deployed",
    }]);
    assert_eq!(document(&server.get(path_of_record).await), record);
    assert_eq!(document(&server.get("/admin/deployments?file=x.wasm").await), json!([]));
    assert_eq!(server.send("POST", &format!("{path}/rollback"), &[], "").await.status, 404);
    server.send("PUT", path, &[], "better").await;
    assert_eq!(server.send("POST", &format!("{path}/rollback"), &[], "").await.status, 200);
    for (to, status) in [("1", 200), ("9", 404)] {
        let path = format!("{path}/rollback?to={to}");
        assert_eq!(server.send("POST", &path, &[], "").await.status, status, "{to}");
    }
    assert_eq!(document(&server.request("DELETE", path).await), json!({ "file": "hello.wasm" }));
    assert_eq!(server.request("DELETE", path).await.status, 404);
}

#[tokio::test]
async fn component_that_is_refused_says_why_and_is_not_served() {
    let server = TestServer::start().await;
    let large = "x".repeat(101);
    for (path, body, status) in [
        ("/admin/deployments/hello.wasm", "bad", 422),
        ("/admin/deployments/hello.wasm?check=true", "other", 409),
        ("/admin/deployments/hello.wasm", large.as_str(), 413),
        ("/admin/deployments/hello.txt", "good", 400),
    ] {
        let reply = server.send("PUT", path, &[], body).await;
        assert_eq!(reply.status, status, "{path} {body}");
        assert!(document(&reply)["Message"].is_string(), "{path} {body}");
    }
    assert!(server.deployments.deployed().is_empty());
}

#[tokio::test]
async fn check_names_what_does_not_fit() {
    let server = TestServer::start().await;
    let reply = server.send("POST", "/admin/check?file=hello.wasm", &[], "other").await;
    assert_eq!(reply.status, 200);
    let diverging = json!([{ "instanceId": "a", "name": "Hello", "message": "at event 3" }]);
    assert_eq!(document(&reply)["diverging"], diverging);
    assert_eq!(server.send("POST", "/admin/check", &[], "good").await.status, 400);
    assert_eq!(server.send("POST", "/admin/check?file=a.wasm", &[], "bad").await.status, 422);
}

#[tokio::test]
async fn orchestration_is_migrated_or_it_is_said_what_does_not_fit() {
    let server = TestServer::start().await;
    let path = |id: &str| format!("/runtime/webhooks/durabletask/instances/{id}/migrate");
    assert_eq!(server.send("POST", &path("a"), &[], "").await.status, 202);
    let reply = server.send("POST", &path("other"), &[], "").await;
    assert_eq!((reply.status, document(&reply)), (409, json!({ "Message": "at event 3" })));
}

#[tokio::test]
async fn files_are_listed_with_what_is_wrong_with_them() {
    let server = TestServer::start().await;
    let listed = document(&server.get("/admin/functions").await);
    let files = json!([{ "file": "broken.wasm", "state": "broken", "message": "no", "pinned": 0 }]);
    assert_eq!(listed["files"], files);
    assert_eq!(listed["functions"][0]["route"], "hello");
}
