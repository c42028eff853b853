//! HTTP functions: request in, response out.

use std::sync::Arc;

use everstate_engine::guest::{FoundFunction, HttpAnswer, HttpFunctionError, HttpRequest};
use everstate_types::{Failure, FunctionKind, FunctionName};

use crate::bindings::imports::http_types::{Request, Response};
use crate::client::ClientRun;
use crate::component::{Code, Live, within};
use crate::convert::{failure, response, to_request};
use crate::error::GuestError;
use crate::executor::Host;
use crate::state::Role;

/// Answers a request.
pub(crate) async fn handle(
    host: Arc<Host>,
    function: FoundFunction,
    request: HttpRequest,
) -> Result<HttpAnswer, HttpFunctionError> {
    let FoundFunction { name, component } = function;
    let Ok(_permit) = host.requests.try_acquire() else {
        return Err(HttpFunctionError::Overloaded);
    };
    let failed = |failure: Failure| {
        tracing::warn!(function = %name, error_type = failure.error_type, "{}", failure.error_message);
        HttpFunctionError::Failed { name: name.clone(), failure }
    };
    // What was replaced since the route was matched is read from the data folder, if need be.
    let code = match host.catalog.code(component).await {
        Ok(code) if code.missing_export(FunctionKind::Http).is_none() => code,
        Ok(_) | Err(GuestError::ComponentMissing(_)) => {
            return Err(HttpFunctionError::NotFound(name));
        }
        Err(error) => {
            host.metrics.failed(&error);
            return Err(failed(error.into_failure()));
        }
    };
    let mut request = request;
    let base_url = std::mem::take(&mut request.base_url);
    let run = ClientRun::of_request(name.clone(), base_url, request.trace.take());
    match invoke(&host, &code, run, &name, &to_request(request)).await {
        Ok((Ok(response_of_guest), run)) => {
            Ok(HttpAnswer { response: response(response_of_guest), seq: run.seq() })
        }
        Ok((Err(reported), _)) => Err(failed(reported)),
        Err(error) => {
            host.metrics.failed(&error);
            Err(failed(error.into_failure()))
        }
    }
}

async fn invoke(
    host: &Arc<Host>,
    code: &Code,
    run: ClientRun,
    name: &FunctionName,
    request: &Request,
) -> Result<(Result<Response, Failure>, ClientRun), GuestError> {
    let mut live = code.live_http(host).await?;
    let cpu_ms_max = host.config.http_cpu_ms_max;
    let weight = live.begin(Role::Http(run), cpu_ms_max, request.body.len());
    let Live { store, guest } = &mut live;
    let called = guest.call_handle(&mut *store, name.as_str(), request);
    let called = within(host, host.config.http_wall_ms_max, &weight, called).await;
    let (role, result) = live.end(called);
    let result = result?;
    code.keep_http(host, live);
    let Role::Http(run) = role else { unreachable!("the role that was set above") };
    if let Ok(response) = &result {
        check(response, host.config.payload_bytes_max)?;
    }
    Ok((result.map_err(failure), run))
}

fn check(response: &Response, bytes_max: usize) -> Result<(), GuestError> {
    if !(200..600).contains(&response.status) {
        return Err(GuestError::ResponseStatus(response.status));
    }
    let bytes = response.body.len();
    if bytes > bytes_max {
        return Err(GuestError::PayloadTooLarge { what: "the response", bytes, limit: bytes_max });
    }
    Ok(())
}
