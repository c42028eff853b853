//! What a component says of itself: its functions, and the options of its entities and HTTP functions. Asked once, and
//! checked; how it is run is in `component.rs`.

use std::collections::HashSet;
use std::sync::Arc;

use everstate_engine::guest::EntityOptions;
use everstate_types::limits::ENTITY_INDEXES_MAX;
use everstate_types::{AuthorizationLevel, FunctionKind, FunctionName};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::bindings::exports::{describe, describe_entities, describe_http};
use crate::compile::CONTRACT_PREFIX;
use crate::component::{Code, one_line};
use crate::error::{GuestError, LoadError};
use crate::executor::Host;
use crate::state::{GuestState, Role};

/// CPU time for a component to describe itself, in milliseconds.
const DESCRIBE_CPU_MS_MAX: u64 = 5_000;

/// Longest name of a read-only operation or of an indexed field, in characters: names of fields are
/// part of rows, and an operation that is longer is a mistake.
const NAME_CHARS_MAX: usize = 256;

/// One function of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedFunction {
    /// Its name as its author wrote it.
    pub name: FunctionName,
    /// Its kind.
    pub kind: FunctionKind,
    /// What starts it, for an HTTP function.
    pub http: Option<HttpTrigger>,
    /// What it says of its entities; without meaning for functions of other kinds.
    pub entity: Arc<EntityOptions>,
}

/// What starts an HTTP function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTrigger {
    /// Methods in upper case; empty: any.
    pub methods: Vec<String>,
    /// A route template without the leading slash.
    pub route: String,
    /// Which key a request must bring.
    pub level: AuthorizationLevel,
}

/// Asks a component what it is. The description is complete, and the exports hold what it promises.
pub(crate) async fn describe(
    code: &Code,
    host: &Arc<Host>,
) -> Result<Vec<LoadedFunction>, LoadError> {
    let Ok(interface) = describe::GuestIndices::new(&code.pre) else {
        return Err(LoadError::NoDescription);
    };
    let described = ask(code, host, async |store, instance| {
        interface.load(&mut *store, instance)?.call_describe(store).await
    });
    let described = described.await.map_err(LoadError::Describe)?;
    let mut functions =
        described.into_iter().map(loaded_function).collect::<Result<Vec<_>, _>>()?;
    check(code, &functions)?;
    if is_exported(code, "describe-entities") {
        let wrong = |error| LoadError::DescribeEntities(error);
        let interface = describe_entities::GuestIndices::new(&code.pre);
        let interface = interface.map_err(|error| wrong(one_line(&error)))?;
        let options = ask(code, host, async |store, instance| {
            interface.load(&mut *store, instance)?.call_describe(store).await
        });
        add_entity_options(&mut functions, options.await.map_err(wrong)?)?;
    }
    if is_exported(code, "describe-http") {
        let wrong = |error| LoadError::DescribeHttp(error);
        let interface = describe_http::GuestIndices::new(&code.pre);
        let interface = interface.map_err(|error| wrong(one_line(&error)))?;
        let options = ask(code, host, async |store, instance| {
            interface.load(&mut *store, instance)?.call_describe(store).await
        });
        add_http_options(&mut functions, options.await.map_err(wrong)?)?;
    }
    Ok(functions)
}

/// Whether a component has an interface of the contract that it may do without.
fn is_exported(code: &Code, wanted: &str) -> bool {
    let component = code.pre.component();
    let ty = component.component_type();
    ty.exports(component.engine()).any(|(name, _)| {
        let interface = name.strip_prefix(CONTRACT_PREFIX);
        interface.is_some_and(|interface| interface.split('@').next() == Some(wanted))
    })
}

/// Has a fresh instance of a component say something of itself; or gives why it did not.
async fn ask<T>(
    code: &Code,
    host: &Arc<Host>,
    question: impl AsyncFnOnce(&mut Store<GuestState>, &Instance) -> wasmtime::Result<T>,
) -> Result<T, String> {
    let asked = async {
        let (mut store, instance) =
            code.instantiate(host, Role::Describe, DESCRIBE_CPU_MS_MAX).await?;
        let answer = question(&mut store, &instance).await;
        let answer = answer.map_err(|error| GuestError::of_call(&error, store.data_mut()));
        store.data_mut().flush_output();
        answer
    };
    let answer: Result<T, GuestError> = host.ticking(asked).await;
    answer.map_err(|error| error.to_string())
}

