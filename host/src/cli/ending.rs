//! How the process ends: its exit status, the line on standard error, and with `--json` the value on
//! standard output that is there however it ended.

use std::process::ExitCode;

use clap::Parser as _;

use super::output::{Output, is_output_closed};
use super::{Cli, errors};
use crate::telemetry::report_fatal;

/// Does what the arguments of the process say.
///
/// 0 after an orderly stop, or when a command has done what it was to do; 1 with one line on standard
/// error where it could not; 2 for arguments that do not fit.
pub(crate) fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => ended(cli.command.run()),
        Err(error) => unfit(&error),
    }
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Whoever reads the output has seen enough, `head` for instance.
    if is_output_closed(&error) {
        return ExitCode::SUCCESS;
    }
    tell(&error);
    report_fatal(&errors::one_line(&error));
    ExitCode::FAILURE
}

/// Arguments that do not fit; or what `--help` and `--version` ask for, which comes the same way.
fn unfit(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        tell(&anyhow::anyhow!("{}", first_paragraph(&error.render().to_string())));
    }
    // Where nobody reads it, it was said all the same.
    drop(error.print());
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Gives a program its value.
fn tell(error: &anyhow::Error) {
    if asks_for_json(std::env::args_os().filter_map(|word| word.into_string().ok())) {
        // What cannot be written is no news: the exit status says it, and so does standard error.
        drop(Output::new(true).value(&errors::document(error)));
    }
}

/// Whether the words of a command line have `--json`. It is looked for in the words themselves, because
/// where they do not fit there is nothing else.
fn asks_for_json(words: impl Iterator<Item = String>) -> bool {
    words.take_while(|word| word != "--").any(|word| word == "--json")
}

/// What clap says before it shows how the command is used.
fn first_paragraph(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    text.split("\n\n").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{asks_for_json, first_paragraph};

    #[test]
    fn json_is_asked_for_before_the_end_of_the_options() {
        let asks = |text: &str| asks_for_json(text.split(' ').map(str::to_owned));
        assert!(asks("everstate --json locks") && asks("everstate locks --json"));
        assert!(!asks("everstate locks") && !asks("everstate instances show -- --json"));
    }

    #[test]
    fn arguments_that_do_not_fit_are_told_without_the_usage() {
        let text = "error: the argument is missing:\n  <ID>\n\nUsage: everstate …\n";
        assert_eq!(first_paragraph(text), "the argument is missing:\n  <ID>");
    }
}
