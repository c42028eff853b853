//! Values on the command line: JSON or a file with it, pairs, points in time.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_types::Timestamp;
use serde_json::value::RawValue;

/// JSON from the argument, from a file (`@file`) or from standard input (`@-`). It is checked and
/// otherwise left as it is.
pub(crate) fn json(argument: &str) -> anyhow::Result<String> {
    let text = match argument.strip_prefix('@') {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?
        }
        None => argument.to_owned(),
    };
    let text = text.trim();
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        let hint = if argument.starts_with('@') {
            ""
        } else {
            "; text stands in quotation marks, within the shell's: '\"text\"'"
        };
        bail!("`{}` is not JSON: {error}{hint}", text.chars().take(60).collect::<String>());
    }
    Ok(text.to_owned())
}

/// A pair `name=value`.
pub(crate) fn pair(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give name=value".to_owned()),
    }
}

/// A point in time in the past: ISO 8601 as it is, or how long ago (`30m`, `2h`, `7d`).
pub(crate) fn past(argument: &str) -> Result<String, String> {
    point(argument, |now, span| {
        Timestamp::from_millis(now.as_millis().saturating_sub(millis(span)))
    })
}

/// A point in time in the future: ISO 8601 as it is, or how long from now (`30m`, `2h`, `7d`).
pub(crate) fn future(argument: &str) -> Result<String, String> {
    point(argument, Timestamp::saturating_add)
}

fn point(argument: &str, at: fn(Timestamp, Duration) -> Timestamp) -> Result<String, String> {
    if let Some(span) = span(argument) {
        return Ok(at(SystemClock.now(), span).to_string());
    }
    let bytes = argument.as_bytes();
    let looks_like_a_date = bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if looks_like_a_date {
        Ok(argument.to_owned())
    } else {
        Err("give a time like 2026-11-23T12:00:00Z, or a span like 30m, 2h, 7d".to_owned())
    }
}

/// A span: a number and `s`, `m`, `h` or `d`.
fn span(argument: &str) -> Option<Duration> {
    let unit = match argument.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = argument[..argument.len() - 1].parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(unit)?))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{json, pair, past, span};

    #[test]
    fn json_is_checked_and_left_as_it_is() {
        assert_eq!(json(r#" {"a": 1.50} "#).expect("JSON"), r#"{"a": 1.50}"#);
        let error = json("text").expect_err("no JSON").to_string();
        assert!(error.contains("`text` is not JSON") && error.contains("'\"text\"'"), "{error}");
        assert!(json("@/nowhere/at/all").is_err());
    }

    #[test]
    fn pair_splits_at_the_first_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }

    #[test]
    fn time_is_a_date_or_a_span() {
        assert_eq!(span("90m"), Some(Duration::from_secs(5400)));
        assert_eq!(past("2026-11-23"), Ok("2026-11-23".to_owned()));
        assert!(past("2h").expect("a span").ends_with('Z'));
        for wrong in ["yesterday", "12", "2x", "h", "99999999999999999999d"] {
            assert!(past(wrong).is_err(), "{wrong}");
        }
    }
}
