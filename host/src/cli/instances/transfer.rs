//! `everstate instances export` and `import`: one orchestration as JSON lines.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::super::api::{Api, ApiPath};
use super::super::output::{Output, Progress, whole_field};
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

pub(super) fn import(api: &Api, out: Output, file: &Path) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut lines).context("cannot read standard input")?;
    } else {
        lines = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let progress = Progress::start("importing");
    let headers = [("content-type", "application/x-ndjson")];
    let reply = api.send("POST", &ApiPath::management(&["import"]), &headers, Some(&lines))?;
    drop(progress);
    if reply.status == 409 {
        bail!("{}: purge it here first, after it has ended", errors::message(&reply));
    }
    let imported = reply.ok("cannot import")?.json()?;
    if out.json {
        return out.value(&imported);
    }
    for id in imported["imported"].as_array().into_iter().flatten() {
        out.line(&format!("Imported {}", whole_field(&serde_json::json!({ "id": id }), "id")))?;
    }
    Ok(())
}
