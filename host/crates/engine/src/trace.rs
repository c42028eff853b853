//! [`SpanSink`]: where the spans of traced work go when what they tell of is durable.
//!
//! A span is made where its work ends, of what is known there: nothing is kept open meanwhile, so there is
//! nothing to lose in a crash or to begin twice in a replay. Work without a sampled trace makes none, and where
//! nobody wants spans none is made at all. What spans there are is in `work.rs`. Not here: how they leave
//! the process; that is the host's. See docs/decisions/0020.

mod work;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use everstate_types::{InstanceId, SpanId, TraceContext};
use uuid::Uuid;

pub(crate) use self::work::{begin_attempt, begin_operations, end_operations, execution_span};
use crate::clock::{Clock, ExactTime};
use crate::storage::CommitSeq;

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that came over HTTP.
    Request,
    /// An execution of an orchestration.
    Orchestration,
    /// An operation of an entity.
    Entity,
    /// An attempt at an activity.
    Activity,
}

/// Work that belonged to a trace, and has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedSpan {
    /// What it was.
    pub kind: SpanKind,
    /// The trace, and the span itself.
    pub trace: TraceContext,
    /// The span above; none where the trace began.
    pub parent: Option<SpanId>,
    /// What was done: the function, with its operation for an entity; method and route of a request.
    pub name: String,
    /// The function that did it, if one did, as its author wrote it.
    pub function: Option<String>,
    /// Whose it was.
    pub instance_id: Option<InstanceId>,
    /// When it began.
    pub started: ExactTime,
    /// When it ended; not before it began.
    pub ended: ExactTime,
    /// Further facts, by their names in OpenTelemetry.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// What an attribute of a span says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for SpanValue {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// Takes spans. Must not block, and may drop them.
pub trait SpanSink: Send + Sync + fmt::Debug + 'static {
    /// Whether spans go anywhere. Always the same.
    fn wants_spans(&self) -> bool;

    /// Whether a request without a trace begins the one with this id, whose last 56 bits are random.
    fn begins_trace(&self, trace_id: u128) -> bool;

    /// Takes a span. What it tells of is durable.
    fn finished(&self, span: FinishedSpan);
}

/// Nobody wants spans.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSpans;

impl SpanSink for NoSpans {
    fn wants_spans(&self) -> bool {
        false
    }

    fn begins_trace(&self, _trace_id: u128) -> bool {
        false
    }

    fn finished(&self, _span: FinishedSpan) {}
}

/// The trace of a request that came in, and its span while it is under way.
#[derive(Debug)]
pub struct RequestTrace {
    /// What is started because of the request goes below this.
    pub below: Box<TraceContext>,
    /// The span above, and when it began; `None` if nobody wants the span.
    span: Option<(Option<SpanId>, ExactTime)>,
}

impl RequestTrace {
    /// Takes up the trace that came with a request, or begins one. `None`: there is none.
    #[must_use]
    pub fn begin(
        sink: &dyn SpanSink,
        clock: &dyn Clock,
        incoming: Option<TraceContext>,
    ) -> Option<Self> {
        let Some(parent) = incoming else {
            if !sink.wants_spans() {
                return None;
            }
            let trace_id = Uuid::new_v4().as_u128();
            if !sink.begins_trace(trace_id) {
                return None;
            }
            let span_id = new_span_id();
            let below = TraceContext { trace_id, span_id, flags: 1, state: String::new() };
            let span = Some((None, clock.now_exactly()));
            return Some(Self { below: Box::new(below), span });
        };
        if !sink.wants_spans() || !parent.is_sampled() {
            return Some(Self { below: Box::new(parent), span: None });
        }
        let below = Box::new(parent.below(new_span_id()));
        Some(Self { below, span: Some((Some(parent.span_id), clock.now_exactly())) })
    }

    /// The span, now that the request is answered.
    #[must_use]
    pub fn finish(
        self,
        clock: &dyn Clock,
        name: String,
        function: Option<String>,
    ) -> Option<FinishedSpan> {
        let (parent, started) = self.span?;
        Some(FinishedSpan {
            kind: SpanKind::Request,
            trace: *self.below,
            parent,
            name,
            function,
            instance_id: None,
            started,
            ended: clock.now_exactly().max(started),
            attributes: Vec::new(),
            error: None,
        })
    }
}

fn new_span_id() -> SpanId {
    let (half, _) = Uuid::new_v4().as_u64_pair();
    SpanId(half.max(1))
}

/// Holds spans back until what they tell of is durable. Like the output gate, but nobody waits: a
/// span makes nothing be written earlier.
#[derive(Debug)]
pub(crate) struct SpanGate {
    pub(crate) sink: Arc<dyn SpanSink>,
    held: Mutex<VecDeque<(CommitSeq, Vec<FinishedSpan>)>>,
    /// How many entries are held, to be asked without the lock.
    count: AtomicUsize,
}

