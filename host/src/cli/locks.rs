//! `everstate locks`: which entities are held, by whom, since when.

use clap::Args;
use serde_json::Value;

use super::api::{ApiPath, HostArgs};
use super::output::{Rows, Tone, field};
use super::pages;

#[derive(Debug, Args)]
pub(crate) struct LocksArgs {
    #[command(flatten)]
    host: HostArgs,
}

pub(crate) fn run(args: &LocksArgs) -> anyhow::Result<()> {
    let (api, out) = args.host.open()?;
    let path = ApiPath::management(&["locks"]);
    let locks = pages::read(&api, &path, None, "cannot list the locks")?.items;
    if out.json {
        return out.value(&Value::Array(locks));
    }
    let mut rows = Rows::new(&["ENTITY", "HELD BY", "SINCE"]);
    for lock in &locks {
        let holder = field(&lock["heldBy"], "instanceId");
        rows.add(Tone::Plain, [field(lock, "entityId"), holder, field(lock, "since")]);
    }
    out.table(&rows, "No entity is locked.")
}
