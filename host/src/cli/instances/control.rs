//! What is done to one orchestration: raise, terminate, suspend, resume, rewind, restart.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::super::api::{Api, Reply};
use super::super::output::{Output, whole_field, word};
use super::super::{errors, values};
use super::{existing, follow, instance, start};

/// How long a termination is waited for.
const TERMINATION_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct RaiseArgs {
    /// The instance id
    #[arg(value_parser = values::given)]
    id: String,
    /// The name of the event
    #[arg(value_parser = values::given)]
    event: String,
    /// What it carries: JSON, or a file with it (@file; @- for standard input)
    #[arg(long, value_name = "JSON|@FILE")]
    data: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ReasonArgs {
    /// The instance id
    #[arg(value_parser = values::given)]
    id: String,
    /// Why, for the history
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct TerminateArgs {
    #[command(flatten)]
    instance: ReasonArgs,
    /// Do not wait until it has ended
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct RestartArgs {
    /// The instance id
    #[arg(value_parser = values::given)]
    id: String,
    /// Take the same id again instead of a new one
    #[arg(long)]
    same_id: bool,
}

pub(super) fn raise(api: &Api, out: Output, args: &RaiseArgs) -> anyhow::Result<()> {
    let RaiseArgs { id, event, data } = args;
    let data = data.as_deref().map(values::json).transpose()?;
    let path = instance(id, &["raiseEvent", event]);
    let reply = api.post(&path, Some(data.as_deref().unwrap_or("null")))?;
    let reply = alive(existing(reply, id)?, id)?;
    reply.ok(&format!("cannot raise `{event}`"))?;
    out.line_or(
        &json!({ "instanceId": id, "raised": event }),
        &format!("Raised `{event}` to `{id}`."),
    )
}

pub(super) fn terminate(api: &Api, out: Output, args: &TerminateArgs) -> anyhow::Result<()> {
    let id = &args.instance.id;
    post(api, &args.instance, "terminate")?;
    if !args.no_wait && !follow::ends_within(api, id, TERMINATION_WAIT)? {
        bail!(
            "`{id}` is asked to end and has not done so yet: `everstate instances wait {}` waits on",
            word(id)
        );
    }
    let verb = if args.no_wait { "terminating" } else { "terminated" };
    let text =
        if args.no_wait { format!("`{id}` is to end.") } else { format!("Terminated `{id}`.") };
    out.line_or(&json!({ "instanceId": id, verb: true }), &text)
}

pub(super) fn suspend(api: &Api, out: Output, args: &ReasonArgs) -> anyhow::Result<()> {
    post(api, args, "suspend")?;
    said(out, args, "suspended", &format!("Suspended `{}`.", args.id))
}

pub(super) fn resume(api: &Api, out: Output, args: &ReasonArgs) -> anyhow::Result<()> {
    post(api, args, "resume")?;
    said(out, args, "resumed", &format!("Resumed `{}`.", args.id))
}

pub(super) fn rewind(api: &Api, out: Output, args: &ReasonArgs) -> anyhow::Result<()> {
    post(api, args, "rewind")?;
    said(out, args, "rewound", &format!("Rewound `{}`.", args.id))
}

pub(super) fn restart(api: &Api, out: Output, args: &RestartArgs) -> anyhow::Result<()> {
    let id = &args.id;
    let path = instance(id, &["restart"]).query("restartWithNewInstanceId", !args.same_id);
    let reply = existing(api.post(&path, None)?, id)?;
    match reply.status.as_u16() {
        400 if errors::is_said(&reply) => return Err(super::missing(id)),
        409 => bail!("{}: terminate it first, or leave --same-id out", errors::message(&reply)),
        _ => {}
    }
    let started = reply.ok(&format!("cannot restart `{id}`"))?.json()?;
    let new_id = whole_field(&started, "id");
    start::print_started(out, &format!("`{id}` again"), &new_id, &started)
}

fn said(out: Output, args: &ReasonArgs, verb: &str, text: &str) -> anyhow::Result<()> {
    out.line_or(&json!({ "instanceId": args.id, verb: true }), text)
}

fn post(api: &Api, args: &ReasonArgs, operation: &str) -> anyhow::Result<()> {
    let ReasonArgs { id, reason } = args;
    let path = instance(id, &[operation]).query_if("reason", reason.as_deref());
    let reply = existing(api.post(&path, None)?, id)?;
    // Only what failed is rewound: everything else is told by the host.
    let reply = if operation == "rewind" { reply } else { alive(reply, id)? };
    if reply.status == 410 {
        bail!(
            "`{id}` has not failed, so there is nothing to rewind: `everstate instances restart {}` \
             runs it again",
            word(id)
        );
    }
    reply.ok(&format!("cannot {operation} `{id}`"))?;
    Ok(())
}

/// The answer, unless it says that the orchestration has ended.
fn alive(reply: Reply, id: &str) -> anyhow::Result<Reply> {
    if reply.status == 410 {
        bail!(
            "`{id}` has ended: `everstate instances show {0}` says how, `… restart {0}` runs it again",
            word(id)
        );
    }
    Ok(reply)
}
