//! What went wrong, in one line that says what to do next.

use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;

use anyhow::anyhow;
use rustls::CertificateError as Wrong;
use serde_json::{Value, json};

use super::api::Reply;

/// What a host answers where it has nothing: a host of another version, then.
const NO_SUCH_PATH: &str = "There is nothing at this path";

/// What the standard library says of a name that has no address; the error has no kind of its own.
const NO_ADDRESS: &str = "failed to lookup address information";

/// Characters of an answer that is none of a host that are shown.
const FOREIGN_CHARS_MAX: usize = 80;

/// A result that is not as hoped: JSON has it all the same, and people are told why it is not.
#[derive(Debug)]
pub(crate) struct NotAsHoped {
    /// The line for people.
    pub(crate) message: String,
    /// What a program is given in place of an error.
    pub(crate) result: Value,
}

impl fmt::Display for NotAsHoped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NotAsHoped {}

/// What JSON has where a command could not do what it was to do.
pub(crate) fn document(error: &anyhow::Error) -> Value {
    match error.downcast_ref::<NotAsHoped>() {
        Some(ended) => ended.result.clone(),
        None => json!({ "error": { "message": one_line(error) } }),
    }
}

/// No connection, or one that ended before an answer came.
pub(crate) fn unreachable(base: &str, error: &ureq::Error) -> anyhow::Error {
    let no_address =
        || anyhow!("{base} has no address: check the name that --host or EVERSTATE_HOST_URL gives");
    match error {
        ureq::Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            let of_tls = io.get_ref().and_then(|inner| inner.downcast_ref());
            untrusted(base, &chain(error), of_tls)
        }
        ureq::Error::Io(io) if io.to_string().starts_with(NO_ADDRESS) => no_address(),
        ureq::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused => anyhow!(
                "nothing listens at {base}: is the host running? start it with `everstate run`, \
                 or name another with --host"
            ),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => {
                anyhow!("{base} ended the connection ({io}): see that the host runs, and try again")
            }
            _ => {
                anyhow!("cannot talk to {base}: {}; `everstate doctor` may say more", chain(error))
            }
        },
        ureq::Error::HostNotFound => no_address(),
        ureq::Error::Timeout(_) => anyhow!(
            "{base} did not answer in time: check that the host runs (`everstate doctor`), or name \
             another with --host"
        ),
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
pub(crate) fn broken_off(base: &str, error: &impl fmt::Display) -> anyhow::Error {
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

/// Whether a host says that there is no such thing. A 404 of something else, and one about the path, say
/// nothing about what was asked for.
pub(crate) fn is_missing(reply: &Reply) -> bool {
    reply.status == 404 && said(reply).is_some_and(|text| text != NO_SUCH_PATH)
}

/// Whether it is a host of Everstate that speaks.
pub(crate) fn is_said(reply: &Reply) -> bool {
    said(reply).is_some()
}

/// The host does not do `what`.
pub(crate) fn refused(reply: &Reply, what: &str) -> anyhow::Error {
    let status = reply.status.as_u16();
    let Some(said) = said(reply) else {
        return anyhow!("{what}: {}; check the address of the host", message(reply));
    };
    match status {
        429 | 503 => anyhow!("{what}: {said}; the host has too much to do, try again later"),
        404 if said == NO_SUCH_PATH => {
            anyhow!("{what}: the host does not know this; is it one of this version?")
        }
        _ => anyhow!("{what}: {said}"),
    }
}

/// What an answer says, without a full stop; of one that no host of Everstate gives, how it begins.
pub(crate) fn message(reply: &Reply) -> String {
    if let Some(text) = said(reply) {
        return text;
    }
    let status = reply.status.as_u16();
    let text = String::from_utf8_lossy(&reply.body);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = words.chars().take(FOREIGN_CHARS_MAX).collect();
    if shown.len() < words.len() {
        shown.push('…');
    }
    if shown.is_empty() {
        format!("the answer is {status} without a word")
    } else {
        format!("the answer is {status} and not as hosts of Everstate answer (`{shown}`)")
    }
}

/// What a host says, without a full stop; `None` if it is none of Everstate that speaks.
fn said(reply: &Reply) -> Option<String> {
    let document: Value = serde_json::from_slice(&reply.body).ok()?;
    let text = document["Message"].as_str()?;
    Some(text.trim().trim_end_matches('.').to_owned())
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
    use std::io::{Error, ErrorKind};

    use serde_json::json;

    use super::{
        NotAsHoped, Reply, distance, document, is_missing, message, one_line, refused, similar,
        unreachable,
    };

    #[test]
    fn missing_is_what_a_host_says_and_nobody_else() {
        let missing = Reply::of(404, r#"{"Message":"No instance with ID 'a' was found."}"#);
        assert!(is_missing(&missing));
        for (status, body) in [
            (404, "<html><body>404 Not Found</body></html>"),
            (404, r#"{"Message":"There is nothing at this path."}"#),
            (404, r#"{"error":"not found"}"#),
            (404, ""),
            (400, r#"{"Message":"No instance with ID 'a' was found."}"#),
        ] {
            assert!(!is_missing(&Reply::of(status, body)), "{status} {body}");
        }
    }

    #[test]
    fn answer_of_something_else_is_cut_and_named() {
        let page = format!("<html>\n<p>{}</p></html>", "x ".repeat(1_000));
        let text = refused(&Reply::of(404, &page), "cannot list").to_string();
        assert!(text.starts_with("cannot list: the answer is 404 and not as"), "{text}");
        assert!(text.chars().count() < 250, "{text}");
        assert_eq!(message(&Reply::of(502, "")), "the answer is 502 without a word");
    }

    #[test]
    fn connection_that_fails_is_told_by_its_cause() {
        let text = |error: Error| unreachable("http://h", &ureq::Error::Io(error)).to_string();
        let unknown = Error::other("failed to lookup address information: Name not known");
        assert!(text(unknown).contains("has no address"));
        assert!(text(ErrorKind::ConnectionRefused.into()).contains("everstate run"));
        assert!(text(ErrorKind::ConnectionReset.into()).contains("ended the connection"));
    }

    #[test]
    fn program_is_given_the_result_or_the_error() {
        let error = anyhow::anyhow!("no").context("cannot");
        assert_eq!(document(&error), json!({"error": {"message": "cannot: no"}}));
        let result = json!({"checked": 1});
        let ended = NotAsHoped { message: "one does not fit".to_owned(), result: result.clone() };
        assert_eq!(document(&ended.into()), result);
    }

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
