//! `everstate backup`: a copy of the data of a running host, in a folder of the host's machine.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::api::{ApiPath, HostArgs};
use super::errors;
use super::output::{Progress, bytes, word};

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
        let said = errors::message(&reply);
        let is_about_the_folder = said.contains("no empty folder");
        let advice =
            if is_about_the_folder { "name one that is not there yet" } else { "try again later" };
        bail!("{said}: {advice}");
    }
    let made = reply.ok("cannot back up")?.object()?;
    let size = bytes(made["bytes"].as_u64().unwrap_or_default());
    let text = format!(
        "Backed up to {} ({size}). To use it: everstate restore --from {} --data DIR",
        folder.display(),
        word(folder.display())
    );
    out.line_or(&made, &text)
}
