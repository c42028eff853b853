//! Entities that are one function, which switches on the operation itself.

use everstate_sdk::testing::TestEntity;
use everstate_sdk::{EntityContext, Failure, entity};
use serde_json::{Value, json};

#[entity(read_only("get", "cheat"), indexes("city"), time_to_live_s = 60, version = 3)]
fn Store(context: &mut EntityContext) -> Result<Value, Failure> {
    match context.operation_name() {
        "get" => Ok(context.get_state()?.unwrap_or_default()),
        "cheat" => context.set_state(&1).map(|()| json!(1)),
        "set" => {
            let value: Value = context.input()?;
            context.set_state(&value)?;
            Ok(value)
        }
        "versions" => Ok(json!([context.state_version(), context.has_state()])),
        other => Err(Failure::unknown_operation(other)),
    }
}

fn store() -> TestEntity {
    TestEntity::new("store", "a")
}

#[test]
fn state_is_written_with_its_version_and_its_fields() {
    let store = store();
    assert_eq!(store.call::<Value>("versions", &()).unwrap(), json!([0, false]));
    store.call::<Value>("set", &json!({ "city": "Berlin" })).unwrap();
    assert_eq!(store.call::<Value>("versions", &()).unwrap(), json!([3, true]));
    assert_eq!(store.indexes(), [("city".to_owned(), "\"Berlin\"".to_owned())]);
    store.call::<Value>("set", &7).unwrap();
    assert_eq!(store.indexes(), []);
}

#[test]
fn setting_null_deletes_with_all_that_belongs_to_the_state() {
    let store = store();
    store.call::<Value>("set", &json!({ "city": "Berlin" })).unwrap();
    store.call::<Value>("set", &()).unwrap();
    assert_eq!(store.state_json(), None);
    assert_eq!((store.state_version(), store.indexes()), (0, vec![]));
}

#[test]
fn declared_read_only_operation_that_writes_is_refused() {
    let store = store();
    let failure = store.call::<Value>("cheat", &()).unwrap_err();
    assert_eq!((failure.error_type.as_str(), store.state_json()), ("NotSupported", None));
}
