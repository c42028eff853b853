//! `everstate instances start`.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::super::api::{Api, ApiPath};
use super::super::output::{Output, whole_field};
use super::super::{errors, names, times, values};
use super::follow;

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The orchestrator
    #[arg(value_parser = values::given)]
    name: String,
    /// Its input: JSON, or a file with it (@file; @- for standard input)
    #[arg(long, value_name = "JSON|@FILE")]
    input: Option<String>,
    /// The instance id [default: a new one]
    #[arg(long, value_parser = values::given)]
    id: Option<String>,
    /// Begin at this time: ISO 8601, or how long from now (30m, 2h)
    #[arg(long, value_name = "TIME", value_parser = times::future)]
    at: Option<String>,
    /// A tag to find it by
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::pair)]
    tag: Vec<(String, String)>,
    /// Wait until it has ended, and print its output
    #[arg(long)]
    wait: bool,
}

pub(super) fn run(api: &Api, out: Output, args: &StartArgs) -> anyhow::Result<()> {
    let input = args.input.as_deref().map(values::json).transpose()?;
    let mut segments = vec!["orchestrators", args.name.as_str()];
    segments.extend(args.id.as_deref());
    let mut path = ApiPath::management(&segments).query_if("startAt", args.at.as_deref());
    for (name, value) in &args.tag {
        path = path.query(&format!("tag.{name}"), value);
    }
    let reply = api.post(&path, input.as_deref())?;
    match reply.status.as_u16() {
        400 | 404
            if errors::is_said(&reply)
                && !names::of_kind(api, names::ORCHESTRATOR).contains(&args.name) =>
        {
            return Err(names::unknown(api, names::ORCHESTRATOR, &args.name));
        }
        409 => bail!(
            "{}: wait for its end, terminate it, or choose another --id",
            errors::message(&reply)
        ),
        _ => {}
    }
    let started = reply.ok(&format!("cannot start `{}`", args.name))?.object()?;
    let id = whole_field(&started, "id");
    if args.wait {
        return follow::until_ended(api, out, &id, None);
    }
    print_started(out, &args.name, &id, &started)
}

/// Says which instance was started.
pub(super) fn print_started(
    out: Output,
    name: &str,
    id: &str,
    started: &Value,
) -> anyhow::Result<()> {
    out.line_or(started, &format!("Started {name}. Instance id: {id}"))
}
