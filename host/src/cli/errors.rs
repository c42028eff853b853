//! What went wrong, in one line that says what to do next.

use std::error::Error as _;
use std::io::ErrorKind;

use anyhow::anyhow;
use rustls::CertificateError as Wrong;
use serde_json::Value;

use super::api::Reply;

/// No connection.
pub(crate) fn unreachable(base: &str, error: &ureq::Error) -> anyhow::Error {
    match error {
        ureq::Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => anyhow!(
            "nothing listens at {base}: is the host running? start it with `everstate run`, or \
             name another with --host"
        ),
        ureq::Error::HostNotFound => {
            anyhow!("{base} has no address: check the name that --host or EVERSTATE_HOST_URL gives")
        }
        ureq::Error::Timeout(_) => anyhow!(
            "{base} did not answer in time: check that the host runs (`everstate doctor`), or name \
             another with --host"
        ),
        ureq::Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            let of_tls = io.get_ref().and_then(|inner| inner.downcast_ref());
            untrusted(base, &chain(error), of_tls)
        }
        ureq::Error::Rustls(of_tls) => untrusted(base, &chain(error), Some(of_tls)),
        ureq::Error::Tls(_) | ureq::Error::Pem(_) => untrusted(base, &chain(error), None),
        // What a port says in TLS that is spoken to in plain HTTP.
        ureq::Error::Protocol(_) if base.starts_with("http://") => anyhow!(
            "{base} does not answer in plain HTTP: {}; use https:// if it speaks TLS; is it a host of \
             Everstate?",
            chain(error)
        ),
        other => anyhow!("cannot talk to {base}: {}; is it a host of Everstate?", chain(other)),
    }
}

fn untrusted(base: &str, reason: &str, error: Option<&rustls::Error>) -> anyhow::Error {
    let advice = match error {
        Some(rustls::Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. })) => {
            "renew the certificate of the host, or set the clock of this machine"
        }
        Some(rustls::Error::InvalidCertificate(
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. },
        )) => "set the clock of this machine",
        Some(rustls::Error::InvalidCertificate(
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. },
        )) => "name the host with --host as its certificate does",
        _ => {
            "if the certificate is your own, name it with --ca, and if the host speaks plain HTTP, \
             use http://"
        }
    };
    anyhow!("no trusted connection to {base}: {reason}; {advice}")
}

/// The connection ended within an answer.
pub(crate) fn broken_off(base: &str, error: &impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the answer of {base} broke off: {error}; look at the host's log and try again")
}

/// A 401.
pub(crate) fn unauthorized(base: &str, has_key: bool) -> anyhow::Error {
    if has_key {
        anyhow!(
            "{base} does not accept this key: give its management key with --key or EVERSTATE_KEY"
        )
    } else {
        anyhow!("{base} asks for its management key: give it with --key or EVERSTATE_KEY")
    }
}

/// Whether a 404 is about the path and not about what it names: a host of another version.
pub(crate) fn is_about_the_path(reply: &Reply) -> bool {
    message(reply) == "There is nothing at this path"
}

/// The host does not do `what`.
pub(crate) fn refused(reply: &Reply, what: &str) -> anyhow::Error {
    let said = message(reply);
    match reply.status.as_u16() {
        429 | 503 => anyhow!("{what}: {said}; the host has too much to do, try again later"),
        404 if said.is_empty() || is_about_the_path(reply) => {
            anyhow!(
                "{what}: the host does not know this; is it a host of Everstate, of this version?"
            )
        }
        status if said.is_empty() => anyhow!("{what}: the host answered {status}"),
        _ => anyhow!("{what}: {said}"),
    }
}

/// What an answer says, without a full stop.
pub(crate) fn message(reply: &Reply) -> String {
    let text = match serde_json::from_slice::<Value>(&reply.body) {
        Ok(Value::Object(fields)) => fields
            .get("Message")
            .and_then(Value::as_str)
            .map_or_else(|| Value::Object(fields.clone()).to_string(), str::to_owned),
        Ok(Value::String(text)) => text,
        _ => String::from_utf8_lossy(&reply.body).into_owned(),
    };
    text.trim().trim_end_matches('.').to_owned()
}

/// An error and its causes.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// What to do about a name that is none of `names`: those that look like it.
pub(crate) fn similar(name: &str, names: &[String]) -> String {
    let wanted = name.to_lowercase();
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .filter_map(|other| {
            let lower = other.to_lowercase();
            let distance = distance(&wanted, &lower);
            let is_near = distance <= wanted.chars().count().max(3) / 3
                || (wanted.len() > 2 && (lower.contains(&wanted) || wanted.contains(&lower)));
            is_near.then_some((distance, other))
        })
        .collect();
    near.sort();
    near.dedup();
    let quoted: Vec<String> = near.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    if quoted.is_empty() {
        "`everstate functions` lists those there are".to_owned()
    } else {
        format!("did you mean {}?", quoted.join(" or "))
    }
}

/// How many characters are to be put in, taken out or changed (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..right.len() {
            let changed = diagonal + usize::from(right[column] != character);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// An error with its causes, each once.
fn chain(error: &ureq::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{distance, one_line, similar};

    #[test]
    fn similar_names_are_offered_nearest_first() {
        let names = ["HelloCounted", "Hello5", "Chain"].map(str::to_owned);
        assert_eq!(similar("hello", &names), "did you mean `Hello5` or `HelloCounted`?");
        assert_eq!(similar("Chian", &names), "`everstate functions` lists those there are");
        assert_eq!(similar("Chaim", &names), "did you mean `Chain`?");
    }

    #[test]
    fn distance_counts_changes() {
        for (left, right, expected) in
            [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("same", "same", 0)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn error_of_several_lines_becomes_one() {
        let error = anyhow::anyhow!("first\n  second\r\n").context("all");
        assert_eq!(one_line(&error), "all: first; second");
    }
}
