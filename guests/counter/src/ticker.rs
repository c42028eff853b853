//! A counter that counts by itself: each operation `tick` signals the next one to itself, not before
//! it is due. Nothing runs in between, and a restart of the host changes nothing.
//!
//! - `POST Ticker/{key}` with `{"everyMs": 1000, "times": 60}` sets it going, anew if it was already,
//! - `GET Ticker/{key}` answers with how often it has ticked.

use std::time::Duration;

use everstate_sdk::{
    DurableClient, EntityContext, Failure, HttpError, HttpRequest, HttpResponse, Timestamp, entity,
    http_trigger,
};
use serde::{Deserialize, Serialize};

/// How a ticker is to go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pace {
    every_ms: u64,
    times: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ticker {
    ticks: u64,
    pace: Pace,
    /// How often it was set going: a tick that was meant for an earlier time does nothing.
    run: u64,
}

#[entity]
impl Ticker {
    fn start(&mut self, context: &mut EntityContext, pace: Pace) -> Result<(), Failure> {
        *self = Self { ticks: 0, pace, run: self.run + 1 };
        self.signal_next(context, Timestamp::now())
    }

    fn tick(&mut self, context: &mut EntityContext, due: Due) -> Result<(), Failure> {
        if due.run != self.run {
            return Ok(());
        }
        self.ticks += 1;
        self.signal_next(context, due.at)
    }

    fn ticks(&self) -> u64 {
        self.ticks
    }
}

/// Which tick it is.
#[derive(Debug, Serialize, Deserialize)]
struct Due {
    at: Timestamp,
    run: u64,
}

impl Ticker {
    /// From one due time to the next, so that it does not drift when a tick comes late.
    fn signal_next(&self, context: &mut EntityContext, last: Timestamp) -> Result<(), Failure> {
        if self.ticks == self.pace.times {
            return Ok(());
        }
        let at = last + Duration::from_millis(self.pace.every_ms);
        let next = Due { at, run: self.run };
        Self::proxy(context.key())?.tick(next).signal_at(context, at)
    }
}

#[http_trigger(route = "Ticker/{key}", methods = ["GET", "POST"])]
fn Ticker_HttpStart(
    request: HttpRequest,
    client: DurableClient,
) -> Result<HttpResponse, HttpError> {
    let ticker = Ticker::proxy(request.route_value("key").unwrap_or_default())?;
    if request.method() == "POST" {
        ticker.start(request.json()?).signal(&client)?;
        return Ok(HttpResponse::new(202));
    }
    Ok(HttpResponse::ok_json(&ticker.ticks().call(&client)?)?)
}
