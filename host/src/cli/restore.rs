//! `everstate restore`: brings a backup back, into a folder that no host has. Needs no host.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::{CopyProgress, Output, bytes};
use crate::restore::restore;

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder with the backup
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// The data folder to make
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &RestoreArgs) -> anyhow::Result<()> {
    let progress = CopyProgress::start("restoring");
    let restored = restore(&args.from, &args.data, |progressed| {
        progress.show(progressed.bytes_done, progressed.bytes);
    })?;
    drop(progress);
    let made = json!({
        "data": args.data,
        "createdTime": restored.created_time,
        "bytes": restored.bytes,
        "files": restored.files,
    });
    let text = format!(
        "Restored what was there on {} ({}). To use it: everstate run --data {}\n\
         Only one host may go on with these orchestrations: see that the other one does not run any more.",
        restored.created_time,
        bytes(restored.bytes),
        args.data.display()
    );
    Output::new(args.json).line_or(&made, &text)
}