/// Whether there are functions, each once, and what runs each is exported.
fn check(code: &Code, functions: &[LoadedFunction]) -> Result<(), LoadError> {
    if functions.is_empty() {
        return Err(LoadError::NoFunctions);
    }
    let mut seen = HashSet::new();
    for LoadedFunction { name, kind, .. } in functions {
        let (kind, name) = (*kind, name.to_string());
        if let Some(interface) = code.missing_export(kind) {
            return Err(LoadError::MissingExport { kind, name, interface });
        }
        if !seen.insert((kind, name.to_ascii_lowercase())) {
            return Err(LoadError::Duplicate { kind, name });
        }
    }
    Ok(())
}

fn loaded_function(function: describe::Function) -> Result<LoadedFunction, LoadError> {
    let name = FunctionName::new(&function.name)?;
    let (kind, http) = match function.kind {
        describe::FunctionKind::Orchestrator => (FunctionKind::Orchestrator, None),
        describe::FunctionKind::Entity => (FunctionKind::Entity, None),
        describe::FunctionKind::Activity => (FunctionKind::Activity, None),
        describe::FunctionKind::Http(describe::HttpTrigger { methods, route }) => {
            let methods = methods.iter().map(|method| method.to_ascii_uppercase()).collect();
            let level = AuthorizationLevel::default();
            (FunctionKind::Http, Some(HttpTrigger { methods, route, level }))
        }
    };
    Ok(LoadedFunction { name, kind, http, entity: Arc::default() })
}

/// Gives each entity function its options, and checks them.
fn add_entity_options(
    functions: &mut [LoadedFunction],
    options: Vec<describe_entities::EntityOptions>,
) -> Result<(), LoadError> {
    let mut seen = HashSet::new();
    for options in options {
        let name = FunctionName::new(&options.name)?;
        let function = functions.iter_mut().find(|function| {
            function.kind == FunctionKind::Entity
                && function.name.as_str().eq_ignore_ascii_case(name.as_str())
        });
        let wrong = |problem: &str| {
            let (name, problem) = (name.to_string(), problem.to_owned());
            LoadError::EntityOptions { name, problem }
        };
        let Some(function) = function else {
            return Err(wrong("it describes no entity function of that name"));
        };
        if !seen.insert(name.as_str().to_ascii_lowercase()) {
            return Err(wrong("it has them twice"));
        }
        function.entity = Arc::new(entity_options(options).map_err(|problem| wrong(&problem))?);
    }
    Ok(())
}

/// Gives each HTTP function its level; a component that is not understood is refused, because
/// what it meant to protect would be open.
fn add_http_options(
    functions: &mut [LoadedFunction],
    options: Vec<describe_http::HttpOptions>,
) -> Result<(), LoadError> {
    let mut seen = HashSet::new();
    for options in options {
        let name = FunctionName::new(&options.name)?;
        let wrong = |problem: &str| {
            let (name, problem) = (name.to_string(), problem.to_owned());
            LoadError::HttpOptions { name, problem }
        };
        let trigger = functions.iter_mut().find_map(|function| {
            let is_named = function.name.as_str().eq_ignore_ascii_case(name.as_str());
            function.http.as_mut().filter(|_| is_named)
        });
        let Some(trigger) = trigger else {
            return Err(wrong("it describes no HTTP function of that name"));
        };
        if !seen.insert(name.as_str().to_ascii_lowercase()) {
            return Err(wrong("it has them twice"));
        }
        trigger.level = match options.authorization_level {
            describe_http::AuthorizationLevel::Anonymous => AuthorizationLevel::Anonymous,
            describe_http::AuthorizationLevel::Function => AuthorizationLevel::Function,
            describe_http::AuthorizationLevel::Admin => AuthorizationLevel::Admin,
        };
    }
    Ok(())
}

