//! Lists that a host gives in pages.

use clap::Args;
use serde_json::Value;

use super::api::{Api, ApiPath};
use super::output::{Output, field, note};

/// The header that leads from one page to the next.
const CONTINUATION: &str = "x-ms-continuation-token";

/// Items that a host gives at once.
const PAGE_MAX: usize = 1000;

/// How much of a list is wanted.
#[derive(Debug, Args)]
pub(crate) struct Extent {
    /// How many to list
    #[arg(long, default_value_t = 100, conflicts_with = "all")]
    top: usize,
    /// List all
    #[arg(long)]
    all: bool,
    /// Only say how many there are
    #[arg(long)]
    pub(crate) count: bool,
}

/// Items of a list, to be shown.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    has_more: bool,
}

impl Listed {
    /// Says that there are more, if there are.
    pub(crate) fn note_rest(&self) {
        if self.has_more {
            note("these are not all: --top or --all shows more");
        }
    }
}

/// The items that are to be shown; `None` if their number or their JSON was asked for, which is printed.
pub(crate) fn list(
    api: &Api,
    out: Output,
    path: ApiPath,
    extent: &Extent,
    what: &str,
) -> anyhow::Result<Option<Listed>> {
    if extent.count {
        let count = api.get(&path.query("count", true))?.ok(what)?.json()?;
        out.line_or(&count, &field(&count, "count"))?;
        return Ok(None);
    }
    let top = (!extent.all).then_some(extent.top);
    let path = path.query("top", top.unwrap_or(PAGE_MAX).min(PAGE_MAX));
    let listed = read(api, &path, top, what)?;
    if out.json {
        out.value(&Value::Array(listed.items))?;
        return Ok(None);
    }
    Ok(Some(listed))
}

/// All pages of a list, or as many as have `top` items; `what` is said if the host refuses.
pub(crate) fn read(
    api: &Api,
    path: &ApiPath,
    top: Option<usize>,
    what: &str,
) -> anyhow::Result<Listed> {
    let mut items = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let headers: Vec<(&str, &str)> =
            token.iter().map(|token| (CONTINUATION, token.as_str())).collect();
        let reply = api.send("GET", path, &headers, None)?.ok(what)?;
        token = reply.header(CONTINUATION).map(str::to_owned);
        items.extend(reply.list()?);
        if let Some(top) = top
            && items.len() >= top
        {
            let has_more = token.is_some() || items.len() > top;
            items.truncate(top);
            return Ok(Listed { items, has_more });
        }
        if token.is_none() {
            return Ok(Listed { items, has_more: false });
        }
    }
}
