//! Signals: their order, how often they count, when they are due, and what runs together.

use anyhow::{Context as _, Result};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_tests::driver::{Driver, encoded};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::steps::{call, go, hold, host, outcomes, play, signal, start};
use crate::ways::in_every_way;

in_every_way!(
    s73_signals_of_orchestrations_arrive_once_and_in_their_order,
    s73_signals_of_an_entity_arrive_once_and_in_their_order,
    s73_signal_before_a_call_of_the_same_sender_is_done_before_it,
    signals_with_the_same_idempotency_key_count_once,
    signal_that_is_due_later_does_not_come_before,
    scheduled_signals_of_all_senders_come_once_and_not_early,
    scheduled_signal_outlives_a_restart,
    operations_that_have_waited_together_run_in_one_batch,
);

/// The notes of a `Sequence`, once there are so many; whatever was still to come is done then.
async fn notes(driver: &Driver, key: &str, count: usize) -> Result<Vec<Value>> {
    let status = driver
        .until_entity("Sequence", key, &format!("{count} notes"), |it| {
            it["state"]["notes"].as_array().is_some_and(|notes| notes.len() >= count)
                && it["waitingOperations"] == 0
        })
        .await?;
    status["state"]["notes"].as_array().cloned().context("notes")
}

/// What a sender numbered, in the order in which it came.
fn sent_by<'a>(notes: &'a [Value], sender: &str) -> Vec<&'a Value> {
    notes.iter().filter(|note| note[0] == sender).map(|note| &note[1]).collect()
}

async fn s73_signals_of_orchestrations_arrive_once_and_in_their_order(
    driver: &Driver,
) -> Result<()> {
    let senders = ["one", "two", "three"];
    let some = |count: u64| json!({ "signalMany": ["Sequence", "a", "note", count] });
    for sender in senders {
        start(driver, sender, &[some(20), call(("Sequence", "a"), "note", json!([sender, 20]))])
            .await?;
    }
    for sender in senders {
        outcomes(driver, sender).await?;
    }
    let notes = notes(driver, "a", 3 * 21).await?;
    let expected: Vec<Value> = (0..=20).map(|number| json!(number)).collect();
    for sender in senders {
        assert_eq!(sent_by(&notes, sender), expected.iter().collect::<Vec<_>>(), "{sender}");
    }
    Ok(())
}

async fn s73_signals_of_an_entity_arrive_once_and_in_their_order(driver: &Driver) -> Result<()> {
    let senders = ["one", "two"];
    let mut steps = Vec::new();
    for _ in 0..4 {
        steps.extend(senders.map(|sender| signal(("Relay", sender), "send_ten", "a")));
        steps.push(json!("activity"));
    }
    play(driver, "a", &steps).await?;
    let notes = notes(driver, "a", 2 * 40).await?;
    let expected: Vec<Value> = (0..40).map(|number| json!(number)).collect();
    for sender in senders {
        assert_eq!(sent_by(&notes, sender), expected.iter().collect::<Vec<_>>(), "{sender}");
    }
    Ok(())
}

async fn s73_signal_before_a_call_of_the_same_sender_is_done_before_it(
    driver: &Driver,
) -> Result<()> {
    let number = ("Number", "a");
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.extend([signal(number, "add", 1), call(number, "get", Value::Null)]);
    }
    let outcomes = play(driver, "a", &steps).await?;
    let seen: Vec<&Value> = outcomes.iter().skip(1).step_by(2).collect();
    assert_eq!(seen, [1, 2, 3, 4, 5].map(|number| json!(number)).iter().collect::<Vec<_>>());
    // A client, too, sees what it has signalled itself, though it only reads.
    for text in ["x", "y", "z"] {
        let path = "/lifecycle/call/StringStore/a/get?signalFirst=set";
        let reply = driver.post(path, &json!(text)).await?;
        assert_eq!((reply.status, reply.json()?), (StatusCode::OK, json!(text)));
    }
    Ok(())
}

async fn signals_with_the_same_idempotency_key_count_once(driver: &Driver) -> Result<()> {
    for _ in 0..3 {
        driver.tell_once("Number", "a", "add", &json!(1), "order 7").await?;
    }
    driver.kill_and_restart().await?;
    driver.tell_once("Number", "a", "add", &json!(1), "order 7").await?;
    driver.tell_once("Number", "a", "add", &json!(10), "order 8").await?;
    driver.tell_once("Number", "b", "add", &json!(100), "order 7").await?;
    for (key, value) in [("a", 11), ("b", 100)] {
        // Behind all that was told before, whoever reads it.
        let sum = driver.result("Number", key, "add", &json!(0)).await?;
        assert_eq!(sum, value, "{key}");
    }
    for key in [String::new(), "x".repeat(257)] {
        let path = format!("/lifecycle/signal/Number/a/add?idempotencyKey={key}");
        let reply = driver.post(&path, &json!(1)).await?;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text());
    }
    assert_eq!(driver.keys("").await?, ["a", "b"], "receipts are no entities");
    Ok(())
}

