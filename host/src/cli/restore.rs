//! `everstate restore`: brings a backup back, into a folder that no host has. Needs no host.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::output::{CopyProgress, Output, bytes, word};
use crate::deployments::{Written, write_served};
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
    /// Where to write the components that were served [default: beside the data, with `-functions` added to its name]
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
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
    let folder = args.functions.clone().unwrap_or_else(|| beside(&args.data));
    let components = write_served(&args.data, &folder).map_err(|error| {
        error.context(format!(
            "the data is restored to {}, but not the components that were served (--functions names another \
             folder for `everstate run`; they are in {0}/components)",
            args.data.display()
        ))
    })?;
    let listed: Vec<_> = components
        .iter()
        .map(|(file, written)| json!({ "file": file, "isWritten": *written != Written::Other }))
        .collect();
    let made = json!({
        "data": args.data,
        "functions": folder,
        "components": listed,
        "createdTime": restored.created_time,
        "bytes": restored.bytes,
        "files": restored.files,
    });
    let names: Vec<&str> = components.iter().map(|(file, _)| file.as_str()).collect();
    let mut text = format!(
        "Restored what was there on {} ({}), and what was served then: {}.\n",
        restored.created_time,
        bytes(restored.bytes),
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") },
    );
    for (file, _) in components.iter().filter(|(_, written)| *written == Written::Other) {
        text +=
            &format!("{} is another version, and stays as it is.\n", folder.join(file).display());
    }
    text += &format!(
        "To use it: everstate run --data {} --functions {}\n\
         Only one host may go on with these orchestrations: see that the other one does not run any more.{}",
        word(args.data.display()),
        word(folder.display()),
        if args.new_keys { "" } else { OLD_KEYS }
    );
    Output::new(args.json).line_or(&made, &text)
}

/// A folder of its own: that of a running host would serve what comes into it.
fn beside(data: &Path) -> PathBuf {
    let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push("-functions");
    data.with_file_name(name)
}
