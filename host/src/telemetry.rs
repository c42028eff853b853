//! Log lines. They go to standard error; standard output is for what a user asked to see.

use std::io::{IsTerminal as _, Write as _};

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

/// Starts logging.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| anyhow!("the setting `log`: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow!("logging cannot start: {error}"))
}

/// Writes the one line that says why the process ends.
pub(crate) fn report_fatal(message: &str) {
    // Where standard error is gone, nobody is left to tell.
    drop(writeln!(std::io::stderr().lock(), "everstate: {message}"));
}

/// Writes text for the user to standard output.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output must not end a server.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
