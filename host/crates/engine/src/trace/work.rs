//! The spans of durable work: executions of orchestrations, operations of entities, attempts at activities.

use everstate_types::{
    EntityId, Failure, FunctionKind, InstanceId, OrchestrationRecord, RuntimeStatus, SpanId,
};

use super::{FinishedSpan, SpanKind};
use crate::clock::ExactTime;
use crate::guest::{ActivityWorkItem, EntityOperation, EntityWorkItem, OperationOutcome};
use crate::task_hub::Node;

/// The span of work that has not ended.
#[derive(Debug)]
pub(crate) struct OpenSpan(FinishedSpan);

impl OpenSpan {
    /// The span, now that the work has ended.
    pub(crate) fn end(self, at: ExactTime, failure: Option<&Failure>) -> FinishedSpan {
        FinishedSpan {
            ended: at.max(self.0.started),
            error: failure.map(|failure| failure.error_message.clone()),
            ..self.0
        }
    }
}

/// The span of an execution that has ended; `None`: nobody wants it.
pub(crate) fn execution_span(
    instance_id: &InstanceId,
    record: &OrchestrationRecord,
    (started, ended): (ExactTime, ExactTime),
    status: &str,
) -> Option<FinishedSpan> {
    let above = record.trace.as_deref().filter(|trace| trace.is_sampled())?;
    let span_id = SpanId::of_execution(record.execution_id, record.rewinds);
    let error = match record.status {
        RuntimeStatus::Failed => record.failure.as_ref().map(|f| f.error_message.clone()),
        RuntimeStatus::Terminated => Some(match &record.output {
            Some(reason) => format!("terminated: {}", reason.as_str()),
            None => "terminated".to_owned(),
        }),
        _ => None,
    };
    Some(FinishedSpan {
        kind: SpanKind::Orchestration,
        trace: above.below(span_id),
        parent: Some(above.span_id),
        name: record.name.to_string(),
        function: Some(record.name.to_string()),
        instance_id: Some(instance_id.clone()),
        started,
        ended: ended.max(record.updated_at.into()).max(started),
        attributes: vec![
            ("everstate.execution_id", record.execution_id.to_string().into()),
            ("everstate.status", status.to_owned().into()),
        ],
        error,
    })
}

/// The span of an attempt that begins, below the span `parent`; `None`: nobody wants it.
pub(crate) fn begin_attempt(
    node: &Node,
    item: &ActivityWorkItem,
    parent: Option<SpanId>,
) -> Option<OpenSpan> {
    if !node.wants_spans {
        return None;
    }
    let trace = item.trace.as_deref().filter(|trace| trace.is_sampled())?.clone();
    let name = published_name(node, FunctionKind::Activity, item.name.as_str());
    let started = node.clock.now_exactly();
    Some(OpenSpan(FinishedSpan {
        kind: SpanKind::Activity,
        trace,
        parent,
        name: name.clone(),
        function: Some(name),
        instance_id: Some(item.instance_id.clone()),
        started,
        ended: started,
        attributes: vec![("everstate.attempt", item.attempt.into())],
        error: None,
    }))
}

/// The spans that somebody wants of the operations of a batch that begins, each with its place in the batch.
pub(crate) fn begin_operations(node: &Node, item: &EntityWorkItem) -> Vec<(usize, OpenSpan)> {
    let is_traced = |operation: &EntityOperation| {
        operation.trace.as_deref().is_some_and(|trace| trace.is_sampled())
    };
    if !node.wants_spans || !item.operations.iter().any(is_traced) {
        return Vec::new();
    }
    let started = node.clock.now_exactly();
    let function = published_name(node, FunctionKind::Entity, item.entity.name());
    let operations = item.operations.iter().enumerate();
    let span = |(place, operation)| {
        Some((place, begin_operation(&item.entity, &function, operation, started)?))
    };
    operations.filter_map(span).collect()
}

fn begin_operation(
    entity: &EntityId,
    function: &str,
    operation: &EntityOperation,
    started: ExactTime,
) -> Option<OpenSpan> {
    let above = operation.trace.as_deref().filter(|trace| trace.is_sampled())?;
    Some(OpenSpan(FinishedSpan {
        kind: SpanKind::Entity,
        trace: above.below(SpanId::of_operation(operation.request_id)),
        parent: Some(above.span_id),
        name: format!("{function}.{}", operation.operation),
        function: Some(function.to_owned()),
        instance_id: Some(entity.instance_id()),
        started,
        ended: started,
        attributes: vec![("everstate.operation", operation.operation.clone().into())],
        error: None,
    }))
}

/// The spans of those operations that have run. All have the times of their batch.
pub(crate) fn end_operations(
    node: &Node,
    open: Vec<(usize, OpenSpan)>,
    results: &[OperationOutcome],
) -> Vec<FinishedSpan> {
    if open.is_empty() {
        return Vec::new();
    }
    let ended = node.clock.now_exactly();
    let end = |(place, span): (usize, OpenSpan)| {
        let outcome = results.get(place)?;
        Some(span.end(ended, outcome.result.as_ref().err()))
    };
    open.into_iter().filter_map(end).collect()
}

/// The name of a function as its author wrote it; what it was asked for by, if nobody has it.
fn published_name(node: &Node, kind: FunctionKind, name: &str) -> String {
    let found = node.executor.find_for_work(kind, name);
    found.map_or_else(|| name.to_owned(), |found| found.name.to_string())
}
