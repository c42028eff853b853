//! Conversions between the contract's types and those of `types` and the engine.

use bytes::Bytes;
use everstate_engine::guest::{HttpRequest, HttpResponse};
use everstate_types::{
    EntityId, Failure, FunctionName, InnerFailure, InstanceId, OrchestrationRecord, Payload,
};

use crate::bindings::imports::{client, http_types, types};

/// The level of a guest's log line.
pub(crate) fn level(level: types::LogLevel) -> tracing::Level {
    match level {
        types::LogLevel::Trace => tracing::Level::TRACE,
        types::LogLevel::Debug => tracing::Level::DEBUG,
        types::LogLevel::Info => tracing::Level::INFO,
        types::LogLevel::Warning => tracing::Level::WARN,
        types::LogLevel::Error => tracing::Level::ERROR,
    }
}

pub(crate) fn invalid(problem: &impl ToString) -> types::HostError {
    types::HostError::InvalidArgument(problem.to_string())
}

pub(crate) fn entity_id(entity: &types::EntityId) -> Result<EntityId, types::HostError> {
    EntityId::new(&entity.name, &entity.key).map_err(|problem| invalid(&problem))
}

pub(crate) fn to_entity_id(entity: &EntityId) -> types::EntityId {
    types::EntityId { name: entity.name().to_owned(), key: entity.key().to_owned() }
}

pub(crate) fn instance_id(id: &str) -> Result<InstanceId, types::HostError> {
    InstanceId::orchestration(id).map_err(|problem| invalid(&problem))
}

pub(crate) fn function_name(name: &str) -> Result<FunctionName, types::HostError> {
    FunctionName::new(name).map_err(|problem| invalid(&problem))
}

/// Takes a payload of a guest, unless it is too large.
pub(crate) fn payload(text: String, bytes_max: usize) -> Result<Payload, types::HostError> {
    if text.len() > bytes_max {
        return Err(types::HostError::LimitExceeded(format!(
            "limits.payload_bytes_max: {} bytes, {bytes_max} allowed",
            text.len()
        )));
    }
    Ok(Payload::from(text))
}

pub(crate) fn optional_payload(
    text: Option<String>,
    bytes_max: usize,
) -> Result<Option<Payload>, types::HostError> {
    text.map(|text| payload(text, bytes_max)).transpose()
}

pub(crate) fn failure(failure: types::Failure) -> Failure {
    Failure {
        error_type: failure.error_type,
        error_message: failure.error_message,
        stack_trace: failure.stack_trace,
        inner_failures: failure
            .inner_failures
            .into_iter()
            .map(|inner| InnerFailure {
                error_type: inner.error_type,
                error_message: inner.error_message,
                stack_trace: inner.stack_trace,
            })
            .collect(),
        is_non_retriable: failure.is_non_retriable,
        properties: failure.properties,
    }
}

pub(crate) fn to_failure(failure: Failure) -> types::Failure {
    types::Failure {
        error_type: failure.error_type,
        error_message: failure.error_message,
        stack_trace: failure.stack_trace,
        inner_failures: failure
            .inner_failures
            .into_iter()
            .map(|inner| types::InnerFailure {
                error_type: inner.error_type,
                error_message: inner.error_message,
                stack_trace: inner.stack_trace,
            })
            .collect(),
        is_non_retriable: failure.is_non_retriable,
        properties: failure.properties,
    }
}

pub(crate) fn to_request(request: HttpRequest) -> http_types::Request {
    http_types::Request {
        method: request.method,
        url: request.url,
        route_values: request.route_values,
        query: request.query,
        headers: request.headers,
        body: Vec::from(request.body),
    }
}

pub(crate) fn response(response: http_types::Response) -> HttpResponse {
    HttpResponse {
        status: response.status,
        headers: response.headers,
        body: Bytes::from(response.body),
    }
}

pub(crate) fn to_response(response: HttpResponse) -> http_types::Response {
    http_types::Response {
        status: response.status,
        headers: response.headers,
        body: Vec::from(response.body),
    }
}

pub(crate) fn to_instance_status(
    instance_id: &InstanceId,
    record: &OrchestrationRecord,
    shows_input: bool,
) -> client::InstanceStatus {
    let text = |payload: &Payload| payload.as_str().to_owned();
    client::InstanceStatus {
        name: record.name.to_string(),
        instance_id: instance_id.to_string(),
        runtime_status: to_runtime_status(record.status),
        input: shows_input.then(|| text(&record.input)),
        output: record.output.as_ref().map(text),
        failure: record.failure.clone().map(to_failure),
        custom_status: record.custom_status.as_ref().map(text),
        created_time: record.created_at.as_millis(),
        last_updated_time: record.updated_at.as_millis(),
        tags: record.tags.clone(),
        history: None,
    }
}

fn to_runtime_status(status: everstate_types::RuntimeStatus) -> client::RuntimeStatus {
    match status {
        everstate_types::RuntimeStatus::Pending => client::RuntimeStatus::Pending,
        everstate_types::RuntimeStatus::Running => client::RuntimeStatus::Running,
        everstate_types::RuntimeStatus::Suspended => client::RuntimeStatus::Suspended,
        everstate_types::RuntimeStatus::Completed => client::RuntimeStatus::Completed,
        everstate_types::RuntimeStatus::Failed => client::RuntimeStatus::Failed,
        everstate_types::RuntimeStatus::Terminated => client::RuntimeStatus::Terminated,
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::{Failure, InnerFailure};

    use super::{failure, payload, to_failure};

    #[test]
    fn failure_survives_the_way_through_a_guest_unchanged() {
        let original = Failure {
            error_type: "A".to_owned(),
            error_message: "b".to_owned(),
            stack_trace: Some("c".to_owned()),
            inner_failures: vec![InnerFailure {
                error_type: "d".to_owned(),
                error_message: "e".to_owned(),
                stack_trace: None,
            }],
            is_non_retriable: true,
            properties: vec![("f".to_owned(), "1".to_owned())],
        };
        assert_eq!(failure(to_failure(original.clone())), original);
    }

    #[test]
    fn payload_above_the_limit_is_refused_with_the_name_of_the_limit() {
        assert!(payload("12".to_owned(), 2).is_ok());
        let refused = payload("123".to_owned(), 2).expect_err("one byte too many");
        assert!(format!("{refused:?}").contains("payload_bytes_max"));
    }
}
