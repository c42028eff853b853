//! `everstate completions` and `everstate man`: what is made of the arguments themselves.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use super::output::Output;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder instead
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints what the shell is to read.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "everstate", &mut script);
    Output::new(false).bytes(&script)
}

/// Prints the manual page, or writes all of them.
pub(crate) fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    if let Some(folder) = &args.folder {
        return pages(folder, command);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).context("the page cannot be made")?;
    Output::new(false).bytes(&page)
}

fn pages(folder: &Path, command: Command) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("cannot write into {}", folder.display()))
}
