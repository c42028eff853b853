//! [`TraceContext`]: the place in a distributed trace that work belongs to, as W3C Trace Context defines it.
//!
//! Span ids of durable work are derived from what names the work, so that whoever continues it after a
//! crash, or hands it on, knows the same id without having stored it. Not here: who records spans.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::id::{ExecutionId, RequestId};

/// The bit of the flags that says that the trace is recorded.
const SAMPLED: u8 = 1;

/// Most bytes of a `tracestate` that are handed on; a longer one is left out as a whole.
const STATE_BYTES_MAX: usize = 512;

/// Most members of a `tracestate`.
const STATE_MEMBERS_MAX: usize = 32;

/// A trace, and the span that is the parent of what comes next.
///
/// Where it travels or is stored it is an `Option<Box<TraceContext>>`: most work belongs to no trace, and
/// then it costs a null pointer in memory and a byte on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace; not zero.
    pub trace_id: u128,
    /// The span that comes before; not zero.
    pub span_id: SpanId,
    /// The flags of `traceparent`; bit 0: the trace is recorded.
    pub flags: u8,
    /// What others along the trace know of it, as it came in `tracestate`; empty: nothing.
    pub state: String,
}

/// Names a span within its trace; not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpanId(pub u64);

impl SpanId {
    /// The span of an execution of an orchestration since it was rewound so many times.
    #[must_use]
    pub fn of_execution(execution_id: ExecutionId, rewinds: u32) -> Self {
        match rewinds {
            0 => Self::of(execution_id.guid()),
            _ => Self::numbered(execution_id.guid(), rewinds),
        }
    }

    /// The span of an operation of an entity.
    #[must_use]
    pub fn of_operation(request_id: RequestId) -> Self {
        Self::of(request_id)
    }

    /// The span of one attempt at an activity.
    #[must_use]
    pub fn of_attempt(request_id: RequestId, attempt: u32) -> Self {
        Self::numbered(request_id, attempt)
    }

    fn numbered(guid: RequestId, number: u32) -> Self {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(guid.as_bytes());
        bytes[16..].copy_from_slice(&number.to_be_bytes());
        Self(xxh3_64(&bytes).max(1))
    }

    fn of(guid: RequestId) -> Self {
        Self(xxh3_64(guid.as_bytes()).max(1))
    }
}

impl TraceContext {
    /// Reads the value of a `traceparent` header; `None` if it is none that this version can read.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let text = traceparent.trim();
        let mut parts = text.split('-');
        let (version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A later version may append parts, this one has none.
        let is_known = version != "ff" && (version != "00" || parts.next().is_none());
        if !is_known || [version, trace_id, span_id, flags].map(str::len) != [2, 32, 16, 2] {
            return None;
        }
        let is_hex =
            |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if ![version, trace_id, span_id, flags].into_iter().all(is_hex) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace_id, span_id: SpanId(span_id), flags, state: String::new() })
    }

    /// The same place, with the value of a `tracestate` header, if it is one.
    #[must_use]
    pub fn with_state(self, tracestate: &str) -> Self {
        let members = || tracestate.split(',').map(|member| member.trim_matches([' ', '\t']));
        let is_good = tracestate.len() <= STATE_BYTES_MAX
            && members().filter(|member| !member.is_empty()).count() <= STATE_MEMBERS_MAX
            && members().all(|member| member.is_empty() || is_state_member(member));
        let state = if is_good { tracestate.trim().to_owned() } else { String::new() };
        Self { state, ..self }
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same trace, below this span.
    #[must_use]
    pub fn below(&self, span_id: SpanId) -> Self {
        Self { span_id, ..self.clone() }
    }
}

/// Whether this is `key=value` as it may stand in a `tracestate`.
fn is_state_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let begins_well = key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_key_byte =
        |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let is_value_byte = |byte| matches!(byte, b' '..=b'~') && byte != b'=';
    (1..=256).contains(&key.len())
        && begins_well
        && key.bytes().all(is_key_byte)
        && (1..=256).contains(&value.len())
        && value.bytes().all(is_value_byte)
}

/// The value of a `traceparent` header.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags, state: _ } = self;
        // Of a later version's flags only the known one may be handed on.
        write!(f, "00-{trace_id:032x}-{:016x}-{:02x}", span_id.0, flags & SAMPLED)
    }
}

#[cfg(test)]
mod tests {
    use super::{ExecutionId, RequestId, SpanId, TraceContext};

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparent_of_the_standard_is_read_and_written() {
        let context = TraceContext::parse(TEXT).expect("the example of the standard");
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), TEXT);
        let below = context.below(SpanId(0x10));
        assert_eq!(below.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000010-01");
    }

    #[test]
    fn tracestate_goes_along_unless_it_is_too_long_or_none() {
        let context = TraceContext::parse(TEXT).expect("the example of the standard");
        let with = |state: &str| context.clone().with_state(state).below(SpanId(1)).state;
        for good in ["a=1,b=2", "a=1 ,\tb=2", "0a_-*/@z=a b", "a=1,,b=2", "a=1,a=2", ""] {
            assert_eq!(with(&format!(" {good} ")), good);
        }
        let many = |count| vec!["a=1"; count].join(",");
        assert_eq!(with(&many(32)), many(32));
        let long = format!("a={}", "x".repeat(257));
        for bad in [
            "a=1\nb: 2",
            "a",
            "a=",
            "=1",
            "A=1",
            "-a=1",
            "a =1",
            "a=1=2",
            "a=1,b",
            "a=\u{e4}",
            &long,
        ] {
            assert_eq!(with(bad), "", "{bad}");
        }
        assert_eq!(with(&many(33)), "");
        assert_eq!(with(&format!("a={0},b={0},c={0}", "x".repeat(200))), "");
    }

    #[test]
    fn span_of_an_execution_is_another_one_after_each_rewind() {
        let execution = ExecutionId::new(RequestId::nil());
        let spans = [0, 1, 2].map(|rewinds| SpanId::of_execution(execution, rewinds));
        assert!(spans[0] != spans[1] && spans[1] != spans[2] && spans[0] != spans[2]);
        assert_eq!(spans[1], SpanId::of_execution(execution, 1));
    }

    #[test]
    fn traceparent_of_a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("cc{}-what-else", &TEXT[2..]);
        assert_eq!(TraceContext::parse(&later), TraceContext::parse(TEXT));
    }

    #[test]
    fn text_that_is_no_traceparent_is_none() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }
}
