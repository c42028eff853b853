//! [`Constraint`]: what a route template demands of a parameter's value. A value that does not
//! meet it makes no match; it is not an error of the request.

use regex::{Regex, RegexBuilder};

/// One constraint: `int`, `min(1)`.
#[derive(Clone, Debug)]
pub(crate) struct Constraint {
    /// As it was written.
    text: String,
    check: Check,
}

#[derive(Clone, Debug)]
enum Check {
    Alpha,
    Bool,
    DateTime,
    Decimal,
    Float,
    Guid,
    Int,
    Long,
    Length { min: usize, max: usize },
    Range { min: i64, max: i64 },
    Regex(Regex),
}

/// The largest compiled regular expression, in bytes: a template must not take the host's memory.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

impl Constraint {
    /// Reads a constraint; the error says what is wrong with it.
    pub(crate) fn parse(name: &str, arguments: Option<&str>) -> Result<Self, String> {
        let text = arguments.map_or_else(|| name.to_owned(), |args| format!("{name}({args})"));
        let check = match (name.to_ascii_lowercase().as_str(), arguments) {
            ("alpha", None) => Check::Alpha,
            ("bool", None) => Check::Bool,
            ("datetime", None) => Check::DateTime,
            ("decimal", None) => Check::Decimal,
            ("double" | "float", None) => Check::Float,
            ("guid", None) => Check::Guid,
            ("int", None) => Check::Int,
            ("long", None) => Check::Long,
            ("required", None) => Check::Length { min: 1, max: usize::MAX },
            ("length", Some(args)) => length(args)?,
            ("minlength", Some(arg)) => Check::Length { min: number(arg)?, max: usize::MAX },
            ("maxlength", Some(arg)) => Check::Length { min: 0, max: number(arg)? },
            ("min", Some(arg)) => Check::Range { min: number(arg)?, max: i64::MAX },
            ("max", Some(arg)) => Check::Range { min: i64::MIN, max: number(arg)? },
            ("range", Some(args)) => range(args)?,
            ("regex", Some(pattern)) => Check::Regex(regex(pattern)?),
            (known, _) if KNOWN.contains(&known) => {
                return Err(format!("the constraint `{text}` has wrong arguments"));
            }
            _ => {
                let known = KNOWN.join(", ");
                return Err(format!("there is no constraint `{name}`; there are: {known}"));
            }
        };
        Ok(Self { text, check })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a value meets the constraint.
    pub(crate) fn is_met(&self, value: &str) -> bool {
        match &self.check {
            Check::Alpha => value.bytes().all(|byte| byte.is_ascii_alphabetic()),
            Check::Bool => {
                value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
            }
            Check::DateTime => is_date_time(value),
            Check::Decimal => is_decimal(value),
            Check::Float => is_float(value),
            Check::Guid => is_guid(value),
            Check::Int => value.parse::<i32>().is_ok(),
            Check::Long => value.parse::<i64>().is_ok(),
            Check::Length { min, max } => {
                let length = value.chars().count();
                *min <= length && length <= *max
            }
            Check::Range { min, max } => {
                value.parse::<i64>().is_ok_and(|value| *min <= value && value <= *max)
            }
            Check::Regex(regex) => regex.is_match(value),
        }
    }
}

const KNOWN: [&str; 17] = [
    "alpha",
    "bool",
    "datetime",
    "decimal",
    "double",
    "float",
    "guid",
    "int",
    "length",
    "long",
    "max",
    "maxlength",
    "min",
    "minlength",
    "range",
    "regex",
    "required",
];

fn length(args: &str) -> Result<Check, String> {
    match args.split_once(',') {
        None => number(args).map(|length| Check::Length { min: length, max: length }),
        Some((min, max)) => match (number(min)?, number(max)?) {
            (min, max) if min <= max => Ok(Check::Length { min, max }),
            _ => Err(format!("`length({args})`: the first number must not be the larger one")),
        },
    }
}

fn range(args: &str) -> Result<Check, String> {
    let (min, max) =
        args.split_once(',').ok_or_else(|| format!("`range({args})` needs two numbers"))?;
    match (number(min)?, number(max)?) {
        (min, max) if min <= max => Ok(Check::Range { min, max }),
        _ => Err(format!("`range({args})`: the first number must not be the larger one")),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("`{}` is no number that fits here", text.trim()))
}

/// As in the original, case does not matter and the pattern may match anywhere in the value.
fn regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| format!("the regular expression cannot be used: {error}"))
}

