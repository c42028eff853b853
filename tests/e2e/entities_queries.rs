//! Finding entities: by name, key, time and fields of their state, in pages, with or without state.

use anyhow::{Context as _, Result};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_tests::driver::{Driver, encoded};
use everstate_tests::host::START_DEADLINE;
use everstate_tests::wait::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::steps::{call, host, play};
use crate::ways::in_every_way;

in_every_way!(
    s71_entities_are_listed_by_name_in_pages_with_and_without_state,
    s71_deleted_entities_are_not_listed,
    entities_are_found_by_the_beginning_of_their_keys,
    entities_are_found_by_the_time_of_their_last_operation,
    entities_are_found_by_fields_of_their_state,
    fields_change_with_the_state_and_not_without_it,
    query_that_makes_no_sense_answers_400,
);

/// Three stores and a number.
async fn three_of_four(driver: &Driver) -> Result<()> {
    let stores = ["a", "b", "c"].map(|key| call(("StringStore", key), "set", key));
    play(driver, "stores", &stores).await?;
    play(driver, "number", &[call(("Number", "a"), "add", 1)]).await.map(drop)
}

async fn s71_entities_are_listed_by_name_in_pages_with_and_without_state(
    driver: &Driver,
) -> Result<()> {
    three_of_four(driver).await?;
    for page_size in [1, 2, 3, 100] {
        for (filter, has_state) in
            [("name=StringStore", false), ("name=stringstore&state=true", true)]
        {
            let found = driver.entities(filter, page_size).await?;
            assert_eq!(found.len(), 3, "{page_size} a page: {found:?}");
            for (entity, key) in found.iter().zip(["a", "b", "c"]) {
                assert_eq!(entity["name"], "stringstore");
                assert_eq!(entity["key"], key);
                assert_eq!(entity["exists"], true);
                let state = if has_state { json!(key) } else { Value::Null };
                assert_eq!(entity["state"], state, "{filter}");
            }
        }
        assert_eq!(driver.entities("", page_size).await?.len(), 4);
    }
    assert_eq!(driver.keys("name=Napper").await?, Vec::<String>::new());
    Ok(())
}

/// Unlike in the original, nothing is left of an entity that was deleted.
async fn s71_deleted_entities_are_not_listed(driver: &Driver) -> Result<()> {
    let keys: Vec<String> = (0..7).map(|number| number.to_string()).collect();
    let set: Vec<Value> = keys.iter().map(|key| call(("Number", key), "add", 1)).collect();
    play(driver, "set", &set).await?;
    let delete: Vec<Value> = keys
        .iter()
        .step_by(2)
        .take(3)
        .map(|key| call(("Number", key), "delete", Value::Null))
        .collect();
    play(driver, "delete", &delete).await?;
    for filter in ["name=Number", "name=Number&stateless=true"] {
        for page_size in [1, 3, 100] {
            let found = driver.entities(filter, page_size).await?;
            let keys: Vec<&Value> = found.iter().map(|it| &it["key"]).collect();
            assert_eq!(keys, ["1", "3", "5", "6"], "{filter}, {page_size} a page");
        }
    }
    Ok(())
}

async fn entities_are_found_by_the_beginning_of_their_keys(driver: &Driver) -> Result<()> {
    let keys = ["a", "ab", "ab/1", "abc", "b", "ä", "äb"];
    play(driver, "a", &keys.map(|key| call(("Number", key), "add", 1))).await?;
    play(driver, "b", &[call(("StringStore", "ab"), "set", "x")]).await?;
    for (prefix, expected) in [
        ("", keys.as_slice()),
        ("ab", &["ab", "ab/1", "abc"]),
        ("ab/", &["ab/1"]),
        ("A", &[]),
        ("ä", &["ä", "äb"]),
    ] {
        let filter = format!("name=Number&prefix={}", encoded(prefix));
        assert_eq!(driver.keys(&filter).await?, expected, "{filter}");
    }
    assert_eq!(driver.entities("prefix=ab", 1).await?.len(), 4, "of any name");
    Ok(())
}

/// When an entity did something last.
async fn last_operation(driver: &Driver, key: &str) -> Result<u64> {
    let status = driver.entity_status("Number", key).await?.context("it is there")?;
    status["lastOperationTime"].as_u64().context("a time")
}

