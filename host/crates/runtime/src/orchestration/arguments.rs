//! What orchestrators pass to the host, checked. What is wrong with it is told to the guest.

use everstate_types::limits::{EVENT_NAME_CHARS_MAX, LOCK_SET_MAX, TAGS_MAX};
use everstate_types::{EntityId, Payload, Tags};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Uri};
use serde::Serialize;

use crate::bindings::imports::orchestration::HttpCall;
use crate::bindings::imports::types::{self, HostError};
use crate::convert::{entity_id, invalid, payload};

/// Checks tags that are added to those which are inherited.
pub(super) fn tags(tags: Tags, inherited: &Tags) -> Result<Tags, HostError> {
    let mut names: Vec<&str> = tags.iter().chain(inherited).map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.dedup();
    let count = names.len();
    if count > TAGS_MAX {
        let problem = format!("{count} tags with the inherited ones, {TAGS_MAX} allowed");
        return Err(HostError::LimitExceeded(problem));
    }
    Ok(tags)
}

/// Checks the name of an event.
pub(super) fn event_name(name: &str) -> Result<(), HostError> {
    let chars = name.chars().count();
    if chars == 0 || chars > EVENT_NAME_CHARS_MAX {
        return Err(invalid(&format!(
            "the name of an event has 1 to {EVENT_NAME_CHARS_MAX} characters, this one has {chars}"
        )));
    }
    Ok(())
}

/// Checks what is to be locked; gives each entity once, in the order in which all orchestrations take
/// locks, so that no two of them wait for each other.
pub(super) fn lock_set(entities: &[types::EntityId]) -> Result<Vec<EntityId>, HostError> {
    let mut entities = entities.iter().map(entity_id).collect::<Result<Vec<_>, _>>()?;
    entities.sort_unstable();
    entities.dedup();
    match entities.len() {
        0 => Err(invalid(&"the list of entities to lock must not be empty")),
        1..=LOCK_SET_MAX => Ok(entities),
        count => Err(HostError::LimitExceeded(format!(
            "{count} entities to lock at once, {LOCK_SET_MAX} allowed"
        ))),
    }
}

/// The input of the activity that makes durable HTTP requests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpActivityInput<'a> {
    method: &'a str,
    uri: &'a str,
    headers: &'a [(String, String)],
    content: Option<&'a str>,
    timeout_ms: Option<u64>,
}

/// Checks a durable HTTP request; gives it as the input of the activity that makes it.
pub(super) fn http_call(call: &HttpCall, bytes_max: usize) -> Result<Payload, HostError> {
    let HttpCall { method, uri, headers, body, timeout } = call;
    Method::from_bytes(method.as_bytes())
        .map_err(|_| invalid(&format!("`{method}` is no HTTP method")))?;
    let parsed: Uri =
        uri.parse().map_err(|problem| invalid(&format!("`{uri}` is no URI: {problem}")))?;
    let has_host = parsed.host().is_some_and(|host| !host.is_empty());
    if !has_host || !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(invalid(&format!("`{uri}` is no whole address; use http:// or https://")));
    }
    for (name, value) in headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err()
        {
            return Err(invalid(&format!("`{name}: {value}` is no HTTP header")));
        }
    }
    let content = body.as_deref();
    let input = HttpActivityInput { method, uri, headers, content, timeout_ms: *timeout };
    payload(serde_json::to_string(&input).expect("it has a JSON form"), bytes_max)
}

#[cfg(test)]
mod tests {
    use everstate_types::Tags;
    use everstate_types::limits::{
        ENTITY_KEY_CHARS_MAX, EVENT_NAME_CHARS_MAX, LOCK_SET_MAX, TAGS_MAX,
    };

    use super::{event_name, http_call, lock_set, tags};
    use crate::bindings::imports::orchestration::HttpCall;
    use crate::bindings::imports::types::{EntityId, HostError};

    fn many(count: usize) -> Tags {
        (0..count).map(|number| (format!("tag-{number}"), "value".to_owned())).collect()
    }