/// `2024-02-29`, with `T` or a space a time of day to the minute, second or fraction, and with
/// that an offset. The original takes whatever .NET can read.
pub(crate) fn is_date_time(value: &str) -> bool {
    let Some((date, rest)) = value.split_at_checked(10) else { return false };
    if !is_date(date) {
        return false;
    }
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else { return rest.is_empty() };
    let (time, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    is_time(time) && is_offset(offset)
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

fn is_time(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let parts: Vec<&str> = clock.split(':').collect();
    let (hour, minute, second) = match parts[..] {
        [hour, minute] if !text.contains('.') => (hour, minute, "00"),
        [hour, minute, second] => (hour, minute, second),
        _ => return false,
    };
    let below = |text, limit| digits(text, 2).is_some_and(|value| value < limit);
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    below(hour, 24) && below(minute, 60) && below(second, 60) && is_fraction
}

fn is_offset(text: &str) -> bool {
    match text.strip_prefix(['+', '-']) {
        None => matches!(text, "" | "Z" | "z"),
        Some(offset) => offset.len() == 5 && offset.split_once(':').is_some() && is_time(offset),
    }
}

/// The number that exactly `count` digits make.
fn digits(text: &str, count: usize) -> Option<u32> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Digits with at most one point, without exponent, as .NET's `decimal` holds them.
fn is_decimal(value: &str) -> bool {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    let digit_count = unsigned.bytes().filter(u8::is_ascii_digit).count();
    let point_count = unsigned.bytes().filter(|byte| *byte == b'.').count();
    (1..=28).contains(&digit_count)
        && point_count <= 1
        && digit_count + point_count == unsigned.len()
}

/// A number of any size; words like `inf` are none.
fn is_float(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && value.parse::<f64>().is_ok()
}

/// 32 hexadecimal digits, with or without hyphens, then also in braces or parentheses.
fn is_guid(value: &str) -> bool {
    let bare = value
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')));
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if bare.is_none() && value.len() == 32 {
        return is_hex(value);
    }
    let mut groups = bare.unwrap_or(value).split('-');
    [8, 4, 4, 4, 12]
        .iter()
        .all(|length| groups.next().is_some_and(|group| group.len() == *length && is_hex(group)))
        && groups.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::Constraint;

    #[test]
    fn constraint_takes_and_refuses_values() {
        let guid = "7af46ff0-0056-4c65-aafb-fe07d07c32a5";
        let braced = format!("{{{guid}}}");
        let bare = guid.replace('-', "");
        for (name, args, good, bad) in [
            ("int", None, &["0", "-7", "2147483647"][..], &["", "x", "1.5", "2147483648"][..]),
            ("long", None, &["9223372036854775807"], &["9223372036854775808", "1e3"]),
            ("alpha", None, &["abcXYZ"], &["a1", "é", "a b"]),
            ("bool", None, &["true", "FALSE"], &["1", "yes", ""]),
            ("decimal", None, &["1", "-1.5", ".5"], &["", "1e3", "1.2.3", "-", "inf"]),
            ("double", None, &["1.5", "-1e300"], &["", "inf", "NaN", "1,5"]),
            ("float", None, &["1.5"], &["x", "+"]),
            ("guid", None, &[guid, &braced, &bare], &["", "7af46ff0", "{7af46ff0}", "()"]),
            (
                "datetime",
                None,
                &[
                    "2024-02-29",
                    "2024-01-01T10:00",
                    "2024-01-01 10:00:59.5Z",
                    "2024-01-01T00:00:00+02:00",
                ],
                &[
                    "",
                    "2023-02-29",
                    "2024-13-01",
                    "2024-01-01T24:00",
                    "2024-01-01T10:00:00+2",
                    "tomorrow",
                ],
            ),
            ("length", Some("3"), &["abc", "äöü"], &["ab", "abcd"]),
            ("length", Some("2,3"), &["ab", "abc"], &["a", "abcd"]),
            ("minlength", Some("2"), &["ab"], &["a"]),
            ("maxlength", Some("2"), &["", "ab"], &["abc"]),
            ("min", Some("18"), &["18", "19"], &["17", "x"]),
            ("max", Some("-1"), &["-1", "-2"], &["0"]),
            ("range", Some("1, 5"), &["1", "5"], &["0", "6", "a"]),
            ("regex", Some("^a(b|c)$"), &["ab", "AC"], &["abc", ""]),
            ("required", None, &["x"], &[""]),
        ] {
            let constraint = Constraint::parse(name, args).expect(name);
            for value in good {
                assert!(constraint.is_met(value), "{} takes {value:?}", constraint.text());
            }
            for value in bad {
                assert!(!constraint.is_met(value), "{} refuses {value:?}", constraint.text());
            }
        }
    }

    #[test]
    fn constraint_that_makes_no_sense_is_refused_with_a_reason() {
        for (name, args, reason) in [
            ("integer", None, "there is no constraint `integer`; there are: alpha, bool,"),
            ("int", Some("3"), "the constraint `int(3)` has wrong arguments"),
            ("min", None, "the constraint `min` has wrong arguments"),
            ("min", Some("x"), "`x` is no number that fits here"),
            ("length", Some("-1"), "`-1` is no number that fits here"),
            ("range", Some("5"), "`range(5)` needs two numbers"),
            ("range", Some("5,1"), "the first number must not be the larger one"),
            ("length", Some("5,1"), "the first number must not be the larger one"),
            ("regex", Some("("), "the regular expression cannot be used"),
            ("regex", Some("(a{1000}){1000}"), "the regular expression cannot be used"),
        ] {
            let error = Constraint::parse(name, args).expect_err(name);
            assert!(error.contains(reason), "{error}");
        }
    }
}
