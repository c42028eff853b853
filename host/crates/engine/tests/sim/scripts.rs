//! The scripted orchestrators. Each leaves tokens in ledgers that nobody else leaves, so that what was
//! done twice, or not at all, can be seen.
//!
//! The input is `ledger:token`, for a counter with `|` and the tokens of the generations before.
//!
//! - `Append`: calls `append` at its ledger, and returns what the ledger said.
//! - `Both`: calls `append` at two ledgers at once and waits for both, then signals a third.
//! - `Relay`: calls `relay` at a ledger, which signals another one and starts an `Append` there.
//! - `Fails`: calls an operation that fails after it appended, and fails itself.
//! - `Work`: activities, one of them tried once or three times; if that fails it compensates and fails.
//! - `Approval`: an event against a timer that is near or far.
//! - `Sleeper`: timers that are due out of order, one in the past, one cancelled.
//! - `Counter`: takes up events, two a generation, and continues as new until it is told to end.
//! - `Parent`: children that end well, that fail, that cannot start, that wait for an event.
//! - `Guardian`, `Nested`: children and grandchildren that wait until they are told to end.
//! - `Shifty`: works with the newest code only, see `guests.rs`.
//! - Those with critical sections are in `sections.rs`.

use std::pin::Pin;

use everstate_types::{Failure, Payload};

use crate::replay::{Context, Either, End, either};
use crate::sections;

/// Due after the end of a run, in milliseconds: only a clock that jumps gets there.
pub(crate) const FAR: u64 = 1_000_000_000;

/// Events that a counter takes up before it continues as new.
const EVENTS_PER_GENERATION: usize = 2;

/// Attempts at work that may fail, of patient work.
const ATTEMPTS: u32 = 3;

/// `ledger number:token`, the input of all orchestrators.
pub(crate) fn target(input: &str) -> (usize, &str) {
    let (ledger, token) = input.split_once(':').expect("ledger:token");
    (ledger.parse().expect("a number"), token)
}

/// The token of an execution with this input: that of all its generations.
pub(crate) fn owner(input: &Payload) -> String {
    let (_, token) = target(input.as_str());
    token.split('|').next().unwrap_or(token).to_owned()
}

/// A number that a token always has.
pub(crate) fn fate(token: &str) -> u32 {
    token.bytes().fold(7, |sum, byte| sum * 31 % 1_009 + u32::from(byte))
}

pub(crate) fn script(
    name: &str,
    context: Context,
    input: &str,
) -> Pin<Box<dyn Future<Output = End>>> {
    let (ledger, token) = target(input);
    let token = token.to_owned();
    match name {
        "Append" => Box::pin(single(context, ledger, "append", token)),
        "Relay" => Box::pin(single(context, ledger, "relay", token)),
        "Fails" => Box::pin(single(context, ledger, "append-and-fail", token)),
        "Both" => Box::pin(both(context, ledger, token)),
        "Work" => Box::pin(work(context, ledger, token)),
        "Approval" => Box::pin(approval(context, ledger, token)),
        "Sleeper" => Box::pin(sleeper(context, ledger, token)),
        "Counter" => Box::pin(counter(context, ledger, token)),
        "Parent" => Box::pin(parent(context, ledger, token)),
        "Guardian" => Box::pin(guardian(context, ledger, token)),
        "Nested" => Box::pin(nested(context, ledger, token)),
        "Shifty" => Box::pin(shifty(context, ledger, token)),
        other => sections::script(other, context, ledger, token),
    }
}

pub(crate) fn ended(result: Result<String, Failure>) -> End {
    result.map_or_else(End::Failed, End::Output)
}

async fn single(context: Context, ledger: usize, operation: &str, token: String) -> End {
    ended(context.call(ledger, operation, token).await)
}

async fn both(context: Context, ledger: usize, token: String) -> End {
    let first = context.call(ledger, "append", token.clone());
    let second = context.call(ledger + 1, "append", format!("{token}-b"));
    first.await.expect("it never fails");
    second.await.expect("it never fails");
    context.signal(ledger + 2, format!("{token}-c"));
    End::Output("both".to_owned())
}

async fn work(context: Context, ledger: usize, token: String) -> End {
    let pause = context.timer(context.after(1_500));
    let steady = context.activity("steady", &token, (None, 1));
    let mut noted = None;
    let note = || context.call(ledger, "append", format!("{token}-w"));
    let tried = with_retries(&context, &token, || noted = Some(note())).await;
    let result = match tried {
        Ok(result) => result,
        Err(failure) => {
            // The others are still under way, and come too late unless it is rewound.
            context.signal(ledger, format!("{token}-comp{}", context.rewinds()));
            return End::Failed(failure);
        }
    };
    let steady = steady.await.expect("it never fails");
    noted.unwrap_or_else(note).await.expect("it never fails");
    let follow_up = context.activity("steady", &steady, (None, 1)).await;
    context.set_custom_status(&follow_up.expect("it never fails"));
    pause.await.expect("timers never fail");
    context.signal(ledger, format!("{token}-end"));
    End::Output(result)
}

