//! The seed: what PUT and GET of `/Database/{key}` answer, and that it lasts.

use anyhow::Result;
use everstate_storage::{RocksStorage, StorageConfig};
use everstate_tests::guests;
use everstate_tests::host::{EXIT_DEADLINE, HostProcess};
use everstate_tests::http::Connection;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{database, options};

#[tokio::test]
async fn put_text_answers_it_as_json_string() -> Result<()> {
    let host = database().await?;
    let reply = host.client().put("/Database/1", "my-value").await?;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.text(), r#""my-value""#);
    let content_type = reply.header("content-type");
    assert!(content_type.starts_with("application/json"), "{content_type}");
    Ok(())
}

#[tokio::test]
async fn get_after_put_answers_the_value() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/1", "my-value").await?;
    let reply = host.client().get("/Database/1").await?;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, r#""my-value""#));
    assert!(reply.header("content-type").starts_with("application/json"));
    Ok(())
}

#[tokio::test]
async fn get_after_second_put_answers_the_second_value() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/1", "first").await?;
    host.client().put("/Database/1", "second").await?;
    assert_eq!(host.client().get("/Database/1").await?.text(), r#""second""#);
    Ok(())
}

#[tokio::test]
async fn get_after_clean_restart_answers_the_value() -> Result<()> {
    let mut host = database().await?;
    host.client().put("/Database/1", "my-value").await?;
    host.process().terminate()?;
    assert!(host.process().wait_exit(EXIT_DEADLINE).await?.success());
    host.restart().await?;
    assert_eq!(host.client().get("/Database/1").await?.text(), r#""my-value""#);
    Ok(())
}

/// The kill comes right behind the 200: nothing but the commit can have saved the value.
#[tokio::test]
async fn get_after_kill_9_right_behind_the_200_answers_the_value() -> Result<()> {
    let mut host = database().await?;
    for round in 0..5 {
        let value = format!("value-{round}");
        let reply = host.client().put("/Database/1", value.clone()).await?;
        host.process().kill_9().await?;
        assert_eq!(reply.status, StatusCode::OK);
        host.restart().await?;
        assert_eq!(host.client().get("/Database/1").await?.text(), format!("\"{value}\""));
    }
    Ok(())
}

#[tokio::test]
async fn get_key_never_written_answers_null_and_creates_no_entity() -> Result<()> {
    let mut host = database().await?;
    host.client().put("/Database/written", "x").await?;
    let reply = host.client().get("/Database/never").await?;
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "null"));
    host.process().terminate()?;
    host.process().wait_exit(EXIT_DEADLINE).await?;
    assert!(entity_exists(&host, "written")?, "the check finds entities");
    assert!(!entity_exists(&host, "never")?, "a GET created an entity");
    Ok(())
}

/// Asks the data folder of a host that has ended.
fn entity_exists(host: &HostProcess, key: &str) -> Result<bool> {
    use everstate_engine::storage::Storage as _;
    let storage = RocksStorage::open(host.database(), &StorageConfig::default())?;
    let id = everstate_types::EntityId::new("Register", key)?.instance_id();
    Ok(storage.load(&id)?.is_some())
}

/// Whatever the body looks like and is called, it is one text.
#[tokio::test]
async fn put_any_text_is_stored_as_the_raw_text() -> Result<()> {
    let host = database().await?;
    for (number, (content_type, body)) in [
        ("application/json", r#"{"a":1}"#),
        ("application/x-www-form-urlencoded", "a=1&b=%20"),
        ("text/plain", ""),
        ("text/plain; charset=utf-8", "zwölf Boxkämpfer 😀 \u{202e}"),
        ("text/plain", r#"say "hello" and \ back"#),
        ("text/plain", "one\ntwo\r\nthree\ttabs\u{0}\u{1f}"),
        ("application/octet-stream", "null"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/Database/{number}");
        let headers = [("content-type", content_type)];
        let put = host.client().send("PUT", &path, &headers, body).await?;
        assert_eq!(put.status, StatusCode::OK, "{body:?}");
        assert_eq!(put.json()?, serde_json::Value::from(body));
        assert_eq!(host.client().get(&path).await?.json()?, serde_json::Value::from(body));
    }
    Ok(())
}

#[tokio::test]
async fn put_bytes_that_are_not_utf_8_answers_400_and_stores_nothing() -> Result<()> {
    let host = database().await?;
    let reply = host.client().put("/Database/1", vec![b'a', 0xff, 0xfe]).await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.text().to_lowercase().contains("utf-8"), "{}", reply.text());
    assert_eq!(host.client().get("/Database/1").await?.text(), "null");
    Ok(())
}

/// A host that takes bodies of at most 1,024 bytes.
async fn small_body_limit() -> Result<HostProcess> {
    let options = options(&[guests::DATABASE]).config("[http]\nrequest_bytes_max = 1024\n");
    HostProcess::start(options).await
}

#[tokio::test]
async fn put_body_of_exactly_the_limit_is_stored() -> Result<()> {
    let host = small_body_limit().await?;
    let reply = host.client().put("/Database/1", "x".repeat(1024)).await?;
    assert_eq!(reply.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn put_body_over_the_limit_answers_413_and_stores_nothing() -> Result<()> {
    let host = small_body_limit().await?;
    let mut connection = Connection::open(host.address()).await?;
    let reply = connection.send("PUT", "/Database/1", &[], "x".repeat(1025)).await?;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    // Either the connection goes on or it is closed; what must not come is another answer.
    if let Ok(reply) = connection.send("GET", "/Database/1", &[], "").await {
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::OK, "null"));
    }
    assert_eq!(host.client().get("/Database/1").await?.text(), "null");
    Ok(())
}

/// Without a length the host only learns on the way that the body is too long.
#[tokio::test]
async fn put_chunked_body_over_the_limit_answers_413_and_stores_nothing() -> Result<()> {
    let host = small_body_limit().await?;
    let mut stream = TcpStream::connect(host.address()).await?;
    let mut request = String::from(
        "PUT /Database/1 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for _ in 0..3 {
        request.push_str(&format!("200\r\n{}\r\n", "x".repeat(0x200)));
    }
    request.push_str("0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    assert_eq!(String::from_utf8_lossy(&status), "HTTP/1.1 413");
    assert_eq!(host.client().get("/Database/1").await?.text(), "null");
    Ok(())
}

#[tokio::test]
async fn delete_answers_405_with_the_allowed_methods() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/1", "x").await?;
    let reply = host.client().send("DELETE", "/Database/1", &[], "").await?;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.header("allow"), "GET, PUT");
    assert_eq!(host.client().get("/Database/1").await?.text(), r#""x""#);
    Ok(())
}

#[tokio::test]
async fn other_paths_answer_404() -> Result<()> {
    let host = database().await?;
    for path in ["/Database/", "/Database", "/Database/a/b", "/", "/Databases/1"] {
        let reply = host.client().get(path).await?;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
    }
    Ok(())
}
