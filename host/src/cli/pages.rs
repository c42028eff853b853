//! Lists that a host gives in pages.

use serde_json::Value;

use super::api::{Api, ApiPath};

/// The header that leads from one page to the next.
const CONTINUATION: &str = "x-ms-continuation-token";

/// All pages of a list, or as many as have `top` items; `what` is said if the host refuses.
pub(crate) fn read(
    api: &Api,
    path: &ApiPath,
    top: Option<usize>,
    what: &str,
) -> anyhow::Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let headers: Vec<(&str, &str)> =
            token.iter().map(|token| (CONTINUATION, token.as_str())).collect();
        let reply = api.send("GET", path, &headers, None)?.ok(what)?;
        items.extend(reply.list()?);
        if let Some(top) = top
            && items.len() >= top
        {
            items.truncate(top);
            return Ok(items);
        }
        token = reply.header(CONTINUATION).map(str::to_owned);
        if token.is_none() {
            return Ok(items);
        }
    }
}