/// An activity that fails at first, with longer and longer waits between attempts.
async fn with_retries(
    context: &Context,
    input: &str,
    mut before_last: impl FnMut(),
) -> Result<String, Failure> {
    let mut first = None;
    let attempts = if fate(input).is_multiple_of(2) { ATTEMPTS } else { 1 };
    for attempt in 1.. {
        if attempt == attempts {
            before_last();
        }
        let tried = context.activity("flaky", input, (first, attempt));
        first.get_or_insert(tried.number);
        let limit = context.timer(context.after(FAR));
        let result = tried.await;
        context.cancel(limit.number);
        match result {
            Err(failure) if attempt == attempts => return Err(failure),
            Err(_) => drop(context.timer(context.after(100 * u64::from(attempt))).await),
            ok => return ok,
        }
    }
    unreachable!("attempts are counted")
}

async fn approval(context: Context, ledger: usize, token: String) -> End {
    let limit = if fate(&token).is_multiple_of(3) { 3_000 } else { FAR };
    let late = context.timer(context.after(limit));
    let number = late.number;
    let end = match either(context.event("approve"), late).await {
        Either::Left(_) => "ok",
        Either::Right(_) => "late",
    };
    context.cancel(number);
    context.call(ledger, "append", format!("{token}-{end}")).await.expect("it never fails");
    End::Output(end.to_owned())
}

async fn sleeper(context: Context, ledger: usize, token: String) -> End {
    let slow = context.timer(context.after(2_000));
    let quick = context.timer(context.after(1_000));
    let past = context.timer(everstate_types::Timestamp::from_millis(1));
    let given_up = context.timer(context.after(500));
    let stillborn = context.timer(context.after(FAR));
    context.cancel(stillborn.number);
    past.await.expect("timers never fail");
    context.cancel(given_up.number);
    slow.await.expect("timers never fail");
    // What is due earlier fires earlier.
    match either(quick, std::future::ready(())).await {
        Either::Left(_) => context.signal(ledger, format!("{token}-slept")),
        Either::Right(()) => panic!("timers of {} fired out of order", context.id()),
    }
    End::Output("slept".to_owned())
}

async fn counter(context: Context, ledger: usize, input: String) -> End {
    let (token, received) = input.split_once('|').unwrap_or((&input, ""));
    let mut received: Vec<_> =
        received.split(',').filter(|token| !token.is_empty()).map(str::to_owned).collect();
    let generation = format!("{token}-{}", received.len());
    // Neither is waited for: the one is taken back, the other's result is late.
    let far = context.timer(context.after(1_000 * FAR));
    drop(context.activity("steady", &generation, (None, 1)));
    let mut far = std::pin::pin!(far);
    for _ in 0..EVENTS_PER_GENERATION {
        let told = either(context.event("incr"), either(context.event("end"), far.as_mut())).await;
        match told {
            Either::Left(event) => {
                context.set_custom_status(&event);
                let noted = context.call(ledger, "append", event.clone()).await;
                noted.expect("it never fails");
                received.push(event);
            }
            Either::Right(Either::Left(_)) => return End::Output(received.join(",")),
            Either::Right(Either::Right(_)) => panic!("a far timer fired"),
        }
    }
    End::Anew(format!("{ledger}:{token}|{}", received.join(",")))
}

async fn parent(context: Context, ledger: usize, token: String) -> End {
    let input = |suffix: &str| format!("{ledger}:{token}-{suffix}");
    let child = |name, suffix: &str, start_at| {
        context.child(name, &format!("{token}-{suffix}"), input(suffix), start_at)
    };
    let good = child("Append", "c1", None);
    let bad = child("Fails", "c2", None);
    let worker = child("Work", "c3", None);
    let own = context.child("Append", context.id().as_str(), input("c4"), None);
    let unknown = child("Nobody", "c5", None);
    context.start("Append", &format!("{token}-c6"), input("c6"));
    let late = fate(&token).is_multiple_of(2).then(|| context.after(300));
    let waits = child("Approval", "c7", late);
    context.send_event(&format!("{token}-c7"), "Approve", "yes".to_owned());
    let mut fates = Vec::new();
    for (name, child) in [("c1", good), ("c2", bad), ("c4", own), ("c5", unknown), ("c7", waits)] {
        fates.push(match child.await {
            Ok(_) => format!("{name} ok"),
            Err(failure) => format!("{name} {}", failure.error_type),
        });
    }
    if let Err(failure) = worker.await {
        return End::Failed(failure);
    }
    context.call(ledger, "append", format!("{token}-p")).await.expect("it never fails");
    End::Output(fates.join(","))
}

async fn guardian(context: Context, ledger: usize, token: String) -> End {
    let input = |suffix: &str| format!("{ledger}:{token}-{suffix}");
    let nested = context.child("Nested", &format!("{token}-g1"), input("g1"), None);
    let id = format!("{token}-g2");
    let counter = context.child("Counter", &id, input("g2"), None);
    for event in 0..3 {
        context.send_event(&id, "incr", format!("{token}-e{event}"));
    }
    let nested = nested.await.map(|_| String::new());
    ended(nested.and(counter.await))
}

async fn nested(context: Context, ledger: usize, token: String) -> End {
    let counter =
        context.child("Counter", &format!("{token}-n"), format!("{ledger}:{token}-n"), None);
    drop(context.activity("steady", &token, (None, 1)).await);
    ended(counter.await)
}

async fn shifty(context: Context, ledger: usize, token: String) -> End {
    let soon = context.timer(context.after(200));
    context.call(ledger, "append", format!("{token}-1")).await.expect("it never fails");
    drop(context.activity("steady", &token, (None, 1)).await);
    soon.await.expect("timers never fail");
    context.call(ledger, "append", format!("{token}-2")).await.expect("it never fails");
    End::Output("shifted".to_owned())
}
