//! The spans of executions.

use everstate_types::{Payload, SpanId, TraceContext};

use super::{Bench, Caller, Turn, completes, orchestration};
use crate::clock::ExactTime;
use crate::partition::{Fact, Input, LifecycleChange, Request};
use crate::trace::FinishedSpan;

fn sampled() -> TraceContext {
    TraceContext { trace_id: 7, span_id: SpanId(8), flags: 1, state: String::new() }
}

fn span(turn: Turn) -> Option<FinishedSpan> {
    turn.effects.facts.into_iter().find_map(|fact| match fact {
        Fact::Ended { span, .. } => span.map(|span| *span),
        Fact::Started(_) | Fact::Span(_) => None,
    })
}

#[test]
fn span_of_an_execution_goes_from_its_first_turn_to_the_turn_that_ends_it() {
    let mut bench = Bench::new();
    bench.nanos = Some(1);
    let started = bench.start_in(Some(sampled()), "a", 1);
    bench.nanos = Some(22);
    let first = bench.deliver(&started);
    bench.nanos = Some(333);
    let span = span(bench.ran(&first, completes("7"))).expect("its trace is sampled");
    assert_eq!(span.parent, Some(SpanId(8)));
    let times = (span.started, span.ended);
    assert_eq!(times, (ExactTime::from_nanos(1_000_000_022), ExactTime::from_nanos(1_000_000_333)));
}

#[test]
fn span_ends_no_earlier_than_it_began_though_the_clock_was_set_back() {
    let mut bench = Bench::new();
    bench.nanos = Some(22);
    let started = bench.start_in(Some(sampled()), "a", 1);
    let first = bench.deliver(&started);
    bench.now -= 500;
    let span = span(bench.ran(&first, completes("7"))).expect("its trace is sampled");
    assert_eq!((span.started, span.ended), (ExactTime::from_nanos(1_000_000_022), span.started));
}

#[test]
fn execution_has_no_span_where_nobody_wants_spans() {
    let mut bench = Bench::new();
    let started = bench.start_in(Some(sampled()), "a", 1);
    let first = bench.deliver(&started);
    assert_eq!(span(bench.ran(&first, completes("7"))), None);
}

#[test]
fn span_of_a_terminated_execution_tells_the_reason() {
    let mut bench = Bench::new();
    bench.nanos = Some(1);
    let started = bench.start_in(Some(sampled()), "a", 1);
    bench.deliver(&started);
    let reason = Some(Payload::from("\"too late\""));
    let terminated = bench.turn(Input::Request(Request::Change {
        instance_id: orchestration("a"),
        change: LifecycleChange::Terminate { reason, recurse: false },
        reply_to: Caller(2),
    }));
    let span = span(terminated).expect("its trace is sampled");
    assert_eq!(span.error.as_deref(), Some("terminated: \"too late\""));
}
