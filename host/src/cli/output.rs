//! What the commands print: tables and lines for people, or JSON. Colour and progress are for
//! terminals only, and colour never where `NO_COLOR` is set.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// What is said if standard output cannot be written to.
const OUTPUT_CLOSED: &str = "standard output is closed";

/// How often the sign of progress turns.
const TICK: Duration = Duration::from_millis(120);

/// Characters of a value that a table shows.
const CELL_CHARS_MAX: usize = 72;

/// How something is marked where there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// It is over, or matters less.
    Quiet,
    /// It is as it should be.
    Good,
    /// Look at it.
    Warning,
    /// It is wrong.
    Bad,
    /// The head of a table.
    Heading,
}

impl Tone {
    /// Of an orchestration in this status.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            "Running" => Self::Good,
            "Completed" => Self::Quiet,
            "Failed" => Self::Bad,
            "Terminated" | "Suspended" | "Canceled" => Self::Warning,
            _ => Self::Plain,
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Quiet => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("31"),
            Self::Heading => Some("1"),
        }
    }
}

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether JSON is asked for.
    pub(crate) json: bool,
    colour: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, colour: !json && !no_colour && std::io::stdout().is_terminal() }
    }

    /// Prints a value, on one line if nobody but a program reads it.
    pub(crate) fn value(self, value: &Value) -> anyhow::Result<()> {
        let text = if std::io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(&text.context("a JSON value is text")?)
    }

    /// Prints a line.
    #[expect(clippy::unused_self, reason = "all that is printed goes through an output")]
    pub(crate) fn line(self, text: &str) -> anyhow::Result<()> {
        write_out(format!("{text}\n").as_bytes())
    }

    /// Prints JSON letter for letter as the host gave it.
    pub(crate) fn raw(self, json: &[u8]) -> anyhow::Result<()> {
        write_out(&[json.trim_ascii(), b"\n"].concat())
    }

    /// Prints bytes as they are.
    #[expect(clippy::unused_self, reason = "all that is printed goes through an output")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> anyhow::Result<()> {
        write_out(bytes)
    }

    /// The JSON if it is asked for, otherwise the line.
    pub(crate) fn line_or(self, json: &Value, text: &str) -> anyhow::Result<()> {
        if self.json { self.value(json) } else { self.line(text) }
    }

    /// Prints a table. Where there is none to print, `empty` instead.
    pub(crate) fn table(self, rows: &Rows, empty: &str) -> anyhow::Result<()> {
        if rows.tones.is_empty() {
            return self.line(empty);
        }
        write_out(self.render(rows).as_bytes())
    }

    fn render(self, rows: &Rows) -> String {
        let mut text = String::new();
        let tones = std::iter::once(Tone::Heading).chain(rows.tones.iter().copied());
        for (line, tone) in rows.table.lines().zip(tones) {
            let painted = self.paint(line.trim_end(), tone);
            writeln!(text, "{painted}").expect("a String takes all");
        }
        text
    }

    /// The text in the colour of the tone.
    pub(crate) fn paint(self, text: &str, tone: Tone) -> String {
        match tone.code().filter(|_| self.colour) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }
}

/// A sign on the terminal that something goes on; it is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Shows it, on standard error and only on a terminal.
    pub(crate) fn start(what: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar on the terminal that shows how much is copied; it is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct CopyProgress(ProgressBar);

impl CopyProgress {
    /// Shows it, on standard error and only on a terminal.
    pub(crate) fn start(what: &str) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}")
            .expect("the template is well-formed");
        Self(ProgressBar::new(0).with_style(style).with_message(what.to_owned()))
    }

    /// So many of so many bytes are copied.
    pub(crate) fn show(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }
}

impl Drop for CopyProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A table under way.
#[derive(Debug)]
pub(crate) struct Rows {
    table: Table,
    tones: Vec<Tone>,
}

impl Rows {
    pub(crate) fn new(head: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(head.iter().map(|name| (*name).to_owned()));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table, tones: Vec::new() }
    }

    /// Adds a row, with as many cells as the head has.
    pub(crate) fn add(&mut self, tone: Tone, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells.into_iter().map(|text| printable(&text)));
        self.tones.push(tone);
    }
}

