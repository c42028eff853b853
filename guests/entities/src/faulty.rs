//! An entity whose operations do something and fail then, in every way.

use everstate_sdk::{EntityContext, Failure, entity};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stores::Number;

#[derive(Debug, Default, Serialize, Deserialize)]
struct FaultyEntity {
    value: i64,
    shape: Shape,
}

/// What can be made of the state.
#[derive(Debug, Default)]
enum Shape {
    #[default]
    Sound,
    /// It has no JSON form.
    Unserializable,
    /// It has one that cannot be read again.
    Undecodable,
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sound => serializer.serialize_str("sound"),
            Self::Unserializable => Err(S::Error::custom("this cannot be written")),
            Self::Undecodable => serializer.serialize_str("undecodable"),
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "sound" => Ok(Self::Sound),
            _ => Err(D::Error::custom("this cannot be read")),
        }
    }
}

/// `delete` is the built-in one, which does not read.
#[entity]
impl FaultyEntity {
    fn get(&self) -> i64 {
        self.value
    }

    fn set(&mut self, value: i64) {
        self.value = value;
    }

    fn set_to_unserializable(&mut self) {
        self.shape = Shape::Unserializable;
    }

    fn set_to_undecodable(&mut self) {
        self.shape = Shape::Undecodable;
    }

    fn set_then_fail(&mut self, value: i64) -> Result<(), Failure> {
        self.value = value;
        Err(asked_to_fail())
    }

    /// What it was told is stored at once, not at the end.
    fn store_then_fail(&mut self, context: &mut EntityContext, value: i64) -> Result<(), Failure> {
        self.value = value;
        context.set_state(self)?;
        Err(asked_to_fail())
    }

    fn set_then_trap(&mut self, context: &mut EntityContext, value: i64) -> Result<(), Failure> {
        self.value = value;
        context.set_state(self)?;
        trap_as_asked()
    }

    fn delete_then_fail(&mut self, context: &mut EntityContext) -> Result<(), Failure> {
        context.delete_state();
        Err(asked_to_fail())
    }

    /// Adds 1 to the `Number` of that key, by a signal.
    fn send(&mut self, context: &mut EntityContext, to: String) -> Result<(), Failure> {
        Number::proxy(&to)?.add(1).signal(context)
    }

    fn send_then_fail(&mut self, context: &mut EntityContext, to: String) -> Result<(), Failure> {
        Number::proxy(&to)?.add(1).signal(context)?;
        Err(asked_to_fail())
    }

    fn send_then_make_unserializable(
        &mut self,
        context: &mut EntityContext,
        to: String,
    ) -> Result<(), Failure> {
        Number::proxy(&to)?.add(1).signal(context)?;
        self.shape = Shape::Unserializable;
        Ok(())
    }

    /// Starts an orchestration of that id.
    fn start(&mut self, context: &mut EntityContext, id: String) -> Result<String, Failure> {
        context.start_orchestration("Nothing", &(), Some(&id))
    }

    fn start_then_fail(&mut self, context: &mut EntityContext, id: String) -> Result<(), Failure> {
        context.start_orchestration("Nothing", &(), Some(&id))?;
        Err(asked_to_fail())
    }
}

fn asked_to_fail() -> Failure {
    Failure::new("AskedToFail", "failed as asked")
}

#[expect(clippy::panic, reason = "that is what was asked for")]
fn trap_as_asked() -> ! {
    panic!("trapped as asked")
}
