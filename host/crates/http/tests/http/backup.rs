//! The route that has a backup made.

use crate::support::TestServer;

async fn backup(server: &TestServer, body: &str) -> (u16, String) {
    let response = server.send("POST", "/admin/backup", &[], body).await;
    (response.status, response.body)
}

#[tokio::test]
async fn backup_is_made_and_told_of() {
    let server = TestServer::start().await;
    let (status, text) = backup(&server, r#"{"folder":"/free"}"#).await;
    assert_eq!((status, text.as_str()), (200, r#"{"bytes":7,"files":2,"folder":"/free"}"#));
}

#[tokio::test]
async fn backup_that_cannot_be_is_refused_with_the_reason() {
    let server = TestServer::start().await;
    for (body, status, reason) in [
        (r#"{"folder":"relative"}"#, 400, "it is no absolute path"),
        (r#"{"folder":"/taken"}"#, 409, "/taken exists"),
        (r#"{"folder":"/full"}"#, 507, "No space left on device"),
        ("{}", 400, "The body has to be"),
        ("", 400, "The body has to be"),
    ] {
        let (found, text) = backup(&server, body).await;
        assert_eq!(found, status, "{body}");
        assert!(text.contains(reason), "{text}");
    }
}
