//! `everstate keys …`: who may call what.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::api::{Api, ApiPath, HostArgs, Reply};
use super::output::{Output, Rows, Tone, field, note, whole_field};
use super::{errors, values};

/// What is rotated like a key, but is none.
const LINKS: &str = "links";

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the keys; their values are not kept
    List,
    /// Make a key and print its value, once
    Set(KeyArgs),
    /// Give a key a new value and print it, once; the old one is refused from then on. `links` as the scope
    /// makes the codes in links anew, so that those given so far open nothing
    Rotate(KeyArgs),
    /// Remove a key
    Delete(KeyArgs),
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// What it opens: `management`, `host` (all functions) or `function/NAME`
    scope: String,
    /// Its name
    #[arg(default_value = "default", value_parser = values::given)]
    name: String,
}

impl KeyArgs {
    fn path(&self) -> anyhow::Result<ApiPath> {
        let mut segments = vec!["keys"];
        match self.scope.split_once('/') {
            None if matches!(self.scope.as_str(), "management" | "host") => {
                segments.push(&self.scope);
            }
            Some(("function", function)) if !function.is_empty() => {
                segments.extend(["function", function]);
            }
            _ => bail!(
                "`{}` is no scope of keys: there are management, host and function/NAME",
                self.scope
            ),
        }
        segments.push(&self.name);
        Ok(ApiPath::admin(&segments))
    }
}

pub(crate) fn run(args: &KeysArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    match &args.command {
        KeysCommand::List => list(&api, out),
        KeysCommand::Set(key) => {
            let reply = api.post(&key.path()?.query("new", true), None)?;
            if reply.status == 409 && errors::is_said(&reply) {
                bail!(
                    "there is a key {} {}: `everstate keys rotate` gives it a new value",
                    key.scope,
                    key.name
                );
            }
            made(reply, out)
        }
        KeysCommand::Rotate(key) if key.scope == LINKS => {
            let reply = api.post(&ApiPath::admin(&["keys", LINKS]), None)?;
            reply.ok("cannot make the codes of links anew")?;
            let done = serde_json::json!({ "scope": LINKS, "rotated": true });
            out.line_or(&done, "The links that were given so far ask for a key from now on.")
        }
        KeysCommand::Rotate(key) => {
            let reply = api.post(&key.path()?.query("new", false), None)?;
            if errors::is_missing(&reply) {
                return Err(missing(key));
            }
            made(reply, out)
        }
        KeysCommand::Delete(key) => {
            let reply = api.delete(&key.path()?)?;
            if errors::is_missing(&reply) {
                return Err(missing(key));
            }
            reply.ok("cannot delete the key")?;
            let gone = serde_json::json!({ "scope": key.scope, "name": key.name, "deleted": true });
            out.line_or(&gone, &format!("Deleted the key {} {}.", key.scope, key.name))
        }
    }
}

fn missing(key: &KeyArgs) -> anyhow::Error {
    anyhow::anyhow!(
        "there is no key {} {}: `everstate keys list` shows those there are",
        key.scope,
        key.name
    )
}

fn list(api: &Api, out: Output) -> anyhow::Result<()> {
    let keys = api.get(&ApiPath::admin(&["keys"]))?.ok("cannot list the keys")?.list()?;
    if out.json {
        return out.value(&keys.into());
    }
    let mut rows = Rows::new(&["SCOPE", "NAME", "CREATED"]);
    for key in &keys {
        rows.add(Tone::Plain, [field(key, "scope"), field(key, "name"), field(key, "createdTime")]);
    }
    out.table(&rows, "No keys: whoever reaches the host may do everything.")
}

fn made(reply: Reply, out: Output) -> anyhow::Result<()> {
    let made = reply.ok("cannot make the key")?.object()?;
    // The value alone is on standard output, so that a script can take it.
    out.line_or(&made, &whole_field(&made, "value"))?;
    if !out.json {
        note("Keep it: it is not shown again.");
    }
    Ok(())
}
