//! Reads what a list of entities is to have from the query and the headers of a request.

use axum::http::request::Parts;
use everstate_engine::storage::{EntityFilter, EntityQuery};
use everstate_types::{FunctionName, Payload};
use serde::de::IgnoredAny;

use super::document::ShownEntity;
use crate::api::answers::{PAGE_SIZE, PAGE_SIZE_MAX, continuation};
use crate::error::ApiError;
use crate::query::Query;
use crate::time::read_time;

/// How the parameters begin that ask for a field of the state.
const FIELD: &str = "field.";

/// A list that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct EntityListing {
    /// Which entities.
    pub(in crate::api) query: EntityQuery,
    /// What of them.
    pub(in crate::api) shown: ShownEntity,
    /// Whether only their number is wanted.
    pub(in crate::api) is_count: bool,
}

impl EntityListing {
    /// The list of the entities of this name, or of all.
    pub(in crate::api) fn of(name: Option<&str>, parts: &Parts) -> Result<Self, ApiError> {
        let query = Query::of(parts);
        let shown = ShownEntity {
            state: query.flag("fetchState").unwrap_or(false),
            details: query.is_set("details"),
        };
        let page_size = query.value("top").filter(|size| *size > 0).unwrap_or(PAGE_SIZE);
        Ok(Self {
            query: EntityQuery {
                filter: filter(name, &query)?,
                page_size: page_size.min(PAGE_SIZE_MAX),
                continuation: continuation(parts)?,
                fetches_state: shown.state,
            },
            shown,
            is_count: query.is_set("count"),
        })
    }
}

fn filter(name: Option<&str>, query: &Query) -> Result<EntityFilter, ApiError> {
    let name = name.map(FunctionName::new).transpose();
    Ok(EntityFilter {
        name: name.map_err(|error| ApiError::bad_request(error.to_string()))?,
        key_prefix: query.text("keyPrefix").map(str::to_owned),
        last_operation_from: query.text("lastOperationTimeFrom").and_then(read_time),
        last_operation_to: query.text("lastOperationTimeTo").and_then(read_time),
        fields: query
            .with_prefix(FIELD)
            .map(|(field, value)| Ok((field.to_owned(), field_value(field, value)?)))
            .collect::<Result<_, ApiError>>()?,
        includes_stateless: query.is_set("includeStateless"),
        only_locked: false,
    })
}

/// A field is not ignored when its value cannot be read: what was asked for would come among much that
/// was not.
fn field_value(field: &str, value: &str) -> Result<Payload, ApiError> {
    match serde_json::from_str::<IgnoredAny>(value) {
        Ok(_) => Ok(Payload::from(value.trim_ascii())),
        Err(error) => Err(ApiError::bad_request(format!(
            "The value of `{FIELD}{field}` is not JSON ({error}); a text stands in quotes."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::response::IntoResponse;
    use everstate_engine::storage::{EntityFilter, EntityQuery};
    use everstate_types::{FunctionName, Payload, Timestamp};

    use super::{EntityListing, ShownEntity};

    fn listing(query: &str, token: Option<&str>) -> Result<EntityListing, u16> {
        let mut request = Request::builder().uri(format!("/entities/Counter?{query}"));
        if let Some(token) = token {
            request = request.header("X-MS-Continuation-Token", token);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        EntityListing::of(Some("Counter"), &parts)
            .map_err(|error| error.into_response().status().as_u16())
    }

    fn plain() -> EntityQuery {
        let name = FunctionName::new("Counter").expect("a valid name");
        EntityQuery {
            filter: EntityFilter { name: Some(name), ..EntityFilter::default() },
            page_size: 100,
            continuation: None,
            fetches_state: false,
        }
    }

    #[test]
    fn listing_without_parameters_has_the_defaults_of_the_original() {
        for (query, token) in
            [("", None), ("top=0&fetchState=&lastOperationTimeTo=soon", None), ("top=-1", Some(""))]
        {
            let found = listing(query, token).expect("a listing");
            assert_eq!(found.query, plain(), "{query}");
            assert_eq!((found.shown, found.is_count), (ShownEntity::default(), false));
        }
    }

    #[test]
    fn listing_takes_every_condition_of_the_query() {
        let query = "keyPrefix=a%2F&lastOperationTimeFrom=1970-01-01T00:00:01Z&top=5000\
                     &lastOperationTimeTo=1970-01-02&fetchState=true&details&includeStateless=true\
                     &field.owner=%22ann%22&field.size=+7&count=true";
        let found = listing(query, Some("place")).expect("a listing");
        let filter = EntityFilter {
            key_prefix: Some("a/".to_owned()),
            last_operation_from: Some(Timestamp::from_millis(1_000)),
            last_operation_to: Some(Timestamp::from_millis(86_400_000)),
            fields: vec![
                ("owner".to_owned(), Payload::from("\"ann\"")),
                ("size".to_owned(), Payload::from("7")),
            ],
            includes_stateless: true,
            ..plain().filter
        };
        let continuation = Some("place".to_owned());
        let query = EntityQuery { filter, page_size: 1_000, continuation, fetches_state: true };
        assert_eq!(found.query, query);
        assert_eq!(found.shown, ShownEntity { state: true, details: true });
        assert!(found.is_count);
    }

    #[test]
    fn listing_that_would_not_be_what_was_asked_for_is_refused() {
        for (query, token) in [("field.owner=ann", None), ("field.owner", None), ("", Some("é"))] {
            assert_eq!(listing(query, token), Err(400), "{query}");
        }
    }
}
