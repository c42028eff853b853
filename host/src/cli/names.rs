//! Names of functions: which there are, and what to say of one that is none.

use anyhow::anyhow;
use serde_json::Value;

use super::api::{Api, ApiPath};
use super::errors;

/// The kind of entity functions, as the host names it.
pub(crate) const ENTITY: &str = "entity";

/// The kind of orchestrators, as the host names it.
pub(crate) const ORCHESTRATOR: &str = "orchestrator";

/// The functions of one kind; none if the host does not tell.
pub(crate) fn of_kind(api: &Api, kind: &str) -> Vec<String> {
    let listed = api.get(&ApiPath::admin(&["functions"])).and_then(|reply| reply.json());
    let listed: Value = listed.unwrap_or_default();
    let functions = listed["functions"].as_array();
    functions
        .into_iter()
        .flatten()
        .filter(|function| function["kind"] == kind)
        .filter_map(|function| function["name"].as_str().map(str::to_owned))
        .collect()
}

/// The error for a name that no function of that kind has.
pub(crate) fn unknown(api: &Api, kind: &str, name: &str) -> anyhow::Error {
    let hint = errors::similar(name, &of_kind(api, kind));
    anyhow!("there is no {kind} function `{name}` at {}: {hint}", api.base())
}
