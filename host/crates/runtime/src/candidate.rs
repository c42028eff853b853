//! Components that may be deployed: whether they could be, and whether what runs would go on with them.
//!
//! Nothing here changes what others see. A candidate is compiled and described like any component, but it
//! is neither kept nor published, and a replay on it ends where the history ends.

use std::sync::Arc;

use everstate_engine::client::InstanceStatus;
use everstate_types::{ComponentHash, Failure, FunctionKind};

use crate::catalog::{Conflict, HttpFunction, preview};
use crate::component::{LoadedComponent, Purpose, load};
use crate::error::{GuestError, LoadError};
use crate::executor::Runtime;
use crate::orchestration;

impl Runtime {
    /// Largest component, in bytes.
    #[must_use]
    pub fn component_bytes_max(&self) -> usize {
        self.host().config.component_bytes_max
    }

    /// Loads a component to look at it: checks and compiles it, and asks what functions it has. It is not
    /// kept; [`Runtime::discard_candidate`] removes what is left of it.
    ///
    /// # Errors
    /// [`LoadError`], in one line.
    pub async fn load_candidate(
        &self,
        file_name: &str,
        bytes: Vec<u8>,
    ) -> Result<Arc<LoadedComponent>, LoadError> {
        load(self.host(), Purpose::Try, file_name, bytes).await.map(Arc::new)
    }

    /// Removes what is left of a component that was only looked at. Without effect on one that was
    /// deployed.
    pub async fn discard_candidate(&self, hash: ComponentHash) {
        if let Err(error) = self.host().catalog.discard(hash).await {
            tracing::warn!(%hash, %error, "compiled code that nobody needs stays behind");
        }
    }

    /// What publishing these components would give: the HTTP functions in their order, and the functions
    /// that would be refused.
    #[must_use]
    pub fn preview(
        &self,
        components: &[Arc<LoadedComponent>],
    ) -> (Vec<HttpFunction>, Vec<Conflict>) {
        preview(components)
    }

    /// The bytes of a component that was deployed earlier, if it is still kept.
    ///
    /// # Errors
    /// [`LoadError`], in one line.
    pub async fn kept_component(&self, hash: ComponentHash) -> Result<Vec<u8>, LoadError> {
        self.host().catalog.bytes(hash).await
    }

    /// Replays the history of an orchestration on the code of a component, and drops the guest. One
    /// replay at a time, each in the place of a turn, so that live work goes on.
    ///
    /// # Errors
    /// How the code does not follow the history (error type `NonDeterminism`), or why it could not be
    /// run: it does not have the orchestrator, or the host is at fault.
    pub async fn check_history(
        &self,
        component: &LoadedComponent,
        status: &InstanceStatus,
    ) -> Result<(), Failure> {
        let name = &status.record.name;
        let has_it = component.functions.iter().any(|function| {
            function.kind == FunctionKind::Orchestrator
                && function.name.as_str().eq_ignore_ascii_case(name.as_str())
        });
        if !has_it {
            let error = GuestError::FunctionNotFound(name.to_string(), "an orchestrator");
            return Err(error.into_failure());
        }
        orchestration::check(self.host(), &component.code, status).await
    }
}
