//! `everstate instances export` and `import`: one orchestration as JSON lines.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::super::api::{Api, ApiPath};
use super::super::output::{Output, Progress, printable};
use super::super::{errors, files};
use super::{existing, instance};

pub(super) fn export(
    api: &Api,
    out: Output,
    id: &str,
    output: Option<&Path>,
) -> anyhow::Result<()> {
    let reply = existing(api.get(&instance(id, &["export"]))?, id)?;
    let reply = reply.ok(&format!("cannot export `{id}`"))?;
    files::write(out, output, &reply.body)
}

pub(super) fn import(
    api: &Api,
    out: Output,
    file: &Path,
    is_replacing: bool,
) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut lines).context("cannot read standard input")?;
    } else {
        lines = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let progress = Progress::start("importing");
    let headers = [("content-type", "application/x-ndjson")];
    let path = ApiPath::management(&["import"]).query_if("replace", is_replacing.then_some(true));
    let reply = api.send("POST", &path, &headers, Some(&lines))?;
    drop(progress);
    if reply.status == 409 {
        let said = errors::message(&reply);
        bail!("{said}: {}", advice(&said));
    }
    let imported = reply.ok("cannot import")?.object()?;
    if out.json {
        return out.value(&imported);
    }
    for id in imported["imported"].as_array().into_iter().flatten() {
        out.line(&format!("Imported {}", printable(id.as_str().unwrap_or_default())))?;
    }
    Ok(())
}

/// What to do about an import that is refused, by what the host says of it.
fn advice(said: &str) -> &'static str {
    if said.contains("already exists") {
        "with --replace it is terminated, and the import takes its place"
    } else if said.contains("has a state here") {
        "with --replace the import takes its place"
    } else if said.contains("at work or locked here") {
        "`everstate locks` says by whom; try again when it is free"
    } else {
        "let it go on where it is until it does not wait for that, and export it again"
    }
}
