//! `everstate functions`: what is served, from which files, and which files are broken and why.

use clap::Args;
use serde_json::Value;

use super::api::{ApiPath, HostArgs};
use super::output::{Output, Rows, Tone, field, printable, whole_field};

/// Characters of a content hash that people are shown.
const HASH_CHARS: usize = 12;

#[derive(Debug, Args)]
pub(crate) struct FunctionsArgs {
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &FunctionsArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    let path = ApiPath::admin(&["functions"]);
    let listed = api.get(&path)?.ok("cannot list the functions")?.object()?;
    if out.json {
        return out.value(&listed);
    }
    functions(out, &listed)?;
    out.line("")?;
    files(out, &listed)?;
    for file in listed["files"].as_array().into_iter().flatten() {
        let name = printable(&whole_field(file, "file"));
        let reason = printable(&whole_field(file, "message"));
        let said = match file["state"].as_str() {
            Some("broken") => format!("\n{name} is broken: {reason}"),
            // Some of its functions are refused.
            _ if file["message"].is_string() => format!("\n{name} is served in part: {reason}"),
            _ => continue,
        };
        out.line(&out.paint(&said, Tone::Bad))?;
    }
    Ok(())
}

/// The files that cannot be loaded.
pub(crate) fn broken(listed: &Value) -> impl Iterator<Item = &Value> {
    listed["files"].as_array().into_iter().flatten().filter(|file| file["state"] == "broken")
}

/// A content hash as people are shown it.
pub(crate) fn short_hash(value: &Value) -> String {
    field(value, "hash").chars().take(HASH_CHARS).collect()
}

fn functions(out: Output, listed: &Value) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["FUNCTION", "KIND", "METHODS", "ROUTE", "LEVEL", "FILE"]);
    for function in listed["functions"].as_array().into_iter().flatten() {
        let text = |name| field(function, name);
        let methods = function["methods"].as_array().map_or_else(String::new, |methods| {
            methods.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        });
        rows.add(
            Tone::Plain,
            [text("name"), text("kind"), methods, text("route"), text("authLevel"), text("file")],
        );
    }
    out.table(&rows, "No functions: `everstate deploy` brings some.")
}

fn files(out: Output, listed: &Value) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["FILE", "STATE", "HASH", "LOADED", "LIVE INSTANCES"]);
    for file in listed["files"].as_array().into_iter().flatten() {
        let state = field(file, "state");
        let tone = match state.as_str() {
            "broken" => Tone::Bad,
            "serving" => Tone::Plain,
            _ => Tone::Quiet,
        };
        let text = |name| field(file, name);
        rows.add(tone, [text("file"), state, short_hash(file), text("loadedTime"), text("pinned")]);
    }
    out.table(&rows, "No components.")
}
