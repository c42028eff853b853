//! Points in time as the management API reads them, and as it writes them where whole seconds would
//! be too coarse to ask for the same again.

use everstate_types::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// Longer texts are no times.
const TEXT_BYTES_MAX: usize = 64;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// From the day of the first of January 1970 on.
const WEEKDAYS: [&str; 7] =
    ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];

/// With milliseconds: `2019-05-23T22:30:35.123Z`.
pub(crate) fn with_millis(time: Timestamp) -> String {
    let seconds = time.to_string();
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), time.as_millis() % 1_000)
}

/// Reads a date, and perhaps a time of day and an offset; without an offset it is UTC. What was
/// before 1970 is taken as the first moment of it. `None`: it is no time.
///
/// ISO 8601, and what else the original reads and clients send: parts of one digit, years that were not
/// padded (`1-01-01`), `11/01/2026` (the month first), `1 Nov 2026` and `Nov 1, 2026` with or without a
/// day of the week, `AM` and `PM`, `GMT`, `+0200`, a comma before the fraction. A year of two digits
/// is not guessed at.
pub(crate) fn read_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let mut parts = Parts(tokens(&text)?);
    let days = parts.date()?;
    let has_clock = parts.take_word("t") || parts.is_number();
    let clock_ms = if has_clock { parts.clock()? } else { 0 };
    let offset_ms = parts.offset()?;
    if !parts.0.is_empty() {
        return None;
    }
    let millis = days * DAY_MS + clock_ms - offset_ms;
    Some(Timestamp::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Digits(&'a str),
    Letters(&'a str),
    Sign(u8),
}

/// The pieces of a text, the last one first. Spaces only part them.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = |is_part: fn(&u8) -> bool| rest.bytes().take_while(is_part).count();
        let (digits, letters) = (length(u8::is_ascii_digit), length(u8::is_ascii_lowercase));
        let (piece, behind) = rest.split_at_checked(digits.max(letters).max(1))?;
        match first {
            b' ' => {}
            _ if digits > 0 => tokens.push(Token::Digits(piece)),
            _ if letters > 0 => tokens.push(Token::Letters(piece)),
            b'-' | b'+' | b'/' | b':' | b'.' | b',' => tokens.push(Token::Sign(first)),
            _ => return None,
        }
        rest = behind;
    }
    tokens.reverse();
    Some(tokens)
}

/// What is left of a text, the last piece first.
struct Parts<'a>(Vec<Token<'a>>);

impl<'a> Parts<'a> {
    /// The days since 1970 of a date.
    fn date(&mut self) -> Option<i64> {
        let weekday = self.take_name(&WEEKDAYS);
        if weekday.is_some() {
            self.take_sign(b',');
        }
        let (year, month, day) = match self.take_name(&MONTHS) {
            Some(month) => {
                let day = self.number(1..=2)?;
                self.take_sign(b',');
                (self.number(4..=4)?, month + 1, day)
            }
            None => self.date_of_numbers()?,
        };
        let days = days_since_1970(year, month, day)?;
        let is_of = |weekday: i64| weekday == days.rem_euclid(7);
        weekday.is_none_or(is_of).then_some(days)
    }

    /// Year, month and day of a date that begins with a number.
    fn date_of_numbers(&mut self) -> Option<(i64, i64, i64)> {
        let first = self.digits()?;
        let sign = [b'-', b'/'].into_iter().find(|sign| self.take_sign(*sign));
        if let Some(month) = self.take_name(&MONTHS) {
            sign.is_none_or(|sign| self.take_sign(sign)).then_some(())?;
            return Some((self.number(4..=4)?, month + 1, value(first, 1..=2)?));
        }
        let sign = sign?;
        let second = self.number(1..=2)?;
        self.take_sign(sign).then_some(())?;
        let third = self.digits()?;
        if third.len() == 4 {
            return Some((value(third, 4..=4)?, value(first, 1..=2)?, second));
        }
        // Python's `strftime` writes the first years without zeros before them.
        let is_year = first.len() > 2 || (first.len() == 1 && sign == b'-');
        is_year.then_some((value(first, 1..=4)?, second, value(third, 1..=2)?))
    }

    /// The milliseconds of a time of day: `10:00`, `10:00:59`, `10:00:59.5`, `10:00 pm`.
    fn clock(&mut self) -> Option<i64> {
        let mut hour = self.number(1..=2)?;
        self.take_sign(b':').then_some(())?;
        let (minute, mut second, mut millis) = (self.number(1..=2)?, 0, 0);
        if self.take_sign(b':') {
            second = self.number(1..=2)?;
            if self.take_sign(b'.') || self.take_sign(b',') {
                millis = format!("{:0<3}", self.digits()?).get(..3)?.parse().ok()?;
            }
        }
        let (is_am, is_pm) = (self.take_word("am"), self.take_word("pm"));
        if is_am || is_pm {
            (1..=12).contains(&hour).then_some(())?;
            hour = hour % 12 + if is_pm { 12 } else { 0 };
        }
        let clock = ((hour * 60 + minute) * 60 + second) * 1_000 + millis;
        // `24:00` is the end of the day.
        (minute < 60 && second < 60 && clock <= DAY_MS).then_some(clock)
    }

