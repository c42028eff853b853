//! Holds a [`Template`] against the path of a request.
//!
//! The path was split and decoded before. A parameter never takes an empty segment, so that
//! `/Database/` is not `Database/{key}` with an empty key.

use crate::path::RequestPath;
use crate::template::{Absence, Parameter, Part, Segment, Template};

/// Names and values of parameters, in the order of the template.
pub(crate) type RouteValues = Vec<(String, String)>;

impl Template {
    /// The values of the parameters, if the path is one of this template.
    pub(crate) fn match_path(&self, path: &RequestPath<'_>) -> Option<RouteValues> {
        let has_catch_all = matches!(self.segments.last(), Some(Segment::CatchAll(_)));
        if path.len() < self.required_count || (path.len() > self.segments.len() && !has_catch_all)
        {
            return None;
        }
        let mut values = Vec::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let is_match = match (segment, path.segment(index)) {
                (Segment::CatchAll(parameter), _) => {
                    parameter.take_or_absent(path.rest(index).as_deref(), &mut values)
                }
                (Segment::Parameter(parameter), value) => {
                    parameter.take_or_absent(value, &mut values)
                }
                (Segment::Literal(literal), Some(text)) => eq_ignore_case(literal, text),
                (Segment::Complex(parts), Some(text)) => match_complex(parts, text, &mut values),
                (Segment::Literal(_) | Segment::Complex(_), None) => false,
            };
            if !is_match {
                return None;
            }
        }
        Some(values)
    }
}

impl Parameter {
    /// Takes a value if it is one for this parameter.
    fn take(&self, value: &str, values: &mut RouteValues) -> bool {
        let is_good = !value.is_empty() && self.constraints.iter().all(|c| c.is_met(value));
        if is_good {
            values.push((self.name.clone(), value.to_owned()));
        }
        is_good
    }

    fn take_or_absent(&self, value: Option<&str>, values: &mut RouteValues) -> bool {
        match (value, &self.absence) {
            (Some(value), _) => self.take(value, values),
            (None, Absence::Default(default)) => {
                values.push((self.name.clone(), default.clone()));
                true
            }
            // Only what can be absent is asked without a value.
            (None, Absence::Allowed | Absence::Forbidden) => true,
        }
    }
}

/// Matches texts and values in turn. As in the original, a text stands for its last occurrence:
/// `{file}.{ext}` splits `a.tar.gz` into `a.tar` and `gz`.
fn match_complex(parts: &[Part], text: &str, values: &mut RouteValues) -> bool {
    let before = values.len();
    if match_parts(parts, text, values) {
        values[before..].reverse();
        return true;
    }
    values.truncate(before);
    let [head @ .., Part::Literal(literal), Part::Parameter(last)] = parts else { return false };
    if last.absence != Absence::Allowed {
        return false;
    }
    // Without the optional value its point is absent as well.
    let mut parts = head.to_vec();
    match literal.strip_suffix('.') {
        None | Some("") => {}
        Some(literal) => parts.push(Part::Literal(literal.to_owned())),
    }
    let is_match = match_parts(&parts, text, values);
    values[before..].reverse();
    is_match
}

/// Matches from right to left; the values come in that order.
fn match_parts(parts: &[Part], text: &str, values: &mut RouteValues) -> bool {
    let mut rest = text;
    let mut pending: Option<&Parameter> = None;
    for (index, part) in parts.iter().enumerate().rev() {
        let literal = match part {
            Part::Parameter(parameter) => {
                pending = Some(parameter);
                continue;
            }
            Part::Literal(literal) => literal,
        };
        let found = match (&pending, index) {
            (None, _) => rest.len().checked_sub(literal.len()),
            (Some(_), 0) => Some(0),
            // The value behind the text has at least one character.
            (Some(_), _) => last_occurrence(rest, literal),
        };
        let Some(at) = found.filter(|at| occurs_at(rest, *at, literal)) else { return false };
        if let Some(parameter) = pending.take()
            && !parameter.take(&rest[at + literal.len()..], values)
        {
            return false;
        }
        rest = &rest[..at];
    }
    match pending {
        Some(parameter) => parameter.take(rest, values),
        None => rest.is_empty(),
    }
}

/// Where `literal` occurs last with something behind it.
fn last_occurrence(text: &str, literal: &str) -> Option<usize> {
    let last = text.len().checked_sub(literal.len() + 1)?;
    (0..=last).rev().find(|at| occurs_at(text, *at, literal))
}

fn occurs_at(text: &str, at: usize, literal: &str) -> bool {
    text.get(at..at + literal.len()).is_some_and(|part| part.eq_ignore_ascii_case(literal))
}

/// Compares without regard to case; beyond ASCII by the lower-case forms.
fn eq_ignore_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
        || (!a.is_ascii() && !b.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
