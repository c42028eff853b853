//! Tests of the documents about entities.

use everstate_engine::client::EntityStatus;
use everstate_types::{
    EntityId, EntityLock, EntityRecord, EntityState, ExecutionId, Failure, InnerFailure,
    InstanceId, Payload, Timestamp,
};
use uuid::Uuid;

use super::{ShownEntity, entity_document, failure_document, list_document};
use crate::test_status::START_MS;

fn entity(key: &str) -> EntityId {
    EntityId::new("Counter", key).expect("a valid id")
}

fn record(state: Option<&str>) -> EntityRecord {
    EntityRecord {
        state: EntityState { value: state.map(Payload::from), version: 3, ..Default::default() },
        last_operation_at: Timestamp::from_millis(START_MS + 42),
        ..Default::default()
    }
}

fn locked(record: EntityRecord) -> EntityRecord {
    let lock = EntityLock {
        instance_id: InstanceId::orchestration("abc").expect("a valid id"),
        execution_id: ExecutionId::new(Uuid::nil()),
        request_id: Uuid::nil(),
        since: Timestamp::from_millis(START_MS),
    };
    EntityRecord { lock: Some(lock), ..record }
}

fn text(document: Vec<u8>) -> String {
    String::from_utf8(document).expect("UTF-8")
}

#[test]
fn list_is_that_of_the_original_unless_more_is_asked_for() {
    let entities =
        [(entity("a\"b"), record(Some("[1, 2]"))), (entity(""), locked(record(Some("7"))))];
    let shown = ShownEntity::default();
    assert_eq!(
        text(list_document(&entities, shown)),
        r#"[{"entityId":{"name":"counter","key":"a\"b"},"lastOperationTime":"2019-05-23T22:30:35.042Z","state":null},{"entityId":{"name":"counter","key":""},"lastOperationTime":"2019-05-23T22:30:35.042Z","state":null}]"#
    );
    let first = &entities[..1];
    assert_eq!(
        text(list_document(first, ShownEntity { state: true, ..shown })),
        r#"[{"entityId":{"name":"counter","key":"a\"b"},"lastOperationTime":"2019-05-23T22:30:35.042Z","state":[1, 2]}]"#
    );
    assert_eq!(text(list_document(&[], shown)), "[]");
    let details = text(list_document(&entities, ShownEntity { details: true, ..shown }));
    assert!(details.contains(r#""exists":true,"stateVersion":3,"lock":null}"#), "{details}");
    assert!(details.ends_with(r#""since":"2019-05-23T22:30:35.000Z"}}]"#), "{details}");
}

#[test]
fn details_say_who_holds_the_entity_and_what_waits() {
    let status = EntityStatus {
        record: EntityRecord { last_operation_at: Timestamp::default(), ..locked(record(None)) },
        waiting: 2,
    };
    let shown = ShownEntity { state: true, details: true };
    assert_eq!(
        text(entity_document(&entity("k"), &status, shown)),
        r#"{"entityId":{"name":"counter","key":"k"},"lastOperationTime":null,"state":null,"exists":false,"stateVersion":3,"lock":{"instanceId":"abc","since":"2019-05-23T22:30:35.000Z"},"waitingOperations":2}"#
    );
}

#[test]
fn failure_has_its_causes_one_within_the_other() {
    let cause = |name: &str| InnerFailure {
        error_type: name.to_owned(),
        error_message: "because".to_owned(),
        stack_trace: None,
    };
    let failure = Failure {
        inner_failures: vec![cause("B"), cause("C")],
        stack_trace: Some("at a\nat b".to_owned()),
        properties: vec![("n".to_owned(), "[1]".to_owned())],
        ..Failure::new("A", "it \"broke\"").non_retriable()
    };
    let document = failure_document(&entity("k"), "add", &failure);
    let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
    let none = serde_json::Value::Null;
    assert_eq!(
        document,
        serde_json::json!({
            "Message": "The operation 'add' of the entity '@counter@k' failed: it \"broke\"",
            "failure": {
                "errorType": "A", "errorMessage": "it \"broke\"", "stackTrace": "at a\nat b",
                "innerFailure": {
                    "errorType": "B", "errorMessage": "because", "stackTrace": none,
                    "innerFailure": {
                        "errorType": "C", "errorMessage": "because", "stackTrace": none,
                        "innerFailure": none,
                    },
                },
                "isNonRetriable": true,
                "properties": { "n": [1] },
            },
        })
    );
    let plain = text(failure_document(&entity("k"), "", &Failure::new("A", "b")));
    assert!(plain.contains(r#""innerFailure":null,"isNonRetriable":false,"properties":{}}}"#));
}
