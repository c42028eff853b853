//! Which paths name which key.

use anyhow::Result;
use hyper::StatusCode;

use crate::database;

/// Every one of these is a key of its own, and the same key whenever it is used.
#[tokio::test]
async fn keys_of_any_characters_are_one_key_each() -> Result<()> {
    let host = database().await?;
    let longest = "k".repeat(1_000);
    let longest_beyond_ascii = "%C3%A4".repeat(1_000);
    let keys = [
        "a%20b",
        "a+b",
        "ab",
        "a%2Fb",
        "a",
        "b",
        "%2F",
        "a@b",
        "@a@b",
        "%F0%9F%98%80",
        "%F0%9F%98%81",
        "a%25b",
        "a%2525b",
        "a.b",
        "...",
        "a%3Fb",
        "a%23b",
        "{key}",
        longest.as_str(),
        longest_beyond_ascii.as_str(),
    ];
    for (number, key) in keys.iter().enumerate() {
        let reply = host.client().put(&format!("/Database/{key}"), number.to_string()).await;
        let reply = reply.map_err(|error| error.context(format!("{key:.40}")))?;
        assert_eq!(reply.status, StatusCode::OK, "{key:.40}: {}", reply.text());
    }
    for (number, key) in keys.iter().enumerate() {
        let reply = host.client().get(&format!("/Database/{key}")).await?;
        assert_eq!(reply.text(), format!("\"{number}\""), "{key:.40}");
    }
    Ok(())
}

#[tokio::test]
async fn key_over_the_limit_answers_400() -> Result<()> {
    let host = database().await?;
    for method in ["PUT", "GET"] {
        let path = format!("/Database/{}", "k".repeat(1_001));
        let reply = host.client().send(method, &path, &[], "").await?;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{method}: {}", reply.text());
        assert!(
            reply.text().contains("1,000") || reply.text().contains("1000"),
            "{}",
            reply.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn case_of_the_literal_does_not_matter_and_case_of_the_key_does() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/A", "upper").await?;
    host.client().put("/database/a", "lower").await?;
    assert_eq!(host.client().get("/DATABASE/A").await?.text(), r#""upper""#);
    assert_eq!(host.client().get("/Database/a").await?.text(), r#""lower""#);
    Ok(())
}

/// What `%2F` means must not depend on how its digits are written.
#[tokio::test]
async fn percent_encoding_in_lower_case_names_the_same_key() -> Result<()> {
    let host = database().await?;
    host.client().put("/Database/%C3%A4", "ä").await?;
    assert_eq!(host.client().get("/Database/%c3%a4").await?.json()?, "ä");
    Ok(())
}