async fn entities_are_found_by_the_time_of_their_last_operation(driver: &Driver) -> Result<()> {
    play(driver, "a", &[call(("Number", "early"), "add", 1)]).await?;
    let early = last_operation(driver, "early").await?;
    eventually("time has passed", START_DEADLINE, || async {
        (SystemClock.now().as_millis() > early).then_some(())
    })
    .await?;
    play(driver, "b", &[call(("Number", "late"), "add", 1)]).await?;
    let late = last_operation(driver, "late").await?;
    assert!(early < late, "{early}, {late}");
    for (filter, expected) in [
        (format!("from={early}"), vec!["early", "late"]),
        (format!("from={late}"), vec!["late"]),
        (format!("from={}", late + 1), vec![]),
        (format!("to={early}"), vec!["early"]),
        (format!("to={}", early - 1), vec![]),
        (format!("from={}&to={late}", early + 1), vec!["late"]),
    ] {
        assert_eq!(driver.keys(&format!("name=Number&{filter}")).await?, expected, "{filter}");
    }
    Ok(())
}

fn person(key: &str, city: Option<&str>, age: u32) -> Value {
    call(("Person", key), "set", json!({ "city": city, "age": age, "nickname": key }))
}

/// The keys of the persons with these fields.
async fn found(driver: &Driver, fields: &[(&str, Value)]) -> Result<Vec<String>> {
    let fields = fields.iter().map(|(name, value)| encoded(&format!("{name}:{value}")));
    let filter =
        fields.fold("name=Person".to_owned(), |filter, field| format!("{filter}&field={field}"));
    let mut keys = driver.keys(&filter).await?;
    keys.sort();
    Ok(keys)
}

async fn entities_are_found_by_fields_of_their_state(driver: &Driver) -> Result<()> {
    let steps = [
        person("ada", Some("London"), 36),
        person("alan", Some("London"), 41),
        person("emmy", Some("Göttingen"), 53),
        person("kurt", Some("Princeton"), 36),
        person("nobody", None, 0),
    ];
    play(driver, "a", &steps).await?;
    for (fields, expected) in [
        (vec![("city", json!("London"))], vec!["ada", "alan"]),
        (vec![("city", json!("Lond"))], vec![]),
        (vec![("city", json!("london"))], vec![]),
        (vec![("city", json!("Göttingen"))], vec!["emmy"]),
        (vec![("age", json!(36))], vec!["ada", "kurt"]),
        (vec![("age", json!("36"))], vec![]),
        (vec![("age", json!(3))], vec![]),
        (vec![("city", json!("London")), ("age", json!(36))], vec!["ada"]),
        (vec![("age", json!(36)), ("city", json!("Göttingen"))], vec![]),
        (vec![("city", Value::Null)], vec![]),
    ] {
        assert_eq!(found(driver, &fields).await?, expected, "{fields:?}");
    }
    let filter = format!("name=Person&prefix=al&field={}", encoded(r#"city:"London""#));
    assert_eq!(driver.keys(&filter).await?, ["alan"]);
    Ok(())
}

async fn fields_change_with_the_state_and_not_without_it(driver: &Driver) -> Result<()> {
    let ada = ("Person", "ada");
    let london = [("city", json!("London"))];
    let paris = [("city", json!("Paris"))];
    play(driver, "a", &[person("ada", Some("London"), 36)]).await?;
    play(driver, "b", &[call(ada, "move_then_fail", "Paris")]).await?;
    assert_eq!(found(driver, &london).await?, ["ada"]);
    assert!(found(driver, &paris).await?.is_empty(), "a failing operation moved it");
    play(driver, "c", &[person("ada", Some("Paris"), 36)]).await?;
    assert!(found(driver, &london).await?.is_empty());
    assert_eq!(found(driver, &paris).await?, ["ada"]);
    driver.kill_and_restart().await?;
    assert_eq!(found(driver, &paris).await?, ["ada"]);
    play(driver, "d", &[call(ada, "delete", Value::Null)]).await?;
    assert!(found(driver, &paris).await?.is_empty());
    assert!(found(driver, &[("age", json!(36))]).await?.is_empty());
    Ok(())
}

async fn query_that_makes_no_sense_answers_400(driver: &Driver) -> Result<()> {
    three_of_four(driver).await?;
    for filter in [
        "name=Person&field=nickname:1",
        "name=Number&field=value:1",
        "name=Nobody&field=value:1",
        "field=city:1",
        "name=Number&token=nonsense",
    ] {
        let reply = driver.get(&format!("/lifecycle/entities?{filter}")).await?;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{filter}: {}", reply.text());
    }
    Ok(())
}
