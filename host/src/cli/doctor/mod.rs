//! `everstate doctor`: what is wrong with a set-up, and what to do about it. It changes nothing; what it
//! cannot find out on this system it leaves out.

mod data;
mod exposure;
mod folders;
mod machine;
mod network;
mod owner;
mod toolchain;

use std::path::PathBuf;

use clap::Args;
use everstate_engine::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::api::HostArgs;
use super::errors::NotAsHoped;
use super::output::{Output, Rows, Tone};
use crate::config::{HostConfig, Overrides};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The configuration file [default: ./everstate.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The functions folder, if the configuration names another
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// Examine every row of this data folder instead; no host may have it open
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "functions"])]
    data: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warning,
    /// Something cannot work.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
struct Finding {
    level: Level,
    about: &'static str,
    text: String,
    /// What to do; empty where nothing is to be done.
    advice: String,
}

impl Finding {
    fn ok(about: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, about, text: text.into(), advice: String::new() }
    }

    fn warning(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warning, about, text: text.into(), advice: advice.into() }
    }

    fn problem(about: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Problem, about, text: text.into(), advice: advice.into() }
    }

    fn level_name(&self) -> &'static str {
        match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        }
    }

    fn to_json(&self) -> Value {
        json!({ "level": self.level_name(), "about": self.about, "text": self.text,
                "advice": self.advice })
    }
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let out = args.host.output();
    if let Some(folder) = &args.data {
        return data::run(folder, out);
    }
    let findings = examine(args);
    let list = findings.iter().map(Finding::to_json).collect();
    let result = json!({ "findings": Value::Array(list) });
    if !out.json {
        print(out, &findings)?;
    }
    let message = match findings.iter().filter(|it| it.level == Level::Problem).count() {
        0 if out.json => return out.value(&result),
        0 => return Ok(()),
        1 => "there is a problem; what to do about it stands beside it".to_owned(),
        count => format!("there are {count} problems; what to do about them stands beside them"),
    };
    Err(NotAsHoped { message, result }.into())
}

fn examine(args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = Vec::new();
    let overrides = Overrides { functions: args.functions.clone(), ..Overrides::default() };
    let loaded = HostConfig::load(args.config.clone(), std::env::vars_os(), overrides);
    let config = match loaded {
        Ok(config) => {
            findings.push(Finding::ok("configuration", "it can be read"));
            config
        }
        Err(error) => {
            let text = super::one_line(&error);
            let advice = "correct it; docs/operations.md has all settings. The rest is looked at \
                          with the defaults";
            findings.push(Finding::problem("configuration", text, advice));
            HostConfig::default()
        }
    };
    findings.extend(toolchain::examine());
    findings.extend(folders::examine(&config));
    findings.extend(machine::examine(&config));
    findings.extend(exposure::examine(&config, SystemClock.now()));
    findings.extend(network::examine(&args.host, &config));
    findings
}

fn print(out: Output, findings: &[Finding]) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["", "ABOUT", "WHAT"]);
    for finding in findings {
        let tone = match finding.level {
            Level::Ok => Tone::Plain,
            Level::Warning => Tone::Warning,
            Level::Problem => Tone::Bad,
        };
        let mut text = finding.text.clone();
        if !finding.advice.is_empty() {
            text = format!("{text}: {}", finding.advice);
        }
        rows.add(tone, [finding.level_name().to_owned(), finding.about.to_owned(), text]);
    }
    out.table(&rows, "")
}
