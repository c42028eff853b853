//! A rate limiter: a token bucket for each key. The HTTP function asks it in one hop, without an
//! orchestration, and a key that nobody has used for an hour is forgotten.
//!
//! `POST RateLimited/{key}` answers 200, or 429 with `retry-after`; `?burst=10` is how many may come at
//! once, `?perMinute=60` how many may come in the long run.

use everstate_sdk::{
    DurableClient, HttpError, HttpRequest, HttpResponse, Timestamp, entity, http_trigger,
};
use serde::{Deserialize, Serialize};

/// How much is allowed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Limit {
    burst: u32,
    per_minute: u32,
}

/// Whether one more may come.
#[derive(Debug, Serialize, Deserialize)]
struct Decision {
    is_allowed: bool,
    /// When trying again helps, in seconds. 0 if it is allowed.
    retry_after_s: f64,
}

/// The default is a full bucket: one that is deleted because nobody used it for long does not
/// differ from one that was never there.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Bucket {
    tokens: f64,
    /// When there were so many; `None`: it was never used.
    counted_at: Option<Timestamp>,
}

#[entity(time_to_live_s = 3_600)]
impl Bucket {
    /// Takes a token if there is one. Nothing refills the bucket in between: what has come since is
    /// worked out when somebody asks.
    fn take(&mut self, limit: Limit) -> Decision {
        let now = Timestamp::now();
        let (burst, per_second) = (f64::from(limit.burst), f64::from(limit.per_minute) / 60.0);
        let tokens = match self.counted_at {
            Some(then) => self.tokens + (now - then).as_secs_f64() * per_second,
            None => burst,
        };
        self.tokens = tokens.min(burst);
        self.counted_at = Some(now);
        if self.tokens < 1.0 {
            let retry_after_s = (1.0 - self.tokens) / per_second;
            return Decision { is_allowed: false, retry_after_s };
        }
        self.tokens -= 1.0;
        Decision { is_allowed: true, retry_after_s: 0.0 }
    }
}

#[http_trigger(route = "RateLimited/{key}", methods = ["POST"])]
fn RateLimited(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
    let limit = Limit {
        burst: parameter(&request, "burst", 10)?,
        per_minute: parameter(&request, "perMinute", 60)?,
    };
    let bucket = Bucket::proxy(request.route_value("key").unwrap_or_default())?;
    let decision = bucket.take(limit).call(&client)?;
    if decision.is_allowed {
        return Ok(HttpResponse::text("here you are"));
    }
    let seconds = format!("{:.0}", decision.retry_after_s.ceil());
    Ok(HttpResponse::new(429).with_header("retry-after", seconds))
}

/// A number in the query, at least 1.
fn parameter(request: &HttpRequest, name: &str, default: u32) -> Result<u32, HttpError> {
    let Some(text) = request.query(name) else { return Ok(default) };
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(HttpError::bad_request(format!("`{name}` is a number above 0, not {text}"))),
    }
}
