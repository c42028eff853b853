//! [`Engine`]: the little that the HTTP surface itself asks of the engine.
//!
//! Not a seam of the system: there is one implementation, [`Client`]. The trait keeps lanes and
//! guests out of the tests of this crate.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use everstate_engine::client::{InstanceStatus, Observed};
use everstate_engine::storage::CommitSeq;
use everstate_engine::{Client, ClientError};
use everstate_types::InstanceId;

/// An answer of the engine under way.
pub type EngineFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is known of an orchestration, if there is one.
pub type ObservedStatus = Observed<Option<Arc<InstanceStatus>>>;

/// What the HTTP surface asks of the engine.
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// Returns when a state change is durable.
    fn durable(&self, seq: CommitSeq) -> EngineFuture<'_, ()>;

    /// The status of an orchestration; `None` if there is none of that id.
    fn get_status<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineFuture<'a, Result<ObservedStatus, ClientError>>;
}

impl Engine for Client {
    fn durable(&self, seq: CommitSeq) -> EngineFuture<'_, ()> {
        Box::pin(self.durable(seq))
    }

    fn get_status<'a>(
        &'a self,
        instance_id: &'a InstanceId,
    ) -> EngineFuture<'a, Result<ObservedStatus, ClientError>> {
        Box::pin(self.get_status(instance_id))
    }
}
