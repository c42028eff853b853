//! The scripted orchestrators with critical sections, and those that signal.
//!
//! What is appended inside of a section has `-x` in its token: nobody else may come between.
//!
//! - `Transfer`: locks two or three ledgers, looks at one, appends to it and to the next. May lose
//!   patience with the lock, fail in part, give back early, or not at all.
//! - `Auditor`: locks all ledgers and tells what is in them.
//! - `Lender`: fails while it holds a lock, until it is repaired.
//! - `Renewer`: continues as new while it holds a lock.
//! - `Swerver`: works with the newest code only, and locks.
//! - `Warden`, `Keeper`: a child that holds a lock for a long time, or until it is told to end.
//! - `Sender`: signals, at once and later, also what does not exist; and locks what does not exist.

use std::pin::Pin;

use everstate_types::Failure;

use crate::entities::{lease, nobody, tokens};
use crate::replay::{Context, Either, End, Lock, either};
use crate::scripts::{ended, fate};

/// The generations of a `Renewer`.
const GENERATIONS: usize = 3;

/// The error type of a failure that must not be: somebody came between.
pub(crate) const INTRUDED: &str = "Intruded";

pub(crate) fn script(
    name: &str,
    context: Context,
    ledger: usize,
    token: String,
) -> Pin<Box<dyn Future<Output = End>>> {
    match name {
        "Transfer" => Box::pin(transfer(context, ledger, token)),
        "Auditor" => Box::pin(auditor(context)),
        "Lender" => Box::pin(lender(context, ledger, token)),
        "Renewer" => Box::pin(renewer(context, ledger, token)),
        "Swerver" => Box::pin(swerver(context, ledger, token)),
        "Warden" => Box::pin(warden(context, ledger, token)),
        "Keeper" => Box::pin(keeper(context, ledger, token)),
        "Sender" => Box::pin(sender(context, ledger, token)),
        other => panic!("no script for {other}"),
    }
}

async fn transfer(context: Context, ledger: usize, token: String) -> End {
    let fate = fate(&token);
    let width = 2 + usize::from(fate.is_multiple_of(2));
    context.signal(ledger, format!("{token}-o0"));
    let mut lock = context.lock((0..width).map(|offset| context.ledger(ledger + offset)));
    if fate.is_multiple_of(5) {
        let limit = context.timer(context.after(150));
        let number = limit.number;
        match either(&mut lock.granted, limit).await {
            Either::Left(_) => context.cancel(number),
            Either::Right(_) => {
                context.unlock(&mut lock);
                context.signal(ledger, format!("{token}-o1"));
                return End::Output("late".to_owned());
            }
        }
    } else {
        (&mut lock.granted).await.expect("it is granted");
    }
    let Some(end) = move_tokens(&context, ledger, &token).await else {
        return End::Failed(Failure::new(INTRUDED, "somebody came between"));
    };
    if fate.is_multiple_of(3) {
        // Early, and one after the other.
        let entity = context.ledger(ledger);
        context.unlock_one(&mut lock, &entity);
        context.signal(ledger, format!("{token}-o1"));
        drop(context.activity("steady", &token, (None, 1)).await);
    }
    if !fate.is_multiple_of(7) {
        context.unlock(&mut lock);
        let after = context.call(ledger, "append", format!("{token}-o2"));
        after.await.expect("it never fails");
    }
    End::Output(end)
}

/// Appends to two ledgers that are locked; `None`: somebody else changed the first meanwhile.
async fn move_tokens(context: &Context, ledger: usize, token: &str) -> Option<String> {
    let count = |list: &str| tokens(list).len();
    let list = || context.call(ledger, "list", String::new());
    let before = count(&list().await.expect("it never fails"));
    let paid = context.call(ledger, "append", format!("{token}-xw")).await;
    if fate(token).is_multiple_of(4) {
        let failed = context.call(ledger, "append-and-fail", format!("{token}-xf")).await;
        assert!(failed.is_err(), "it always fails");
        drop(context.timer(context.after(300)).await);
    }
    let place = context.call(ledger + 1, "append", format!("{token}-xd")).await;
    let mine = 1 + usize::from(context.ledger(ledger) == context.ledger(ledger + 1));
    let after = count(&list().await.expect("it never fails"));
    let is_alone = paid.expect("it never fails") == (before + 1).to_string();
    let is_first = is_alone && after == before + mine;
    is_first.then(|| place.expect("it never fails"))
}

async fn auditor(context: Context) -> End {
    let all = 0..context.ledgers();
    let mut lock = context.lock(all.clone().map(|number| context.ledger(number)));
    (&mut lock.granted).await.expect("it is granted");
    let asked: Vec<_> = all.map(|number| context.call(number, "list", String::new())).collect();
    let mut lists = Vec::new();
    for list in asked {
        lists.push(list.await.expect("it never fails"));
    }
    End::Output(lists.join(";"))
}