impl SpanGate {
    pub(crate) fn new(sink: Arc<dyn SpanSink>) -> Self {
        Self { sink, held: Mutex::default(), count: AtomicUsize::new(0) }
    }

    /// Takes the spans of a turn.
    pub(crate) fn hold(&self, seq: CommitSeq, spans: Vec<FinishedSpan>) {
        let mut held = self.lock();
        // Lanes come in any order, but nearly in this one.
        let place = held.iter().rposition(|(before, _)| *before <= seq).map_or(0, |at| at + 1);
        held.insert(place, (seq, spans));
        self.count.store(held.len(), Ordering::SeqCst);
    }

    /// Lets go of what tells of turns up to this one.
    pub(crate) fn release(&self, durable: CommitSeq) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let released: Vec<_> = {
            let mut held = self.lock();
            let end = held.iter().take_while(|(seq, _)| *seq <= durable).count();
            let released = held.drain(..end).collect();
            self.count.store(held.len(), Ordering::SeqCst);
            released
        };
        for span in released.into_iter().flat_map(|(_, spans)| spans) {
            self.sink.finished(span);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(CommitSeq, Vec<FinishedSpan>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use everstate_types::{SpanId, TraceContext};

    use super::{FinishedSpan, RequestTrace, SpanGate, SpanSink};
    use crate::clock::{Clock, ExactTime};
    use crate::storage::CommitSeq;

    /// Keeps the names of spans.
    #[derive(Debug, Default)]
    struct Names {
        seen: Mutex<Vec<String>>,
        begins: bool,
    }

    impl SpanSink for Names {
        fn wants_spans(&self) -> bool {
            true
        }

        fn begins_trace(&self, _trace_id: u128) -> bool {
            self.begins
        }

        fn finished(&self, span: FinishedSpan) {
            self.seen.lock().expect("no panic").push(span.name);
        }
    }

    struct Noon;

    impl Clock for Noon {
        fn now_exactly(&self) -> ExactTime {
            ExactTime::from_nanos(43_200_000_000_001)
        }
    }

    fn incoming(flags: u8) -> TraceContext {
        TraceContext { trace_id: 7, span_id: SpanId(8), flags, state: "a=1".to_owned() }
    }

    fn span(name: &str) -> FinishedSpan {
        let begun = RequestTrace::begin(&Names::default(), &Noon, Some(incoming(1)));
        let finished = begun.and_then(|trace| trace.finish(&Noon, name.to_owned(), None));
        finished.expect("the trace is sampled")
    }

    #[test]
    fn spans_leave_when_their_turn_is_durable_and_not_before() {
        let names = Arc::<Names>::default();
        let gate = SpanGate::new(Arc::<Names>::clone(&names));
        let seen = || names.seen.lock().expect("no panic").clone();
        gate.hold(CommitSeq(2), vec![span("b"), span("c")]);
        gate.hold(CommitSeq(1), vec![span("a")]);
        gate.hold(CommitSeq(3), vec![span("d")]);
        gate.release(CommitSeq(0));
        assert!(seen().is_empty());
        gate.release(CommitSeq(2));
        assert_eq!(seen(), ["a", "b", "c"]);
        gate.release(CommitSeq(9));
        gate.release(CommitSeq(9));
        assert_eq!(seen(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn request_with_a_sampled_trace_has_a_span_of_its_own_below_the_callers() {
        let found = span("x");
        assert_eq!((found.parent, found.trace.trace_id), (Some(SpanId(8)), 7));
        assert!(found.trace.span_id != SpanId(8) && found.trace.state == "a=1");
        assert_eq!((found.started, found.ended), (Noon.now_exactly(), Noon.now_exactly()));
    }

    #[test]
    fn request_whose_trace_is_not_sampled_hands_it_on_as_it_came() {
        let sink = Names { begins: true, ..Names::default() };
        let trace = RequestTrace::begin(&sink, &Noon, Some(incoming(0))).expect("it has a trace");
        assert_eq!(*trace.below, incoming(0));
        assert_eq!(trace.finish(&Noon, "x".to_owned(), None), None);
    }

    #[test]
    fn request_without_a_trace_begins_one_if_the_sink_says_so() {
        assert!(RequestTrace::begin(&Names::default(), &Noon, None).is_none());
        let sink = Names { begins: true, ..Names::default() };
        let trace = RequestTrace::begin(&sink, &Noon, None).expect("it begins one");
        assert!(trace.below.is_sampled());
        let span = trace.finish(&Noon, "x".to_owned(), None).expect("it is sampled");
        assert_eq!(span.parent, None);
    }
}
