//! Points in time on the command line. They are read here, and as a whole: a host would have to guess what
//! is meant by half a time, and a purge must not go by a guess.

use std::time::Duration;

use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_types::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// The last moment that can be written with four digits of the year, in milliseconds since 1970.
const LAST_MS: u64 = 253_402_300_799_999;

/// A point in time in the past: ISO 8601, or how long ago (`30m`, `2h`, `7d`).
pub(crate) fn past(argument: &str) -> Result<String, String> {
    point(argument, |now, span| {
        Timestamp::from_millis(now.as_millis().saturating_sub(millis(span)))
    })
}

/// A point in time in the future: ISO 8601, or how long from now (`30m`, `2h`, `7d`).
pub(crate) fn future(argument: &str) -> Result<String, String> {
    point(argument, Timestamp::saturating_add)
}

/// The point in the one form that is sent: UTC with milliseconds.
fn point(argument: &str, at: fn(Timestamp, Duration) -> Timestamp) -> Result<String, String> {
    let argument = argument.trim();
    let time = match span(argument) {
        Some(span) => Some(at(SystemClock.now(), span)),
        None => read(argument),
    };
    let time = time.ok_or("give a time like 2026-11-23T12:00:00Z, or a span like 30m, 2h, 7d")?;
    if time.as_millis() > LAST_MS {
        return Err("that is after the year 9999".to_owned());
    }
    let seconds = time.to_string();
    Ok(format!("{}.{:03}Z", seconds.trim_end_matches('Z'), time.as_millis() % 1_000))
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
    let number = &argument[..argument.len() - 1];
    let number: u64 = all_digits(number)?.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(unit)?))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// ISO 8601: a date; perhaps a time behind `T` or a space; perhaps an offset behind that, without which it
/// is UTC. What was before 1970 is the first moment of it.
fn read(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut millis = days_since_1970(date)? * DAY_MS;
    if !rest.is_empty() {
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, offset) = rest.split_at(end);
        millis += clock_ms(clock)? - offset_ms(offset)?;
    }
    Some(Timestamp::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// By Howard Hinnant's `days_from_civil`; `None` for a day that there is not.
fn days_since_1970(date: &str) -> Option<i64> {
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March have the day that some do not have at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Of `10:00`, `10:00:59` or `10:00:59.5`.
fn clock_ms(clock: &str) -> Option<i64> {
    let Some((whole, fraction)) = clock.split_once('.') else {
        return match numbers(clock, ':', [2, 2, 2]) {
            Some([hour, minute, second]) => of_day_ms(hour, minute, second),
            None => {
                numbers(clock, ':', [2, 2]).and_then(|[hour, minute]| of_day_ms(hour, minute, 0))
            }
        };
    };
    let [hour, minute, second] = numbers(whole, ':', [2, 2, 2])?;
    let fraction = format!("{:0<3}", all_digits(fraction)?);
    Some(of_day_ms(hour, minute, second)? + fraction.get(..3)?.parse::<i64>().ok()?)
}

fn of_day_ms(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let is_there = hour < 24 && minute < 60 && second < 60;
    is_there.then_some(((hour * 60 + minute) * 60 + second) * 1_000)
}

/// Of `+02:00`, `-02:00`, `Z` or nothing.
fn offset_ms(offset: &str) -> Option<i64> {
    let (sign, clock) = match offset.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => return Some(0),
        Some(("+", clock)) => (1, clock),
        Some(("-", clock)) => (-1, clock),
        Some(_) => return None,
    };
    let [hours, minutes] = numbers(clock, ':', [2, 2])?;
    of_day_ms(hours, minutes, 0).map(|millis| sign * millis)
}

/// Numbers of so many digits each, with the separator between them and nothing else.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (number, length) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *number = all_digits(part)?.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// The text if it is digits and nothing else: Rust's numbers may have a sign.
fn all_digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{future, past, span};

    #[test]
    fn time_is_sent_in_one_form() {
        for (text, sent) in [
            ("2026-11-23", "2026-11-23T00:00:00.000Z"),
            ("2026-11-23T12:00", "2026-11-23T12:00:00.000Z"),
            ("2026-11-24 10:00", "2026-11-24T10:00:00.000Z"),
            (" 2026-11-23t12:00:01.5z ", "2026-11-23T12:00:01.500Z"),
            ("2026-11-23T12:00:01.1239", "2026-11-23T12:00:01.123Z"),
            ("2026-11-23T00:30:00+02:00", "2026-11-22T22:30:00.000Z"),
            ("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z"),
            ("0001-01-01", "1970-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(past(text).as_deref(), Ok(sent), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_sent() {
        for wrong in [
            "",
            "yesterday",
            "12",
            "2x",
            "h",
            "+5m",
            "2026-99-99",
            "2026-00-10",
            "2020-02-30",
            "2026-02-29",
            "1900-02-29",
            "0000-01-01",
            "2026-11-23T",
            "2026-11-23T1:00",
            "2026-11-23T25:00:00Z",
            "2026-11-23T10:60:00Z",
            "2026-11-23T10:00:60Z",
            "2026-11-23T10:00.5",
            "2026-11-23T10:00:00.",
            "2026-11-23T10:00:00Zjunk",
            "2026-11-23T10:00:00+2",
            "2026-11-23T10:00:00+24:00",
            "2026-11-23junk",
            "2026-11-23T+1:00:00",
            "99999999999999999999d",
            "é026-11-23",
        ] {
            assert!(past(wrong).is_err(), "{wrong}");
        }
        assert!(future("9999999999d").is_err(), "after the last year that can be written");
    }

    #[test]
    fn span_is_a_number_and_a_unit() {
        assert_eq!(span("90m"), Some(Duration::from_secs(5400)));
        assert!(past("2h").expect("a span").ends_with('Z'));
        assert_eq!(past("999999999d").as_deref(), Ok("1970-01-01T00:00:00.000Z"));
    }
}
