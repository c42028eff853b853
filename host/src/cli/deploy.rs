//! `everstate deploy`: a component into a running host or into a functions folder, and back.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::api::{Api, ApiPath, HostArgs, Reply};
use super::component::{self, Component};
use super::functions::short_hash;
use super::output::{Output, Progress, Rows, Tone, bytes, field, note};
use super::{check, errors, files};

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// A component, or a project, which is built first
    #[arg(default_value = ".")]
    component: PathBuf,
    /// What the file is called in the functions folder [default: its own name]
    #[arg(long = "as", value_name = "FILE")]
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
    #[arg(long, value_name = "FILE", conflicts_with_all = ["component", "file", "functions"])]
    rollback: Option<String>,
    /// Which version to go back to: a number of `--list`, or how its hash begins [default: the one before]
    #[arg(long, value_name = "ID|HASH", requires = "rollback")]
    to: Option<String>,
    /// Remove this file: nobody can start its functions any more, what runs goes on with them to its end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["component", "file", "check", "migrate", "functions", "rollback"])]
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
        let path = ApiPath::admin(&["deployments", file, "rollback"]);
        let path = with_options(path, args).query_if("to", args.to.as_deref());
        let reply = api.post(&path, None)?;
        if reply.status == 404 {
            return Err(no_version(&reply));
        }
        return told(out, "Rolled back", file, reply);
    }
    if let Some(file) = &args.remove {
        let reply = api.delete(&ApiPath::admin(&["deployments", file]))?;
        if reply.status == 404 {
            return Err(missing(file));
        }
        let gone = reply.ok(&format!("cannot remove {file}"))?.json()?;
        let text =
            format!("Removed {file}. What runs with it goes on to its end, with its functions.");
        return out.line_or(&gone, &text);
    }
    for component in component::find(&args.component, args.file.as_deref())? {
        deploy(&api, out, args, &component)?;
    }
    Ok(())
}

fn deploy(api: &Api, out: Output, args: &DeployArgs, component: &Component) -> anyhow::Result<()> {
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
fn told(out: Output, verb: &str, file: &str, reply: Reply) -> anyhow::Result<()> {
    match reply.status.as_u16() {
        409 => {
            let refusal = reply.json()?;
            if out.json {
                out.value(&refusal)?;
            }
            let unfit = check::show_unfit(out, &refusal)?;
            bail!(
                "{file} is not deployed, {unfit} live orchestrations do not fit it: without --check \
                 they go on with their old code"
            );
        }
        422 => bail!(
            "{file} is not deployed: {}; what was deployed before goes on",
            errors::message(&reply)
        ),
        _ => {}
    }
    let deployed = &reply.ok(&format!("cannot deploy {file}"))?.json()?;
    if out.json {
        return out.value(deployed);
    }
    out.line(&format!("{verb} {} ({}).", field(deployed, "file"), short_hash(deployed)))?;
    for function in deployed["functions"].as_array().into_iter().flatten() {
        let name = function.as_str().map_or_else(|| field(function, "name"), str::to_owned);
        let more = [field(function, "kind"), field(function, "route")].join(" ");
        out.line(format!("        {name} {}", more.trim()).trim_end())?;
    }
    if let Some(migrated) = deployed["migrated"].as_u64().filter(|count| *count > 0) {
        out.line(&format!("{migrated} live orchestrations go on with it."))?;
    }
    Ok(())
}

fn missing(file: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "there is no file `{file}`: `everstate functions` shows those that there are, `everstate deploy --list` \
         what was deployed when"
    )
}

fn no_version(reply: &Reply) -> anyhow::Error {
    let problem = errors::message(reply);
    anyhow::anyhow!("{problem}: `everstate deploy --list` shows what was deployed when")
}

fn list(api: &Api, out: Output, file: Option<&str>) -> anyhow::Result<()> {
    let path = ApiPath::admin(&["deployments"]).query_if("file", file);
    let deployments = api.get(&path)?.ok("cannot list the deployments")?.json()?;
    if out.json {
        return out.value(&deployments);
    }
    let mut rows = Rows::new(&["ID", "TIME", "FILE", "HASH", "ACTION", "MESSAGE"]);
    for deployment in deployments.as_array().into_iter().flatten() {
        let text = |name| field(deployment, name);
        let tone = if deployment["action"] == "refused" { Tone::Bad } else { Tone::Plain };
        let hash = short_hash(deployment);
        rows.add(
            tone,
            [text("id"), text("time"), text("file"), hash, text("action"), text("message")],
        );
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
    for component in component::find(&args.component, args.file.as_deref())? {
        let path = folder.join(&component.file);
        files::replace(&path, &component.bytes)?;
        let size = component.bytes.len() as u64;
        out.line_or(
            &json!({ "file": path, "bytes": size }),
            &format!("Wrote {} ({}).", path.display(), bytes(size)),
        )?;
    }
    Ok(())
}
