//! [`RouteTable`]: from method and path to an HTTP function.
//!
//! More specific routes win, compared segment by segment from the left: a literal, then a segment
//! of several parts, then a parameter with constraints, then a parameter, then a catch-all with
//! constraints, then a catch-all. Between equals the shorter template wins, then the one that was
//! given first. A route whose method does not fit is passed over; if no other one fits, the answer
//! is 405.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::Method;
use everstate_engine::guest::FoundFunction;
use everstate_types::{AuthorizationLevel, ComponentHash, FunctionName};

use crate::api::is_own_path;
use crate::matcher::{Found, Route, RouteMatcher};
use crate::metrics::FunctionRequests;
use crate::template::{Template, TemplateError};

/// What starts an HTTP function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// The function.
    pub function: FunctionName,
    /// The component that has it.
    pub component: ComponentHash,
    /// The methods it answers; empty: any method.
    pub methods: Vec<String>,
    /// An ASP.NET route template.
    pub route: String,
    /// Which key a request must bring.
    pub level: AuthorizationLevel,
}

/// What a route leads to.
#[derive(Debug)]
pub(crate) struct RouteTarget {
    /// The function.
    pub(crate) function: FoundFunction,
    /// Which key a request must bring.
    pub(crate) level: AuthorizationLevel,
    /// The route's template, for observers.
    pub(crate) template: Arc<str>,
    /// Counts and measures its requests.
    pub(crate) requests: FunctionRequests,
}

/// A route that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConflict {
    /// The function.
    pub function: FunctionName,
    /// Its route template.
    pub route: String,
    /// Why it is not there.
    pub reason: RouteConflictReason,
}

/// Why a route is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteConflictReason {
    /// Another function, given earlier, has the same route and a method in common.
    #[error("the route specified conflicts with the route defined by function `{0}`")]
    Taken(FunctionName),
    /// What begins with `runtime` or `admin` belongs to the host, and so do its other own paths.
    #[error("the specified route conflicts with one or more built in routes")]
    BuiltIn,
    /// It is no route template.
    #[error("the route template cannot be read, {0}")]
    Template(#[from] TemplateError),
    /// It is no HTTP method.
    #[error("`{0}` is no HTTP method")]
    Method(String),
}

impl fmt::Display for RouteConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function `{}`, route `{}`: {}", self.function, self.route, self.reason)
    }
}

/// First segments of a path that belong to the host, so that no function can be there.
pub(crate) const BUILT_IN_SEGMENTS: [&str; 2] = ["runtime", "admin"];

/// Whether a path or a route belongs to the host, so that no function can be there.
pub(crate) fn is_built_in(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    BUILT_IN_SEGMENTS.iter().any(|own| first.eq_ignore_ascii_case(own)) || is_own_path(path)
}

/// From method and path to an HTTP function. Does not change; a new one replaces it.
#[derive(Debug)]
pub struct RouteTable {
    matcher: RouteMatcher<Arc<RouteTarget>>,
}

impl RouteTable {
    /// Builds a table. Routes that cannot be in it come back with the reason; the others work. Of
    /// two that conflict the first one given wins.
    #[must_use]
    pub fn build(entries: &[RouteEntry]) -> (Self, Vec<RouteConflict>) {
        let mut routes: Vec<Route<Arc<RouteTarget>>> = Vec::new();
        let mut conflicts = Vec::new();
        for entry in entries {
            match route_of(entry, &routes) {
                Ok(route) => routes.push(route),
                Err(reason) => conflicts.push(RouteConflict {
                    function: entry.function.clone(),
                    route: entry.route.clone(),
                    reason,
                }),
            }
        }
        (Self { matcher: RouteMatcher::new(routes) }, conflicts)
    }

    /// A table without routes.
    #[must_use]
    pub fn empty() -> Self {
        Self { matcher: RouteMatcher::new(Vec::new()) }
    }

    /// Finds the function for a request.
    pub(crate) fn find(&self, method: &str, path: &str) -> Found<'_, Arc<RouteTarget>> {
        self.matcher.find(method, path)
    }
}

fn route_of(
    entry: &RouteEntry,
    routes: &[Route<Arc<RouteTarget>>],
) -> Result<Route<Arc<RouteTarget>>, RouteConflictReason> {
    if is_built_in(&entry.route) {
        return Err(RouteConflictReason::BuiltIn);
    }
    let mut methods: Vec<String> = Vec::with_capacity(entry.methods.len());
    for method in &entry.methods {
        let upper = method.to_ascii_uppercase();
        if Method::from_bytes(upper.as_bytes()).is_err() {
            return Err(RouteConflictReason::Method(method.clone()));
        }
        if !methods.contains(&upper) {
            methods.push(upper);
        }
    }
    let function = FoundFunction { name: entry.function.clone(), component: entry.component };
    let template = Arc::from(format!("/{}", entry.route.trim_start_matches('/')));
    let requests = FunctionRequests::default();
    let target = Arc::new(RouteTarget { function, level: entry.level, template, requests });
    let route = Route { template: Template::parse(&entry.route)?, methods, target };
    let shape = route.template.shape();
    let taken = routes.iter().find(|other| {
        let shares_method = other.methods.is_empty()
            || route.methods.is_empty()
            || other.methods.iter().any(|method| route.methods.contains(method));
        shares_method && other.template.shape() == shape
    });
    match taken {
        Some(other) => Err(RouteConflictReason::Taken(other.target.function.name.clone())),
        None => Ok(route),
    }
}

/// The table in use. It can be replaced while requests run; each request uses the table that it
/// began with.
#[derive(Debug)]
pub struct SharedRoutes {
    // A standard lock: it is held for the time of a reference count, and never across an await.
    current: RwLock<Arc<RouteTable>>,
}

impl SharedRoutes {
    /// Begins with a table.
    #[must_use]
    pub fn new(table: RouteTable) -> Self {
        Self { current: RwLock::new(Arc::new(table)) }
    }

    /// The table in use.
    #[must_use]
    pub fn load(&self) -> Arc<RouteTable> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another table in its place.
    pub fn replace(&self, table: RouteTable) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
