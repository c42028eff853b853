//! Values on the command line: JSON or a file with it, pairs, names.

use std::io::Read as _;

use anyhow::{Context as _, bail};
use serde_json::value::RawValue;

/// JSON from the argument, from a file (`@file`) or from standard input (`@-`). It is checked and
/// otherwise left as it is.
pub(crate) fn json(argument: &str) -> anyhow::Result<String> {
    let text = match argument.strip_prefix('@') {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?
        }
        None => argument.to_owned(),
    };
    let text = text.trim();
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        let hint = if argument.starts_with('@') {
            ""
        } else {
            "; text stands in quotation marks, within the shell's: '\"text\"'"
        };
        bail!("`{}` is not JSON: {error}{hint}", text.chars().take(60).collect::<String>());
    }
    Ok(text.to_owned())
}

/// A pair `name=value`.
pub(crate) fn pair(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give name=value".to_owned()),
    }
}

/// What must not be empty: an empty id or name would be another address of the host.
pub(crate) fn given(argument: &str) -> Result<String, String> {
    if argument.is_empty() { Err("it is empty".to_owned()) } else { Ok(argument.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::{given, json, pair};

    #[test]
    fn json_is_checked_and_left_as_it_is() {
        assert_eq!(json(r#" {"a": 1.50} "#).expect("JSON"), r#"{"a": 1.50}"#);
        let error = json("text").expect_err("no JSON").to_string();
        assert!(error.contains("`text` is not JSON") && error.contains("'\"text\"'"), "{error}");
        assert!(json("@/nowhere/at/all").is_err());
    }

    #[test]
    fn pair_splits_at_the_first_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }

    #[test]
    fn what_must_be_given_is_not_empty() {
        assert_eq!(given(" "), Ok(" ".to_owned()));
        assert!(given("").is_err());
    }
}
