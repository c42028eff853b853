//! [`Query`]: the parameters of a request to the management API.
//!
//! As in the original, case does not matter in their names, and a value that cannot be read is
//! as good as none. Not here: the parameters that functions see, which are all of them as they came.

use std::str::FromStr;

use axum::http::request::Parts;

use crate::path::query_parameters;

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Those of this request.
    pub(crate) fn of(parts: &Parts) -> Self {
        Self(query_parameters(parts.uri.query()))
    }

    /// The first value of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter, if it can be read as what is wanted.
    pub(crate) fn value<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// The same, if it says true or false; case does not matter.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name)?.to_ascii_lowercase().parse().ok()
    }

    /// Whether a parameter is there that stands for itself: `?count` is `?count=true`. The original
    /// has none of these.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.text(name) == Some("") || self.flag(name) == Some(true)
    }

    /// What follows the prefix in the names that begin with it, and the values.
    pub(crate) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(move |(name, value)| {
            let (begin, rest) = name.split_at_checked(prefix.len())?;
            begin.eq_ignore_ascii_case(prefix).then_some((rest, value.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::Query;

    fn query(text: &str) -> Query {
        let request = Request::builder().uri(format!("/a?{text}")).body(()).expect("a request");
        Query::of(&request.into_parts().0)
    }

    #[test]
    fn parameter_that_cannot_be_read_is_as_good_as_none() {
        let query = query("TOP=7&fetchState=TRUE&showInput=perhaps&page=x&count");
        assert_eq!(query.value("top"), Some(7));
        assert_eq!(query.value::<u32>("page"), None);
        assert_eq!((query.flag("fetchstate"), query.flag("showInput")), (Some(true), None));
        assert_eq!((query.flag("count"), query.text("other")), (None, None));
    }

    #[test]
    fn parameter_without_a_value_is_set() {
        for (text, is_set) in
            [("count", true), ("Count=True", true), ("count=false", false), ("count=1", false)]
        {
            assert_eq!(query(text).is_set("count"), is_set, "{text}");
        }
    }

    #[test]
    fn prefix_leaves_the_rest_of_the_name_as_it_is() {
        let query = query("field.Owner=%22ann%22&FIELD.size=2&fields=3&field.=4&é=5");
        let found: Vec<_> = query.with_prefix("field.").collect();
        assert_eq!(found, [("Owner", "\"ann\""), ("size", "2"), ("", "4")]);
    }
}
