//! Log lines. They go to standard error; standard output is for what a user asked to see. A host never
//! waits for whoever reads the two.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use everstate_engine::clock::{Clock as _, SystemClock};
use prometheus_client::metrics::counter::Counter;
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::line_queue::LineQueue;

/// How long the last lines may take when the process ends.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Standard error and standard output of a host, of which a process has one each.
static STREAMS: OnceLock<Streams> = OnceLock::new();

#[derive(Debug)]
struct Streams {
    log: Arc<LineQueue>,
    out: Arc<LineQueue>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object of JSON each, for programs.
    Json,
}

/// Starts logging, and the threads that write to standard error and standard output.
pub(crate) fn start(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| anyhow!("the setting `log`: {error}"))?;
    let log = LineQueue::start(std::io::stderr(), |lines| {
        tracing::warn!(lines, "lines of the log are missing here: standard error was not read");
    })
    .context("standard error")?;
    let out = LineQueue::start(std::io::stdout(), |texts| {
        tracing::warn!(texts, "texts are missing on standard output: it was not read");
    })
    .context("standard output")?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Arc::clone(&log));
    let started = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.event_format(JsonLines).try_init(),
    };
    started.map_err(|error| anyhow!("logging cannot start: {error}"))?;
    STREAMS.set(Streams { log, out }).map_err(|_| anyhow!("logging was started already"))
}

/// Counts the lines that were not logged because standard error was not read.
pub(crate) fn dropped_lines() -> Counter {
    STREAMS.get().map(|streams| streams.log.dropped()).unwrap_or_default()
}

/// Lets out what was logged and printed so far, unless nobody reads it.
pub(crate) fn finish() {
    if let Some(Streams { log, out }) = STREAMS.get() {
        out.flush(LAST_LINES);
        log.flush(LAST_LINES);
    }
}

/// Writes each event as an object of JSON: `timestamp`, `level`, `target`, `message`, and its fields as
/// they are named.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields(Map::new());
        for (name, value) in [
            ("timestamp", SystemClock.now().with_millis()),
            ("level", metadata.level().to_string()),
            ("target", metadata.target().to_owned()),
        ] {
            fields.0.insert(name.to_owned(), Value::String(value));
        }
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

/// The fields of an event.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

/// Writes the one line that says why the process ends.
pub(crate) fn report_fatal(message: &str) {
    let line = format!("everstate: {message}\n");
    match STREAMS.get() {
        Some(Streams { log, .. }) => {
            log.push(line.as_bytes());
            finish();
        }
        // Where standard error is gone, nobody is left to tell.
        None => drop(std::io::stderr().lock().write_all(line.as_bytes())),
    }
}

/// Writes text for the user of a host to standard output.
pub(crate) fn print(text: &str) {
    if let Some(Streams { out, .. }) = STREAMS.get() {
        out.push(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::JsonLines;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn event_is_a_line_of_json_with_its_fields() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(JsonLines)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let instance = tracing::field::display("i-1");
            tracing::warn!(target: "guest", instance, count = 3_u64, "a \"line\"\nand more");
        });
        let text = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["message"], "a \"line\"\nand more");
        assert_eq!((&line["level"], &line["target"]), (&"WARN".into(), &"guest".into()));
        assert_eq!((&line["instance"], &line["count"]), (&"i-1".into(), &3.into()));
        assert!(line["timestamp"].as_str().expect("text").ends_with('Z'), "{text}");
    }
}
