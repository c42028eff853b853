//! `everstate entities …` and `everstate locks` against a host.

use anyhow::Result;
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use serde_json::json;

use super::run;
use crate::{database, options};

#[tokio::test]
async fn entity_is_signaled_called_read_listed_and_deleted() -> Result<()> {
    let host = database().await?;
    let written = run(&host, &["entities", "call", "Register", "1", "set", "--input", r#""one""#]);
    assert_eq!(written.await?.ok()?, "\"one\"\n");
    let signaled = &["entities", "signal", "Register", "2", "set", "--input", "\"two\""];
    run(&host, signaled).await?.ok()?;
    assert_eq!(run(&host, &["entities", "call", "Register", "2", "get"]).await?.ok()?, "\"two\"\n");
    assert_eq!(run(&host, &["entities", "get", "Register", "1"]).await?.ok()?, "\"one\"\n");
    let listed = run(&host, &["entities", "list", "Register", "--state"]).await?.ok()?;
    assert!(listed.contains("one") && listed.contains("two"), "{listed}");
    let listed = run(&host, &["entities", "list", "--prefix", "2", "--json"]).await?.json()?;
    assert_eq!(listed[0]["entityId"], json!({"name": "register", "key": "2"}));
    assert_eq!(run(&host, &["entities", "list", "--count"]).await?.ok()?, "2\n");
    let unlocked = run(&host, &["entities", "unlock", "Register", "1", "--json"]).await?.json()?;
    assert_eq!(unlocked, json!({"released": false}));
    run(&host, &["entities", "purge", "Register", "1"]).await?.ok()?;
    let gone = run(&host, &["entities", "get", "Register", "1"]).await?.failure()?;
    assert!(gone.contains("has no state"), "{gone}");
    Ok(())
}

/// A state is shown letter for letter: a number keeps all its digits.
#[tokio::test]
async fn entity_state_keeps_its_letters() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/1", "12345678901234567890123").await?;
    let shown = run(&host, &["entities", "get", "Register", "1"]).await?.ok()?;
    assert_eq!(shown, "\"12345678901234567890123\"\n");
    Ok(())
}

#[tokio::test]
async fn key_with_every_character_names_its_entity() -> Result<()> {
    let host = database().await?;
    for key in ["a/b", "a b?c#d&e=f", "%2F", "ключ", "-"] {
        let args = ["entities", "call", "Register", key, "set", "--input", "\"v\""];
        run(&host, &args).await?.ok()?;
        assert_eq!(run(&host, &["entities", "get", "Register", key]).await?.ok()?, "\"v\"\n");
    }
    Ok(())
}

#[tokio::test]
async fn locks_are_listed_with_their_holders() -> Result<()> {
    let host = HostProcess::start(options(&[guests::ENTITIES])).await?;
    assert_eq!(run(&host, &["locks"]).await?.ok()?, "No entity is locked.\n");
    assert_eq!(run(&host, &["locks", "--json"]).await?.json()?, json!([]));
    Ok(())
}
