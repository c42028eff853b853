//! `everstate deploy`: a component into a running host or into a functions folder, and back.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::api::{Api, ApiPath, HostArgs, Reply};
use super::component::{self, Component};
use super::errors::{self, NotAsHoped};
use super::functions::short_hash;
use super::output::{Output, Progress, Rows, Tone, bytes, counted, field, note, whole_field};
use super::{check, files, values};

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// A component, or a project, which is built first
    #[arg(default_value = ".")]
    component: PathBuf,
    /// What the file is called in the functions folder [default: its own name]
    #[arg(long = "as", value_name = "FILE", value_parser = values::given)]
    file: Option<String>,
    /// Refuse if a live orchestration would not go on with it
    #[arg(long)]
    check: bool,
    /// Move live orchestrations to it that fit
    #[arg(long)]
    migrate: bool,
    /// Write into this folder instead of asking a host
    #[arg(long, value_name = "DIR", conflicts_with_all = ["check", "migrate"])]
    functions: Option<PathBuf>,
    /// Go back to what this file was before
    #[arg(long, value_name = "FILE", value_parser = values::given, conflicts_with_all = ["component", "file", "functions"])]
    rollback: Option<String>,
    /// Which version to go back to: a number of `--list`, or how its hash begins [default: the one before]
    #[arg(long, value_name = "ID|HASH", requires = "rollback")]
    to: Option<String>,
    /// Remove this file: nobody can start its functions any more, what runs goes on with them to its end
    #[arg(long, value_name = "FILE", value_parser = values::given, conflicts_with_all = ["component", "file", "check", "migrate", "functions", "rollback"])]
    remove: Option<String>,
    /// List what was deployed when
    #[arg(long, conflicts_with_all = ["component", "check", "migrate", "functions", "rollback", "remove"])]
    list: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &DeployArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.functions {
        return into_folder(args, folder);
    }
    let (api, out) = args.host.open()?;
    if args.list {
        return list(&api, out, args.file.as_deref());
    }
    if let Some(file) = &args.rollback {
        return roll_back(&api, out, args, &component::file_name(file));
    }
    if let Some(file) = &args.remove {
        return remove(&api, out, &component::file_name(file));
    }
    let components = component::find(&args.component, args.file.as_deref())?;
    component::each(out, &components, |component| deploy(&api, out, args, component))
}

fn roll_back(api: &Api, out: Output, args: &DeployArgs, file: &str) -> anyhow::Result<()> {
    let path = ApiPath::admin(&["deployments", file, "rollback"]);
    let path = with_options(path, args).query_if("to", args.to.as_deref());
    let reply = api.post(&path, None)?;
    if errors::is_missing(&reply) {
        let said = errors::message(&reply);
        bail!("{said}: `everstate deploy --list` shows what was deployed when");
    }
    let deployed = told(out, "Rolled back", file, reply)?;
    if out.json { out.value(&deployed) } else { Ok(()) }
}

fn remove(api: &Api, out: Output, file: &str) -> anyhow::Result<()> {
    let reply = api.delete(&ApiPath::admin(&["deployments", file]))?;
    if errors::is_missing(&reply) {
        bail!(
            "there is no `{file}` in the functions folder: `everstate functions` lists the files"
        );
    }
    let gone = reply.ok(&format!("cannot remove {file}"))?.object()?;
    out.line_or(
        &gone,
        &format!("Removed {file}. What runs with it goes on to its end, with its functions."),
    )
}

fn deploy(
    api: &Api,
    out: Output,
    args: &DeployArgs,
    component: &Component,
) -> anyhow::Result<Value> {
    let file = &component.file;
    let path = with_options(ApiPath::admin(&["deployments", file]), args);
    let progress = Progress::start(&format!("deploying {file}"));
    let headers = [("content-type", "application/wasm")];
    let reply = api.send("PUT", &path, &headers, Some(&component.bytes))?;
    drop(progress);
    told(out, "Deployed", file, reply)
}

