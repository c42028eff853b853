//! [`Shown`]: what the functions folder has made of its files, for whoever wants to see it. It does not
//! change; another one takes its place.

use std::path::Path;
use std::sync::Arc;

use everstate_http::{FileCondition, FileState, FunctionState, RouteConflict, RouteEntry, Warning};
use everstate_runtime::{Conflict, HttpFunction, LoadedComponent};
use everstate_types::{FunctionKind, FunctionName};

use super::Loaded;
use crate::listing::ListedHttp;

/// What is loaded and served.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The HTTP functions that are served.
    pub(crate) http: Vec<ListedHttp>,
    /// All other functions.
    pub(crate) others: Vec<(FunctionKind, FunctionName)>,
    /// All functions that are served, with their files.
    pub(crate) functions: Vec<FunctionState>,
    /// The files. Nobody has counted what is pinned to them.
    pub(crate) files: Vec<FileState>,
    /// The components that are published.
    pub(crate) components: Vec<Arc<LoadedComponent>>,
    /// What is wrong with the files.
    pub(crate) warnings: Vec<Warning>,
}

/// Functions and routes that are refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) functions: Vec<Conflict>,
    pub(crate) routes: Vec<RouteConflict>,
}

impl Shown {
    pub(super) fn new(loaded: &Loaded, refusals: &Refusals, entries: Vec<RouteEntry>) -> Self {
        let components = loaded.components();
        let mut functions: Vec<_> =
            components.iter().flat_map(|component| served(component, refusals)).collect();
        // A component tells them in the order in which its linker put them.
        functions.sort_by_cached_key(|function| function.name.as_str().to_ascii_lowercase());
        let files = loaded.order.iter().filter_map(|path| {
            let file = loaded.files.get(path)?;
            let file_name = super::name(path);
            let conflicts = refusals.of_file(&file_name, file.component.as_deref());
            let is_served = functions.iter().any(|function| function.file == file_name);
            let is_broken = file.problem.is_some() || !is_served;
            let message = file.problem.iter().chain(&conflicts).cloned().collect::<Vec<_>>();
            Some(FileState {
                component: file.component.as_ref().map(|component| component.hash),
                condition: match is_broken {
                    true => FileCondition::Broken,
                    false => FileCondition::Serving,
                },
                message: (!message.is_empty()).then(|| message.join("; ")),
                loaded_at: Some(file.loaded_at),
                pinned: 0,
                file: file_name,
            })
        });
        let files: Vec<_> = files.collect();
        let warnings = files.iter().filter_map(|file| warning(loaded, file)).collect();
        let is_refused = |entry: &RouteEntry| refusals.has_route(&entry.function, &entry.route);
        let http = entries.into_iter().filter(|entry| !is_refused(entry)).map(|entry| ListedHttp {
            name: entry.function,
            methods: entry.methods,
            route: entry.route,
            level: entry.level,
        });
        let mut others: Vec<_> = functions
            .iter()
            .filter(|function| function.kind != FunctionKind::Http)
            .map(|function| (function.kind, function.name.clone()))
            .collect();
        others.sort();
        Self { http: http.collect(), others, functions, files, components, warnings }
    }

    /// The functions of a file.
    pub(crate) fn functions_of(&self, file: &str) -> Vec<FunctionState> {
        self.functions.iter().filter(|function| function.file == file).cloned().collect()
    }

    /// The component that is published for a file.
    pub(crate) fn component_of(&self, file: &str) -> Option<Arc<LoadedComponent>> {
        self.components.iter().find(|component| component.file_name == file).cloned()
    }
}

/// What is wrong with a file.
fn warning(loaded: &Loaded, state: &FileState) -> Option<Warning> {
    let mut message = state.message.clone()?;
    let file = loaded.files.iter().find(|(path, _)| super::name(path) == state.file);
    if file.is_some_and(|(_, file)| file.component.is_some() && file.problem.is_some()) {
        message.push_str("; an earlier version is served");
    }
    Some(Warning { kind: "brokenComponent", file: Some(state.file.clone()), message })
}

impl Refusals {
    /// One line each.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        let routes = self.routes.iter().map(ToString::to_string);
        self.functions.iter().map(explain).chain(routes)
    }

    fn of_file(&self, file: &str, component: Option<&LoadedComponent>) -> Vec<String> {
        let functions = self.functions.iter().filter(|conflict| conflict.refused == file);
        let has = |conflict: &&RouteConflict| {
            component.is_some_and(|component| {
                component.functions.iter().any(|function| {
                    function.name == conflict.function && function.kind == FunctionKind::Http
                })
            })
        };
        let routes = self.routes.iter().filter(has).map(ToString::to_string);
        functions.map(explain).chain(routes).collect()
    }

    fn has_function(&self, file: &str, kind: FunctionKind, name: &FunctionName) -> bool {
        self.functions.iter().any(|conflict| {
            conflict.refused == file && conflict.kind == kind && conflict.name == *name
        })
    }

    fn has_route(&self, function: &FunctionName, route: &str) -> bool {
        self.routes.iter().any(|it| it.function == *function && it.route == route)
    }
}

/// The functions of a component that are not refused.
pub(super) fn served(component: &LoadedComponent, refusals: &Refusals) -> Vec<FunctionState> {
    let file = &component.file_name;
    let is_served = |function: &&everstate_runtime::LoadedFunction| {
        let route = function.http.as_ref().map(|trigger| trigger.route.as_str());
        !refusals.has_function(file, function.kind, &function.name)
            && route.is_none_or(|route| !refusals.has_route(&function.name, route))
    };
    let state = |function: &everstate_runtime::LoadedFunction| FunctionState {
        name: function.name.clone(),
        kind: function.kind,
        file: file.clone(),
        component: component.hash,
        http: function.http.clone().map(|trigger| (trigger.methods, trigger.route, trigger.level)),
    };
    component.functions.iter().filter(is_served).map(state).collect()
}

/// HTTP functions as they go into the table of routes.
pub(super) fn entries(functions: Vec<HttpFunction>) -> Vec<RouteEntry> {
    functions
        .into_iter()
        .map(|function| RouteEntry {
            function: function.name,
            component: function.component,
            methods: function.trigger.methods,
            route: function.trigger.route,
            level: function.trigger.level,
        })
        .collect()
}

fn explain(conflict: &Conflict) -> String {
    let Conflict { kind, name, kept, refused } = conflict;
    format!("{refused}: the {kind} function `{name}` is refused, {kept} has one of that name")
}

/// Whether a text is a plain name of a component's file.
pub(crate) fn is_component_name(file: &str) -> bool {
    const BYTES_MAX: usize = 200;
    let is_plain = !file.starts_with('.')
        && !file.chars().any(|c| c.is_control() || matches!(c, '/' | '\\'))
        && file.len() <= BYTES_MAX;
    is_plain && Path::new(file).extension().is_some_and(|extension| extension == "wasm")
}

#[cfg(test)]
mod tests {
    use super::is_component_name;

    #[test]
    fn only_plain_names_that_end_in_wasm_are_names_of_components() {
        for (name, is_name) in [
            ("database.wasm", true),
            ("my database-2.0.wasm", true),
            ("database", false),
            (".wasm", false),
            (".hidden.wasm", false),
            ("../database.wasm", false),
            ("a/b.wasm", false),
            ("a\\b.wasm", false),
            ("a\n.wasm", false),
            ("a.wasm.part", false),
            ("", false),
        ] {
            assert_eq!(is_component_name(name), is_name, "{name:?}");
        }
        assert!(!is_component_name(&format!("{}.wasm", "x".repeat(200))));
    }
}
