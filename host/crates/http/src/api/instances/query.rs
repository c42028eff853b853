//! Reads which orchestrations a request is about from its query and its headers.

use axum::http::request::Parts;
use everstate_engine::storage::{InstanceFilter, InstanceQuery};
use everstate_types::{FunctionName, Payload, RuntimeStatus};
use serde::de::IgnoredAny;

use crate::api::answers::{PAGE_SIZE, PAGE_SIZE_MAX, continuation};
use crate::error::ApiError;
use crate::query::Query;
use crate::time::read_time;

/// How the parameters begin that ask for a tag.
const TAG: &str = "tag.";

/// The statuses of the original by their numbers, from 0 on. No orchestration has one without a status
/// here.
const STATUSES: [(&str, Option<RuntimeStatus>); 8] = [
    ("Running", Some(RuntimeStatus::Running)),
    ("Completed", Some(RuntimeStatus::Completed)),
    ("ContinuedAsNew", None),
    ("Failed", Some(RuntimeStatus::Failed)),
    ("Canceled", None),
    ("Terminated", Some(RuntimeStatus::Terminated)),
    ("Pending", Some(RuntimeStatus::Pending)),
    ("Suspended", Some(RuntimeStatus::Suspended)),
];

/// A list that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InstanceListing {
    /// Which orchestrations; `None`: those of a status that none can have.
    pub(super) query: Option<InstanceQuery>,
    pub(super) shows_input: bool,
    /// Whether only their number is wanted.
    pub(super) is_count: bool,
    /// Whether it says where their time begins.
    pub(super) has_created_from: bool,
}

impl InstanceListing {
    /// The list that a request asks for.
    pub(super) fn of(parts: &Parts) -> Result<Self, ApiError> {
        let query = Query::of(parts);
        let page_size = query.value("top").filter(|size| *size > 0).unwrap_or(PAGE_SIZE);
        let filter = filter(&query)?;
        let continuation = continuation(parts)?;
        Ok(Self {
            has_created_from: query.text("createdTimeFrom").and_then(read_time).is_some(),
            query: filter.map(|filter| InstanceQuery {
                filter,
                page_size: page_size.min(PAGE_SIZE_MAX),
                continuation,
            }),
            shows_input: query.flag("showInput").unwrap_or(true),
            is_count: query.is_set("count"),
        })
    }

    /// The list of those that a request wants removed. Here a condition is not ignored that cannot be
    /// read: more would be removed than was meant.
    pub(super) fn of_purge(parts: &Parts) -> Result<Self, ApiError> {
        let query = Query::of(parts);
        let to = query.text("createdTimeTo").filter(|text| !text.trim().is_empty());
        if let Some(text) = to.filter(|text| read_time(text).is_none()) {
            let external = format!("The value '{text}' of `createdTimeTo` is not a time.");
            return Err(ApiError::bad_request(external));
        }
        let is_none = |text: &&str| !text.is_empty() && status_of(text).is_none();
        if let Some(text) = status_texts(&query).find(is_none) {
            let external = format!("The value '{text}' of `runtimeStatus` is not a status.");
            return Err(ApiError::bad_request(external));
        }
        Self::of(parts)
    }

    /// Those of them that can be removed; `None`: none can.
    pub(super) fn into_purge(self) -> Option<InstanceFilter> {
        let mut filter = self.query?.filter;
        if !filter.statuses.is_empty() {
            filter.statuses.retain(|status| status.is_finished());
            if filter.statuses.is_empty() {
                return None;
            }
        }
        Some(filter)
    }
}

fn filter(query: &Query) -> Result<Option<InstanceFilter>, ApiError> {
    let Some(statuses) = statuses(query) else { return Ok(None) };
    let name = query.text("name").filter(|name| !name.is_empty()).map(FunctionName::new);
    Ok(Some(InstanceFilter {
        name: name.transpose().map_err(|error| ApiError::bad_request(error.to_string()))?,
        statuses,
        created_from: query.text("createdTimeFrom").and_then(read_time),
        created_to: query.text("createdTimeTo").and_then(read_time),
        id_prefix: query.text("instanceIdPrefix").filter(|p| !p.is_empty()).map(str::to_owned),
        tags: query.with_prefix(TAG).map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        custom_status: query.text("customStatus").map(custom_status).transpose()?,
    }))
}

/// As in the original with commas between, or in several parameters, and unknown ones do not count.
/// `None`: only such as no orchestration has.
fn statuses(query: &Query) -> Option<Vec<RuntimeStatus>> {
    let (mut statuses, mut asks_for_none) = (Vec::new(), false);
    for status in status_texts(query).filter_map(status_of) {
        match status {
            Some(status) if !statuses.contains(&status) => statuses.push(status),
            Some(_) => {}
            None => asks_for_none = true,
        }
    }
    (!statuses.is_empty() || !asks_for_none).then_some(statuses)
}

fn status_texts(query: &Query) -> impl Iterator<Item = &str> {
    query.all("runtimeStatus").flat_map(|value| value.split(',')).map(str::trim)
}

/// The status of this name or, as the original reads its enumeration, of this number; one that no
/// orchestration has is `Some(None)`. `None`: it is no status.
fn status_of(text: &str) -> Option<Option<RuntimeStatus>> {
    if let Some((_, status)) = STATUSES.iter().find(|(name, _)| *name == text) {
        return Some(*status);
    }
    if text == "Unknown" {
        return Some(None);
    }
    let number: i32 = text.parse().ok()?;
    let place = usize::try_from(number).ok();
    Some(place.and_then(|place| STATUSES.get(place)).and_then(|(_, status)| *status))
}

