//! The examples that people learn from: `guests/counter`, `bank`, `chat-room` and `rate-limiter`.

use anyhow::{Context as _, Result, ensure};
use everstate_tests::driver::Driver;
use everstate_tests::guests;
use everstate_tests::host::{HostOptions, HostProcess, START_DEADLINE};
use everstate_tests::http::Reply;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::options;
use crate::ways::{host_with, in_every_way};

fn host() -> HostOptions {
    host_with(&[guests::BANK, guests::COUNTER, guests::LIFECYCLE])
}

in_every_way!(
    bank_moves_money_between_accounts_and_no_audit_sees_it_half_done,
    bank_refuses_transfers_that_make_no_sense_and_holds_nothing_after_them,
    ticker_ticks_by_itself_as_often_as_it_was_told,
);

const ACCOUNTS: usize = 5;
const SUM: usize = 100 * ACCOUNTS;

async fn open(driver: &Driver) -> Result<()> {
    let opening = json!({ "accounts": ACCOUNTS, "balance": 100 });
    assert_eq!(driver.run("Bank_Open", "open", opening).await?, ACCOUNTS);
    Ok(())
}

async fn bank_moves_money_between_accounts_and_no_audit_sees_it_half_done(
    driver: &Driver,
) -> Result<()> {
    open(driver).await?;
    for number in 0..12 {
        let (from, to) = (number % ACCOUNTS, (number * number + 1) % ACCOUNTS);
        let to = if from == to { (to + 1) % ACCOUNTS } else { to };
        let transfer = json!({ "from": from.to_string(), "to": to.to_string(), "amount": 30 });
        driver.start_new("Bank_Transfer", &format!("transfer-{number}"), transfer).await?;
        if number % 4 == 0 {
            driver.start_new("Bank_Audit", &format!("audit-{number}"), json!(ACCOUNTS)).await?;
        }
    }
    for number in 0..12 {
        let moved = driver.output(&format!("transfer-{number}")).await?;
        assert!(moved.is_boolean(), "transfer {number}: {moved}");
    }
    for number in [0, 4, 8] {
        assert_eq!(driver.output(&format!("audit-{number}")).await?, SUM);
    }
    let mut sum = 0;
    for account in 0..ACCOUNTS {
        let account = account.to_string();
        let balance = driver.result("Account", &account, "balance", &Value::Null).await?;
        sum += balance.as_u64().context("nobody owes anything")?;
        driver.until_free("Account", &account).await?;
    }
    assert_eq!(sum, SUM as u64);
    Ok(())
}

async fn bank_refuses_transfers_that_make_no_sense_and_holds_nothing_after_them(
    driver: &Driver,
) -> Result<()> {
    open(driver).await?;
    let transfer = |to: &str, amount: i64| json!({ "from": "0", "to": to, "amount": amount });
    assert_eq!(driver.run("Bank_Transfer", "too-much", transfer("1", 101)).await?, false);
    for (id, to, amount) in [("to-itself", "0", 1), ("negative", "1", -1)] {
        driver.start_new("Bank_Transfer", id, transfer(to, amount)).await?;
        let status = driver.ended(id).await?;
        assert_eq!(status["failure"]["errorType"], "InvalidTransfer", "{status:#}");
    }
    assert_eq!(driver.run("Bank_Transfer", "all", transfer("1", 100)).await?, true);
    assert_eq!(driver.entity("Account", "0").await?, Some(json!({ "balance": 0 })));
    assert_eq!(driver.entity("Account", "1").await?, Some(json!({ "balance": 200 })));
    Ok(())
}

/// Whatever was set going before, and however often, only the last one counts.
async fn ticker_ticks_by_itself_as_often_as_it_was_told(driver: &Driver) -> Result<()> {
    for pace in [json!({ "everyMs": 40, "times": 1_000 }), json!({ "everyMs": 20, "times": 10 })] {
        let reply = driver.post("/Ticker/a", &pace).await?;
        ensure!(reply.status == StatusCode::ACCEPTED, "{}: {}", reply.status, reply.text());
    }
    driver.until_entity("Ticker", "a", "ten ticks", |it| it["state"]["ticks"] == 10).await?;
    assert_eq!(driver.get("/Ticker/a").await?.json()?, 10);
    Ok(())
}

/// The JSON of a 200.
fn well(reply: &Reply) -> Result<Value> {
    ensure!(reply.status == StatusCode::OK, "{}: {}", reply.status, reply.text());
    reply.json()
}

