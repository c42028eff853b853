//! `everstate instances purge`: one orchestration, or all that fit.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::super::api::{Api, ApiPath};
use super::super::output::{Output, Progress, field, word};
use super::super::{errors, times, values};
use super::list::{Status, joined};
use super::{existing, instance};

/// Earlier than every orchestration; the management API asks for one end of the span.
const BEGINNING: &str = "1970-01-01T00:00:00Z";

#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// The instance id
    #[arg(
        value_parser = values::given,
        required_unless_present_any = ["created_after", "created_before", "status"],
        conflicts_with_all = ["created_after", "created_before", "status"]
    )]
    id: Option<String>,
    /// All that were created at this time or later: ISO 8601, or how long ago (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    created_after: Option<String>,
    /// All that were created at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    created_before: Option<String>,
    /// All that ended so
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    status: Vec<Status>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(api: &Api, out: Output, args: &PurgeArgs) -> anyhow::Result<()> {
    match &args.id {
        Some(id) => one(api, out, id, args.yes),
        None => many(api, out, args),
    }
}

fn one(api: &Api, out: Output, id: &str, yes: bool) -> anyhow::Result<()> {
    if !yes && !agreed(&format!("Remove `{id}` and its history?"))? {
        return nothing(out);
    }
    let reply = existing(api.delete(&instance(id, &[]))?, id)?;
    let purged = reply.ok(&format!("cannot purge `{id}`"))?.object()?;
    if purged["instancesDeleted"] == 0 {
        bail!("`{id}` has not ended: `everstate instances terminate {}` ends it", word(id));
    }
    out.line_or(&purged, &format!("Purged `{id}`."))
}

fn many(api: &Api, out: Output, args: &PurgeArgs) -> anyhow::Result<()> {
    let question = "Remove all orchestrations that fit and have ended, with their histories?";
    if !args.yes && !agreed(question)? {
        return nothing(out);
    }
    let path = ApiPath::management(&["instances"])
        .query("createdTimeFrom", args.created_after.as_deref().unwrap_or(BEGINNING))
        .query_if("createdTimeTo", args.created_before.as_deref())
        .query_if("runtimeStatus", joined(&args.status));
    let progress = Progress::start("purging");
    let reply = api.delete(&path)?;
    drop(progress);
    let purged = if errors::is_missing(&reply) {
        json!({ "instancesDeleted": 0 })
    } else {
        reply.ok("cannot purge")?.object()?
    };
    out.line_or(&purged, &format!("Instances deleted: {}", field(&purged, "instancesDeleted")))
}

fn nothing(out: Output) -> anyhow::Result<()> {
    out.line_or(&json!({ "instancesDeleted": 0 }), "Nothing was removed.")
}

/// Asks on the terminal.
fn agreed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        bail!("nobody is here to ask, and what is purged does not come back: say --yes");
    }
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush()).context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