/// It is not ignored when it cannot be read: what was asked for would come among much that was not.
fn custom_status(text: &str) -> Result<Payload, ApiError> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(Payload::from(text.trim_ascii())),
        Err(error) => Err(ApiError::bad_request(format!(
            "The value of `customStatus` is not JSON ({error}); a text stands in quotes."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::http::request::Parts;
    use axum::response::IntoResponse;
    use everstate_engine::storage::{InstanceFilter, InstanceQuery};
    use everstate_types::{FunctionName, Payload, RuntimeStatus, Timestamp};

    use super::InstanceListing;

    fn parts(query: &str) -> Parts {
        let request = Request::builder().uri(format!("/instances?{query}"));
        request.body(()).expect("a request").into_parts().0
    }

    fn listing(query: &str) -> Result<InstanceListing, u16> {
        InstanceListing::of(&parts(query)).map_err(|error| error.into_response().status().as_u16())
    }

    fn purge(query: &str) -> Result<InstanceListing, u16> {
        let purge = InstanceListing::of_purge(&parts(query));
        purge.map_err(|error| error.into_response().status().as_u16())
    }

    fn statuses(query: &str) -> Option<Vec<RuntimeStatus>> {
        listing(query).expect("a listing").query.map(|query| query.filter.statuses)
    }

    #[test]
    fn listing_without_parameters_has_the_defaults_of_the_original() {
        for query in ["", "top=0&showInput=&createdTimeFrom=soon&name=&instanceIdPrefix=&top=x"] {
            let found = listing(query).expect("a listing");
            let filter = InstanceFilter::default();
            let query = InstanceQuery { filter, page_size: 100, continuation: None };
            assert_eq!(
                found,
                InstanceListing {
                    query: Some(query),
                    shows_input: true,
                    is_count: false,
                    has_created_from: false,
                }
            );
        }
    }

    #[test]
    fn listing_takes_every_condition_of_the_query() {
        let found = listing(
            "name=Hello&runtimeStatus=Failed&createdTimeFrom=1970-01-01T00:00:01Z\
             &createdTimeTo=1970-01-02&instanceIdPrefix=a%2F&tag.Team=red&TAG.size=&top=1001\
             &customStatus=+%22x%22&showInput=False&count",
        )
        .expect("a listing");
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let filter = InstanceFilter {
            name: Some(FunctionName::new("Hello").expect("a valid name")),
            statuses: vec![RuntimeStatus::Failed],
            created_from: Some(Timestamp::from_millis(1_000)),
            created_to: Some(Timestamp::from_millis(86_400_000)),
            id_prefix: Some("a/".to_owned()),
            tags: vec![tag("Team", "red"), tag("size", "")],
            custom_status: Some(Payload::from("\"x\"")),
        };
        let query = InstanceQuery { filter, page_size: 1_000, continuation: None };
        assert_eq!(found.query, Some(query));
        assert!(found.is_count && !found.shows_input && found.has_created_from);
    }

    #[test]
    fn statuses_stand_between_commas_or_in_several_parameters_and_unknown_ones_do_not_count() {
        let (running, failed) = (RuntimeStatus::Running, RuntimeStatus::Failed);
        for (query, expected) in [
            ("runtimeStatus=Running,Failed", Some(vec![running, failed])),
            ("runtimeStatus=Running&runtimeStatus=Failed,+Running", Some(vec![running, failed])),
            ("runtimeStatus=Running,Nonsense,Canceled", Some(vec![running])),
            ("runtimeStatus=running", Some(Vec::new())),
            ("runtimeStatus=", Some(Vec::new())),
            ("runtimeStatus=Canceled,ContinuedAsNew", None),
            ("runtimeStatus=3", Some(vec![failed])),
            ("runtimeStatus=0,3", Some(vec![running, failed])),
            ("runtimeStatus=Failed,+3,99", Some(vec![failed])),
            ("runtimeStatus=2,4,8,-1,-2147483648", None),
            ("runtimeStatus=2147483648", Some(Vec::new())),
        ] {
            assert_eq!(statuses(query), expected, "{query}");
        }
    }

    #[test]
    fn purge_is_of_those_that_have_ended() {
        for (query, expected) in [
            ("", Some(Vec::new())),
            ("runtimeStatus=Running,Failed", Some(vec![RuntimeStatus::Failed])),
            ("runtimeStatus=Running", None),
            ("runtimeStatus=Canceled", None),
            ("runtimeStatus=3", Some(vec![RuntimeStatus::Failed])),
            ("runtimeStatus=0", None),
            ("runtimeStatus=&createdTimeTo=", Some(Vec::new())),
        ] {
            let purge = purge(query).expect("a listing").into_purge();
            assert_eq!(purge.map(|filter| filter.statuses), expected, "{query}");
        }
    }

    #[test]
    fn purge_with_a_condition_that_cannot_be_read_is_refused() {
        for query in [
            "createdTimeTo=soon",
            "createdTimeTo=2026-13-01",
            "runtimeStatus=failed",
            "runtimeStatus=Failed,Complete",
            "runtimeStatus=3.0",
        ] {
            assert_eq!(purge(query), Err(400), "{query}");
            assert!(listing(query).is_ok(), "a list shows what it was taken for: {query}");
        }
    }

    #[test]
    fn listing_that_would_not_be_what_was_asked_for_is_refused() {
        for query in ["customStatus=x", "customStatus=", "name=a%20b"] {
            assert_eq!(listing(query), Err(400), "{query}");
        }
    }
}
