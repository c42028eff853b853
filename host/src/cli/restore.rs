//! `everstate restore`: brings a backup back, into a folder that no host has. Needs no host.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::{CopyProgress, Output, bytes};
use crate::restore::{Keys, restore};

/// What somebody who changed a key since may not think of.
const OLD_KEYS: &str = "\nIts keys are those of that day: one that was changed or deleted since opens it \
                        again (--new-keys leaves them out).";

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder with the backup
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// The data folder to make
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Leave the keys out: the host makes new ones when it starts, and all old ones are void
    #[arg(long)]
    new_keys: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &RestoreArgs) -> anyhow::Result<()> {
    let progress = CopyProgress::start("restoring");
    let keys = if args.new_keys { Keys::New } else { Keys::OfTheBackup };
    let restored = restore(&args.from, &args.data, keys, |progressed| {
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
         Only one host may go on with these orchestrations: see that the other one does not run any more.{}",
        restored.created_time,
        bytes(restored.bytes),
        args.data.display(),
        if args.new_keys { "" } else { OLD_KEYS }
    );
    Output::new(args.json).line_or(&made, &text)
}