fn now() -> u64 {
    SystemClock.now().as_millis()
}

/// Waits until so many signals have come to a `Clocked`, none of them early; gives when each was due, in
/// the order in which they came. If the host was killed, what was due meanwhile may have come before
/// what was told then: they are sorted.
async fn arrivals(driver: &Driver, key: &str, count: usize) -> Result<Vec<u64>> {
    let status = driver
        .until_entity("Clocked", key, &format!("{count} arrivals"), |it| {
            it["state"]["arrivals"].as_array().is_some_and(|all| all.len() >= count)
        })
        .await?;
    let arrivals = status["state"]["arrivals"].as_array().context("arrivals")?;
    let times = arrivals.iter().map(|it| {
        let (due, came) = (it["due"].as_u64().context("due")?, it["came"].as_u64());
        assert!(came >= Some(due), "it came early: {it}");
        Ok(due)
    });
    let mut times: Vec<u64> = times.collect::<Result<_>>()?;
    if driver.has_died() {
        times.sort_unstable();
    }
    Ok(times)
}

/// Signals a `Clocked` once, for a point in time.
async fn remind(driver: &Driver, key: &str, due: u64) -> Result<()> {
    let idempotency_key = encoded(&format!("{key} {due}"));
    let path =
        format!("/lifecycle/signal/Clocked/{key}/arrive?at={due}&idempotencyKey={idempotency_key}");
    let reply = driver.post(&path, &json!(due)).await?;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    Ok(())
}

async fn signal_that_is_due_later_does_not_come_before(driver: &Driver) -> Result<()> {
    let now = now();
    let (past, soon, later) = (now - 10_000, now + 250, now + 500);
    let far = now + 3_600_000;
    for due in [far, later, soon, past] {
        remind(driver, "a", due).await?;
    }
    assert_eq!(arrivals(driver, "a", 3).await?, [past, soon, later]);
    Ok(())
}

async fn scheduled_signals_of_all_senders_come_once_and_not_early(driver: &Driver) -> Result<()> {
    let (one, two, three) = (now() + 100, now() + 200, now() + 300);
    let at = json!({ "signalAt": [["Clocked", "a", "arrive", one], one] });
    let forwarding = json!({
        "name": "Clocked", "key": "a", "operation": "arrive", "input": two, "at": two,
    });
    let steps = [
        at,
        call(("Relay", "a"), "forward", forwarding),
        // To itself.
        call(("Clocked", "a"), "remind", three),
    ];
    play(driver, "a", &steps).await?;
    assert_eq!(arrivals(driver, "a", 3).await?, [one, two, three]);
    driver.kill_and_restart().await?;
    driver.result("Clocked", "a", "arrive", &json!(0)).await?;
    let mut all = arrivals(driver, "a", 4).await?;
    all.sort_unstable();
    // At least once, if the host was killed: only what was reminded of must have come once.
    all.retain(|due| *due > 0);
    assert_eq!(all, [one, two, three]);
    Ok(())
}

/// It may be due before the host is there again.
async fn scheduled_signal_outlives_a_restart(driver: &Driver) -> Result<()> {
    let (soon, later) = (now() + 30, now() + 1_000);
    remind(driver, "a", soon).await?;
    remind(driver, "a", later).await?;
    driver.kill_and_restart().await?;
    assert_eq!(arrivals(driver, "a", 2).await?, [soon, later]);
    Ok(())
}

/// A batch that takes long ends early, and what is left of it is the next one.
async fn operations_that_have_waited_together_run_in_one_batch(driver: &Driver) -> Result<()> {
    let batches = ("Batches", "a");
    hold(driver, "holder", &[batches], &[]).await?;
    play(driver, "a", &[(); 5].map(|()| signal(batches, "note", Value::Null))).await?;
    driver.until_entity("Batches", "a", "all wait", |it| it["waitingOperations"] == 5).await?;
    go(driver, "holder").await?;
    let status = driver
        .until_entity("Batches", "a", "all are done", |it| {
            it["state"]["places"].as_array().is_some_and(|places| places.len() == 5)
        })
        .await?;
    let places = status["state"]["places"].as_array().context("places")?;
    let mut expected = json!([0, 5]);
    for (done, place) in places.iter().enumerate() {
        if place[0] == 0 {
            expected = json!([0, 5 - done]);
        }
        assert_eq!(*place, expected, "place {done} of {places:?}");
        expected[0] = json!(expected[0].as_u64().unwrap_or_default() + 1);
    }
    Ok(())
}
