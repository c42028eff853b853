//! The exports of a component: each finds the function that is meant and runs it.
//!
//! A panic aborts the component, so nothing here could catch it; a hook writes what it said to
//! standard error, which the host adds to the failure that it reports.

use std::sync::Once;

use crate::activity::ActivityContext;
use crate::bindings::exported::{
    activity, describe, describe_entities, describe_http, entity, http, orchestrator,
};
use crate::bindings::imports::{http_types, types};
use crate::entity::EntityCall;
use crate::error::failure_to_wit;
use crate::http::{HttpError, HttpRequest, HttpResponse};
use crate::registration::{Authorization, Registration, Run, all, find, find_entity};

/// Stands for the component whose functions the attributes have registered.
pub(crate) struct Component;

impl describe::Guest for Component {
    fn describe() -> Vec<describe::Function> {
        all().map(describe_one).collect()
    }
}

impl describe_entities::Guest for Component {
    fn describe() -> Vec<describe_entities::EntityOptions> {
        all().filter_map(describe_entity).collect()
    }
}

impl describe_http::Guest for Component {
    fn describe() -> Vec<describe_http::HttpOptions> {
        all().filter_map(describe_http_function).collect()
    }
}

impl orchestrator::Guest for Component {
    fn run(name: String) -> Result<String, types::Failure> {
        report_panics();
        let run = find(&name, |run| match run {
            Run::Orchestrator(run) => Some(run),
            Run::Entity { .. } | Run::Activity(_) | Run::Http { .. } => None,
        });
        run.and_then(|run| run()).map_err(failure_to_wit)
    }
}

impl entity::Guest for Component {
    fn invoke(operation: entity::Operation) -> Result<Option<String>, types::Failure> {
        report_panics();
        find_entity(&operation.entity.name)
            .and_then(|(run, options)| run(EntityCall::new(operation, options)))
            .map_err(failure_to_wit)
    }
}

impl activity::Guest for Component {
    fn invoke(call: activity::ActivityCall) -> Result<String, types::Failure> {
        report_panics();
        let run = find(&call.name, |run| match run {
            Run::Activity(run) => Some(run),
            Run::Orchestrator(_) | Run::Entity { .. } | Run::Http { .. } => None,
        });
        let (context, input) = ActivityContext::new(call);
        run.and_then(|run| run(context, input)).map_err(failure_to_wit)
    }
}

impl http::Guest for Component {
    fn handle(
        name: String,
        request: http_types::Request,
    ) -> Result<http_types::Response, types::Failure> {
        report_panics();
        let handle = find(&name, |run| match run {
            Run::Http { handle, .. } => Some(handle),
            Run::Orchestrator(_) | Run::Entity { .. } | Run::Activity(_) => None,
        });
        handle
            .and_then(|handle| handle(HttpRequest::new(request)).or_else(HttpError::into_response))
            .map(HttpResponse::into_wit)
            .map_err(failure_to_wit)
    }
}

fn describe_one(registration: &Registration) -> describe::Function {
    let kind = match registration.run() {
        Run::Orchestrator(_) => describe::FunctionKind::Orchestrator,
        Run::Entity { .. } => describe::FunctionKind::Entity,
        Run::Activity(_) => describe::FunctionKind::Activity,
        Run::Http { methods, route, .. } => describe::FunctionKind::Http(describe::HttpTrigger {
            methods: owned(methods),
            route: route.to_owned(),
        }),
    };
    describe::Function { name: registration.name().to_owned(), kind }
}

/// What the host must know of an entity beside its name, if there is anything.
fn describe_entity(registration: &Registration) -> Option<describe_entities::EntityOptions> {
    let Run::Entity { options, .. } = registration.run() else { return None };
    options.concern_the_host().then(|| describe_entities::EntityOptions {
        name: registration.name().to_owned(),
        read_only_operations: owned(options.read_only),
        time_to_live: options.time_to_live_ms,
        indexes: owned(options.indexes),
    })
}

/// What the host must know of an HTTP function beside its route, if there is anything.
fn describe_http_function(registration: &Registration) -> Option<describe_http::HttpOptions> {
    let Run::Http { authorization, .. } = registration.run() else { return None };
    let authorization_level = match authorization {
        Authorization::Anonymous => return None,
        Authorization::Function => describe_http::AuthorizationLevel::Function,
        Authorization::Admin => describe_http::AuthorizationLevel::Admin,
    };
    Some(describe_http::HttpOptions { name: registration.name().to_owned(), authorization_level })
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Makes a panic say one line on standard error: where and what.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("a panic without a message");
            let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
            #[expect(clippy::print_stderr, reason = "the host collects what a guest writes there")]
            {
                eprintln!("panicked{place}: {message}");
            }
        }));
    });
}
