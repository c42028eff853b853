//! [`DurableClient`]: what HTTP functions and activities may ask of the engine.
//!
//! Answers may run ahead of the disk: the host holds back what the function says to the outside
//! until everything that it saw is durable.

use std::time::Duration;

use serde::Serialize;

use crate::bindings::imports::client as host;
use crate::error::{ClientError, HostError};
use crate::http::HttpResponse;
use crate::log::{LogLevel, log_methods};
use crate::payload::to_json;
use crate::time::{Timestamp, span_ms};

mod entity;
mod entity_query;
mod lifecycle;
mod query;
mod status;

pub use entity_query::{EntityFilter, EntityLockStatus, EntityPage, EntityQuery, EntityStatus};
pub use query::{InstanceFilter, InstancePage, InstanceQuery};
pub use status::{InstanceStatus, RuntimeStatus, StatusOptions};

/// The client of the engine. HTTP functions are given one; activities ask their context for it.
///
/// ```no_run
/// use everstate_sdk::{DurableClient, HttpError, HttpRequest, HttpResponse, http_trigger};
///
/// #[http_trigger(route = "Hello/{name}", methods = ["POST"])]
/// fn Hello(request: HttpRequest, client: DurableClient) -> Result<HttpResponse, HttpError> {
///     let id = client.start_new("Greet", request.route_value("name").unwrap_or_default())?;
///     Ok(client.wait_for_completion_or_create_check_status_response(&id, None)?)
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DurableClient(());

/// Options of a start. The default: a new GUID as id, now, no tags, [`ConflictPolicy::Fail`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// `None`: a new GUID.
    pub instance_id: Option<String>,
    /// `None`: at once.
    pub start_at: Option<Timestamp>,
    /// Pairs of name and value.
    pub tags: Vec<(String, String)>,
    /// What to do if the id is taken.
    pub on_conflict: ConflictPolicy,
}

/// How to wait for an orchestration, and what to answer. The default: the host's limit, and 200
/// for one that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitOptions {
    /// `None`: the host's `http.wait_limit`; a longer one is cut to it.
    pub timeout: Option<Duration>,
    /// Answer 500 instead of 200 for an orchestration that failed.
    pub internal_server_error_on_failure: bool,
}

/// What to do if the id is taken by an orchestration that is alive. One that has ended is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// Refuse with [`HostError::Conflict`].
    #[default]
    Fail,
    /// Start nothing and give the id.
    UseExisting,
    /// Terminate the old one first.
    TerminateAndReplace,
}

/// Starting and waiting.
impl DurableClient {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// Starts an orchestration under a new GUID and gives that id.
    ///
    /// # Errors
    /// An input without a JSON form; as a [`HostError`]: `NotFound` if there is no such
    /// orchestrator, `Overloaded` if the host has too much waiting.
    pub fn start_new<T: Serialize + ?Sized>(
        &self,
        name: &str,
        input: &T,
    ) -> Result<String, ClientError> {
        self.start_new_with_options(name, input, &StartOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`start_new`](Self::start_new), and `Conflict` if the id is taken.
    pub fn start_new_with_options<T: Serialize + ?Sized>(
        &self,
        name: &str,
        input: &T,
        options: &StartOptions,
    ) -> Result<String, ClientError> {
        let input = to_json(input)?;
        let options = host::StartOptions {
            instance_id: options.instance_id.clone(),
            start_at: options.start_at.map(Timestamp::unix_ms),
            tags: options.tags.clone(),
            on_conflict: match options.on_conflict {
                ConflictPolicy::Fail => host::ConflictPolicy::Fail,
                ConflictPolicy::UseExisting => host::ConflictPolicy::UseExisting,
                ConflictPolicy::TerminateAndReplace => host::ConflictPolicy::TerminateAndReplace,
            },
        };
        refused(host::start_orchestration(name, &input, &options))
    }

    /// Waits until the orchestration has ended and gives the response to send: 200 with its
    /// output, 200 with the status document if it failed or was terminated, and 202 with the
    /// check-status document if the time was over first. Only inside an HTTP function.
    ///
    /// Without a timeout the host waits up to its `http.wait_limit`; a longer one is cut to that.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn wait_for_completion_or_create_check_status_response(
        &self,
        instance_id: &str,
        timeout: Option<Duration>,
    ) -> Result<HttpResponse, HostError> {
        let options = WaitOptions { timeout, ..WaitOptions::default() };
        self.wait_for_completion_or_create_check_status_response_with_options(instance_id, options)
    }

    /// The same, with options.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn wait_for_completion_or_create_check_status_response_with_options(
        &self,
        instance_id: &str,
        options: WaitOptions,
    ) -> Result<HttpResponse, HostError> {
        let options = host::WaitOptions {
            timeout: options.timeout.map(span_ms),
            internal_server_error_on_failure: options.internal_server_error_on_failure,
        };
        let response = host::wait_for_completion_or_check_status(instance_id, options)?;
        Ok(HttpResponse::from_wit(response))
    }

    /// The 202 with the check-status document, at once. Only inside an HTTP function.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn create_check_status_response(
        &self,
        instance_id: &str,
    ) -> Result<HttpResponse, HostError> {
        Ok(HttpResponse::from_wit(host::check_status(instance_id, false)?))
    }

    /// The same, but its status link answers 500 once the orchestration has failed.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn create_check_status_response_with_error_on_failure(
        &self,
        instance_id: &str,
    ) -> Result<HttpResponse, HostError> {
        Ok(HttpResponse::from_wit(host::check_status(instance_id, true)?))
    }

    /// Waits until the orchestration has ended or the time is over; gives its status then, `None`
    /// if there is no such instance.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn wait_for_completion(
        &self,
        instance_id: &str,
        timeout: Option<Duration>,
    ) -> Result<Option<InstanceStatus>, HostError> {
        let status = host::wait_for_completion(instance_id, timeout.map(span_ms))?;
        Ok(status.map(InstanceStatus::from_wit))
    }

    /// Waits until the orchestration has left `Pending` or the time is over; gives its status
    /// then, `None` if there is no such instance.
    ///
    /// # Errors
    /// What the host refuses.
    pub fn wait_for_start(
        &self,
        instance_id: &str,
        timeout: Option<Duration>,
    ) -> Result<Option<InstanceStatus>, HostError> {
        let status = host::wait_for_start(instance_id, timeout.map(span_ms))?;
        Ok(status.map(InstanceStatus::from_wit))
    }

    /// Writes a log line.
    pub fn log(&self, level: LogLevel, message: &str) {
        host::log(level.into(), message);
    }

    log_methods!();
}

fn refused<T>(
    result: Result<T, crate::bindings::imports::types::HostError>,
) -> Result<T, ClientError> {
    result.map_err(|error| ClientError::Refused(error.into()))
}
