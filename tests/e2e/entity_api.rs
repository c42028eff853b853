//! Entities over the management API: signals, calls, states, lists, locks.

use anyhow::{Result, ensure};
use everstate_tests::guests;
use everstate_tests::host::{HostProcess, START_DEADLINE};
use everstate_tests::http::Reply;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::options;

/// Where the API of entities begins.
const BASE: &str = "/runtime/webhooks/durabletask/entities";

const JSON: (&str, &str) = ("content-type", "application/json");

async fn counters() -> Result<HostProcess> {
    HostProcess::start(options(&[guests::COUNTER])).await
}

async fn get(host: &HostProcess, path: &str) -> Result<Reply> {
    host.client().get(&format!("{BASE}{path}")).await
}

async fn post(host: &HostProcess, path: &str, input: Value) -> Result<Reply> {
    host.client().send("POST", &format!("{BASE}{path}"), &[JSON], input.to_string()).await
}

/// Calls an entity; gives its result.
async fn call(host: &HostProcess, path: &str, input: Value) -> Result<Value> {
    let reply = post(host, path, input).await?;
    ensure!(reply.status == StatusCode::OK, "{} {}", reply.status, reply.text());
    reply.json()
}

/// Waits until the state of a counter is this count.
async fn becomes(host: &HostProcess, path: &str, count: i64) -> Result<()> {
    eventually(&format!("{path} becomes {count}"), START_DEADLINE, || async {
        let state = get(host, path).await.ok()?.json().ok()?;
        (state == json!({ "value": count })).then_some(())
    })
    .await
}

/// The keys on all pages of a list.
async fn keys(host: &HostProcess, query: &str) -> Result<Vec<String>> {
    let (mut keys, mut token) = (Vec::new(), String::new());
    loop {
        let headers = [("x-ms-continuation-token", token.as_str())];
        let path = format!("{BASE}{query}");
        let reply = host.client().send("GET", &path, &headers, "").await?;
        ensure!(reply.status == StatusCode::OK, "{query}: {} {}", reply.status, reply.text());
        for entity in reply.json()?.as_array().unwrap() {
            keys.push(entity["entityId"]["key"].as_str().unwrap().to_owned());
        }
        token = reply.header("x-ms-continuation-token").to_owned();
        if token.is_empty() {
            return Ok(keys);
        }
    }
}

/// S10, S64: what was accepted is there after a crash, under any spelling of the name.
#[tokio::test]
async fn signal_that_was_accepted_outlives_kill_9() -> Result<()> {
    let mut host = counters().await?;
    for path in ["/counter/a%2Fb?op=add", "/Counter/a%2Fb?op=ADD"] {
        let reply = post(&host, path, json!(5)).await?;
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::ACCEPTED, ""));
    }
    host.process().kill_9().await?;
    host.restart().await?;
    becomes(&host, "/COUNTER/a%2Fb", 10).await
}

/// S10: JSON, text, nothing, and the empty key.
#[tokio::test]
async fn signal_takes_text_as_a_string_and_no_key_as_the_empty_one() -> Result<()> {
    let host = HostProcess::start(options(&[guests::DATABASE, guests::COUNTER])).await?;
    let reply = host.client().post(&format!("{BASE}/register/1?op=set"), "my-value").await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    eventually("the text is the value", START_DEADLINE, || async {
        let value = host.client().get("/Database/1").await.ok()?.text();
        (value == "\"my-value\"").then_some(())
    })
    .await?;
    assert_eq!(get(&host, "/register/1").await?.text(), "\"my-value\"");

    assert_eq!(post(&host, "/counter?op=add", json!(1)).await?.status, StatusCode::ACCEPTED);
    becomes(&host, "/counter/$", 1).await?;
    let reply = host.client().post(&format!("{BASE}/counter/$?op=reset"), "").await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    becomes(&host, "/counter/$", 0).await
}