/// Options as the engine takes them; or what is wrong with them.
fn entity_options(options: describe_entities::EntityOptions) -> Result<EntityOptions, String> {
    let describe_entities::EntityOptions { read_only_operations, time_to_live, indexes, .. } =
        options;
    if indexes.len() > ENTITY_INDEXES_MAX {
        let count = indexes.len();
        return Err(format!("{count} indexes, at most {ENTITY_INDEXES_MAX} are allowed"));
    }
    indexes.iter().try_for_each(|name| check_name("an index", name))?;
    if let Some(twice) = (1..indexes.len()).find(|&at| indexes[..at].contains(&indexes[at])) {
        return Err(format!("the index `{}` stands twice", indexes[twice]));
    }
    read_only_operations.iter().try_for_each(|name| check_name("a read-only operation", name))?;
    let mut read_only: Vec<_> =
        read_only_operations.iter().map(|name| name.to_ascii_lowercase()).collect();
    read_only.sort();
    read_only.dedup();
    Ok(EntityOptions { read_only, time_to_live_ms: time_to_live, indexes })
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("{what} has an empty name"));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("the name of {what} has control characters"));
    }
    match name.chars().count() {
        ..=NAME_CHARS_MAX => Ok(()),
        chars => Err(format!(
            "the name of {what} has {chars} characters, at most {NAME_CHARS_MAX} are allowed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use everstate_engine::guest::EntityOptions;
    use everstate_types::{AuthorizationLevel, FunctionKind, FunctionName};

    use super::{
        HttpTrigger, LoadedFunction, NAME_CHARS_MAX, add_entity_options, add_http_options,
        describe_entities, describe_http,
    };

    /// An orchestrator and an entity function of the same name, and another entity function.
    fn functions() -> Vec<LoadedFunction> {
        let function = |kind, name| LoadedFunction {
            name: FunctionName::new(name).expect("a valid name"),
            kind,
            http: None,
            entity: Arc::default(),
        };
        vec![
            function(FunctionKind::Orchestrator, "Counter"),
            function(FunctionKind::Entity, "Counter"),
            function(FunctionKind::Entity, "Other"),
        ]
    }

    fn options(
        name: &str,
        read_only: &[&str],
        indexes: &[&str],
    ) -> describe_entities::EntityOptions {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        describe_entities::EntityOptions {
            name: name.to_owned(),
            read_only_operations: owned(read_only),
            time_to_live: Some(7),
            indexes: owned(indexes),
        }
    }

    #[test]
    fn options_belong_to_the_entity_function_they_name() {
        let mut functions = functions();
        let given = options("counter", &["Get", "peek", "GET"], &["owner", "Owner"]);
        add_entity_options(&mut functions, vec![given]).expect("good options");
        let expected = EntityOptions {
            read_only: vec!["get".to_owned(), "peek".to_owned()],
            time_to_live_ms: Some(7),
            indexes: vec!["owner".to_owned(), "Owner".to_owned()],
        };
        assert_eq!(*functions[1].entity, expected);
        assert_eq!(*functions[0].entity, EntityOptions::default());
        assert_eq!(*functions[2].entity, EntityOptions::default());
    }

    #[test]
    fn options_that_are_wrong_are_refused_in_one_line_that_names_the_mistake() {
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        let nine = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
        for (given, problem) in [
            (vec![options("Nobody", &[], &[])], "`Nobody`: it describes no entity function"),
            (vec![options("Counter", &[], &[]), options("COUNTER", &[], &[])], "twice"),
            (vec![options("Counter", &[], &nine)], "9 indexes, at most 8"),
            (vec![options("Counter", &[], &["a", "b", "a"])], "the index `a` stands twice"),
            (vec![options("Counter", &[], &[""])], "an index has an empty name"),
            (vec![options("Counter", &[], &[&long])], "257 characters, at most 256"),
            (vec![options("Counter", &["get", ""], &[])], "operation has an empty name"),
            (vec![options("Counter", &[&long], &[])], "257 characters, at most 256"),
            (vec![options("Counter", &["a\nb"], &[])], "control characters"),
            (vec![options("a b", &[], &[])], "no function name"),
        ] {
            let error = add_entity_options(&mut functions(), given).expect_err(problem).to_string();
            assert!(error.contains(problem), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    /// Two HTTP functions, and an orchestrator that is named like one of them.
    fn http_functions() -> Vec<LoadedFunction> {
        let function = |name, http| LoadedFunction {
            name: FunctionName::new(name).expect("a valid name"),
            kind: if http { FunctionKind::Http } else { FunctionKind::Orchestrator },
            http: http.then(|| HttpTrigger {
                methods: Vec::new(),
                route: String::new(),
                level: AuthorizationLevel::default(),
            }),
            entity: Arc::default(),
        };
        vec![function("Open", true), function("Closed", false), function("Closed", true)]
    }

    fn level(
        name: &str,
        authorization_level: describe_http::AuthorizationLevel,
    ) -> describe_http::HttpOptions {
        describe_http::HttpOptions { name: name.to_owned(), authorization_level }
    }

    #[test]
    fn level_belongs_to_the_http_function_it_names() {
        let mut functions = http_functions();
        let given = level("CLOSED", describe_http::AuthorizationLevel::Admin);
        add_http_options(&mut functions, vec![given]).expect("good options");
        let levels = functions.iter().map(|function| function.http.as_ref().map(|http| http.level));
        let expected = [Some(AuthorizationLevel::Anonymous), None, Some(AuthorizationLevel::Admin)];
        assert_eq!(levels.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn level_of_an_unknown_function_or_a_second_one_is_refused() {
        let closed = || level("Closed", describe_http::AuthorizationLevel::Function);
        let unknown = level("Nobody", describe_http::AuthorizationLevel::Function);
        for (given, problem) in [
            (vec![unknown], "`Nobody`: it describes no HTTP function"),
            (vec![closed(), closed()], "twice"),
        ] {
            let error = add_http_options(&mut http_functions(), given).expect_err(problem);
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}
