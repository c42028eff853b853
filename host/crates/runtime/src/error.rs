//! Errors. Three audiences, three types: [`LoadError`] is for whoever deploys a component,
//! [`GuestError`] says why a run of guest code ended and becomes a durable `Failure`, and
//! [`Refusal`] is what a host function raises inside a guest that may not call it.
//!
//! What the guest itself reports (a `failure` of the contract) is no error here: it is a result.

use everstate_types::{ComponentHash, Failure};
use wasmtime::{Trap, WasmBacktrace};

use crate::limits::{CpuTimeExceeded, MemoryLimit};
use crate::state::GuestState;

/// Why a component could not be loaded. One clear line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Larger than `component_bytes_max`.
    #[error("the file has {bytes} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A core module: compiled for a target that makes no components.
    #[error("not a component but a core WebAssembly module; compile for wasm32-wasip2")]
    CoreModule,
    /// No WebAssembly at all, damaged or cut off.
    #[error("not a WebAssembly component: {0}")]
    Invalid(String),
    /// It imports something that this host does not offer.
    #[error("it imports what this host does not offer: {0}")]
    Import(String),
    /// It was built against another version of the contract.
    #[error("built against version {found} of everstate:functions, this host has {expected}")]
    ContractVersion {
        /// The version in the component.
        found: String,
        /// The version of this host.
        expected: &'static str,
    },
    /// It exports no description.
    #[error("no export `everstate:functions/describe`; build it with the Everstate SDK")]
    NoDescription,
    /// Its description failed.
    #[error("its `describe` failed: {0}")]
    Describe(String),
    /// Its description of its entities failed.
    #[error("its `describe-entities` failed: {0}")]
    DescribeEntities(String),
    /// Its description of its entities is wrong.
    #[error("its options of the entity function `{name}`: {problem}")]
    EntityOptions {
        /// The function.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Its description of its HTTP functions failed.
    #[error("its `describe-http` failed: {0}")]
    DescribeHttp(String),
    /// Its description of its HTTP functions is wrong.
    #[error("its options of the HTTP function `{name}`: {problem}")]
    HttpOptions {
        /// The function.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Its description is empty.
    #[error("it describes no function")]
    NoFunctions,
    /// It describes a function and does not export what runs it.
    #[error(
        "it describes the {kind} function `{name}` but does not export `everstate:functions/{interface}`"
    )]
    MissingExport {
        /// The kind, for people.
        kind: everstate_types::FunctionKind,
        /// The function.
        name: String,
        /// The interface.
        interface: &'static str,
    },
    /// A described name is no function name.
    #[error("{0}")]
    Name(#[from] everstate_types::FunctionNameError),
    /// The same name twice.
    #[error("it describes two {kind} functions named `{name}`")]
    Duplicate {
        /// The kind.
        kind: everstate_types::FunctionKind,
        /// The name.
        name: String,
    },
    /// The code of an older deployment is not kept any more.
    #[error("component {0} is missing")]
    Missing(ComponentHash),
    /// The data folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The host could not make an instance of it.
    #[error("{0}")]
    Host(String),
}

/// Why a run of guest code ended without a result of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GuestError {
    /// It trapped.
    #[error("{message}")]
    Trapped {
        /// The trap, and what the guest wrote last.
        message: String,
        /// Where, if known.
        backtrace: Option<String>,
    },
    /// It used up its CPU time.
    #[error("{0}")]
    CpuTime(CpuTimeExceeded),
    /// It took too long.
    #[error("the function did not end within {0} ms")]
    WallTime(u64),
    /// It ended after a refused growth of memory.
    #[error("the function needs more than {0} bytes of memory")]
    Memory(usize),
    /// The same, because others have so much.
    #[error("the function needs much memory, and no more than {0} bytes are there for all that do")]
    SharedMemory(usize),
    /// It gave a payload above the limit.
    #[error("{what} has {bytes} bytes, more than the {limit} allowed")]
    PayloadTooLarge {
        /// Which payload.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It gave a response that HTTP does not have.
    #[error("the function answered with the status {0}; use 200 to 599")]
    ResponseStatus(u16),
    /// A pinned component is not there any more.
    #[error("the component {0} that this instance is pinned to is missing")]
    ComponentMissing(ComponentHash),
    /// The function is not in the component, or is disabled.
    #[error("The function '{0}' doesn't exist, is disabled, or is not {1} function.")]
    FunctionNotFound(String, &'static str),
    /// The host could not run it. Not the guest's fault.
    #[error("the host could not run the function: {0}")]
    Host(String),
}

impl GuestError {
    /// What went wrong with a guest, from what wasmtime says and what the guest left behind.
    pub(crate) fn of_call(error: &wasmtime::Error, state: &mut GuestState) -> Self {
        if let Some(exceeded) = error.downcast_ref::<CpuTimeExceeded>() {
            return Self::CpuTime(*exceeded);
        }
        if let Some(HostFault(message)) = error.downcast_ref::<HostFault>() {
            return Self::Host(message.clone());
        }
        if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
            return Self::Host(error.root_cause().to_string());
        }
        match state.limits.memory_refused() {
            Some(MemoryLimit::OfGuest(limit)) => return Self::Memory(limit),
            Some(MemoryLimit::Shared(limit)) => return Self::SharedMemory(limit),
            None => {}
        }
        let mut message = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        let last_words = state.last_words();
        if !last_words.is_empty() {
            message.push_str(": ");
            message.push_str(&last_words);
        }
        let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string);
        Self::Trapped { message, backtrace }
    }

    /// As a durable fact.
    pub(crate) fn into_failure(self) -> Failure {
        let error_type = match &self {
            Self::Trapped { .. } => "GuestTrapped",
            Self::CpuTime(_) => "CpuTimeExceeded",
            Self::WallTime(_) => "WallTimeExceeded",
            Self::Memory(_) | Self::SharedMemory(_) => "MemoryLimitExceeded",
            Self::PayloadTooLarge { .. } => "PayloadTooLarge",
            Self::ResponseStatus(_) => "InvalidResponse",
            Self::ComponentMissing(_) => "ComponentMissing",
            Self::FunctionNotFound(..) => "FunctionNotFound",
            Self::Host(_) => "HostError",
        };
        let mut failure = Failure::new(error_type, self.to_string());
        if let Self::Trapped { backtrace, .. } = self {
            failure.stack_trace = backtrace;
        }
        failure
    }
}

/// Raised inside a guest that calls what it may not call, where the contract says that this traps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

/// Raised inside a guest when the host itself is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostFault(pub(crate) String);