#[tokio::test]
async fn bank_has_routes_for_everything() -> Result<()> {
    let host = HostProcess::start(options(&[guests::BANK])).await?;
    let client = host.client();
    let opened = client.post("/Bank/open", r#"{"accounts": 3, "balance": 10}"#).await?;
    assert_eq!(well(&opened)?, 3);
    let transfer = r#"{"from": "0", "to": "2", "amount": 4}"#;
    assert_eq!(well(&client.post("/Bank/transfer?id=first", transfer).await?)?, true);
    assert_eq!(well(&client.get("/Bank/0").await?)?, 6);
    assert_eq!(well(&client.get("/Bank/2").await?)?, 14);
    assert_eq!(well(&client.get("/Bank/nobody").await?)?, 0);
    assert_eq!(well(&client.get("/Bank/audit").await?)?, 30);
    assert_eq!(well(&client.get("/Bank/audit?accounts=2").await?)?, 16);
    let itself = r#"{"from": "0", "to": "0", "amount": 4}"#;
    let refused = well(&client.post("/Bank/transfer", itself).await?)?;
    assert_eq!(refused["runtimeStatus"], "Failed", "{refused}");
    Ok(())
}

#[tokio::test]
async fn counter_counts_calls_and_signals_and_starts_over_when_it_is_deleted() -> Result<()> {
    let host = HostProcess::start(options(&[guests::COUNTER])).await?;
    let client = host.client();
    assert_eq!(well(&client.get("/Counter/a").await?)?, 0);
    assert_eq!(well(&client.post("/Counter/a/add", "5").await?)?, 5);
    for _ in 0..3 {
        let header = [("idempotency-key", "once")];
        let reply = client.send("POST", "/Counter/a/signal", &header, "10").await?;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    }
    client.post("/Counter/a/signal", "100").await?;
    assert_eq!(well(&client.post("/Counter/a/add", "0").await?)?, 115);
    let reply = client.post("/Counter/a/add", "many").await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    let reply = client.send("DELETE", "/Counter/a", &[], "").await?;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text());
    assert_eq!(well(&client.get("/Counter/a").await?)?, 0);
    Ok(())
}

#[tokio::test]
async fn chat_room_tells_its_members_what_the_others_say_in_order() -> Result<()> {
    let host = HostProcess::start(options(&[guests::CHAT_ROOM])).await?;
    let client = host.client();
    for (room, topic) in [("berlin", "travel"), ("ferris", "rust"), ("crates", "rust")] {
        let description = json!({ "topic": topic }).to_string();
        let reply = client.put(&format!("/Chat/{room}"), description).await?;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text());
    }
    assert_eq!(well(&client.get("/Chat?topic=rust").await?)?, json!(["crates", "ferris"]));
    assert_eq!(well(&client.get("/Chat").await?)?, json!(["berlin", "crates", "ferris"]));
    for member in ["ada", "grace"] {
        let visitor = json!({ "member": member }).to_string();
        let reply = client.post("/Chat/ferris/join", visitor).await?;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text());
    }
    for text in ["one", "two", "three"] {
        let message = json!({ "member": "ada", "text": text }).to_string();
        let reply = client.post("/Chat/ferris/say", message).await?;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.text());
    }
    let stranger = json!({ "member": "eve", "text": "hello" }).to_string();
    let reply = client.post("/Chat/ferris/say", stranger).await?;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text());
    let room = well(&client.get("/Chat/ferris").await?)?;
    assert_eq!(room["said"].as_array().map(Vec::len), Some(3), "{room}");
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let news = eventually("grace hears something", START_DEADLINE, || async {
            let news = well(&client.post("/Members/grace/read", "").await.ok()?).ok()?;
            news.as_array().filter(|news| !news.is_empty()).cloned()
        });
        heard.extend(news.await?.into_iter().map(|it| it["message"]["text"].clone()));
    }
    assert_eq!(heard, ["one", "two", "three"]);
    assert_eq!(well(&client.post("/Members/ada/read", "").await?)?, json!([]), "her own words");
    client.send("DELETE", "/Chat/ferris", &[], "").await?;
    assert_eq!(well(&client.get("/Chat?topic=rust").await?)?, json!(["crates"]));
    Ok(())
}

#[tokio::test]
async fn rate_limiter_lets_a_burst_pass_and_says_when_to_come_back() -> Result<()> {
    let host = HostProcess::start(options(&[guests::RATE_LIMITER])).await?;
    let client = host.client();
    let rare = "/RateLimited/a?burst=3&perMinute=1";
    for _ in 0..3 {
        assert_eq!(client.post(rare, "").await?.status, StatusCode::OK);
    }
    let refused = client.post(rare, "").await?;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.header("retry-after").parse()?;
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(client.post("/RateLimited/b?perMinute=1", "").await?.status, StatusCode::OK);
    // It is filled up again in the course of time.
    eventually("one more may come", START_DEADLINE, || async {
        let reply = client.post("/RateLimited/a?burst=3&perMinute=6000", "").await.ok()?;
        (reply.status == StatusCode::OK).then_some(())
    })
    .await
}