#[tokio::test]
async fn signals_with_one_idempotency_key_count_once_even_over_a_crash() -> Result<()> {
    let mut host = counters().await?;
    for attempt in 0..3 {
        if attempt == 2 {
            host.restart().await?;
        }
        for key in ["first", "second"] {
            let headers = [JSON, ("idempotency-key", key)];
            let path = format!("{BASE}/counter/k?op=add");
            let reply = host.client().send("POST", &path, &headers, "1").await?;
            assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
        }
    }
    becomes(&host, "/counter/k", 2).await?;
    // Another one comes behind whatever is still under way.
    assert_eq!(call(&host, "/counter/k/call?op=add", json!(1)).await?, 3);
    let headers = [("idempotency-key", "")];
    let path = format!("{BASE}/counter/k?op=reset");
    let reply = host.client().send("POST", &path, &headers, "").await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    Ok(())
}

#[tokio::test]
async fn result_of_a_call_outlives_kill_9() -> Result<()> {
    let mut host = counters().await?;
    assert_eq!(call(&host, "/counter/k/call?op=get", Value::Null).await?, 0);
    assert_eq!(get(&host, "/counter/k").await?.status, StatusCode::NOT_FOUND, "a read creates");
    assert_eq!(call(&host, "/counter/k/call?op=add", json!(5)).await?, 5);
    assert_eq!(call(&host, "/counter/k/call?op=reset", Value::Null).await?, Value::Null);
    assert_eq!(call(&host, "/counter/k/call?op=add", json!(7)).await?, 7);
    host.process().kill_9().await?;
    host.restart().await?;
    assert_eq!(call(&host, "/counter/k/call?op=get&timeout=20", Value::Null).await?, 7);
    assert_eq!(get(&host, "/counter/k").await?.json()?, json!({ "value": 7 }));
    Ok(())
}

/// S54, S56, S57 as an operator sees them.
#[tokio::test]
async fn operation_that_fails_tells_why_and_changes_nothing() -> Result<()> {
    let host = counters().await?;
    assert_eq!(call(&host, "/counter/k/call?op=add", json!(5)).await?, 5);
    for (operation, input, error_type) in
        [("explode", json!(1), "UnknownOperation"), ("add", json!("five"), "InvalidInput")]
    {
        let reply = post(&host, &format!("/counter/k/call?op={operation}"), input).await?;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        let document = reply.json()?;
        assert_eq!(document["failure"]["errorType"], error_type, "{document}");
        let begin = format!("The operation '{operation}' of the entity '@counter@k' failed: ");
        assert!(document["Message"].as_str().unwrap().starts_with(&begin), "{document}");
    }
    assert_eq!(get(&host, "/counter/k").await?.json()?, json!({ "value": 5 }));
    for path in ["/nobody/k?op=add", "/nobody/k/call?op=add"] {
        let reply = post(&host, path, json!(1)).await?;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert!(reply.text().contains("The function 'nobody' doesn't exist"), "{}", reply.text());
    }
    assert_eq!(get(&host, "/nobody/k").await?.status, StatusCode::NOT_FOUND);
    let reply = host.client().send("PUT", &format!("{BASE}/counter/k"), &[], "").await?;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.header("allow"), "GET, POST, DELETE");
    Ok(())
}

