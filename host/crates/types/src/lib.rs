//! The vocabulary of Everstate: the words that every other crate uses, without I/O, clock,
//! randomness or `async`.
//!
//! - A *function* is guest code with a name and a kind ([`FunctionName`], [`FunctionKind`]).
//! - An *instance* is one orchestration or one entity ([`InstanceId`], [`EntityId`]); an
//!   *execution* is one generation of an orchestration ([`ExecutionId`]).
//! - The *history* of an execution is a list of facts ([`HistoryEvent`]).
//! - An *action* is what a guest asked for in one work item ([`Action`]).
//! - A *message* travels between instances ([`Message`]).
//! - A *failure* is a durable fact about guest code ([`Failure`]); it is not a Rust error.
//!
//! What derives `Serialize` here is stored on disk or put into messages that are; the order of
//! enum variants and of fields is part of the storage format (docs/storage-format.md).

#![forbid(unsafe_code)]

mod action;
mod failure;
mod function;
mod history;
mod history_check;
mod id;
pub mod limits;
mod message;
mod payload;
mod record;
mod rendering;
mod status;
mod time;
mod trace;

pub use action::Action;
pub use failure::{Failure, InnerFailure};
pub use function::{
    AuthorizationLevel, ComponentHash, FunctionKind, FunctionName, FunctionNameError,
};
pub use history::{EventKind, HistoryEvent, NO_EVENT_ID, OrchestrationStatus};
pub use history_check::{HistoryProblem, check_history};
pub use id::{EntityId, ExecutionId, IdError, InstanceId, RequestId};
pub use message::{
    ActivityTask, DelayedKey, ExecutionStart, LockRequest, Message, MessageBody, MessageId,
    MessageKey, ParentInstance, ReplyAddress, RewindChild,
};
pub use payload::Payload;
pub use record::{
    EntityLock, EntityRecord, EntityState, Expiry, LargeId, OrchestrationRecord, Tags,
};
pub use rendering::render_history;
pub use status::RuntimeStatus;
pub use time::Timestamp;
pub use trace::{SpanId, TraceContext};