    /// The milliseconds of `+02:00`, `-0200`, `+2`, `Z`, `GMT` or nothing.
    fn offset(&mut self) -> Option<i64> {
        if self.take_word("z") {
            return Some(0);
        }
        let _ = self.take_word("gmt") || self.take_word("utc");
        let is_west = self.take_sign(b'-');
        // A `+` that was not escaped in the address came as a space.
        if !is_west && !self.take_sign(b'+') && !self.is_number() {
            return Some(0);
        }
        let digits = self.digits()?;
        let (hours, minutes) = match digits.len() {
            4 => {
                let (hours, minutes) = digits.split_at(2);
                (value(hours, 2..=2)?, value(minutes, 2..=2)?)
            }
            _ if self.take_sign(b':') => (value(digits, 1..=2)?, self.number(2..=2)?),
            _ => (value(digits, 1..=2)?, 0),
        };
        let millis = (hours * 60 + minutes) * 60_000;
        let is_offset = minutes < 60 && hours <= 14;
        is_offset.then_some(if is_west { -millis } else { millis })
    }

    fn is_number(&self) -> bool {
        matches!(self.0.last(), Some(Token::Digits(_)))
    }

    fn digits(&mut self) -> Option<&'a str> {
        let Some(Token::Digits(digits)) = self.0.last().copied() else { return None };
        self.0.pop();
        Some(digits)
    }

    /// A number of so many digits.
    fn number(&mut self, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
        value(self.digits()?, digits)
    }

    fn take_sign(&mut self, sign: u8) -> bool {
        self.0.pop_if(|token| *token == Token::Sign(sign)).is_some()
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.0.pop_if(|token| *token == Token::Letters(word)).is_some()
    }

    /// The place of one of these names, or of its first three letters.
    fn take_name(&mut self, names: &[&str]) -> Option<i64> {
        let Some(Token::Letters(word)) = self.0.last().copied() else { return None };
        let is_name = |name: &&str| *name == word || name.get(..3) == Some(word);
        let place = names.iter().position(is_name)?;
        self.0.pop();
        i64::try_from(place).ok()
    }
}

/// The value of so many digits.
fn value(digits: &str, count: std::ops::RangeInclusive<usize>) -> Option<i64> {
    count.contains(&digits.len()).then(|| digits.parse().ok())?
}

/// By Howard Hinnant's `days_from_civil`, for years from 1 on. `None`: there is no such day.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || !(1..=days).contains(&day) {
        return None;
    }
    // Years that begin in March have the day that some do not have at their end.
    let year = if month > 2 { year } else { year - 1 };
    let month = if month > 2 { month - 3 } else { month + 9 };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
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
            ("2019-05-23T22:30:35,12Z", 1_558_650_635_120),
            ("2019-05-23 22:30:35", 1_558_650_635_000),
            (" 2019-05-23t22:30:35z ", 1_558_650_635_000),
            ("2019-05-24T00:30:35+02:00", 1_558_650_635_000),
            ("2019-05-24T00:30:35 02:00", 1_558_650_635_000),
            ("2019-05-24T00:30:35+0200", 1_558_650_635_000),
            ("2019-05-24T00:30:35+02", 1_558_650_635_000),
            ("2019-05-23T21:00-01:30", 1_558_650_600_000),
            ("2019-05-23", 1_558_569_600_000),
            ("2019-05-22T24:00:00", 1_558_569_600_000),
        ] {
            assert_eq!(read_time(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn time_may_be_written_in_the_other_ways_that_the_original_reads() {
        for text in [
            "Sun, 01 Nov 2026 09:05:00 GMT",
            "1 November 2026 9:05",
            "01-Nov-2026 09:05:00",
            "Nov 1, 2026 9:05 AM",
            "11/01/2026 09:05:00",
            "11/1/2026 9:05:00 am",
            "2026/11/01 09:05",
            "2026-11-1T9:5",
            "Sun, 01 Nov 2026 11:05:00 +0200",
        ] {
            assert_eq!(read_time(text), Some(Timestamp::from_millis(1_793_523_900_000)), "{text}");
        }
        let evening = read_time("11/01/2026 9:05 PM").map(Timestamp::as_millis);
        assert_eq!(evening, Some(1_793_523_900_000 + 12 * 3_600_000));
    }

    #[test]
    fn time_before_1970_is_the_first_moment_of_it_however_its_year_is_padded() {
        for text in ["0001-01-01T00:00:00Z", "1-01-01T00:00:00.000000Z", "999-12-31", "1/1/1601"] {
            assert_eq!(read_time(text), Some(Timestamp::from_millis(0)), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_time_is_not_read() {
        for text in [
            "",
            "yesterday",
            "2019-02-29",
            "2019-05-23T",
            "2019-05-23T25:00",
            "2019-05-23T24:00:01",
            "2019-05-23T10:60",
            "2019-05-23T10:00+15:00",
            "2019-05-23T10:00Z later",
            "2019-13-01",
            "26-11-01",
            "1/2/3",
            "13/01/2026",
            "0-01-01",
            "Mon, 01 Nov 2026 00:00:00 GMT",
            "2019-05-23 13:00 PM",
            "2019-05-23TZ",
            "20190523",
            "1558650635",
            "é",
        ] {
            assert_eq!(read_time(text), None, "{text}");
        }
        assert_eq!(read_time(&"1".repeat(65)), None);
    }
}