/// S71: by name and key, with states and without, page by page, without those that are deleted.
#[tokio::test]
async fn entities_are_listed_by_name_and_key_page_by_page() -> Result<()> {
    let host = HostProcess::start(options(&[guests::COUNTER, guests::DATABASE])).await?;
    for (number, key) in ["", "a-1", "a-2", "b", "gone"].into_iter().enumerate() {
        let key = if key.is_empty() { "$" } else { key };
        call(&host, &format!("/counter/{key}/call?op=add"), json!(number)).await?;
    }
    call(&host, "/register/a-1/call?op=set", json!("x")).await?;
    let reply = host.client().send("DELETE", &format!("{BASE}/counter/gone"), &[], "").await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    eventually("the deleted one is gone", START_DEADLINE, || async {
        let reply = get(&host, "/counter/gone").await.ok()?;
        (reply.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await?;
    for top in [1, 2, 4, 100] {
        let found = keys(&host, &format!("/Counter?top={top}")).await?;
        assert_eq!(found, ["", "a-1", "a-2", "b"], "{top} a page");
    }
    for (query, expected) in [
        ("/counter?keyPrefix=a-", vec!["a-1", "a-2"]),
        ("/counter?keyPrefix=c", vec![]),
        ("/nobody", vec![]),
        ("?keyPrefix=a-", vec!["a-1", "a-2", "a-1"]),
        ("/counter?lastOperationTimeTo=2020-01-01", vec![]),
        ("/counter?lastOperationTimeFrom=2020-01-01&keyPrefix=b", vec!["b"]),
    ] {
        assert_eq!(keys(&host, query).await?, expected, "{query}");
        let separator = if query.contains('?') { '&' } else { '?' };
        let reply = get(&host, &format!("{query}{separator}count")).await?;
        assert_eq!(reply.json()?, json!({ "count": expected.len() }), "{query}");
    }
    let states = get(&host, "/counter?fetchState=true&keyPrefix=a-").await?.json()?;
    let states: Vec<&Value> = states.as_array().unwrap().iter().map(|e| &e["state"]).collect();
    assert_eq!(states, [&json!({ "value": 1 }), &json!({ "value": 2 })]);
    let entity = get(&host, "/counter?keyPrefix=b&details=true").await?.json()?[0].clone();
    assert_eq!(entity["entityId"], json!({ "name": "counter", "key": "b" }));
    assert_eq!((&entity["state"], &entity["lock"]), (&Value::Null, &Value::Null));
    assert_eq!(entity["exists"], true);
    Ok(())
}

#[tokio::test]
async fn list_that_cannot_be_made_is_refused() -> Result<()> {
    let host = counters().await?;
    for query in ["/counter?field.value=1", "?field.value=1", "/counter?field.value=x", "/a%20b"] {
        let reply = get(&host, query).await?;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}: {}", reply.text());
    }
    let headers = [("x-ms-continuation-token", "nonsense")];
    let reply = host.client().send("GET", &format!("{BASE}/counter"), &headers, "").await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    Ok(())
}

#[tokio::test]
async fn entities_are_found_by_the_indexed_fields_of_their_state() -> Result<()> {
    let host = HostProcess::start(options(&[guests::ENTITIES])).await?;
    for (key, person) in [
        ("ann", json!({ "city": "Oslo", "age": 40, "nickname": "a" })),
        ("bob", json!({ "city": "Oslo", "age": 41, "nickname": "a" })),
        ("cat", json!({ "city": "São Tomé", "age": 40, "nickname": "a" })),
    ] {
        call(&host, &format!("/person/{key}/call?op=set"), person).await?;
    }
    for (fields, expected) in [
        ("field.city=%22Oslo%22", vec!["ann", "bob"]),
        ("field.city=%22Oslo%22&field.age=40", vec!["ann"]),
        ("field.city=%22S%C3%A3o+Tom%C3%A9%22", vec!["cat"]),
        ("field.age=+40&keyPrefix=c", vec!["cat"]),
        ("field.age=42", vec![]),
    ] {
        for top in [1, 100] {
            assert_eq!(keys(&host, &format!("/Person?{fields}&top={top}")).await?, expected);
        }
        let count = get(&host, &format!("/person?{fields}&count")).await?.json()?;
        assert_eq!(count, json!({ "count": expected.len() }), "{fields}");
    }
    let reply = get(&host, "/person?field.nickname=%22a%22").await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.text().contains("no index on the field `nickname`"), "{}", reply.text());
    Ok(())
}

/// A host with an orchestration `holder` that holds the numbers `k`, which is 1, and `new`, which has no
/// state; on the event `go` it adds 10 to `k` and ends.
async fn held(config: &str) -> Result<HostProcess> {
    let guests = [guests::ENTITIES, guests::LIFECYCLE];
    let host = HostProcess::start(options(&guests).config(config)).await?;
    assert_eq!(call(&host, "/number/k/call?op=add", json!(1)).await?, 1);
    let steps = json!([
        { "lock": [["Number", "k"], ["Number", "new"]] },
        { "wait": "go" },
        { "call": ["Number", "k", "add", 10] },
    ]);
    let reply = host.client().post("/lifecycle/start/Script?id=holder", steps.to_string()).await?;
    ensure!(reply.status.is_success(), "{} {}", reply.status, reply.text());
    for key in ["k", "new"] {
        is_held(&host, key, true).await?;
    }
    Ok(host)
}

/// Waits until a number is held by `holder`, or by nobody.
async fn is_held(host: &HostProcess, key: &str, is_held: bool) -> Result<()> {
    let what = format!("{key} is held: {is_held}");
    eventually(&what, START_DEADLINE, || async {
        let reply = get(host, &format!("/number/{key}?details")).await.ok()?;
        // One that has no state and is not held is not there.
        let lock = match reply.status {
            StatusCode::NOT_FOUND => Value::Null,
            _ => reply.json().ok()?["lock"].clone(),
        };
        (lock["instanceId"] == "holder" && is_held || lock.is_null() && !is_held).then_some(())
    })
    .await
}

async fn break_lock(host: &HostProcess, key: &str) -> Result<Value> {
    let path = format!("{BASE}/number/{key}/lock");
    let reply = host.client().send("DELETE", &path, &[], "").await?;
    ensure!(reply.status == StatusCode::OK, "{} {}", reply.status, reply.text());
    reply.json()
}

#[tokio::test]
async fn locked_entity_says_who_holds_it_and_keeps_writers_waiting() -> Result<()> {
    let host = held("").await?;
    let reply = post(&host, "/number/k?op=add", json!(100)).await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let details = eventually("the signal waits", START_DEADLINE, || async {
        let details = get(&host, "/number/k?details").await.ok()?.json().ok()?;
        (details["waitingOperations"] == 1).then_some(details)
    })
    .await?;
    assert_eq!((&details["exists"], &details["state"]), (&json!(true), &Value::Null));
    assert!(details["lock"]["since"].as_str().unwrap().ends_with('Z'), "{details}");
    let reply = post(&host, "/number/k/call?op=add&timeout=0.1", json!(1000)).await?;
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT, "{}", reply.text());
    // Readers wait for nobody.
    assert_eq!(call(&host, "/number/k/call?op=get", Value::Null).await?, 1);
    assert_eq!(get(&host, "/number/k").await?.json()?, json!({ "value": 1 }));
    assert_eq!(get(&host, "/number/new").await?.status, StatusCode::NOT_FOUND);
    assert_eq!(keys(&host, "/number").await?, ["k"]);
    let list = get(&host, "/number?includeStateless&details").await?.json()?;
    let exist: Vec<&Value> = list.as_array().unwrap().iter().map(|e| &e["exists"]).collect();
    assert_eq!(exist, [&json!(true), &json!(false)], "{list}");
    assert_eq!(list[1]["lock"]["instanceId"], "holder", "{list}");

    host.client().post("/lifecycle/raise/holder/go", "null").await?;
    becomes(&host, "/number/k", 111).await?;
    // The call that nobody waited for any more was not done; another one comes behind it.
    assert_eq!(call(&host, "/number/k/call?op=add", json!(0)).await?, 111);
    for key in ["k", "new"] {
        is_held(&host, key, false).await?;
    }
    Ok(())
}

