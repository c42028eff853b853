//! What follows a start of the host and each deployment, beside everything else: orchestrations that did
//! not fit their code try the newest, components retire, and those that nothing needs any more are removed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use everstate_engine::storage::{EntityFilter, EntityQuery};
use everstate_types::FunctionName;
use tokio::time::timeout;

use super::Deployer;
use crate::functions::Counted;

/// How often it is counted, at most and at least, what is pinned to components that are retiring.
const COUNT_INTERVAL: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// Counting takes one part in so many of the time, because it reads all that is alive.
const COUNT_SHARE: u32 = 50;

/// Does it once now, and once more after each change of what is served. The last so many versions of each
/// file are kept. Ends with the functions folder.
pub(crate) async fn follow_deployments(deployer: Deployer, versions_kept: usize) {
    let mut changes = deployer.folder.changes();
    loop {
        // A failure of any waits for the next deployment or start: nothing is lost by it.
        if let Err(error) = deployer.checker.client.resume_diverged().await {
            tracing::warn!("stopped orchestrations do not try the newest code: {error}");
        }
        if let Err(error) = remove_unneeded(&deployer, versions_kept).await {
            tracing::warn!("components that nothing needs stay in the data folder: {error:#}");
        }
        loop {
            let begun = Instant::now();
            if let Err(error) = retire(&deployer).await {
                tracing::warn!("components that nothing needs go on retiring: {error:#}");
            }
            let [least, most] = COUNT_INTERVAL;
            let pause = (begun.elapsed() * COUNT_SHARE).clamp(least, most);
            let changed = match deployer.folder.is_retiring().await {
                true => timeout(pause, changes.changed()).await,
                false => Ok(changes.changed().await),
            };
            match changed {
                Err(_elapsed) => {}
                Ok(Ok(())) => break,
                Ok(Err(_closed)) => return,
            }
        }
    }
}

/// Counts what is pinned, and lets go of what nothing needs.
async fn retire(deployer: &Deployer) -> anyhow::Result<()> {
    let client = &deployer.checker.client;
    let mut entities = HashSet::new();
    for name in deployer.folder.missing_entities().await {
        if has_entities(deployer, &name).await? {
            entities.insert(name);
        }
    }
    let pinned = client.pinned_components().await?;
    deployer.folder.retire(Counted { pinned, entities }).await;
    Ok(())
}

async fn has_entities(deployer: &Deployer, name: &FunctionName) -> anyhow::Result<bool> {
    let filter = EntityFilter { name: Some(name.clone()), ..EntityFilter::default() };
    let query = EntityQuery { filter, page_size: 1, continuation: None, fetches_state: false };
    Ok(!deployer.checker.client.query_entities(query).await?.value.entities.is_empty())
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
