//! `everstate check`: which live orchestrations would not go on with new code. Nothing is changed.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::api::{ApiPath, HostArgs};
use super::component;
use super::output::{Output, Progress, Rows, Tone, field, whole_field};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The new component, or the project that makes it, which is built first
    #[arg(default_value = ".")]
    component: PathBuf,
    /// The file in the functions folder that it would replace [default: the same name]
    #[arg(long = "as", value_name = "FILE")]
    file: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    for component in component::find(&args.component, args.file.as_deref())? {
        let path = ApiPath::admin(&["check"]).query("file", &component.file);
        let progress = Progress::start(&format!("replaying histories with {}", component.file));
        let headers = [("content-type", "application/wasm")];
        let reply = api.send("POST", &path, &headers, Some(&component.bytes))?;
        drop(progress);
        let checked = reply.ok(&format!("cannot check {}", component.file))?.json()?;
        if out.json {
            out.value(&checked)?;
        }
        let unfit = show_unfit(out, &checked)?;
        if unfit > 0 {
            bail!(
                "{unfit} live orchestrations do not fit {}: they go on with their old code if it is \
                 deployed; keep the order of their steps, or let them end first",
                component.file
            );
        }
        if !out.json {
            let count = field(&checked, "checked");
            out.line(&format!("{}: all {count} live orchestrations fit.", component.file))?;
        }
    }
    Ok(())
}

/// Shows the orchestrations that would diverge and the functions that would be gone; gives how many would
/// diverge.
pub(crate) fn show_unfit(out: Output, checked: &Value) -> anyhow::Result<u64> {
    let list = |name: &str| checked[name].as_array().map_or(&[][..], Vec::as_slice);
    let (diverging, missing) = (list("diverging"), list("missing"));
    if !diverging.is_empty() && !out.json {
        let mut rows = Rows::new(&["INSTANCE", "NAME", "WHERE"]);
        for instance in diverging {
            let (id, message) =
                (whole_field(instance, "instanceId"), whole_field(instance, "message"));
            rows.add(Tone::Bad, [id, field(instance, "name"), message]);
        }
        out.table(&rows, "")?;
    }
    if !missing.is_empty() && !out.json {
        let mut rows = Rows::new(&["FUNCTION THAT IS GONE", "KIND", "LIVE INSTANCES"]);
        for function in missing {
            let text = |name| field(function, name);
            rows.add(Tone::Warning, [text("name"), text("kind"), text("instances")]);
        }
        out.table(&rows, "")?;
    }
    Ok(checked["divergingCount"].as_u64().unwrap_or(diverging.len() as u64))
}