#[tokio::test]
async fn broken_lock_lets_others_go_on_and_stays_broken() -> Result<()> {
    let mut host = held("").await?;
    let reply = post(&host, "/number/k?op=add", json!(100)).await?;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!(break_lock(&host, "k").await?, json!({ "released": true }));
    host.process().kill_9().await?;
    host.restart().await?;
    assert_eq!(break_lock(&host, "k").await?, json!({ "released": false }));
    becomes(&host, "/number/k", 101).await?;
    is_held(&host, "new", true).await?;
    assert_eq!(break_lock(&host, "other").await?, json!({ "released": false }));
    // The holder knows nothing of it, and its operation is one like others now.
    host.client().post("/lifecycle/raise/holder/go", "null").await?;
    becomes(&host, "/number/k", 111).await?;
    is_held(&host, "new", false).await
}

#[tokio::test]
async fn entity_with_too_much_waiting_answers_429_until_it_gets_on() -> Result<()> {
    let host = held("[engine]\nentity_inbox_count_max = 3\n").await?;
    let mut accepted = 0;
    let refused = loop {
        let reply = post(&host, "/number/k?op=add", json!(1)).await?;
        if reply.status != StatusCode::ACCEPTED {
            break reply;
        }
        accepted += 1;
        ensure!(accepted < 100, "the inbox has no end");
    };
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "1");
    let reply = post(&host, "/number/k/call?op=add", json!(1)).await?;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{}", reply.text());
    assert_eq!(call(&host, "/number/other/call?op=add", json!(1)).await?, 1);
    break_lock(&host, "k").await?;
    becomes(&host, "/number/k", 1 + accepted).await
}
