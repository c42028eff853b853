//! The values of a state's fields that entities are found by, cut out of the state's JSON text. The
//! text is scanned once and no value is built; types without indexes never come here.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::payload::NULL;

/// The declared fields that stand at the top level of a state, with their JSON text. Absent ones and
/// those that are `null` are left out, and a state that is no object has none.
pub(super) fn indexed(state: &str, indexes: &[&str]) -> Vec<(String, String)> {
    let mut reader = serde_json::Deserializer::from_str(state);
    // A state that is no object ends the scan with an error that means just that.
    Fields(indexes).deserialize(&mut reader).unwrap_or_default()
}

/// Takes the declared fields of an object.
struct Fields<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Vec<(String, String)>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<Self::Value, M::Error> {
        let mut fields = Vec::new();
        while let Some(Name(name)) = object.next_key()? {
            if self.0.contains(&&*name) {
                let value: &RawValue = object.next_value()?;
                if value.get() != NULL {
                    fields.push((name.into_owned(), value.get().to_owned()));
                }
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(fields)
    }
}

/// A name, copied only if it is written with escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::indexed;

    #[test]
    fn declared_fields_at_the_top_are_taken_as_they_are_written() {
        let state = r#"{"owner":"Ada \"L\"","in":{"city":"x"},"city":null,"n":1.50,"o":{"a":[1]}}"#;
        let fields = indexed(state, &["owner", "city", "n", "o", "absent"]);
        let expected = [("owner", r#""Ada \"L\"""#), ("n", "1.50"), ("o", r#"{"a":[1]}"#)];
        assert_eq!(fields, expected.map(|(name, json)| (name.to_owned(), json.to_owned())));
    }

    #[test]
    fn field_whose_name_is_written_with_escapes_is_found() {
        assert_eq!(indexed(r#"{"a\"b":1}"#, &["a\"b"]), [("a\"b".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn state_that_is_no_object_has_no_fields() {
        for state in ["7", "[1,2]", "\"owner\"", "null"] {
            assert_eq!(indexed(state, &["owner"]), []);
        }
    }
}
