//! What follows a start of the host and each deployment, beside everything else: orchestrations that did
//! not fit their code try the newest, and components that nothing needs any more are removed.

use std::sync::Arc;

use everstate_engine::Client;
use everstate_runtime::Runtime;
use tokio::sync::watch;

use super::DeploymentRecord;

/// Does it once now, and once more after each of the `changes` of what is served. The last so many versions of each
/// file are kept. Ends with the functions folder.
pub(crate) async fn follow_deployments(
    runtime: Runtime,
    client: Client,
    record: Arc<DeploymentRecord>,
    versions_kept: usize,
    mut changes: watch::Receiver<u64>,
) {
    loop {
        // A failure of either waits for the next deployment or start: nothing is lost by it.
        if let Err(error) = client.resume_diverged().await {
            tracing::warn!("stopped orchestrations do not try the newest code: {error}");
        }
        if let Err(error) = remove_unneeded(&runtime, &client, &record, versions_kept).await {
            tracing::warn!("components that nothing needs stay in the data folder: {error:#}");
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn remove_unneeded(
    runtime: &Runtime,
    client: &Client,
    record: &DeploymentRecord,
    versions_kept: usize,
) -> anyhow::Result<()> {
    let mut needed = record.last_versions(versions_kept);
    needed.extend(client.pinned_components().await?.into_keys());
    let removed = runtime.remove_unneeded_components(needed).await?;
    if removed > 0 {
        tracing::info!(removed, "components that nothing needs were removed from the data folder");
    }
    Ok(())
}