async fn lender(context: Context, ledger: usize, token: String) -> End {
    let mut lock = context.lock([context.ledger(ledger), context.ledger(ledger + 1)]);
    if fate(&token).is_multiple_of(4)
        && let Err(failure) = context.activity("flaky", &token, (None, 1)).await
    {
        // It may hold the lock and not know it.
        return End::Failed(failure);
    }
    (&mut lock.granted).await.expect("it is granted");
    context.call(ledger, "append", format!("{token}-x1")).await.expect("it never fails");
    let lent = match fate(&token) % 3 {
        0 => context.activity("flaky", &token, (None, 1)).await,
        1 => context.call(ledger + 1, "mend", format!("{token}-xm")).await,
        _ => {
            let mended = context.call(ledger + 1, "mend", format!("{token}-xm"));
            let steady = context.activity("steady", &token, (None, 1));
            drop(steady.await);
            mended.await
        }
    };
    if let Err(failure) = lent {
        return End::Failed(failure);
    }
    context.call(ledger, "append", format!("{token}-x2")).await.expect("it never fails");
    End::Output("lent".to_owned())
}

async fn renewer(context: Context, ledger: usize, input: String) -> End {
    let (token, generations) = input.split_once('|').unwrap_or((&input, ""));
    let generation = tokens(generations).len();
    let mut lock = context.lock([context.ledger(ledger + 1), context.ledger(ledger)]);
    (&mut lock.granted).await.expect("it is granted");
    let appended = context.call(ledger, "append", format!("{token}-x{generation}"));
    if generation == 1 {
        // Its result comes too late.
        return End::Anew(format!("{ledger}:{token}|{generations},{generation}"));
    }
    appended.await.expect("it never fails");
    if generation + 1 < GENERATIONS {
        return End::Anew(format!("{ledger}:{token}|{generations},{generation}"));
    }
    context.unlock(&mut lock);
    End::Output("renewed".to_owned())
}

async fn swerver(context: Context, ledger: usize, token: String) -> End {
    let mut lock = context.lock([context.ledger(ledger), context.ledger(ledger + 1)]);
    drop(context.timer(context.after(20)).await);
    (&mut lock.granted).await.expect("it is granted");
    context.call(ledger, "append", format!("{token}-x1")).await.expect("it never fails");
    drop(context.timer(context.after(100)).await);
    context.call(ledger + 1, "append", format!("{token}-x2")).await.expect("it never fails");
    drop(context.activity("steady", &token, (None, 1)).await);
    context.call(ledger, "append", format!("{token}-x3")).await.expect("it never fails");
    context.unlock(&mut lock);
    End::Output("swerved".to_owned())
}

async fn warden(context: Context, ledger: usize, token: String) -> End {
    let input = format!("{ledger}:{token}-p");
    let keeper = context.child("Keeper", &format!("{token}-p"), input, None);
    drop(context.activity("steady", &token, (None, 1)).await);
    ended(keeper.await)
}

async fn keeper(context: Context, ledger: usize, token: String) -> End {
    let mut lock = context.lock([context.ledger(ledger), lease(0), context.ledger(ledger + 1)]);
    (&mut lock.granted).await.expect("it is granted");
    let first = context.call(ledger, "append", format!("{token}-x1"));
    // SDKs do not allow a second one, the engine does.
    let second = context.call(ledger, "append", format!("{token}-x4"));
    let touched = context.call_entity(lease(0), "touch", format!("{token}-x2"));
    let limit = context.timer(context.after(3_000));
    let number = limit.number;
    drop(either(context.event("approve"), limit).await);
    context.cancel(number);
    first.await.expect("it never fails");
    second.await.expect("it never fails");
    touched.await.expect("it never fails");
    if fate(&token).is_multiple_of(2) {
        release_before_the_end(&context, ledger, &token, lock).await;
    }
    End::Output("kept".to_owned())
}

async fn release_before_the_end(context: &Context, ledger: usize, token: &str, mut lock: Lock) {
    context.unlock(&mut lock);
    context.call(ledger, "append", format!("{token}-o1")).await.expect("it never fails");
    // Once more, right behind.
    let mut again = context.lock([context.ledger(ledger)]);
    (&mut again.granted).await.expect("it is granted");
    context.call(ledger, "append", format!("{token}-x3")).await.expect("it never fails");
}

async fn sender(context: Context, ledger: usize, token: String) -> End {
    context.signal(ledger, format!("{token}-o0"));
    context.signal_later(ledger, &format!("{token}-l0"), 400);
    context.signal_nobody(format!("{token}-n"));
    context.signal(ledger, format!("{token}-o1"));
    let called = context.call(ledger, "append", format!("{token}-o2"));
    let mut refused = context.lock([context.ledger(ledger), nobody()]);
    let failure = (&mut refused.granted).await.expect_err("nobody has it");
    assert_eq!(failure.error_type, "FunctionNotFound", "{failure:?}");
    let mut lock = context.lock([context.ledger(ledger)]);
    (&mut lock.granted).await.expect("it is granted");
    context.call(ledger, "append", format!("{token}-x1")).await.expect("it never fails");
    context.unlock(&mut lock);
    context.signal(ledger, format!("{token}-o3"));
    context.signal_later(ledger, &format!("{token}-l1"), 0);
    called.await.expect("it never fails");
    End::Output("sent".to_owned())
}
