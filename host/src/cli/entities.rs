//! `everstate entities …`: see, call and signal entities.

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::api::{Api, ApiPath, HostArgs, Reply};
use super::output::{Output, Rows, Tone, field, word};
use super::pages::{self, Extent};
use super::{errors, files, names, times, values};

#[derive(Debug, Args)]
pub(crate) struct EntitiesArgs {
    #[command(subcommand)]
    command: EntitiesCommand,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Subcommand)]
enum EntitiesCommand {
    /// List entities
    List(ListArgs),
    /// Show the state of an entity
    Get {
        #[command(flatten)]
        entity: EntityArgs,
        /// Also who holds it, what waits, and when it was used
        #[arg(long)]
        details: bool,
    },
    /// Have an operation done and print its result
    Call {
        #[command(flatten)]
        operation: OperationArgs,
        /// How long to wait for the result, in seconds
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// Have an operation done without waiting for it
    Signal {
        #[command(flatten)]
        operation: OperationArgs,
        /// Signals with the same key count once
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Signal the operation `delete`
    Delete(EntityArgs),
    /// Remove an entity and all that is kept of it, without asking its code
    Purge(EntityArgs),
    /// Break the lock of an entity
    Unlock(EntityArgs),
    /// Write an entity as JSON lines
    Export {
        #[command(flatten)]
        entity: EntityArgs,
        /// The file to write [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<std::path::PathBuf>,
    },
}

#[derive(Debug, Args)]
struct ListArgs {
    /// The entity function; all of them if it is left out
    #[arg(value_parser = values::given)]
    name: Option<String>,
    /// Only keys that begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Only with this value of an indexed field, as JSON: --field 'owner="ann"'
    #[arg(long, value_name = "NAME=JSON", value_parser = values::pair, requires = "name")]
    field: Vec<(String, String)>,
    /// Used at this time or later: ISO 8601, or how long ago (2h, 7d)
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    used_after: Option<String>,
    /// Used at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = times::past)]
    used_before: Option<String>,
    /// Also those that are locked and have no state
    #[arg(long)]
    stateless: bool,
    /// Show the states
    #[arg(long)]
    state: bool,
    #[command(flatten)]
    extent: Extent,
}

#[derive(Debug, Args)]
struct EntityArgs {
    /// The entity function
    #[arg(value_parser = values::given)]
    name: String,
    /// The key; "" for the empty one
    key: String,
}

#[derive(Debug, Args)]
struct OperationArgs {
    #[command(flatten)]
    entity: EntityArgs,
    /// The operation
    #[arg(value_parser = values::given)]
    operation: String,
    /// Its input: JSON, or a file with it (@file; @- for standard input)
    #[arg(long, value_name = "JSON|@FILE")]
    input: Option<String>,
}

impl EntityArgs {
    fn path(&self, rest: &[&str]) -> ApiPath {
        let key = if self.key.is_empty() { "$" } else { &self.key };
        let mut segments = vec!["entities", &self.name, key];
        segments.extend(rest);
        ApiPath::management(&segments)
    }

    /// As it stands in a command.
    fn words(&self) -> String {
        format!("{} {}", word(&self.name), word(&self.key))
    }
}

impl std::fmt::Display for EntityArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{}@{}", self.name, self.key)
    }
}

pub(crate) fn run(args: &EntitiesArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    match &args.command {
        EntitiesCommand::List(args) => list(&api, out, args),
        EntitiesCommand::Get { entity, details } => get(&api, out, entity, *details),
        EntitiesCommand::Call { operation, timeout } => call(&api, out, operation, *timeout),
        EntitiesCommand::Signal { operation, idempotency_key } => {
            signal(&api, out, operation, idempotency_key.as_deref())
        }
        EntitiesCommand::Delete(entity) => {
            let what = format!("cannot signal {entity}");
            let reply = api.delete(&entity.path(&[]))?;
            known(&api, reply, entity)?.ok(&what)?;
            let text = format!(
                "Signaled `delete` to {entity}. Where its code has no such operation, `everstate \
                 entities purge {}` removes it.",
                entity.words()
            );
            done(out, entity, "signaled", &text)
        }
        EntitiesCommand::Purge(entity) => purge(&api, out, entity),
        EntitiesCommand::Unlock(entity) => unlock(&api, out, entity),
        EntitiesCommand::Export { entity, output } => {
            let reply = api.get(&entity.path(&["export"]))?;
            let reply = existing(reply, entity)?.ok(&format!("cannot export {entity}"))?;
            files::write(out, output.as_deref(), &reply.body)
        }
    }
}

