//! `everstate completions` and `everstate man`: what is made of the arguments themselves.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use super::output::Output;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// Print JSON: the same as text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder instead
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print JSON: the page as text, or how many were written
    #[arg(long)]
    json: bool,
}

/// Prints what the shell is to read.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "everstate", &mut script);
    text_or_bytes(Output::new(args.json), "script", &script)
}

/// Prints the manual page, or writes all of them.
pub(crate) fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    if let Some(folder) = &args.folder {
        return pages(Output::new(args.json), folder, command);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).context("the page cannot be made")?;
    text_or_bytes(Output::new(args.json), "page", &page)
}

fn text_or_bytes(out: Output, name: &str, text: &[u8]) -> anyhow::Result<()> {
    if out.json {
        out.value(&json!({ name: String::from_utf8_lossy(text) }))
    } else {
        out.bytes(text)
    }
}

fn pages(out: Output, folder: &Path, command: Command) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let failed = || format!("cannot write into {}", folder.display());
    clap_mangen::generate_to(command, folder).with_context(failed)?;
    let count = std::fs::read_dir(folder).with_context(failed)?.count();
    let text = format!("{} has {count} pages.", folder.display());
    out.line_or(&json!({ "folder": folder, "pages": count }), &text)
}