    fn get(uri: &str) -> HttpCall {
        HttpCall {
            method: "GET".to_owned(),
            uri: uri.to_owned(),
            headers: vec![("Accept".to_owned(), "text/plain".to_owned())],
            body: None,
            timeout: None,
        }
    }

    #[test]
    fn tags_are_counted_with_the_inherited_ones_and_once_by_name() {
        assert_eq!(tags(many(TAGS_MAX), &many(TAGS_MAX)).expect("the same names").len(), TAGS_MAX);
        let other = vec![("other".to_owned(), String::new())];
        assert!(matches!(tags(many(TAGS_MAX), &other), Err(HostError::LimitExceeded(_))));
    }

    #[test]
    fn event_names_have_a_length_in_characters() {
        assert!(event_name("ü").is_ok() && event_name(&"ü".repeat(EVENT_NAME_CHARS_MAX)).is_ok());
        for name in [String::new(), "ü".repeat(EVENT_NAME_CHARS_MAX + 1)] {
            assert!(matches!(event_name(&name), Err(HostError::InvalidArgument(_))), "{name}");
        }
    }

    fn entity((name, key): (&str, &str)) -> EntityId {
        EntityId { name: name.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn lock_set_is_in_one_order_by_name_and_key_without_duplicates() {
        let asked = [("b", "1"), ("A", "é"), ("a", "z"), ("B", "1"), ("a", "10"), ("a", "9")];
        let locked = lock_set(&asked.map(entity)).expect("a lock set");
        let locked: Vec<String> = locked.iter().map(ToString::to_string).collect();
        assert_eq!(locked, ["@a@10", "@a@9", "@a@z", "@a@é", "@b@1"]);
    }

    #[test]
    fn lock_set_has_one_to_so_many_valid_entities() {
        let many = |count: usize| -> Vec<EntityId> {
            let keys = (0..count).map(|number| entity(("a", &number.to_string())));
            keys.chain([entity(("a", "0"))]).collect()
        };
        assert!(matches!(lock_set(&[]), Err(HostError::InvalidArgument(_))));
        assert_eq!(lock_set(&many(LOCK_SET_MAX)).expect("as many as allowed").len(), LOCK_SET_MAX);
        assert!(matches!(lock_set(&many(LOCK_SET_MAX + 1)), Err(HostError::LimitExceeded(_))));
        let long = "k".repeat(ENTITY_KEY_CHARS_MAX + 1);
        let bad = lock_set(&[entity(("a", "1")), entity(("a", &long))]);
        assert!(matches!(bad, Err(HostError::InvalidArgument(_))));
    }

    #[test]
    fn http_call_becomes_the_input_of_the_activity() {
        let mut call = get("https://example.com/a?b=c");
        let input = http_call(&call, usize::MAX).expect("a good request");
        assert_eq!(
            input.as_str(),
            r#"{"method":"GET","uri":"https://example.com/a?b=c","headers":[["Accept","text/plain"]],"content":null,"timeoutMs":null}"#
        );
        (call.body, call.timeout) = (Some("\"x\"".to_owned()), Some(5));
        let input = http_call(&call, usize::MAX).expect("a good request");
        assert!(input.as_str().ends_with(r#""content":"\"x\"","timeoutMs":5}"#), "{input:?}");
        assert!(matches!(http_call(&call, 10), Err(HostError::LimitExceeded(_))));
    }

    #[test]
    fn http_call_that_is_no_request_is_refused() {
        let mut bad = vec![get("/path"), get("example.com"), get("ftp://a/"), get("http:// /")];
        bad.push(HttpCall { method: "G T".to_owned(), ..get("http://a/") });
        bad.push(HttpCall { headers: vec![("a b".into(), String::new())], ..get("http://a/") });
        bad.push(HttpCall { headers: vec![("a".into(), "\n".into())], ..get("http://a/") });
        for call in bad {
            let refused = http_call(&call, usize::MAX);
            assert!(matches!(refused, Err(HostError::InvalidArgument(_))), "{call:?}");
        }
    }
}
