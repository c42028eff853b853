//! Finding orchestrations. What was answered before a query is seen by it: it waits until that is
//! durable, and then asks the storage.

use std::collections::HashMap;
use std::sync::Arc;

use everstate_types::{ComponentHash, RuntimeStatus};
use tokio::task::spawn_blocking;

use super::{Client, Observed};
use crate::error::ClientError;
use crate::storage::{
    EntityFilter, EntityPage, EntityQuery, InstanceFilter, InstancePage, InstanceQuery,
    Result as StorageResult, Storage, WrongContinuation,
};

/// Orchestrations that are looked at in one go, where all of them are.
const SWEEP_PAGE: usize = 1_000;

impl Client {
    /// A page of the orchestrations that fit.
    ///
    /// # Errors
    /// If the continuation is none that a page had, or the host is stopping.
    pub async fn query_instances(
        &self,
        query: InstanceQuery,
    ) -> Result<Observed<InstancePage>, ClientError> {
        self.read(move |storage| storage.query(&query)).await
    }

    /// The orchestrators of all that is stored, in lower case.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn orchestrators(&self) -> Result<Observed<Vec<String>>, ClientError> {
        self.read(|storage| storage.orchestrators()).await
    }

    /// How many orchestrations fit.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn count_instances(
        &self,
        filter: InstanceFilter,
    ) -> Result<Observed<u64>, ClientError> {
        self.read(move |storage| storage.count(&filter)).await
    }

    /// A page of the entities that fit.
    ///
    /// # Errors
    /// If fields are asked for without a name or that are not indexed, the continuation is none that a
    /// page had, or the host is stopping.
    pub async fn query_entities(
        &self,
        query: EntityQuery,
    ) -> Result<Observed<EntityPage>, ClientError> {
        self.check_fields(&query.filter)?;
        self.read(move |storage| storage.query_entities(&query)).await
    }

    /// How many entities fit.
    ///
    /// # Errors
    /// As [`query_entities`](Self::query_entities).
    pub async fn count_entities(&self, filter: EntityFilter) -> Result<Observed<u64>, ClientError> {
        self.check_fields(&filter)?;
        self.read(move |storage| storage.count_entities(&filter)).await
    }

    /// Whether entities can be found by these fields.
    fn check_fields(&self, filter: &EntityFilter) -> Result<(), ClientError> {
        if filter.fields.is_empty() {
            return Ok(());
        }
        let Some(name) = &filter.name else {
            let problem = "fields of the state are indexed by entity function: give a name";
            return Err(ClientError::InvalidArgument(problem.to_owned()));
        };
        let options = self.node.executor.entity_options(name.as_str()).unwrap_or_default();
        match filter.fields.iter().find(|(field, _)| !options.indexes.contains(field)) {
            None => Ok(()),
            Some((field, _)) => Err(ClientError::InvalidArgument(format!(
                "the entity function `{name}` has no index on the field `{field}`"
            ))),
        }
    }

    /// Removes the finished orchestrations that fit, and says how many. Without statuses: all that
    /// have ended.
    ///
    /// # Errors
    /// If a status is asked for that is no end.
    pub async fn purge_instances(
        &self,
        mut filter: InstanceFilter,
    ) -> Result<Observed<u64>, ClientError> {
        if filter.statuses.is_empty() {
            filter.statuses =
                vec![RuntimeStatus::Completed, RuntimeStatus::Failed, RuntimeStatus::Terminated];
        } else if let Some(alive) = filter.statuses.iter().find(|status| !status.is_finished()) {
            return Err(ClientError::InvalidArgument(format!(
                "only orchestrations that have ended can be purged, not those that are {alive}"
            )));
        }
        let mut purged = Observed { value: 0, seq: self.node.commits.durable_seq() };
        let mut continuation = None;
        loop {
            let query =
                InstanceQuery { filter: filter.clone(), page_size: SWEEP_PAGE, continuation };
            let page = self.query_instances(query).await?.value;
            for (id, _) in page.instances {
                match self.purge(&id, false).await {
                    Ok(done) => {
                        purged.value += done.value;
                        purged.seq = purged.seq.max(done.seq);
                    }
                    // It was started again since the page was read.
                    Err(ClientError::WrongState { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            continuation = page.continuation;
            if continuation.is_none() {
                return Ok(purged);
            }
        }
    }

    /// Lets all orchestrations whose code did not fit their history try the newest code. For the
    /// moment when there is new code.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn resume_diverged(&self) -> Result<(), ClientError> {
        let mut query = sweep(vec![RuntimeStatus::Suspended]);
        loop {
            let page = self.query_instances(query.clone()).await?.value;
            for (id, record) in page.instances {
                if record.failure.is_none() {
                    continue;
                }
                let reason = "there is new code".to_owned();
                match self.resume(&id, Some(reason)).await {
                    Ok(_) | Err(ClientError::WrongState { .. } | ClientError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            query.continuation = page.continuation;
            if query.continuation.is_none() {
                return Ok(());
            }
        }
    }

    /// The components that orchestrations are pinned to which have not ended, and how many each.
    ///
    /// # Errors
    /// If the host is stopping.
    pub async fn pinned_components(&self) -> Result<HashMap<ComponentHash, u64>, ClientError> {
        let mut pinned = HashMap::new();
        let mut continuation = None;
        loop {
            let page = self.live_instances(continuation).await?;
            for component in page.instances.iter().filter_map(|(_, record)| record.component) {
                *pinned.entry(component).or_default() += 1;
            }
            continuation = page.continuation;
            if continuation.is_none() {
                return Ok(pinned);
            }
        }
    }

    /// A page of the orchestrations that have not ended. `None`: the first one.
    ///
    /// # Errors
    /// If the continuation is none that a page had, or the host is stopping.
    pub async fn live_instances(
        &self,
        continuation: Option<String>,
    ) -> Result<InstancePage, ClientError> {
        let alive = vec![RuntimeStatus::Pending, RuntimeStatus::Running, RuntimeStatus::Suspended];
        let query = InstanceQuery { continuation, ..sweep(alive) };
        Ok(self.query_instances(query).await?.value)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Storage) -> StorageResult<T> + Send + 'static,
    ) -> Result<Observed<T>, ClientError> {
        let seq = self.node.commits.seq();
        self.durable(seq).await;
        let storage = Arc::clone(&self.node.storage);
        let read = spawn_blocking(move || read(&*storage)).await;
        match read.map_err(|_| ClientError::Stopping)? {
            Ok(value) => Ok(Observed { value, seq }),
            Err(error) if error.0.is::<WrongContinuation>() => {
                Err(ClientError::InvalidArgument(error.to_string()))
            }
            Err(error) => {
                self.node.fatal(&error);
                Err(ClientError::Stopping)
            }
        }
    }
}

/// The first page of all orchestrations with one of these statuses.
fn sweep(statuses: Vec<RuntimeStatus>) -> InstanceQuery {
    let filter = InstanceFilter { statuses, ..InstanceFilter::default() };
    InstanceQuery { filter, page_size: SWEEP_PAGE, continuation: None }
}
