//! What follows a start of the host and each deployment, beside everything else: orchestrations that did
//! not fit their code try the newest, and components that nothing needs any more are removed.

use super::Deployer;

/// Does it once now, and once more after each change of what is served. The last so many versions of each
/// file are kept. Ends with the functions folder.
pub(crate) async fn follow_deployments(deployer: Deployer, versions_kept: usize) {
    let mut changes = deployer.folder.changes();
    loop {
        // A failure of either waits for the next deployment or start: nothing is lost by it.
        if let Err(error) = deployer.checker.client.resume_diverged().await {
            tracing::warn!("stopped orchestrations do not try the newest code: {error}");
        }
        if let Err(error) = remove_unneeded(&deployer, versions_kept).await {
            tracing::warn!("components that nothing needs stay in the data folder: {error:#}");
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn remove_unneeded(deployer: &Deployer, versions_kept: usize) -> anyhow::Result<()> {
    let mut needed = deployer.folder.record().last_versions(versions_kept);
    needed.extend(deployer.checker.client.pinned_components().await?.into_keys());
    let removed = deployer.checker.runtime.remove_unneeded_components(needed).await?;
    if removed > 0 {
        tracing::info!(removed, "components that nothing needs were removed from the data folder");
    }
    Ok(())
}
