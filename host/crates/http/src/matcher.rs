//! [`RouteMatcher`]: finds the most specific of many templates. It serves the functions' routes and
//! the management API alike; what a route leads to is its caller's business.

use std::collections::HashMap;

use crate::matching::RouteValues;
use crate::path::RequestPath;
use crate::template::{Segment, Template};

/// A template and what it leads to.
#[derive(Debug)]
pub(crate) struct Route<T> {
    pub(crate) template: Template,
    /// In upper case, in the order of their declaration. Empty: any method.
    pub(crate) methods: Vec<String>,
    pub(crate) target: T,
}

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a, T> {
    /// To a route.
    Route {
        /// What the route leads to.
        target: &'a T,
        /// Its parameters.
        values: RouteValues,
    },
    /// To routes with other methods only.
    MethodNotAllowed {
        /// Their methods, as in the `Allow` header.
        allow: String,
    },
    /// Nowhere.
    Nothing,
    /// The path is not well-formed.
    Malformed,
}

/// Finds the most specific route for a path.
#[derive(Debug)]
pub(crate) struct RouteMatcher<T> {
    /// The most specific first.
    routes: Vec<Route<T>>,
    /// For each first literal, in lower case, the indices of all routes that a path beginning with
    /// it can have. Few functions share a first literal, so that few templates are tried.
    by_first_literal: HashMap<String, Vec<usize>>,
    /// The indices of the routes for all other paths.
    others: Vec<usize>,
}

impl<T> RouteMatcher<T> {
    /// Puts routes in order; those given first come first among equals.
    pub(crate) fn new(mut routes: Vec<Route<T>>) -> Self {
        routes.sort_by_cached_key(|route| route.template.precedence());
        let first_literals: Vec<Option<String>> = routes
            .iter()
            .map(|route| match route.template.segments.first() {
                Some(Segment::Literal(text)) => Some(text.to_lowercase()),
                _ => None,
            })
            .collect();
        let mut by_first_literal = HashMap::new();
        for literal in first_literals.iter().flatten() {
            by_first_literal.entry(literal.clone()).or_insert_with(|| {
                let can_match =
                    |first: &Option<String>| first.as_ref().is_none_or(|f| f == literal);
                indices(&first_literals, can_match)
            });
        }
        let others = indices(&first_literals, Option::is_none);
        Self { routes, by_first_literal, others }
    }

    /// Finds the route for a request.
    pub(crate) fn find(&self, method: &str, path: &str) -> Found<'_, T> {
        let Ok(path) = RequestPath::parse(path) else { return Found::Malformed };
        let candidates = path
            .segment(0)
            .and_then(|first| self.by_first_literal.get(&first.to_lowercase()))
            .unwrap_or(&self.others);
        let mut allowed: Vec<&str> = Vec::new();
        for index in candidates {
            let route = &self.routes[*index];
            let Some(values) = route.template.match_path(&path) else { continue };
            if route.methods.is_empty() || route.methods.iter().any(|known| known == method) {
                return Found::Route { target: &route.target, values };
            }
            for known in &route.methods {
                if !allowed.contains(&known.as_str()) {
                    allowed.push(known);
                }
            }
        }
        if allowed.is_empty() {
            Found::Nothing
        } else {
            Found::MethodNotAllowed { allow: allowed.join(", ") }
        }
    }
}

fn indices(
    first_literals: &[Option<String>],
    can_match: impl Fn(&Option<String>) -> bool,
) -> Vec<usize> {
    let numbered = first_literals.iter().enumerate();
    numbered.filter(|(_, first)| can_match(first)).map(|(index, _)| index).collect()
}