fn list(api: &Api, out: Output, args: &ListArgs) -> anyhow::Result<()> {
    let segments: Vec<&str> = std::iter::once("entities").chain(args.name.as_deref()).collect();
    let mut path = ApiPath::management(&segments)
        .query_if("keyPrefix", args.prefix.as_deref())
        .query_if("lastOperationTimeFrom", args.used_after.as_deref())
        .query_if("lastOperationTimeTo", args.used_before.as_deref())
        .query_if("includeStateless", args.stateless.then_some(true));
    for (name, value) in &args.field {
        path = path.query(&format!("field.{name}"), value);
    }
    if !args.extent.count {
        path = path.query("details", true).query("fetchState", args.state || out.json);
    }
    let Some(listed) = pages::list(api, out, path, &args.extent, "cannot list the entities")?
    else {
        return Ok(());
    };
    let mut head = vec!["NAME", "KEY", "LAST USED", "HELD BY"];
    head.extend(args.state.then_some("STATE"));
    let mut rows = Rows::new(&head);
    for entity in &listed.items {
        let id = &entity["entityId"];
        let holder = field(&entity["lock"], "instanceId");
        let tone = if holder.is_empty() { Tone::Plain } else { Tone::Warning };
        let cells =
            [field(id, "name"), field(id, "key"), field(entity, "lastOperationTime"), holder];
        rows.add(tone, cells.into_iter().chain(args.state.then(|| field(entity, "state"))));
    }
    out.table(&rows, "No entities.")?;
    listed.note_rest();
    Ok(())
}

fn get(api: &Api, out: Output, entity: &EntityArgs, details: bool) -> anyhow::Result<()> {
    let mut path = entity.path(&[]);
    if details {
        path = path.query("details", true).query("fetchState", true);
    }
    let reply = existing(api.get(&path)?, entity)?.ok(&format!("cannot read {entity}"))?;
    out.raw(&reply.body)
}

fn call(api: &Api, out: Output, args: &OperationArgs, timeout: Option<u64>) -> anyhow::Result<()> {
    let (entity, operation) = (&args.entity, &args.operation);
    let input = args.input.as_deref().map(values::json).transpose()?;
    let path = entity.path(&["call"]).query("op", operation).query_if("timeout", timeout);
    let reply = known(api, api.post(&path, input.as_deref())?, entity)?;
    if reply.status == 504 {
        bail!(
            "{entity} has not done `{operation}` in time: `everstate entities get --details {}` \
             shows what it waits for",
            entity.words()
        );
    }
    let failed = |reply: &Reply| reply.json().is_ok_and(|said| said["failure"].is_object());
    if reply.status == 500 && failed(&reply) {
        return Err(anyhow!("{}", errors::message(&reply)));
    }
    out.raw(&reply.ok(&format!("cannot call `{operation}` of {entity}"))?.body)
}

fn signal(
    api: &Api,
    out: Output,
    args: &OperationArgs,
    idempotency_key: Option<&str>,
) -> anyhow::Result<()> {
    let (entity, operation) = (&args.entity, &args.operation);
    let input = args.input.as_deref().map(values::json).transpose()?;
    let mut headers = Vec::new();
    headers.extend(input.as_ref().map(|_| ("content-type", "application/json")));
    headers.extend(idempotency_key.map(|key| ("idempotency-key", key)));
    let path = entity.path(&[]).query("op", operation);
    let body = input.as_deref().unwrap_or_default().as_bytes();
    let reply = api.send("POST", &path, &headers, Some(body))?;
    known(api, reply, entity)?.ok(&format!("cannot signal {entity}"))?;
    done(out, entity, "signaled", &format!("Signaled `{operation}` to {entity}."))
}

fn purge(api: &Api, out: Output, entity: &EntityArgs) -> anyhow::Result<()> {
    let reply = existing(api.delete(&entity.path(&[]).query("purge", true))?, entity)?;
    if reply.status == 409 {
        bail!(
            "{entity} is locked: `everstate locks` says by whom, `everstate entities unlock {}` \
             breaks the lock",
            entity.words()
        );
    }
    let counted = reply.ok(&format!("cannot purge {entity}"))?.json()?;
    out.line_or(&counted, &format!("Purged {entity}."))
}

fn unlock(api: &Api, out: Output, entity: &EntityArgs) -> anyhow::Result<()> {
    let reply = known(api, api.delete(&entity.path(&["lock"]))?, entity)?;
    let released = reply.ok(&format!("cannot unlock {entity}"))?.json()?;
    let text = if released["released"] == true {
        format!("Broke the lock of {entity}. Who held it is not told.")
    } else {
        format!("{entity} was not locked.")
    };
    out.line_or(&released, &text)
}

fn done(out: Output, entity: &EntityArgs, verb: &str, text: &str) -> anyhow::Result<()> {
    out.line_or(&json!({ "entityId": entity.to_string(), verb: true }), text)
}

/// The answer, unless it says that there is nothing of the entity.
fn existing(reply: Reply, entity: &EntityArgs) -> anyhow::Result<Reply> {
    if errors::is_missing(&reply) {
        bail!(
            "{entity} has no state: `everstate entities list {}` shows those there are",
            word(&entity.name)
        );
    }
    Ok(reply)
}

/// The answer, unless it says that there is no such entity function.
fn known(api: &Api, reply: Reply, entity: &EntityArgs) -> anyhow::Result<Reply> {
    if errors::is_missing(&reply) {
        return Err(names::unknown(api, names::ENTITY, &entity.name));
    }
    Ok(reply)
}
