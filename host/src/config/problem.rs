//! [`Problem`]: what is wrong with a configuration, told with the setting and the line.

use std::path::Path;

use anyhow::anyhow;
use toml::de::{DeTable, Error};

use super::HostConfig;

/// Settings that only tests know.
const UNLISTED: [&str; 1] = ["`abort_after_commits`"];

/// What is wrong with a setting.
#[derive(Debug)]
pub(super) struct Problem {
    /// Which one it is, or its section: `http.connections_max`. Empty: the whole.
    path: String,
    text: String,
}

impl Problem {
    pub(super) fn of(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// As an error of the environment variable of this name.
    pub(super) fn of_variable(&self, name: &str) -> anyhow::Error {
        anyhow!("the environment variable {name}: {}", self.line())
    }

    /// As an error of the file that has this text.
    pub(super) fn of_file(&self, file: &Path, text: &str) -> anyhow::Error {
        let span = toml::from_str::<HostConfig>(text).err().and_then(|error| error.span());
        let start = span.map(|span| span.start).or_else(|| start_of(&self.path, text));
        let place = start.map(|start| line_at(text, start)).unwrap_or_default();
        anyhow!("the configuration {}{place}: {}", file.display(), self.line())
    }

    /// As an error of what was put together from all places.
    pub(super) fn of_all(&self) -> anyhow::Error {
        anyhow!("the configuration: {}", self.line())
    }

    fn line(&self) -> String {
        let Self { path, text } = self;
        if path.is_empty() { text.clone() } else { format!("`{path}`: {text}") }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        // The path is in the text of the error only.
        let shown = error.to_string();
        let path =
            shown.trim_end().rsplit_once("\nin `").map(|(_, path)| path.trim_end_matches('`'));
        let mut text = error.message().replace('\n', " ");
        for number in ["usize", "u64", "u32"] {
            text = text.replace(&format!("expected {number}"), "expected a whole number from 0 on");
        }
        for name in UNLISTED {
            text = text.replace(&format!(", {name}"), "");
        }
        Self { path: path.unwrap_or_default().to_owned(), text }
    }
}

/// What is wrong with a file that is no TOML.
pub(super) fn syntax(file: &Path, text: &str, error: &Error) -> anyhow::Error {
    let place = error.span().map(|span| line_at(text, span.start)).unwrap_or_default();
    let said = error.message().replace('\n', " ");
    anyhow!("the configuration {}{place}: {said}", file.display())
}

/// Where the setting at a path begins.
fn start_of(path: &str, text: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut start = None;
    for name in path.split('.') {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        start = Some(key.span().start);
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    start
}

fn line_at(text: &str, start: usize) -> String {
    let before = text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    format!(", line {}", before + 1)
}
