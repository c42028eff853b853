//! `wasi:http` for guests. Linked for everybody; only activities may send.
//!
//! The refusal is an answer of the call itself and not of the response that comes later: whether
//! that is there already would be something that an orchestrator must not see.

use std::sync::Arc;

use everstate_engine::storage::CommitSeq;
use everstate_types::TraceContext;
use http_body_util::BodyExt;
use hyper::{Request, Response};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi_http::p2::HttpResult;
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use super::{SendError, Times, add_trace, send};
use crate::executor::Host;
use crate::state::{GuestState, Role};

/// The interface whose one function sends a request.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// Adds `wasi:http` to a linker, with our own `handle` before the one of wasmtime.
pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let options = LinkOptions::default();
    types::add_to_linker::<GuestState, WasiHttp>(linker, &options.into(), GuestState::http)?;
    linker.instance(OUTGOING_HANDLER)?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, GuestState>, (request, options): Arguments| {
            let sent = store.data_mut().send(request, options);
            sent.map_or_else(|error| Ok((Err(error.downcast()?),)), |response| Ok((Ok(response),)))
        },
    )
}

type Arguments = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);

/// What a guest that sends requests has. Made when it first needs it.
pub(crate) struct OutgoingHttp {
    context: WasiHttpCtx,
    hooks: Hooks,
}

impl OutgoingHttp {
    pub(crate) fn new(host: &Arc<Host>) -> Self {
        let hooks = Hooks { host: Arc::clone(host), seq: CommitSeq::default(), trace: None };
        Self { context: WasiHttpCtx::new(), hooks }
    }

    /// For a guest that has seen everything up to `seq`.
    pub(crate) fn view<'a>(
        &'a mut self,
        table: &'a mut ResourceTable,
        seq: CommitSeq,
        trace: Option<Box<TraceContext>>,
    ) -> WasiHttpCtxView<'a> {
        self.hooks.seq = seq;
        self.hooks.trace = trace;
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.context }
    }
}

impl GuestState {
    fn send(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> HttpResult<Resource<HostFutureIncomingResponse>> {
        let instead = match &self.role {
            Role::Activity(_) => return self.http().handle(request, options),
            Role::Orchestrator(_) => {
                "an orchestrator cannot send HTTP requests; use an activity or `call-http`"
            }
            Role::Entity(_) => {
                "an entity cannot send HTTP requests; use an activity or `call-http` of an \
                 orchestration"
            }
            Role::Http(_) => "an HTTP function cannot send HTTP requests; use an activity",
            Role::Describe | Role::Idle | Role::IdleActivity => {
                "HTTP requests can be sent inside an activity only"
            }
        };
        let view = self.http();
        view.table.delete(request)?;
        if let Some(options) = options {
            view.table.delete(options)?;
        }
        Err(types::ErrorCode::InternalError(Some(instead.to_owned())).into())
    }
}

/// Sends the requests of one guest.
struct Hooks {
    host: Arc<Host>,
    /// What the guest has seen.
    seq: CommitSeq,
    /// The trace that it belongs to.
    trace: Option<Box<TraceContext>>,
}

type Sent = Result<(Response<WasiBody>, Driver), Error>;

/// What else has to be polled for the response: nothing, it has its connection with it.
type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _errors_of_response: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (host, seq) = (Arc::clone(&self.host), self.seq);
        add_trace(request.headers_mut(), self.trace.as_deref());
        let options = options.unwrap_or_default();
        let times = Times {
            total: None,
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        Box::new(async move {
            let response = send(&host, seq, request, times).await.map_err(wasi_error)?;
            let driver: Driver = Box::new(std::future::ready(Ok(())));
            Ok((response.map(|body| body.map_err(wasi_error).boxed_unsync()), driver))
        })
    }
}

fn wasi_error(error: SendError) -> Error {
    match error {
        SendError::Uri(_) => Error::HttpRequestUriInvalid,
        SendError::Unresolved(..) => {
            Error::DnsError { rcode: Some(error.to_string()), info_code: None }
        }
        SendError::Connect(_, error) => Error::Connect(error),
        SendError::Tls(_, error) => Error::Tls(error),
        SendError::TimedOut(_) => Error::HttpResponseTimeout,
        SendError::Http(error) => Error::Hyper(error),
        SendError::TooLarge(bytes_max) => Error::HttpResponseBodySize(Some(bytes_max as u64)),
        SendError::HostRefused(..) | SendError::AddressRefused(..) | SendError::NoEngine => {
            Error::InternalError(Some(error.to_string()))
        }
    }
}
