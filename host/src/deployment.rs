//! What follows a start of the host and each deployment, beside everything else: orchestrations that did
//! not fit their code try the newest, and components that nothing needs any more are removed.

use std::sync::Arc;

use everstate_engine::Client;
use everstate_runtime::Runtime;
use tokio::sync::Notify;

/// Does it once now, and once more whenever `deployed` is notified. Never ends.
pub(crate) async fn follow_deployments(runtime: Runtime, client: Client, deployed: Arc<Notify>) {
    loop {
        // A failure of either waits for the next deployment or start: nothing is lost by it.
        if let Err(error) = client.resume_diverged().await {
            tracing::warn!("stopped orchestrations do not try the newest code: {error}");
        }
        if let Err(error) = remove_unneeded(&runtime, &client).await {
            tracing::warn!("components that nothing needs stay in the data folder: {error:#}");
        }
        deployed.notified().await;
    }
}

async fn remove_unneeded(runtime: &Runtime, client: &Client) -> anyhow::Result<()> {
    let pinned = client.pinned_components().await?;
    let needed = pinned.into_keys().collect();
    let removed = runtime.remove_unneeded_components(needed).await?;
    if removed > 0 {
        tracing::info!(removed, "components that nothing needs were removed from the data folder");
    }
    Ok(())
}
