//! Entities as they are used: called, signalled, read, deleted, and by names that do not exist.

use anyhow::Result;
use everstate_tests::driver::Driver;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::steps::{call, error_type, failed, host, lock, play, signal};
use crate::ways::in_every_way;

in_every_way!(
    s53_what_a_signal_sets_is_what_calls_and_clients_read,
    s54_entity_can_be_created_deleted_and_created_again,
    s56_unknown_entity_name_fails_the_step_and_not_the_orchestration,
    s60_orchestration_signals_an_entity_that_signals_another_one,
    s61_state_of_a_hundred_thousand_characters_comes_back,
    s64_name_of_an_entity_may_be_written_in_any_case,
    client_calls_an_entity_in_one_hop,
    operation_that_does_not_exist_fails_with_its_name,
    input_that_does_not_fit_fails_and_creates_nothing,
    deletion_is_built_in_and_leaves_nothing,
    entities_start_orchestrations,
    keys_are_any_text_and_their_case_matters,
);

const NOT_THERE: &str =
    "The function 'nobody' doesn't exist, is disabled, or is not an entity function.";

async fn s53_what_a_signal_sets_is_what_calls_and_clients_read(driver: &Driver) -> Result<()> {
    let store = ("StringStore", "a");
    let steps = [signal(store, "set", "333"), call(store, "get", Value::Null)];
    assert_eq!(play(driver, "a", &steps).await?, [Value::Null, json!("333")]);
    assert_eq!(driver.entity("StringStore", "a").await?, Some(json!("333")));
    driver.tell("StringStore", "b", "set", &json!("444")).await?;
    driver.until_entity("StringStore", "b", "it is set", |it| it["state"] == "444").await?;
    assert_eq!(driver.entity("StringStore", "nobody").await?, None);
    Ok(())
}

async fn s54_entity_can_be_created_deleted_and_created_again(driver: &Driver) -> Result<()> {
    let store = ("StringStoreWithCreateDelete", "a");
    let get = || call(store, "get", Value::Null);
    let set = |text: &str| call(store, "set", text);
    let delete = || call(store, "delete", Value::Null);
    let steps = [get(), get(), set("aha"), get(), delete(), get(), set("aha-aha"), get(), delete()];
    let missing = failed("InvalidOperation", "must not call get on a non-existing entity");
    let expected = [
        missing.clone(),
        missing.clone(),
        Value::Null,
        json!("aha"),
        Value::Null,
        missing,
        Value::Null,
        json!("aha-aha"),
        Value::Null,
    ];
    assert_eq!(play(driver, "a", &steps).await?, expected);
    assert_eq!(driver.entity(store.0, store.1).await?, None);
    Ok(())
}

/// A lock that cannot be had leaves no critical section behind: the child may be called.
async fn s56_unknown_entity_name_fails_the_step_and_not_the_orchestration(
    driver: &Driver,
) -> Result<()> {
    let nobody = ("Nobody", "a");
    let steps = [
        call(nobody, "get", Value::Null),
        signal(nobody, "set", 1),
        lock(&[("Number", "a"), nobody]),
        json!("child"),
        call(("Number", "a"), "add", 1),
    ];
    let outcomes = play(driver, "a", &steps).await?;
    assert_eq!(outcomes[0], failed("FunctionNotFound", NOT_THERE));
    assert_eq!(outcomes[1], failed("NotFound", NOT_THERE));
    assert_eq!(outcomes[2], failed("FunctionNotFound", NOT_THERE));
    assert_eq!(outcomes[3..], [json!(true), json!(1)]);
    for verb in ["call", "signal"] {
        let reply = driver.post(&format!("/lifecycle/{verb}/Nobody/a/get"), &Value::Null).await?;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.text());
        assert_eq!(reply.json()?["Message"], NOT_THERE);
    }
    Ok(())
}

async fn s60_orchestration_signals_an_entity_that_signals_another_one(
    driver: &Driver,
) -> Result<()> {
    let forwarding = json!({ "name": "StringStore", "key": "b", "operation": "set", "input": "1" });
    play(driver, "a", &[signal(("Relay", "a"), "forward", forwarding)]).await?;
    driver.until_entity("StringStore", "b", "it is told", |it| it["state"] == "1").await?;
    assert_eq!(driver.entity("Relay", "a").await?, Some(json!({ "forwarded": 1 })));
    Ok(())
}

async fn s61_state_of_a_hundred_thousand_characters_comes_back(driver: &Driver) -> Result<()> {
    let text: String = "größer".chars().cycle().take(100_000).collect();
    let store = ("StringStore", "a");
    let steps = [call(store, "set", text.as_str()), call(store, "get", Value::Null)];
    assert_eq!(play(driver, "a", &steps).await?[1], text.as_str());
    assert_eq!(driver.entity("StringStore", "a").await?, Some(json!(text)));
    Ok(())
}

