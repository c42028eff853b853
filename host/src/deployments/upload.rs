//! A component on its way in: a file in the functions folder with a name that nobody takes for a component,
//! which becomes one by being renamed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use everstate_http::{
    CheckReport, DeployOptions, Deployed, DeploymentAction, DeploymentError, DeploymentFuture,
    Upload,
};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::Deployer;
use crate::functions::PARTIAL;

/// Tells the files apart that come in at the same time.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A component that comes in piece by piece.
pub(super) struct FileUpload {
    deployer: Deployer,
    file: String,
    temporary: Temporary,
    out: File,
    bytes: usize,
}

/// A file that is removed unless it was renamed.
pub(super) struct Temporary(PathBuf);

impl FileUpload {
    /// Begins with an empty file.
    pub(super) async fn begin(deployer: Deployer, file: &str) -> Result<Self, DeploymentError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{number}-{file}.{PARTIAL}");
        let temporary = Temporary(deployer.folder().path().join(name));
        let out = File::create(temporary.path()).await.map_err(|error| temporary.failed(&error))?;
        Ok(Self { deployer, file: file.to_owned(), temporary, out, bytes: 0 })
    }

    /// Writes all of a component.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), DeploymentError> {
        self.bytes += bytes.len();
        let limit = self.deployer.folder().runtime().component_bytes_max();
        if self.bytes > limit {
            return Err(DeploymentError::TooLarge(limit));
        }
        self.out.write_all(bytes).await.map_err(|error| self.temporary.failed(&error))
    }

    /// Makes the file durable, and reads it.
    async fn finish(mut self) -> Result<(Deployer, String, Temporary, Vec<u8>), DeploymentError> {
        let written = async {
            self.out.flush().await?;
            self.out.sync_all().await?;
            tokio::fs::read(self.temporary.path()).await
        };
        let bytes = written.await.map_err(|error| self.temporary.failed(&error))?;
        Ok((self.deployer, self.file, self.temporary, bytes))
    }

    /// Deploys the component, to the end even if nobody waits for it any more.
    pub(super) async fn install(
        self,
        action: DeploymentAction,
        options: DeployOptions,
    ) -> Result<Deployed, DeploymentError> {
        let task = tokio::spawn(async move {
            let (deployer, file, temporary, bytes) = self.finish().await?;
            deployer.deploy(&file, temporary, bytes, action, options).await
        });
        task.await.map_err(|error| DeploymentError::Io(format!("the deployment ended: {error}")))?
    }
}

impl Upload for FileUpload {
    fn write(&mut self, piece: Bytes) -> DeploymentFuture<'_, ()> {
        Box::pin(async move { self.write_all(&piece).await })
    }

    fn deploy(self: Box<Self>, options: DeployOptions) -> DeploymentFuture<'static, Deployed> {
        Box::pin(self.install(DeploymentAction::Deployed, options))
    }

    fn check(self: Box<Self>) -> DeploymentFuture<'static, CheckReport> {
        Box::pin(async move {
            let (deployer, file, _temporary, bytes) = self.finish().await?;
            deployer.check(&file, bytes).await
        })
    }
}

impl Temporary {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn failed(&self, error: &std::io::Error) -> DeploymentError {
        DeploymentError::Io(format!("cannot write {}: {error}", self.0.display()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), "a part of a component stays behind: {error}");
        }
    }
}
