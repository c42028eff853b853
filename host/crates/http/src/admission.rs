//! [`Admission`]: whether a request may have what it asks for.
//!
//! Two things are asked for: a function of some level, and the management (its API, the host's own
//! routes, the metrics). Where the management needs no key, because only this machine reaches it, a
//! browser of this machine must still not be made to ask on behalf of a web site: such a request says
//! a foreign `Host` (after DNS rebinding) or a foreign `Origin`, and is refused.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use everstate_types::{AuthorizationLevel, FunctionName, InstanceId};

use crate::authority::Authority;
use crate::error::ApiError;
use crate::keys::{KeyScope, KeyStore};
use crate::query::Query;

/// Brings a key; wins over the query parameter of [`KEY_PARAMETER`].
pub(crate) const KEY_HEADER: &str = "x-functions-key";

/// Brings a key in links.
pub(crate) const KEY_PARAMETER: &str = "code";

/// What HTTP wants to stand beside a 401: how to do better. A scheme of our own, because no registered one
/// takes a key, and one of those makes browsers ask for a name and a password.
const CHALLENGE: &str = r#"ApiKey realm="everstate", header="x-functions-key", query="code""#;

/// Decides about requests.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) keys: Arc<KeyStore>,
    /// Whether the management needs a key.
    pub(crate) requires_keys: bool,
    /// Names of this host beside `localhost` and loopback addresses.
    pub(crate) hosts: Vec<String>,
    /// Web sites that browsers may ask on behalf of: `https://example.com`, or `*`.
    pub(crate) origins: Vec<String>,
}

/// Makes the codes of links, where links need one.
#[derive(Clone, Debug, Default)]
pub struct LinkCodes(pub(crate) Option<Arc<KeyStore>>);

impl LinkCodes {
    /// `code=…` for links to this orchestration. `None`: they work without.
    pub(crate) fn credentials(&self, instance_id: &InstanceId) -> Option<String> {
        match self.0.as_ref()?.link_code(instance_id.as_str()) {
            Ok(code) => Some(format!("{KEY_PARAMETER}={code}")),
            Err(error) => {
                // A link that leads to a 401 does less harm than no answer.
                tracing::error!("links are made without a code: {error}");
                None
            }
        }
    }
}

impl Admission {
    /// Whether a request may start a function.
    pub(crate) fn to_function(
        &self,
        parts: &Parts,
        function: &FunctionName,
        level: AuthorizationLevel,
    ) -> Result<(), ApiError> {
        let is_admitted = match level {
            AuthorizationLevel::Anonymous => true,
            AuthorizationLevel::Function => {
                self.has_key(parts, |scope| scope.opens_function(function))
            }
            AuthorizationLevel::Admin => self.has_key(parts, opens_management),
        };
        if is_admitted { Ok(()) } else { Err(unauthorized()) }
    }

    /// Whether a request may have what belongs to the management. `linked` is the orchestration that
    /// it is about, if its links lead there.
    pub(crate) fn to_management(
        &self,
        parts: &Parts,
        linked: Option<&str>,
    ) -> Result<(), ApiError> {
        let is_linked = |code: &str| linked.is_some_and(|id| self.keys.admits_link(code, id));
        if presented(parts)
            .is_some_and(|key| self.keys.admits(&key, opens_management) || is_linked(&key))
        {
            return Ok(());
        }
        if self.requires_keys {
            return Err(unauthorized());
        }
        if !self.is_own_host(parts) {
            return Err(forbidden(
                "The `Host` header names another host. Add it to `http.hosts`, or send a key.",
            ));
        }
        if !self.is_own_origin(parts) {
            return Err(forbidden(
                "A web site of another origin asks. Add it to `cors.origins`, or send a key.",
            ));
        }
        Ok(())
    }

    fn has_key(&self, parts: &Parts, opens: impl Fn(&KeyScope) -> bool) -> bool {
        presented(parts).is_some_and(|key| self.keys.admits(&key, opens))
    }

    fn is_own_host(&self, parts: &Parts) -> bool {
        let authority = match (parts.uri.authority(), parts.headers.get(HOST)) {
            (Some(authority), _) => Some(authority.as_str()),
            (None, Some(host)) => host.to_str().ok(),
            // No browser leaves it out.
            (None, None) => return true,
        };
        authority.is_some_and(|authority| self.is_own(authority))
    }

    fn is_own_origin(&self, parts: &Parts) -> bool {
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        origins.all(|origin| {
            origin.to_str().is_ok_and(|origin| {
                let is_named = |own: &String| own == "*" || own == origin;
                let authority =
                    ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
                self.origins.iter().any(is_named)
                    || authority.is_some_and(|authority| self.is_own(authority))
            })
        })
    }

    /// Whether host and port name this machine; the port does not matter.
    fn is_own(&self, authority: &str) -> bool {
        let Some(Authority { host, .. }) = Authority::read(authority) else { return false };
        let is_loopback =
            host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        let is_named = |own: &String| own.eq_ignore_ascii_case(host);
        host.eq_ignore_ascii_case("localhost") || is_loopback || self.hosts.iter().any(is_named)
    }
}

fn opens_management(scope: &KeyScope) -> bool {
    *scope == KeyScope::Management
}

/// The key that the request brings.
fn presented(parts: &Parts) -> Option<String> {
    if let Some(key) = parts.headers.get(KEY_HEADER) {
        return Some(key.to_str().unwrap_or_default().to_owned());
    }
    Query::of(parts).text(KEY_PARAMETER).map(str::to_owned)
}

/// The same whether there was a key or not.
fn unauthorized() -> ApiError {
    let external = "This needs a key: send it as `x-functions-key`, or as `?code=`.";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", external)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))
}

fn forbidden(external: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "foreign_browser", external)
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
