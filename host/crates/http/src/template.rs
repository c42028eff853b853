//! [`Template`]: an ASP.NET route template as data. Reading only; `matching.rs` holds it against
//! paths.
//!
//! A template is a list of segments between slashes. A segment is a literal, a parameter
//! (`{key}`, `{key?}`, `{key=1}`, `{key:int:min(1)}`), a mixture (`{file}.{ext}`), or, at the end, a
//! catch-all (`{*rest}`). `{{` and `}}` stand for single braces.

use std::fmt;

use crate::constraint::Constraint;

/// A route template.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    /// How many segments a path needs: the others may be left out.
    pub(crate) required_count: usize,
}

/// What stands between two slashes.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    /// A text; case does not matter.
    Literal(String),
    /// One value.
    Parameter(Parameter),
    /// Texts and values in turn.
    Complex(Vec<Part>),
    /// All that is left of the path.
    CatchAll(Parameter),
}

/// A piece of a segment.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A text.
    Literal(String),
    /// A value, at least one character long.
    Parameter(Parameter),
}

/// A parameter.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) absence: Absence,
}

/// What it means that a parameter has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// No match.
    Forbidden,
    /// A match without the value.
    Allowed,
    /// A match with this value.
    Default(String),
}

/// Why a text is no route template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {reason}")]
pub struct TemplateError {
    /// Where, counted in characters from 1.
    pub position: usize,
    /// What is wrong there.
    pub reason: String,
}

impl TemplateError {
    fn new(index: usize, reason: impl Into<String>) -> Self {
        Self { position: index + 1, reason: reason.into() }
    }
}

impl Template {
    /// Reads a template. Slashes around it do not matter.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let chars: Vec<char> = text.chars().collect();
        let end = chars.iter().rposition(|c| *c != '/').map_or(0, |last| last + 1);
        let at = chars.iter().position(|c| *c != '/').unwrap_or(0);
        let mut parser = Parser { chars: &chars[..end], at, names: Vec::new() };
        let mut segments: Vec<Segment> = Vec::new();
        while parser.at < end {
            let start = parser.at;
            if matches!(segments.last(), Some(Segment::CatchAll(_))) {
                return Err(TemplateError::new(start, "nothing can follow a catch-all parameter"));
            }
            let segment = parser.segment()?;
            let follows_optional = segments.last().is_some_and(Segment::is_optional);
            if follows_optional && !segment.can_be_absent() {
                let reason = "only parameters that can be left out can follow an optional one";
                return Err(TemplateError::new(start, reason));
            }
            segments.push(segment);
        }
        let absent_count = segments.iter().rev().take_while(|s| s.can_be_absent()).count();
        let required_count = segments.len() - absent_count;
        Ok(Self { segments, required_count })
    }

    /// What is compared to find two routes that are the same: letter case and the names of
    /// parameters do not matter.
    pub(crate) fn shape(&self) -> String {
        let shapes: Vec<String> = self.segments.iter().map(Segment::shape).collect();
        shapes.join("/")
    }

    /// What puts the more specific route first: a rank for each segment, compared from the left.
    pub(crate) fn precedence(&self) -> Vec<u8> {
        self.segments.iter().map(Segment::rank).collect()
    }
}

impl Segment {
    fn can_be_absent(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Complex(_) => false,
            Self::Parameter(parameter) => parameter.absence != Absence::Forbidden,
            Self::CatchAll(_) => true,
        }
    }

    fn is_optional(&self) -> bool {
        matches!(self, Self::Parameter(parameter) if parameter.absence == Absence::Allowed)
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Literal(_) => 1,
            Self::Complex(_) => 2,
            Self::Parameter(parameter) if !parameter.constraints.is_empty() => 3,
            Self::Parameter(_) => 4,
            Self::CatchAll(parameter) if !parameter.constraints.is_empty() => 5,
            Self::CatchAll(_) => 6,
        }
    }

    fn shape(&self) -> String {
        match self {
            Self::Literal(text) => literal_shape(text),
            Self::Parameter(parameter) => parameter.shape(""),
            Self::CatchAll(parameter) => parameter.shape("*"),
            Self::Complex(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Literal(text) => literal_shape(text),
                    Part::Parameter(parameter) => parameter.shape(""),
                })
                .collect(),
        }
    }
}