fn with_options(path: ApiPath, args: &DeployArgs) -> ApiPath {
    path.query_if("check", args.check.then_some(true))
        .query_if("migrate", args.migrate.then_some(true))
}

/// Says what came of a deployment, with the functions that are there now.
fn told(out: Output, verb: &str, file: &str, reply: Reply) -> anyhow::Result<Value> {
    match reply.status.as_u16() {
        409 => {
            let result = reply.object()?;
            check::show_report(out, &result)?;
            let message = format!(
                "{file} is not deployed: {}; without --check it is, and what is alive keeps its code",
                errors::message(&reply)
            );
            return Err(NotAsHoped { message, result }.into());
        }
        422 => bail!(
            "{file} is not deployed: {}; what was deployed before goes on",
            errors::message(&reply)
        ),
        _ => {}
    }
    let deployed = reply.ok(&format!("cannot deploy {file}"))?.object()?;
    if !out.json {
        show(out, verb, &deployed)?;
    }
    Ok(deployed)
}

fn show(out: Output, verb: &str, deployed: &Value) -> anyhow::Result<()> {
    out.line(&format!("{verb} {} ({}).", field(deployed, "file"), short_hash(deployed)))?;
    for function in deployed["functions"].as_array().into_iter().flatten() {
        let name = function.as_str().map_or_else(|| field(function, "name"), str::to_owned);
        let more = [field(function, "kind"), field(function, "route")].join(" ");
        out.line(format!("        {name} {}", more.trim()).trim_end())?;
    }
    if let Some(migrated) = deployed["migrated"].as_u64() {
        show_migration(out, migrated, deployed)?;
    }
    match deployed["problem"].as_str() {
        Some(problem) => out.line(&format!("It is served, but {problem}.")),
        None => Ok(()),
    }
}

/// Says how many live orchestrations go on with the new code, and which do not.
fn show_migration(out: Output, migrated: u64, deployed: &Value) -> anyhow::Result<()> {
    let kept = deployed["notMigratedCount"].as_u64().unwrap_or_default();
    let all = counted(migrated + kept, "live orchestration");
    if kept == 0 {
        return out.line(&format!("{all} moved to it."));
    }
    out.line(&format!("{migrated} of {all} moved to it; {kept} kept the old code:"))?;
    check::show_diverging(out, &deployed["notMigrated"])
}

fn list(api: &Api, out: Output, file: Option<&str>) -> anyhow::Result<()> {
    let path = ApiPath::admin(&["deployments"]).query_if("file", file.map(component::file_name));
    let deployments = api.get(&path)?.ok("cannot list the deployments")?.list()?;
    if out.json {
        return out.value(&deployments.into());
    }
    let mut rows = Rows::new(&["ID", "TIME", "FILE", "HASH", "ACTION", "MESSAGE"]);
    for deployment in &deployments {
        let text = |name| field(deployment, name);
        let tone = if deployment["action"] == "refused" { Tone::Bad } else { Tone::Plain };
        let hash = short_hash(deployment);
        let message = whole_field(deployment, "message");
        rows.add(tone, [text("id"), text("time"), text("file"), hash, text("action"), message]);
    }
    out.table(&rows, "Nothing was deployed yet.")?;
    note("everstate deploy --rollback FILE --to ID brings one back that is kept");
    Ok(())
}

/// Without a host: whoever watches the folder sees each file as a whole.
fn into_folder(args: &DeployArgs, folder: &Path) -> anyhow::Result<()> {
    let out = args.host.output();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let components = component::find(&args.component, args.file.as_deref())?;
    component::each(out, &components, |component| {
        let path = folder.join(&component.file);
        files::replace(&path, &component.bytes)?;
        let size = component.bytes.len() as u64;
        if !out.json {
            out.line(&format!("Wrote {} ({}).", path.display(), bytes(size)))?;
        }
        Ok(json!({ "file": path, "bytes": size }))
    })
}