/// A JSON value in a table: text without quotation marks, nothing for null, the rest as JSON; cut if it is long.
pub(crate) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    shortened(&text)
}

/// The field of a JSON object in a table.
pub(crate) fn field(value: &Value, name: &str) -> String {
    cell(&value[name])
}

/// The field of a JSON object as it is; nothing for null and what is missing.
pub(crate) fn whole_field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Says something beside the output, to people only.
pub(crate) fn note(text: &str) {
    let mut terminal = std::io::stderr().lock();
    if terminal.is_terminal() {
        // Nobody reads it where it cannot be written.
        drop(writeln!(terminal, "{text}"));
    }
}

/// So many of something, as people say it.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// A word of a command to type: in the quotation marks of the shell where it needs them.
pub(crate) fn word(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let is_plain = |other: char| other.is_alphanumeric() || "-_./:@%+=,".contains(other);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A count of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut scaled = count;
    let mut tenths = 0;
    let mut unit = "";
    for name in UNITS {
        if !unit.is_empty() && scaled < 1024 {
            break;
        }
        (tenths, scaled, unit) = (scaled % 1024 * 10 / 1024, scaled / 1024, name);
    }
    format!("{scaled}.{tenths} {unit}")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The text without anything that would steer a terminal or break a row.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether nobody reads what is written any more.
pub(crate) fn is_output_closed(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.to_string() == OUTPUT_CLOSED && cause == Some(std::io::ErrorKind::BrokenPipe)
}

fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context(OUTPUT_CLOSED)
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use serde_json::json;

    use super::{OUTPUT_CLOSED, Output, Rows, Tone, bytes, cell, counted, is_output_closed, word};

    #[test]
    fn words_are_quoted_where_the_shell_would_take_them_apart() {
        for (text, expected) in [
            ("order-1", "order-1"),
            ("@Counter@a/b", "@Counter@a/b"),
            ("", "''"),
            ("my order", "'my order'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn one_is_told_from_several() {
        assert_eq!((counted(1, "row"), counted(0, "row")), ("1 row".into(), "0 rows".into()));
    }

    #[test]
    fn table_aligns_columns_and_keeps_a_row_on_a_line() {
        let mut rows = Rows::new(&["ID", "STATUS"]);
        rows.add(Tone::Plain, ["a".to_owned(), "Running".to_owned()]);
        rows.add(Tone::Bad, ["long\nid\x1b[2J".to_owned(), "Failed".to_owned()]);
        let plain = Output { json: false, colour: false }.render(&rows);
        let expected =
            "ID                 STATUS\na                  Running\nlong\\nid\\u{1b}[2J  Failed\n";
        assert_eq!(plain, expected);
    }

    #[test]
    fn output_that_nobody_reads_any_more_is_no_failure() {
        let broken = |kind| anyhow::Error::new(Error::from(kind)).context(OUTPUT_CLOSED);
        assert!(is_output_closed(&broken(ErrorKind::BrokenPipe)));
        assert!(!is_output_closed(&broken(ErrorKind::StorageFull)));
        // A connection to the host, say.
        let other = anyhow::Error::new(Error::from(ErrorKind::BrokenPipe)).context("cannot ask");
        assert!(!is_output_closed(&other));
    }

    #[test]
    fn colour_is_put_around_lines_only_where_it_is_wanted() {
        let mut rows = Rows::new(&["ID"]);
        rows.add(Tone::Bad, ["a".to_owned()]);
        let coloured = Output { json: false, colour: true }.render(&rows);
        assert_eq!(coloured, "\x1b[1mID\x1b[0m\n\x1b[31ma\x1b[0m\n");
    }

    #[test]
    fn cell_shows_values_shortly() {
        assert_eq!(cell(&json!(null)), "");
        assert_eq!(cell(&json!("text")), "text");
        assert_eq!(cell(&json!({"a": 1})), r#"{"a":1}"#);
        assert_eq!(cell(&json!("x".repeat(100))).chars().count(), 73);
    }

    #[test]
    fn bytes_are_scaled() {
        for (count, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (5_368_709_120, "5.0 GiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
