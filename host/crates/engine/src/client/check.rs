//! What clients give to orchestrations, checked. What is stored already was allowed once and is not
//! looked at again.

use everstate_types::limits::{TAG_NAME_CHARS_MAX, TAGS_MAX};

use super::StartRequest;
use crate::error::ClientError;

/// Checks the id and the tags of a start.
pub(super) fn check_start(request: &StartRequest) -> Result<(), ClientError> {
    let id = request.instance_id.as_ref().map(|id| id.as_str());
    if let Some(id @ ("." | "..")) = id {
        let problem = format!("an instance id must not be `{id}`: no path of a URL leads to it");
        return Err(ClientError::InvalidArgument(problem));
    }
    let count = request.tags.len();
    if count > TAGS_MAX {
        return Err(ClientError::InvalidArgument(format!("{count} tags, {TAGS_MAX} allowed")));
    }
    request.tags.iter().try_for_each(|(name, _)| check_name("a tag", name, TAG_NAME_CHARS_MAX))
}

/// Checks the name of something.
pub(super) fn check_name(of: &str, name: &str, chars_max: usize) -> Result<(), ClientError> {
    let chars = name.chars().count();
    if (1..=chars_max).contains(&chars) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ClientError::InvalidArgument(format!(
        "the name of {of} has 1 to {chars_max} characters and no control characters; this one has \
         {chars}"
    )))
}

#[cfg(test)]
mod tests {
    use everstate_types::limits::{TAG_NAME_CHARS_MAX, TAGS_MAX};
    use everstate_types::{InstanceId, Payload};

    use super::check_start;
    use crate::client::{ConflictPolicy, StartRequest};

    fn is_allowed(id: &str, tags: Vec<String>) -> bool {
        let request = StartRequest {
            name: "Hello".to_owned(),
            input: Payload::null(),
            instance_id: Some(InstanceId::orchestration(id).expect("a valid id")),
            tags: tags.into_iter().map(|name| (name, String::new())).collect(),
            start_at: None,
            on_conflict: ConflictPolicy::Fail,
        };
        check_start(&request).is_ok()
    }

    #[test]
    fn start_whose_id_no_url_can_name_is_refused() {
        for (id, expected) in [(".", false), ("..", false), ("...", true), (".a", true)] {
            assert_eq!(is_allowed(id, Vec::new()), expected, "{id}");
        }
    }

    #[test]
    fn start_with_too_many_tags_or_names_that_are_none_is_refused() {
        let long = "é".repeat(TAG_NAME_CHARS_MAX);
        for (name, expected) in [
            ("team", true),
            (long.as_str(), true),
            (&format!("{long}é"), false),
            ("", false),
            ("a\u{7}", false),
        ] {
            assert_eq!(is_allowed("a", vec![name.to_owned()]), expected, "{name:?}");
        }
        let many = |count: usize| (0..count).map(|number| number.to_string()).collect();
        assert!(is_allowed("a", many(TAGS_MAX)));
        assert!(!is_allowed("a", many(TAGS_MAX + 1)));
    }
}
