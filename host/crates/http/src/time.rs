//! Points in time as the management API reads them, and as it writes them where whole seconds would
//! be too coarse to ask for the same again.

use everstate_types::Timestamp;

use crate::constraint::is_date_time;

const DAY_MS: i64 = 86_400_000;

/// With milliseconds: `2019-05-23T22:30:35.123Z`.
pub(crate) fn with_millis(time: Timestamp) -> String {
    let seconds = time.to_string();
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), time.as_millis() % 1_000)
}

/// Reads ISO 8601: a date, and perhaps a time and an offset; without an offset it is UTC. What was
/// before 1970 is taken as the first moment of it. `None`: it is no time.
pub(crate) fn read_time(text: &str) -> Option<Timestamp> {
    // A `+` that was not escaped in the address came as a space.
    let text = if text.contains(['T', 't']) { text.replace(' ', "+") } else { text.to_owned() };
    if !is_date_time(&text) {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.get(1..).unwrap_or_default();
    let (clock, offset) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
    let millis = days_since_1970(date)? * DAY_MS + clock_ms(clock)? - offset_ms(offset)?;
    Some(Timestamp::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// By Howard Hinnant's `days_from_civil`, for years from 1 on.
fn days_since_1970(date: &str) -> Option<i64> {
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    // Years that begin in March have the day that some do not have at their end.
    let year = if month > 2 { year } else { year - 1 };
    let month = if month > 2 { month - 3 } else { month + 9 };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Of `10:00`, `10:00:59` or `10:00:59.5`; nothing is midnight.
fn clock_ms(clock: &str) -> Option<i64> {
    if clock.is_empty() {
        return Some(0);
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut seconds = 0;
    for (part, weight) in clock.split(':').zip([3_600, 60, 1]) {
        seconds += part.parse::<i64>().ok()? * weight;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(seconds * 1_000 + millis)
}

/// Of `+02:00`, `-02:00`, `Z` or nothing.
fn offset_ms(offset: &str) -> Option<i64> {
    match offset.split_at_checked(1) {
        Some(("+", clock)) => clock_ms(clock),
        Some(("-", clock)) => clock_ms(clock).map(|millis| -millis),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::Timestamp;

    use super::{read_time, with_millis};

    #[test]
    fn time_is_read_as_it_is_written() {
        for millis in [0, 1, 951_782_400_000, 951_868_800_999, 1_558_650_635_120, 4_102_444_799_000]
        {
            let time = Timestamp::from_millis(millis);
            assert_eq!(read_time(&with_millis(time)), Some(time));
        }
    }

    #[test]
    fn time_may_have_an_offset_a_fraction_or_neither() {
        for (text, millis) in [
            ("2019-05-23T22:30:35.12Z", 1_558_650_635_120),
            ("2019-05-23T22:30:35.1267891", 1_558_650_635_126),
            ("2019-05-23 22:30:35", 1_558_650_635_000),
            ("2019-05-24T00:30:35+02:00", 1_558_650_635_000),
            ("2019-05-24T00:30:35 02:00", 1_558_650_635_000),
            ("2019-05-23T21:00-01:30", 1_558_650_600_000),
            ("2019-05-23", 1_558_569_600_000),
            ("0001-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(read_time(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_time_is_not_read() {
        for text in ["", "yesterday", "2019-02-29", "2019-05-23T25:00", "2019-05-23T1:00", "é"] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }
}
