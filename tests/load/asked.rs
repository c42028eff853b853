//! The requests of `load entities`, `fairness` and `scale`: what is sent for a number, and what must come
//! back.

use everstate_tests::http::Connection;
use hyper::{Method, StatusCode};
use rand::RngExt as _;
use rand::rngs::SmallRng;

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::drive::{Asked, Work};

/// Where the management API is.
pub(crate) const API: &str = "/runtime/webhooks/durabletask";

/// How many counters there are where there are many.
pub(crate) const COUNTERS: u32 = 10_000;

/// How many accounts the bank has.
pub(crate) const ACCOUNTS: u32 = 1_000;

/// What an account holds in the beginning: so much that no transfer fails for want of money.
const BALANCE: u64 = 1_000_000_000;

/// Signals of one request that sends many.
pub(crate) const BURST: u64 = 100;

/// Signals the counter of the number, through an HTTP function.
pub(crate) const SIGNAL: Work = Work::Other {
    make: |number, _| post(format!("/Counter/{number}/signal"), "1"),
    expected: StatusCode::ACCEPTED,
};

/// The same, through the management API: no guest code runs for the request.
pub(crate) const SIGNAL_BY_API: Work = Work::Other {
    make: |number, _| post(format!("{API}/entities/counter/{number}?op=add"), "1"),
    expected: StatusCode::ACCEPTED,
};

/// An HTTP function that signals one counter [`BURST`] times.
pub(crate) const BURST_TO_ONE: Work = Work::Other {
    make: |number, _| post(burst(number, BURST, 1), ""),
    expected: StatusCode::ACCEPTED,
};

/// An HTTP function that signals [`BURST`] counters once each.
pub(crate) const BURST_TO_MANY: Work = Work::Other {
    make: |number, _| post(burst(number, BURST, COUNTERS), ""),
    expected: StatusCode::ACCEPTED,
};

/// Calls the counter of the number and gets the count, through an HTTP function.
pub(crate) const CALL: Work = Work::Other {
    make: |number, _| post(format!("/Counter/{number}/add"), "1"),
    expected: StatusCode::OK,
};

/// The same, through the management API.
pub(crate) const CALL_BY_API: Work = Work::Other {
    make: |number, _| post(format!("{API}/entities/counter/{number}/call?op=add"), "1"),
    expected: StatusCode::OK,
};

/// Calls a read-only operation of a counter, through an HTTP function.
pub(crate) const READ: Work =
    Work::Other { make: |number, _| get(format!("/Counter/{number}")), expected: StatusCode::OK };

/// The same, through the management API.
pub(crate) const READ_BY_API: Work = Work::Other {
    make: |number, _| post(format!("{API}/entities/counter/{number}/call?op=get"), ""),
    expected: StatusCode::OK,
};

/// Reads the state of a counter, through the management API: no guest code runs.
pub(crate) const STATE: Work = Work::Other {
    make: |number, _| get(format!("{API}/entities/counter/{number}")),
    expected: StatusCode::OK,
};

/// Moves money from the account of the number to any other.
pub(crate) const TRANSFER: Work = Work::Other {
    make: |from, random| {
        let to = (from + random.random_range(1..ACCOUNTS)) % ACCOUNTS;
        let body = json!({ "from": from.to_string(), "to": to.to_string(), "amount": 1 });
        post("/Bank/transfer".to_owned(), &body.to_string())
    },
    expected: StatusCode::OK,
};

/// Sets a register.
pub(crate) const PUT: Work = Work::Other {
    make: |number, _: &mut SmallRng| Asked {
        method: Method::PUT,
        path: format!("/Database/{number}"),
        body: "a value of twenty b.".to_owned(),
    },
    expected: StatusCode::OK,
};

/// Path and query of the function that signals many counters of `counters`, from one on.
pub(crate) fn burst(first: u32, count: u64, counters: u32) -> String {
    format!("/Stopwatch/Burst?count={count}&first={first}&counters={counters}")
}

/// Gives every counter a state, and opens the accounts.
pub(crate) async fn prepare(at: SocketAddr) -> Result<()> {
    let mut connection = Connection::open(at).await?;
    let opening = json!({ "accounts": ACCOUNTS, "balance": BALANCE }).to_string();
    let opened = connection.send("POST", "/Bank/open", &[], opening).await?;
    ensure!(opened.status == StatusCode::OK, "the bank: {} {}", opened.status, opened.text());
    for first in (0..COUNTERS).step_by(1_000) {
        let path = burst(first, 1_000, COUNTERS);
        let reply = connection.send("POST", &path, &[], "").await?;
        ensure!(reply.status == StatusCode::ACCEPTED, "{} {}", reply.status, reply.text());
    }
    Ok(())
}

/// What so many counters, from the first on, have counted together.
pub(crate) async fn counted(connection: &mut Connection, counters: u32) -> Result<u64> {
    if counters == 1 {
        let reply = connection.send("GET", &format!("{API}/entities/counter/0"), &[], "").await?;
        let state =
            if reply.status == StatusCode::OK { reply.json()? } else { json!({"value": 0}) };
        return state["value"].as_u64().with_context(|| reply.text());
    }
    let path = format!("{API}/entities/counter?fetchState=true&top=1000");
    let (mut sum, mut token) = (0, String::new());
    loop {
        let headers = [("x-ms-continuation-token", token.as_str())];
        let reply = connection.send("GET", &path, &headers, "").await?;
        let page = reply.json()?;
        let page = page.as_array().with_context(|| reply.text())?;
        sum += page.iter().filter_map(|entity| entity["state"]["value"].as_u64()).sum::<u64>();
        token = reply.header("x-ms-continuation-token").to_owned();
        if token.is_empty() {
            return Ok(sum);
        }
    }
}

fn post(path: String, body: &str) -> Asked {
    Asked { method: Method::POST, path, body: body.to_owned() }
}

fn get(path: String) -> Asked {
    Asked { method: Method::GET, path, body: String::new() }
}
