//! Entities that keep what they are given.

use everstate_sdk::{EntityContext, Failure, entity};
use serde::{Deserialize, Serialize};

/// Any text, or none.
#[entity(read_only("get"))]
fn StringStore(context: &mut EntityContext) -> Result<Option<String>, Failure> {
    match context.operation_name() {
        "set" => {
            let text: String = context.input()?;
            context.set_state(&text)?;
            Ok(None)
        }
        "get" => context.get_state(),
        other => Err(Failure::unknown_operation(other)),
    }
}

/// The same, but it may be asked only while there is a text.
#[entity]
fn StringStoreWithCreateDelete(context: &mut EntityContext) -> Result<Option<String>, Failure> {
    match context.operation_name() {
        "set" => {
            let text: String = context.input()?;
            context.set_state(&text)?;
            Ok(None)
        }
        "get" if !context.has_state() => {
            Err(Failure::new("InvalidOperation", "must not call get on a non-existing entity"))
        }
        "get" => context.get_state(),
        "delete" => {
            context.delete_state();
            Ok(None)
        }
        other => Err(Failure::unknown_operation(other)),
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Number {
    value: i64,
}

#[entity]
impl Number {
    fn add(&mut self, amount: i64) -> i64 {
        self.value += amount;
        self.value
    }

    fn set(&mut self, value: i64) {
        self.value = value;
    }

    fn get(&self) -> i64 {
        self.value
    }
}
