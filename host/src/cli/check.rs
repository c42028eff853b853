//! `everstate check`: which live orchestrations would not go on with new code. Nothing is changed.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::api::{ApiPath, HostArgs};
use super::errors::NotAsHoped;
use super::output::{Output, Progress, Rows, Tone, counted, field, whole_field};
use super::{component, values};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The new component, or the project that makes it, which is built first
    #[arg(default_value = ".")]
    component: PathBuf,
    /// The file in the functions folder that it would replace [default: the same name]
    #[arg(long = "as", value_name = "FILE", value_parser = values::given)]
    file: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    let components = component::find(&args.component, args.file.as_deref())?;
    component::each(out, &components, |component| {
        let path = ApiPath::admin(&["check"]).query("file", &component.file);
        let progress = Progress::start(&format!("replaying histories with {}", component.file));
        let headers = [("content-type", "application/wasm")];
        let reply = api.send("POST", &path, &headers, Some(&component.bytes))?;
        drop(progress);
        let result = reply.ok(&format!("cannot check {}", component.file))?.object()?;
        show_report(out, &result)?;
        let diverging = result["divergingCount"].as_u64().unwrap_or_default();
        let missing = result["missing"].as_array().map_or(0, Vec::len);
        if diverging > 0 || missing > 0 {
            let message = format!("{}: {}", component.file, unfit(diverging, missing));
            return Err(NotAsHoped { message, result }.into());
        }
        if !out.json {
            let fit = match result["checked"].as_u64().unwrap_or_default() {
                0 => "no live orchestration is concerned".to_owned(),
                1 => "the one live orchestration fits".to_owned(),
                count => format!("all {count} live orchestrations fit"),
            };
            out.line(&format!("{}: {fit}.", component.file))?;
        }
        Ok(result)
    })
}

/// What does not fit, and what to do about it.
fn unfit(diverging: u64, missing: usize) -> String {
    let mut parts = Vec::new();
    if diverging > 0 {
        let verb = if diverging == 1 { "does" } else { "do" };
        let count = counted(diverging, "live orchestration");
        parts.push(format!(
            "{count} {verb} not fit and would keep the old code; keep the order of the steps, or let \
             them end first"
        ));
    }
    if missing > 0 {
        let count = counted(missing as u64, "function");
        parts.push(format!(
            "{count} in use would be gone; leave in what is used, or let what uses it end first"
        ));
    }
    parts.join("; ")
}

/// Shows the orchestrations that would diverge, and the functions in use that would be gone.
pub(crate) fn show_report(out: Output, report: &Value) -> anyhow::Result<()> {
    if out.json {
        return Ok(());
    }
    show_diverging(out, &report["diverging"])?;
    let missing = report["missing"].as_array().map_or(&[][..], Vec::as_slice);
    if missing.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(&["FUNCTION THAT IS GONE", "KIND", "KIND NOW", "IN USE BY"]);
    for function in missing {
        let text = |name| field(function, name);
        let users =
            match (function["instances"].as_u64().unwrap_or_default(), text("kind").as_str()) {
                (1, "entity") => "1 entity".to_owned(),
                (count, "entity") => format!("{count} entities"),
                (count, _) => counted(count, "live orchestration"),
            };
        rows.add(Tone::Bad, [text("name"), text("kind"), text("newKind"), users]);
    }
    out.table(&rows, "")
}

/// Shows orchestrations that code does not fit, and where.
pub(crate) fn show_diverging(out: Output, diverging: &Value) -> anyhow::Result<()> {
    let diverging = diverging.as_array().map_or(&[][..], Vec::as_slice);
    if diverging.is_empty() {
        return Ok(());
    }
    let mut rows = Rows::new(&["INSTANCE", "NAME", "WHERE"]);
    for instance in diverging {
        let (id, message) = (whole_field(instance, "instanceId"), whole_field(instance, "message"));
        rows.add(Tone::Bad, [id, field(instance, "name"), message]);
    }
    out.table(&rows, "")
}
