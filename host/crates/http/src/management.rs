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
use everstate_types::InstanceId;

use crate::base_url::base_url;
use crate::check_status::{MANAGEMENT_PATH, status_code};
use crate::config::HttpConfig;
use crate::engine::Engine;
use crate::entity_api::{EntityApi, EntityRoute};
use crate::error::ApiError;
use crate::json;
use crate::matcher::{Found, Route, RouteMatcher};
use crate::matching::RouteValues;
use crate::query::Query;
use crate::status_document::{Shown, status_document};
use crate::template::Template;

/// How many seconds a client that looks at a running orchestration is asked to wait.
const RETRY_AFTER_SECONDS: &str = "5";

/// Answers the requests to the management API.
pub(crate) struct Management {
    engine: Arc<dyn Engine>,
    entities: EntityApi,
    /// Scheme and authority for requests that do not name a host.
    default_base_url: String,
}

/// What a route of the management API does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    GetStatus,
    /// Something of entities.
    Entity(EntityRoute),
    /// Known, and not there yet.
    Unavailable(&'static str),
}

/// Method, route below [`MANAGEMENT_PATH`], operation.
const ROUTES: [(&str, &str, Operation); 21] = [
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
    ("GET", "entities", Operation::Entity(EntityRoute::List)),
    ("GET", "entities/{entityName}", Operation::Entity(EntityRoute::List)),
    ("POST", "entities/{entityName}", Operation::Entity(EntityRoute::Signal)),
    ("DELETE", "entities/{entityName}", Operation::Entity(EntityRoute::Delete)),
    ("GET", "entities/{entityName}/{entityKey}", Operation::Entity(EntityRoute::Get)),
    ("POST", "entities/{entityName}/{entityKey}", Operation::Entity(EntityRoute::Signal)),
    ("DELETE", "entities/{entityName}/{entityKey}", Operation::Entity(EntityRoute::Delete)),
    ("POST", "entities/{entityName}/{entityKey}/call", Operation::Entity(EntityRoute::Call)),
    ("DELETE", "entities/{entityName}/{entityKey}/lock", Operation::Entity(EntityRoute::BreakLock)),
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
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        config: HttpConfig,
        default_base_url: String,
    ) -> Self {
        let entities = EntityApi { engine: Arc::clone(&engine), config };
        Self { engine, entities, default_base_url }
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, parts: &Parts, body: Body) -> Result<Response, ApiError> {
        match MATCHER.find(parts.method.as_str(), parts.uri.path()) {
            Found::Route { target: Operation::GetStatus, values } => {
                self.get_status(parts, &values).await
            }
            Found::Route { target: Operation::Entity(route), values } => {
                self.entities.answer(*route, parts, &values, body).await
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
        let instance_id = InstanceId::orchestration(id).map_err(|_| ApiError::no_instance(id))?;
        let observed = self.engine.get_status(&instance_id).await.map_err(ApiError::from)?;
        // Even that there is no such instance may depend on something that is not durable.
        self.engine.durable(observed.seq).await;
        let status = observed.value.ok_or_else(|| ApiError::no_instance(id))?;

        let query = Query::of(parts);
        let shown = Shown {
            input: query.flag("showInput").unwrap_or(true),
            history: query.flag("showHistory").unwrap_or(false),
            history_output: query.flag("showHistoryOutput").unwrap_or(false),
        };
        let is_error = query.flag("returnInternalServerErrorOnFailure").unwrap_or(false);
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
