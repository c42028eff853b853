//! The API of the host itself: the management API, the host, its health.
//!
//! [`MODULES`] is a table of tables. Each module of this folder has a [`Module`] with its routes, and
//! each [`ApiRoute`] has method, path, handler and the [`RouteDoc`] that the OpenAPI document is made
//! of. So a further route takes a handler
//!
//! ```ignore
//! async fn why(api: &Api, call: ApiCall) -> Result<Response, ApiError>
//! ```
//!
//! and a row in the table of its module; a further module takes a line in [`MODULES`]. What a handler needs
//! of the rest of the host is in [`Services`]; what it needs of the request in [`ApiCall`]. Nothing else
//! has to be told: matching, 405, the document and its tests go by the tables. A JSON body that is new
//! gets a name and a schema in the module's `schemas`.
//!
//! The routes of the management API are those of the original with its responses, except that a wrong
//! method gets a 405 with `Allow` and that every error has a JSON body. As there, query parameters
//! that are unknown or cannot be read are ignored.

use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use everstate_engine::client::Observed;
use everstate_types::TraceContext;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::check_status::MANAGEMENT_PATH;
use crate::config::HttpConfig;
use crate::error::ApiError;
use crate::matcher::{Found, Route, RouteMatcher};
use crate::matching::RouteValues;
use crate::server::Services;
use crate::telemetry::UnderWay;
use crate::template::Template;

mod about;
pub(crate) mod answers;
mod backup;
mod call;
mod deployments;
pub(crate) mod doc;
mod entities;
mod health;
mod inspect;
mod instances;
mod keys;
mod lifecycle;
mod openapi;
mod start;
mod telemetry;
mod transfer;

pub(crate) use call::ApiCall;
use doc::RouteDoc;

/// All modules, in the order in which the document shows them.
const MODULES: &[Module] = &[
    start::MODULE,
    instances::MODULE,
    lifecycle::MODULE,
    inspect::MODULE,
    entities::MODULE,
    keys::MODULE,
    transfer::MODULE,
    backup::MODULE,
    deployments::MODULE,
    about::MODULE,
    health::MODULE,
    openapi::MODULE,
    telemetry::MODULE,
];

/// What belongs together.
pub(crate) struct Module {
    /// Its name in the document.
    pub(crate) name: &'static str,
    /// What it is about, in a sentence.
    pub(crate) description: &'static str,
    pub(crate) routes: &'static [ApiRoute],
    /// Names and JSON schemas of the bodies that its routes take and answer with.
    pub(crate) schemas: fn() -> Vec<(&'static str, Value)>,
}

/// A method and a path, and what answers them.
pub(crate) struct ApiRoute {
    /// In upper case.
    pub(crate) method: &'static str,
    pub(crate) base: Base,
    /// A template, below the base.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) handler: Handler,
    pub(crate) doc: RouteDoc,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// [`MANAGEMENT_PATH`]: instances and entities.
    Management,
    /// `/admin`: the host itself.
    Admin,
    /// The root. Such a path has no parameters, and no function can be there; other paths with the
    /// same beginning are free for functions, unless it is one of
    /// [`BUILT_IN_SEGMENTS`](crate::routes::BUILT_IN_SEGMENTS).
    Root,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever has the management key, if there is one.
    Management,
    /// Everybody.
    Anonymous,
}

/// Answers the calls of one route: `|api, call| Box::pin(handler(api, call))`.
pub(crate) type Handler = for<'a> fn(&'a Api, ApiCall) -> ApiAnswer<'a>;

/// An answer under way.
pub(crate) type ApiAnswer<'a> =
    Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send + 'a>>;

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) services: Services,
    pub(crate) config: Arc<HttpConfig>,
    /// Scheme and authority for requests that do not name a host.
    pub(crate) default_base_url: Arc<str>,
    /// Told when the server stops: what would wait for long ends then.
    pub(crate) stopping: CancellationToken,
}

static MATCHER: LazyLock<RouteMatcher<&'static ApiRoute>> = LazyLock::new(|| {
    let routes = routes().map(|route| Route {
        template: Template::parse(&route.template()).expect("the built-in routes are well-formed"),
        methods: vec![route.method.to_owned()],
        target: route,
    });
    RouteMatcher::new(routes.collect())
});

/// The paths of [`Base::Root`]: each request is held against them.
static OWN_PATHS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    routes().filter(|route| route.base == Base::Root).map(|route| route.path).collect()
});

/// All routes.
pub(crate) fn routes() -> impl Iterator<Item = &'static ApiRoute> {
    MODULES.iter().flat_map(|module| module.routes)
}

/// Whether this is a path of the host by itself, whatever functions there are: `/health/live`, but
/// not what lies beneath `/admin`.
pub(crate) fn is_own_path(path: &str) -> bool {
    let path = path.trim_matches('/');
    OWN_PATHS.iter().any(|own| path.eq_ignore_ascii_case(own))
}

/// A route of the management API.
pub(crate) const fn route(
    method: &'static str,
    path: &'static str,
    handler: Handler,
    doc: RouteDoc,
) -> ApiRoute {
    ApiRoute { method, base: Base::Management, path, access: Access::Management, handler, doc }
}

impl ApiRoute {
    /// The template with its base.
    pub(crate) fn template(&self) -> String {
        let base = match self.base {
            Base::Management => MANAGEMENT_PATH,
            Base::Admin => "/admin",
            Base::Root => "",
        };
        format!("{base}/{}", self.path)
    }

    /// The orchestration whose links lead to this route.
    fn linked_instance<'a>(&self, values: &'a RouteValues) -> Option<&'a str> {
        let is_linked = self.base == Base::Management && self.path.starts_with("instances/");
        let (_, id) = values.iter().find(|(name, _)| is_linked && name == "instanceId")?;
        Some(id)
    }
}

impl Api {
    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        parts: Parts,
        body: Body,
        under_way: &mut UnderWay<'_>,
    ) -> Result<Response, ApiError> {
        match MATCHER.find(parts.method.as_str(), parts.uri.path()) {
            Found::Route { target: route, values } => {
                let trace = under_way.is_for_api(route, &parts.headers);
                if route.access == Access::Management {
                    let admission = &self.services.exposure.admission;
                    admission.to_management(&parts, route.linked_instance(&values))?;
                }
                let call = ApiCall { parts, values, body: Mutex::new(body) };
                match trace {
                    Some(trace) => (route.handler)(&self.in_trace(&trace), call).await,
                    None => (route.handler)(self, call).await,
                }
            }
            Found::MethodNotAllowed { allow } => Err(ApiError::method_not_allowed(&allow)),
            Found::Nothing => Err(ApiError::no_route()),
            Found::Malformed => Err(ApiError::malformed_path()),
        }
    }

    /// The same for a request that belongs to a trace.
    fn in_trace(&self, trace: &TraceContext) -> Self {
        let engine = Arc::clone(&self.services.engine).in_trace(trace);
        let services = Services { engine, ..self.services.clone() };
        Self { services, ..self.clone() }
    }

    /// What the engine said, when all that it depends on is durable. Even that there is nothing may
    /// depend on something.
    pub(crate) async fn settled<T>(
        &self,
        answer: Result<Observed<T>, impl Into<ApiError>>,
    ) -> Result<T, ApiError> {
        let observed = answer.map_err(Into::into)?;
        self.services.engine.durable(observed.seq).await;
        Ok(observed.value)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
