//! The border between Rust values and payloads, which are JSON text. It is the only place that
//! knows how values are written; what they mean is the author's business.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::id::EntityId;

/// How an absent value looks where a payload must stand.
pub(crate) const NULL: &str = "null";

/// Writes a value as JSON.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| {
        let what = std::any::type_name::<T>();
        Failure::new("InvalidOutput", format!("a value of type {what} has no JSON form: {error}"))
            .non_retriable()
    })
}

/// Writes a value as JSON; `null` becomes the absent value.
pub(crate) fn to_optional_json<T: Serialize + ?Sized>(
    value: &T,
) -> Result<Option<String>, Failure> {
    Ok(Some(to_json(value)?).filter(|json| json != NULL))
}

/// Reads a value; `what` names it in the failure, for instance ``the result of `get` ``.
pub(crate) fn from_json<T: DeserializeOwned>(json: &str, what: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::new("InvalidInput", format!("{what} does not have the expected shape: {error}"))
            .non_retriable()
    })
}

/// Reads a value that may be absent; absent is read as `null`.
pub(crate) fn from_optional_json<T: DeserializeOwned>(
    json: Option<&str>,
    what: &str,
) -> Result<T, Failure> {
    from_json(json.unwrap_or(NULL), what)
}

/// Reads the state of an entity.
pub(crate) fn state_from_json<T: DeserializeOwned>(
    json: &str,
    entity: &EntityId,
) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| unreadable_state(entity, &error))
}

/// Says that the state of an entity does not have the shape that somebody expects.
pub(crate) fn unreadable_state(entity: &EntityId, error: &serde_json::Error) -> Failure {
    let text =
        format!("the state of the entity {entity} does not have the expected shape: {error}");
    Failure::new("InvalidState", text).non_retriable()
}
