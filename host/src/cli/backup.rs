//! `everstate backup`: a copy of the data of a running host, in a folder of the host's machine.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::api::{ApiPath, HostArgs};
use super::errors;
use super::output::{Progress, bytes};

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The folder to make, on the machine of the host
    folder: PathBuf,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &BackupArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    let folder = std::path::absolute(&args.folder).context("this is no name of a folder")?;
    let body = json!({ "folder": folder }).to_string();
    let progress = Progress::start(&format!("backing up to {}", folder.display()));
    let reply = api.post(&ApiPath::admin(&["backup"]), Some(&body))?;
    drop(progress);
    if reply.status == 409 {
        bail!("{}: name a folder that is not there yet", errors::message(&reply));
    }
    let made = reply.ok("cannot back up")?.json()?;
    let size = bytes(made["bytes"].as_u64().unwrap_or_default());
    let text = format!(
        "Backed up to {} ({size}). To use it: everstate restore --from {0} --data DIR",
        folder.display()
    );
    out.line_or(&made, &text)
}