async fn s64_name_of_an_entity_may_be_written_in_any_case(driver: &Driver) -> Result<()> {
    let steps = [
        call(("StringStore", "a"), "set", "same"),
        call(("stringstore", "a"), "get", Value::Null),
        call(("STRINGSTORE", "a"), "GET", Value::Null),
    ];
    let outcomes = play(driver, "a", &steps).await?;
    assert_eq!(outcomes[1], "same");
    // The function itself matches its operations, and this one knows only `get`.
    assert_eq!(error_type(&outcomes[2]), "UnknownOperation");
    let steps = [call(("number", "a"), "ADD", 2), call(("Number", "a"), "Get", Value::Null)];
    assert_eq!(play(driver, "b", &steps).await?, [json!(2), json!(2)], "methods match any case");
    assert_eq!(driver.entity("sTRINGsTORE", "a").await?, Some(json!("same")));
    Ok(())
}

/// What the original cannot do. It may be done twice only if the host was killed under it.
async fn client_calls_an_entity_in_one_hop(driver: &Driver) -> Result<()> {
    assert_eq!(driver.result("Number", "a", "set", &json!(5)).await?, Value::Null);
    let sum = driver.result("Number", "a", "add", &json!(2)).await?;
    assert!(sum == 7 || driver.has_died() && sum == 9, "{sum}");
    assert_eq!(driver.result("Number", "a", "get", &Value::Null).await?, sum);
    driver.until_count("", 0).await
}

async fn operation_that_does_not_exist_fails_with_its_name(driver: &Driver) -> Result<()> {
    let message = "No operation named 'divide' was found.";
    let outcomes = play(driver, "a", &[call(("Number", "a"), "divide", 2)]).await?;
    assert_eq!(outcomes, [failed("UnknownOperation", message)]);
    let failure = driver.call("StringStore", "a", "divide", &json!(2)).await?.unwrap_err();
    assert_eq!(failure["errorType"], "UnknownOperation");
    assert_eq!(failure["errorMessage"], message);
    assert_eq!(driver.entity("Number", "a").await?, None);
    Ok(())
}

async fn input_that_does_not_fit_fails_and_creates_nothing(driver: &Driver) -> Result<()> {
    for input in [json!("two"), Value::Null, json!({ "amount": 2 })] {
        let failure = driver.call("Number", "a", "add", &input).await?.unwrap_err();
        assert_eq!(failure["errorType"], "InvalidInput", "{input}: {failure:#}");
        let message = failure["errorMessage"].as_str().unwrap_or_default();
        assert!(message.contains("add"), "it does not name the operation: {message}");
    }
    assert_eq!(driver.entity_status("Number", "a").await?, None);
    assert_eq!(play(driver, "a", &[call(("Number", "a"), "add", 2)]).await?, [2]);
    Ok(())
}

async fn deletion_is_built_in_and_leaves_nothing(driver: &Driver) -> Result<()> {
    let number = ("Number", "a");
    let steps = [
        call(number, "add", 5),
        call(number, "delete", Value::Null),
        call(number, "get", Value::Null),
    ];
    assert_eq!(play(driver, "a", &steps).await?, [json!(5), Value::Null, json!(0)]);
    assert_eq!(driver.entity_status("Number", "a").await?, None, "reading creates nothing");
    assert!(driver.entities("name=Number", 10).await?.is_empty());
    assert_eq!(play(driver, "b", &[call(number, "add", 1)]).await?, [json!(1)]);
    Ok(())
}

async fn entities_start_orchestrations(driver: &Driver) -> Result<()> {
    let outcomes = play(driver, "a", &[call(("FaultyEntity", "a"), "start", "started")]).await?;
    assert_eq!(outcomes, ["started"]);
    driver.until("started", "it is there", |_| true).await?;
    assert_eq!(driver.output("started").await?, true);
    Ok(())
}

async fn keys_are_any_text_and_their_case_matters(driver: &Driver) -> Result<()> {
    let keys = ["a", "A", "", "@", "a@b", "a/b#c?d", "ключ", " "];
    let steps: Vec<Value> =
        keys.iter().map(|key| call(("StringStore", key), "set", *key)).collect();
    play(driver, "a", &steps).await?;
    let steps: Vec<Value> =
        keys.iter().map(|key| call(("StringStore", key), "get", Value::Null)).collect();
    assert_eq!(play(driver, "b", &steps).await?, keys);
    let mut sorted = keys.map(str::to_owned);
    sorted.sort();
    assert_eq!(driver.keys("name=StringStore").await?, sorted);
    Ok(())
}
