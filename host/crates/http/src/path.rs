//! The path and the query of a request: split and percent-decoded.
//!
//! Each segment of a path is decoded for itself, after the path was split, so that `%2F` becomes
//! a `/` inside a value and never a border between segments.

use std::borrow::Cow;

/// A path that is not well-formed: a `%` without two hexadecimal digits, or text that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedPath;

/// A path in decoded segments.
#[derive(Debug)]
pub(crate) struct RequestPath<'a> {
    /// Without the leading slash, not decoded.
    raw: &'a str,
    segments: Vec<PathSegment<'a>>,
}

#[derive(Debug)]
struct PathSegment<'a> {
    text: Cow<'a, str>,
    /// Where it begins in the raw path.
    start: usize,
}

impl<'a> RequestPath<'a> {
    /// Splits and decodes a path. A trailing slash makes no segment.
    pub(crate) fn parse(path: &'a str) -> Result<Self, MalformedPath> {
        let raw = path.strip_prefix('/').unwrap_or(path);
        let split = raw.strip_suffix('/').unwrap_or(raw);
        let mut segments = Vec::with_capacity(4);
        if !raw.is_empty() {
            let mut start = 0;
            for text in split.split('/') {
                segments.push(PathSegment { text: percent_decode(text)?, start });
                start += text.len() + 1;
            }
        }
        Ok(Self { raw, segments })
    }

    /// How many segments it has.
    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// A segment, decoded.
    pub(crate) fn segment(&self, index: usize) -> Option<&str> {
        self.segments.get(index).map(|segment| segment.text.as_ref())
    }

    /// All from a segment on, decoded, a trailing slash included; `None` if nothing is left.
    pub(crate) fn rest(&self, index: usize) -> Option<String> {
        let start = self.segments.get(index)?.start;
        percent_decode(&self.raw[start..]).ok().map(Cow::into_owned)
    }
}

/// Decodes `%XX`.
fn percent_decode(text: &str) -> Result<Cow<'_, str>, MalformedPath> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = bytes.next().and_then(hex_digit).ok_or(MalformedPath)?;
            let low = bytes.next().and_then(hex_digit).ok_or(MalformedPath)?;
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| MalformedPath)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The parameters of a query in order. As for HTML forms: `+` is a space, an escape that is not
/// well-formed stays as it is, bytes that are not UTF-8 become U+FFFD.
pub(crate) fn query_parameters(query: Option<&str>) -> Vec<(String, String)> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decode(name), form_decode(value))
        })
        .collect()
}

fn form_decode(text: &str) -> String {
    let spaced: Cow<'_, str> =
        if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{MalformedPath, RequestPath, query_parameters};

    fn segments(path: &str) -> Result<Vec<String>, MalformedPath> {
        let path = RequestPath::parse(path)?;
        Ok((0..path.len()).map(|i| path.segment(i).expect("in range").to_owned()).collect())
    }

    #[test]
    fn path_is_split_before_it_is_decoded() {
        for (path, expected) in [
            ("/", &[][..]),
            ("/a", &["a"]),
            ("/a/", &["a"]),
            ("/a//", &["a", ""]),
            ("//", &[""]),
            ("/a//b", &["a", "", "b"]),
            ("/a%2Fb/c", &["a/b", "c"]),
            ("/a%2fb", &["a/b"]),
            ("/%25", &["%"]),
            ("/%F0%9F%98%80", &["😀"]),
            ("/a+b", &["a+b"]),
        ] {
            assert_eq!(segments(path).expect(path), expected, "{path}");
        }
    }

    #[test]
    fn path_with_a_bad_escape_or_bad_utf8_is_malformed() {
        for path in ["/%", "/a%2", "/%zz", "/%+1", "/%FF", "/%C3/%A9"] {
            assert_eq!(segments(path), Err(MalformedPath), "{path}");
        }
    }

    #[test]
    fn rest_keeps_inner_and_trailing_slashes() {
        let path = RequestPath::parse("/files/a%20b//c/").expect("well-formed");
        assert_eq!(path.rest(1).as_deref(), Some("a b//c/"));
        assert_eq!(path.rest(4), None);
    }

    #[test]
    fn query_is_decoded_in_order_and_keeps_repetitions() {
        assert_eq!(query_parameters(None), []);
        let pairs = query_parameters(Some("a=1&&b=x%20y+z&a=%zz&flag&c=d=e"));
        let expected = [("a", "1"), ("b", "x y z"), ("a", "%zz"), ("flag", ""), ("c", "d=e")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }
}
