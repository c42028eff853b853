//! Versions of the shape of a state: what is upgraded when, and what is too new.

use everstate_sdk::testing::TestEntity;
use everstate_sdk::{Failure, entity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Person {
    first: String,
    last: String,
}

#[entity(version = 2, upgrade = upgrade_person, indexes("last"))]
impl Person {
    fn last(&self) -> String {
        self.last.clone()
    }

    fn touch(&mut self) {}

    fn marry(&mut self, last: String) {
        self.last = last;
    }
}

/// Version 1 had one name; a name that was empty was as good as none.
#[expect(clippy::needless_pass_by_value, reason = "the signature of the hook")]
fn upgrade_person(from: u32, state: Value) -> Result<Value, Failure> {
    match state["name"].as_str().map(|name| name.split_once(' ')) {
        Some(Some((first, last))) => Ok(json!({ "first": first, "last": last })),
        Some(None) => Ok(Value::Null),
        None => Err(Failure::new("BadName", format!("no name in version {from}"))),
    }
}

fn person(state: &Value, version: u32) -> TestEntity {
    let person = TestEntity::new("Person", "a");
    person.set_state(state, version);
    person
}

fn old() -> Value {
    json!({ "name": "Ada Byron" })
}

#[test]
fn older_state_is_read_in_its_new_shape_and_stays_as_it_is() {
    let person = person(&old(), 1);
    assert_eq!(person.call::<String>("last", &()).unwrap(), "Byron");
    person.call::<()>("touch", &()).unwrap();
    assert_eq!((person.state::<Value>(), person.state_version()), (Some(old()), 1));
}

#[test]
fn older_state_is_written_in_its_new_shape_with_the_next_change() {
    let person = person(&old(), 1);
    person.call::<()>("marry", "Lovelace").unwrap();
    let expected = json!({ "first": "Ada", "last": "Lovelace" });
    assert_eq!((person.state::<Value>(), person.state_version()), (Some(expected), 2));
    assert_eq!(person.indexes(), [("last".to_owned(), "\"Lovelace\"".to_owned())]);
}

#[test]
fn state_of_a_newer_version_is_not_read_and_can_be_deleted() {
    let person = person(&json!({ "full": "Ada" }), 3);
    for operation in ["last", "touch"] {
        let failure = person.call::<Value>(operation, &()).unwrap_err();
        assert_eq!(failure.error_type, "StateTooNew");
        assert_eq!(
            failure.error_message,
            "the state of the entity @person@a was written by version 3, this code knows \
             versions up to 2"
        );
    }
    person.call::<()>("delete", &()).unwrap();
    person.call::<()>("marry", "King").unwrap();
    assert_eq!(person.state_version(), 2);
}

#[test]
fn failure_of_the_upgrade_is_the_failure_of_the_operation() {
    let person = person(&json!({}), 1);
    let failure = person.call::<()>("touch", &()).unwrap_err();
    assert_eq!(failure.to_string(), "BadName: no name in version 1");
    assert_eq!(person.state::<Value>(), Some(json!({})));
}

#[test]
fn upgrade_to_nothing_leaves_the_default_to_begin_with() {
    let person = person(&json!({ "name": "Ada" }), 0);
    assert_eq!(person.call::<String>("last", &()).unwrap(), "");
    person.call::<()>("touch", &()).unwrap();
    assert_eq!((person.state(), person.state_version()), (Some(Person::default()), 2));
}

#[test]
fn upgrade_to_another_shape_than_that_of_the_type_is_an_invalid_state() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Number(u32);

    #[entity(version = 1, upgrade = upgrade_number)]
    impl Number {
        fn get(&self) -> u32 {
            self.0
        }
    }

    fn upgrade_number(_: u32, _: Value) -> Result<Value, Failure> {
        Ok(json!("seven"))
    }

    let number = TestEntity::new("Number", "a");
    number.set_state(&7, 0);
    assert_eq!(number.call::<u32>("get", &()).unwrap_err().error_type, "InvalidState");
}

/// Without a hook an older state is read as it is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tolerant {
    #[serde(default)]
    added: u32,
    value: u32,
}

#[entity(version = 5)]
impl Tolerant {
    fn add(&mut self, value: u32) -> u32 {
        self.value += value;
        self.added + self.value
    }
}

#[test]
fn older_state_without_a_hook_is_read_as_it_is() {
    let tolerant = TestEntity::new("Tolerant", "a");
    tolerant.set_state(&json!({ "value": 3 }), 4);
    assert_eq!(tolerant.call::<u32>("add", &4).unwrap(), 7);
    assert_eq!(tolerant.state_version(), 5);
}
