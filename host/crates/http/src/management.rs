//! The management API: `/runtime/webhooks/durabletask/…`.
//!
//! It has the routes and responses of the original, except that a wrong method gets a 405 with
//! `Allow` and that every error has a JSON body. As there, query parameters that are unknown or
//! cannot be read are ignored.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use everstate_engine::ClientError;
use everstate_types::InstanceId;

use crate::base_url::base_url;
use crate::check_status::{MANAGEMENT_PATH, status_code};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::json;
use crate::matcher::{Found, Route, RouteMatcher};
use crate::matching::RouteValues;
use crate::path::query_parameters;
use crate::status_document::{Shown, status_document};
use crate::template::Template;

/// How many seconds a client that looks at a running orchestration is asked to wait.
const RETRY_AFTER_SECONDS: &str = "5";

/// Answers the requests to the management API.
pub(crate) struct Management {
    pub(crate) engine: Arc<dyn Engine>,
    /// Scheme and authority for requests that do not name a host.
    pub(crate) default_base_url: String,
}

/// What a route of the management API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    GetStatus,
    /// Known, and not there yet.
    Unavailable(&'static str),
}

/// Method, route below [`MANAGEMENT_PATH`], operation.
const ROUTES: [(&str, &str, Operation); 19] = [
    ("GET", "instances/{instanceId}", Operation::GetStatus),
    ("DELETE", "instances/{instanceId}", Operation::Unavailable("purge")),
    ("GET", "instances", Operation::Unavailable("queryInstances")),
    ("DELETE", "instances", Operation::Unavailable("purgeInstances")),
    (
        "POST",
        "orchestrators/{functionName}/{instanceId?}",
        Operation::Unavailable("startOrchestration"),
    ),
    ("POST", "instances/{instanceId}/raiseEvent/{eventName}", Operation::Unavailable("raiseEvent")),
    ("POST", "instances/{instanceId}/terminate", Operation::Unavailable("terminate")),
    ("POST", "instances/{instanceId}/suspend", Operation::Unavailable("suspend")),
    ("POST", "instances/{instanceId}/resume", Operation::Unavailable("resume")),
    ("POST", "instances/{instanceId}/rewind", Operation::Unavailable("rewind")),
    ("POST", "instances/{instanceId}/restart", Operation::Unavailable("restart")),
    ("GET", "entities", Operation::Unavailable("listEntities")),
    ("GET", "entities/{entityName}", Operation::Unavailable("listEntities")),
    ("POST", "entities/{entityName}", Operation::Unavailable("signalEntity")),
    ("DELETE", "entities/{entityName}", Operation::Unavailable("deleteEntity")),
    ("GET", "entities/{entityName}/{entityKey}", Operation::Unavailable("readEntityState")),
    ("POST", "entities/{entityName}/{entityKey}", Operation::Unavailable("signalEntity")),
    ("DELETE", "entities/{entityName}/{entityKey}", Operation::Unavailable("deleteEntity")),
    ("POST", "makeprimary", Operation::Unavailable("makePrimary")),
];

static MATCHER: LazyLock<RouteMatcher<Operation>> = LazyLock::new(|| {
    let routes = ROUTES.iter().map(|(method, route, operation)| {
        let template = Template::parse(&format!("{MANAGEMENT_PATH}/{route}"));
        Route {
            template: template.expect("the built-in routes are well-formed"),
            methods: vec![(*method).to_owned()],
            target: *operation,
        }
    });
    RouteMatcher::new(routes.collect())
});

impl Management {
    /// Answers one request.
    pub(crate) async fn answer(&self, parts: &Parts) -> Result<Response, ApiError> {
        match MATCHER.find(parts.method.as_str(), parts.uri.path()) {
            Found::Route { target: Operation::GetStatus, values } => {
                self.get_status(parts, &values).await
            }
            Found::Route { target: Operation::Unavailable(name), .. } => {
                Err(ApiError::not_implemented(name))
            }
            Found::MethodNotAllowed { allow } => Err(ApiError::method_not_allowed(&allow)),
            Found::Nothing => Err(ApiError::no_route()),
            Found::Malformed => Err(ApiError::malformed_path()),
        }
    }

    async fn get_status(&self, parts: &Parts, values: &RouteValues) -> Result<Response, ApiError> {
        let (_, id) = values.first().expect("the route has an instance id");
        // What cannot be an id is not the id of an orchestration.
        let instance_id = InstanceId::orchestration(id).map_err(|_| no_instance(id))?;
        let observed = self.engine.get_status(&instance_id).await.map_err(refusal)?;
        // Even that there is no such instance may depend on something that is not durable.
        self.engine.durable(observed.seq).await;
        let status = observed.value.ok_or_else(|| no_instance(id))?;

        let query = query_parameters(parts.uri.query());
        let shown = Shown {
            input: flag(&query, "showInput").unwrap_or(true),
            history: flag(&query, "showHistory").unwrap_or(false),
            history_output: flag(&query, "showHistoryOutput").unwrap_or(false),
        };
        let is_error = flag(&query, "returnInternalServerErrorOnFailure").unwrap_or(false);
        let code = status_code(status.record.status, is_error);
        let mut response = Response::new(Body::from(status_document(&status, shown)));
        *response.status_mut() = StatusCode::from_u16(code).expect("one of 200, 202 and 500");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(json::CONTENT_TYPE));
        if !status.record.status.is_finished() {
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
            let location = format!("{}{target}", base_url(parts, &self.default_base_url)?);
            let location = HeaderValue::try_from(location).expect("a URL that came in a request");
            headers.insert(LOCATION, location);
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        Ok(response)
    }
}

/// The value of a flag in the query; the name's case does not matter.
fn flag(query: &[(String, String)], name: &str) -> Option<bool> {
    let (_, value) = query.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    value.to_ascii_lowercase().parse().ok()
}

fn no_instance(id: &str) -> ApiError {
    let external = format!("There is no orchestration with the instance id '{id}'.");
    ApiError::new(StatusCode::NOT_FOUND, "no_instance", external)
}

fn refusal(error: ClientError) -> ApiError {
    let text = error.to_string();
    match error {
        ClientError::Overloaded | ClientError::Busy(_) | ClientError::Stopping => {
            ApiError::overloaded()
        }
        ClientError::NotFound(id) => no_instance(id.as_str()),
        ClientError::InvalidArgument(_) | ClientError::FunctionNotFound { .. } => {
            ApiError::bad_request(text)
        }
        ClientError::AlreadyExists { .. } => ApiError::conflict(text),
        // As the original: what has ended is gone for whoever wants to change it.
        ClientError::WrongState { status, .. } if status.is_finished() => ApiError::gone(text),
        ClientError::WrongState { .. } => ApiError::conflict(text),
        _ => ApiError::internal("engine_refused", text),
    }
}
