//! [`ApiCall`]: a request to a route of the API, and what handlers ask of it.

use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use everstate_types::{InstanceId, Payload};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::IgnoredAny;

use super::Api;
use crate::base_url::base_url;
use crate::body::read_body;
use crate::check_status::{CONNECTION, HubParameters, TASK_HUB};
use crate::config::HttpConfig;
use crate::error::ApiError;
use crate::matching::RouteValues;
use crate::query::Query;

/// A request to a route.
pub(crate) struct ApiCall {
    pub(crate) parts: Parts,
    /// Names and values of the parameters in the path, percent-decoded.
    pub(crate) values: RouteValues,
    /// Not read yet: [`ApiCall::read_body`]. Behind a lock, which is never waited for, so that handlers
    /// can share the call.
    pub(crate) body: Mutex<Body>,
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
        self.read_body_within(&api.config).await
    }

    /// The same, within other limits.
    pub(crate) async fn read_body_within(
        &mut self,
        config: &HttpConfig,
    ) -> Result<Bytes, ApiError> {
        let body = self.take_body();
        read_body(body, config).await
    }

    /// The body, for whoever reads it piece by piece. It can be taken once.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the body is said to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        let content_type = self.parts.headers.get(CONTENT_TYPE);
        let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = text.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("application/json")
    }

    /// Reads a body that must be JSON, whatever it is said to be; nothing is `null`.
    pub(crate) async fn read_json(&mut self, api: &Api) -> Result<Payload, ApiError> {
        let body = self.read_body(api).await?;
        let invalid =
            |detail: String| ApiError::bad_request("Invalid JSON content").with_detail(detail);
        let text = str::from_utf8(&body).map_err(|error| invalid(error.to_string()))?;
        if text.is_empty() {
            return Ok(Payload::null());
        }
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Ok(Payload::from(text.trim_ascii())),
            Err(error) => Err(invalid(error.to_string())),
        }
    }

    /// Whether an orchestration that failed is to be a 500.
    pub(crate) fn wants_500(&self) -> bool {
        self.query().flag("returnInternalServerErrorOnFailure").unwrap_or(false)
    }

    /// What the links in the answer need so that the client can follow them: the key in the query
    /// that it used itself. A key in a header is not written into links.
    pub(crate) fn credentials(&self) -> Option<String> {
        let query = self.query();
        let code = query.text("code").filter(|code| !code.is_empty())?;
        Some(format!("code={}", utf8_percent_encode(code, NON_ALPHANUMERIC)))
    }

    /// The task hub and the connection that the links in the answer name: those of the request.
    pub(crate) fn hub_parameters(&self) -> HubParameters {
        let query = self.query();
        let named = |name| query.text(name).filter(|value| !value.is_empty());
        let (hub, connection) = (named("taskHub"), named("connection"));
        HubParameters::new(hub.unwrap_or(TASK_HUB), connection.unwrap_or(CONNECTION))
    }

    /// Where links begin: scheme and authority as the client wrote them.
    pub(crate) fn base_url(&self, api: &Api) -> Result<String, ApiError> {
        base_url(&self.parts, &api.default_base_url, &api.config)
    }

    /// The URL of the request.
    pub(crate) fn url(&self, api: &Api) -> Result<String, ApiError> {
        let target = self.parts.uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(format!("{}{target}", self.base_url(api)?))
    }
}
