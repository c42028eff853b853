//! [`ApiCall`]: a request to a route of the API, and what handlers ask of it.

use axum::body::Body;
use axum::http::request::Parts;
use bytes::Bytes;
use everstate_types::InstanceId;

use super::{Api, ApiRoute};
use crate::base_url::base_url;
use crate::body::read_body;
use crate::error::ApiError;
use crate::matching::RouteValues;
use crate::query::Query;

/// A request to a route.
pub(crate) struct ApiCall {
    pub(crate) route: &'static ApiRoute,
    pub(crate) parts: Parts,
    /// Names and values of the parameters in the path, percent-decoded.
    pub(crate) values: RouteValues,
    /// Not read yet: [`ApiCall::read_body`].
    pub(crate) body: Body,
}

impl ApiCall {
    /// The value of a parameter in the path that the route must have.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.optional(name).expect("the route has the parameter")
    }

    /// The value of a parameter in the path that may be missing.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        let (_, value) = self.values.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The parameters in the query.
    pub(crate) fn query(&self) -> Query {
        Query::of(&self.parts)
    }

    /// The orchestration that `{instanceId}` names; what cannot be an id is not the id of one.
    pub(crate) fn instance_id(&self) -> Result<InstanceId, ApiError> {
        let id = self.value("instanceId");
        InstanceId::orchestration(id).map_err(|_| ApiError::no_instance(id))
    }

    /// Reads the body, within the limits of the configuration. It can be read once.
    pub(crate) async fn read_body(&mut self, api: &Api) -> Result<Bytes, ApiError> {
        read_body(&self.parts, std::mem::take(&mut self.body), &api.config).await
    }

    /// Where links begin: scheme and authority as the client wrote them.
    pub(crate) fn base_url(&self, api: &Api) -> Result<String, ApiError> {
        base_url(&self.parts, &api.default_base_url)
    }

    /// The URL of the request.
    pub(crate) fn url(&self, api: &Api) -> Result<String, ApiError> {
        let target = self.parts.uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(format!("{}{target}", self.base_url(api)?))
    }
}
