//! `everstate instances list`.

use clap::Args;

use super::super::api::{Api, ApiPath};
use super::super::output::{Output, Rows, Tone, field, whole_field};
use super::super::pages::{self, Extent};
use super::super::{times, values};

/// The states of orchestrations.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum Status {
    Pending,
    Running,
    Suspended,
    Completed,
    Failed,
    Terminated,
    Canceled,
}

/// The states in the form of the management API.
pub(super) fn joined(statuses: &[Status]) -> Option<String> {
    let names: Vec<String> = statuses.iter().map(|status| format!("{status:?}")).collect();
    (!names.is_empty()).then(|| names.join(","))
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only in one of these states
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    status: Vec<Status>,
    /// Only of this orchestrator
    #[arg(long)]
    name: Option<String>,
    /// Only with this tag
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::pair)]
    tag: Vec<(String, String)>,
    /// Only with this custom status, as JSON
    #[arg(long, value_name = "JSON")]
    custom_status: Option<String>,
    /// Only with ids that begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Created at this time or later: ISO 8601, or how long ago (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    created_after: Option<String>,
    /// Created at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    created_before: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

pub(super) fn run(api: &Api, out: Output, args: &ListArgs) -> anyhow::Result<()> {
    let mut path = ApiPath::management(&["instances"])
        .query_if("runtimeStatus", joined(&args.status))
        .query_if("name", args.name.as_deref())
        .query_if("customStatus", args.custom_status.as_deref())
        .query_if("instanceIdPrefix", args.prefix.as_deref())
        .query_if("createdTimeFrom", args.created_after.as_deref())
        .query_if("createdTimeTo", args.created_before.as_deref());
    for (name, value) in &args.tag {
        path = path.query(&format!("tag.{name}"), value);
    }
    if !args.extent.count {
        path = path.query("showInput", out.json);
    }
    let listed = pages::list(api, out, path, &args.extent, "cannot list the orchestrations")?;
    let Some(listed) = listed else { return Ok(()) };
    let mut rows =
        Rows::new(&["INSTANCE", "NAME", "STATUS", "CREATED", "UPDATED", "CUSTOM STATUS"]);
    for instance in &listed.items {
        let text = |name| field(instance, name);
        let status = text("runtimeStatus");
        rows.add(
            Tone::of_status(&status),
            [
                whole_field(instance, "instanceId"),
                text("name"),
                status,
                text("createdTime"),
                text("lastUpdatedTime"),
                text("customStatus"),
            ],
        );
    }
    out.table(&rows, "No orchestrations.")?;
    listed.note_rest();
    Ok(())
}