impl Parameter {
    fn shape(&self, prefix: &str) -> String {
        let mut shape = format!("{{{prefix}");
        for constraint in &self.constraints {
            shape.push(':');
            shape.push_str(constraint.text());
        }
        shape.push_str(match self.absence {
            Absence::Forbidden => "}",
            Absence::Allowed => "?}",
            Absence::Default(_) => "=}",
        });
        shape
    }
}

fn literal_shape(text: &str) -> String {
    text.to_lowercase().replace('{', "{{").replace('}', "}}")
}

/// Goes through a template from left to right.
struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    /// The names of the parameters so far.
    names: Vec<String>,
}

impl fmt::Debug for Parser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Parser<'_> {
    fn next_is(&self, c: char) -> bool {
        self.chars.get(self.at + 1) == Some(&c)
    }

    /// Reads one segment and the slash behind it.
    fn segment(&mut self) -> Result<Segment, TemplateError> {
        let start = self.at;
        let mut parts: Vec<Part> = Vec::new();
        let mut catch_all = false;
        while let Some(&c) = self.chars.get(self.at) {
            if c == '/' {
                break;
            }
            let part_start = self.at;
            if c == '{' && !self.next_is('{') {
                let (parameter, is_catch_all) = self.parameter()?;
                if matches!(parts.last(), Some(Part::Parameter(_))) {
                    let reason = "a text must stand between two parameters";
                    return Err(TemplateError::new(part_start, reason));
                }
                catch_all |= is_catch_all;
                parts.push(Part::Parameter(parameter));
            } else {
                let c = self.literal_char()?;
                match parts.last_mut() {
                    Some(Part::Literal(text)) => text.push(c),
                    _ => parts.push(Part::Literal(c.to_string())),
                }
            }
        }
        self.at += 1;
        into_segment(parts, catch_all).map_err(|reason| TemplateError::new(start, reason))
    }

    fn literal_char(&mut self) -> Result<char, TemplateError> {
        let c = self.chars[self.at];
        match c {
            '?' => return Err(TemplateError::new(self.at, "a `?` stands only in a parameter")),
            '}' if !self.next_is('}') => {
                return Err(TemplateError::new(self.at, "there is no `{` for this `}`"));
            }
            // Doubled: it was written `{{` or `}}`.
            '{' | '}' => self.at += 2,
            _ => self.at += 1,
        }
        Ok(c)
    }

    /// Reads `{…}`; also says whether it is a catch-all.
    fn parameter(&mut self) -> Result<(Parameter, bool), TemplateError> {
        let start = self.at;
        let mut content = String::new();
        self.at += 1;
        loop {
            match self.chars.get(self.at) {
                None => return Err(TemplateError::new(start, "there is no `}` for this `{`")),
                Some('}') if !self.next_is('}') => break,
                Some('{') if !self.next_is('{') => {
                    let reason = "a brace inside a parameter must be doubled";
                    return Err(TemplateError::new(self.at, reason));
                }
                Some(&c @ ('{' | '}')) => {
                    content.push(c);
                    self.at += 2;
                }
                Some(&c) => {
                    content.push(c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        let (parameter, is_catch_all) =
            parse_parameter(&content).map_err(|reason| TemplateError::new(start, reason))?;
        let folded = parameter.name.to_lowercase();
        if self.names.contains(&folded) {
            let reason = format!("the parameter `{}` occurs twice", parameter.name);
            return Err(TemplateError::new(start, reason));
        }
        self.names.push(folded);
        Ok((parameter, is_catch_all))
    }
}

fn into_segment(mut parts: Vec<Part>, catch_all: bool) -> Result<Segment, &'static str> {
    if parts.len() <= 1 {
        return match parts.pop() {
            None => Err("a segment must not be empty"),
            Some(Part::Literal(text)) => Ok(Segment::Literal(text)),
            Some(Part::Parameter(parameter)) if catch_all => Ok(Segment::CatchAll(parameter)),
            Some(Part::Parameter(parameter)) => Ok(Segment::Parameter(parameter)),
        };
    }
    if catch_all {
        return Err("a catch-all parameter must be the only thing in its segment");
    }
    for (index, part) in parts.iter().enumerate() {
        let Part::Parameter(parameter) = part else { continue };
        let follows_point =
            index > 0 && matches!(&parts[index - 1], Part::Literal(text) if text.ends_with('.'));
        match parameter.absence {
            Absence::Forbidden => {}
            Absence::Allowed if index + 1 == parts.len() && follows_point => {}
            Absence::Allowed => {
                return Err("within a segment a parameter can be optional only after a last `.`");
            }
            Absence::Default(_) => {
                return Err("within a segment a parameter cannot have a default value");
            }
        }
    }
    Ok(Segment::Complex(parts))
}

/// Reads what stands between the braces: `*name:constraint(arguments)=default?`.
fn parse_parameter(content: &str) -> Result<(Parameter, bool), String> {
    let inner = content.trim_start_matches('*');
    let is_catch_all = match content.len() - inner.len() {
        0 => false,
        1 | 2 => true,
        _ => return Err("a catch-all parameter has one or two `*`".to_owned()),
    };
    let (inner, is_optional) = match inner.strip_suffix('?') {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    let (name, mut rest) = inner.split_at(inner.find([':', '=']).unwrap_or(inner.len()));
    if name.is_empty() {
        return Err("a parameter needs a name".to_owned());
    }
    if name.contains(['/', '{', '}', '?', '*']) {
        return Err(format!("`{name}` is no name of a parameter"));
    }
    let mut constraints = Vec::new();
    while let Some(constraint) = rest.strip_prefix(':') {
        let end = constraint.find(['(', ':', '=']).unwrap_or(constraint.len());
        let (name, after) = constraint.split_at(end);
        let (constraint, after) = match after.strip_prefix('(') {
            Some(after) => with_arguments(name, after)?,
            None => (Constraint::parse(name, None)?, after),
        };
        constraints.push(constraint);
        rest = after;
    }
    let absence = match (rest.strip_prefix('='), is_optional) {
        (None, false) => Absence::Forbidden,
        (None, true) if is_catch_all => {
            return Err("a catch-all parameter can be absent anyway; leave the `?` out".to_owned());
        }
        (None, true) => Absence::Allowed,
        (Some(_), true) => {
            return Err(
                "a parameter with a default value is optional anyway; leave the `?` out".to_owned()
            );
        }
        (Some(default), false) => Absence::Default(default.to_owned()),
    };
    Ok((Parameter { name: name.to_owned(), constraints, absence }, is_catch_all))
}

/// Reads arguments up to their `)`. A regular expression has parentheses too, so it is the first one
/// with nothing, another constraint or a default value behind it that makes sense of the text.
fn with_arguments<'a>(name: &str, text: &'a str) -> Result<(Constraint, &'a str), String> {
    let mut first_error = None;
    for (at, _) in text.match_indices(')') {
        let after = &text[at + 1..];
        if !after.is_empty() && !after.starts_with([':', '=']) {
            continue;
        }
        match Constraint::parse(name, Some(&text[..at])) {
            Ok(constraint) => return Ok((constraint, after)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let missing = || "there is no `)` for the arguments of a constraint".to_owned();
    Err(first_error.unwrap_or_else(missing))
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
