//! Whether what is alive would go on with other code, and moving it there.
//!
//! Histories are replayed one after the other, each in the place of a turn, so that live work goes on.

use std::collections::HashMap;

use everstate_engine::Client;
use everstate_engine::client::InstanceStatus;
use everstate_engine::storage::EntityFilter;
use everstate_http::{CheckReport, DeploymentError, Diverging, Migration, MissingFunction};
use everstate_runtime::{LoadedComponent, Runtime};
use everstate_types::{
    Failure, FunctionKind, FunctionName, InstanceId, OrchestrationRecord, RuntimeStatus,
};

/// Orchestrations that do not fit which are named.
const DIVERGING_MAX: usize = 1_000;

/// What replays and counts.
#[derive(Clone, Debug)]
pub(super) struct Checker {
    pub(super) runtime: Runtime,
    pub(super) client: Client,
}

impl Checker {
    /// What would come of a component in the place of another one. `missing`: functions of that one
    /// which nobody would have any more.
    pub(super) async fn check(
        &self,
        candidate: &LoadedComponent,
        missing: Vec<(FunctionKind, FunctionName)>,
    ) -> Result<CheckReport, DeploymentError> {
        let file = candidate.file_name.clone();
        let mut report = CheckReport { file, ..CheckReport::default() };
        // By the name in ASCII lower case: that is how names are looked up.
        let mut alive: HashMap<String, u64> = HashMap::new();
        let mut continuation = None;
        loop {
            let page = self.client.live_instances(continuation).await?;
            for (instance_id, record) in page.instances {
                *alive.entry(record.name.as_str().to_ascii_lowercase()).or_default() += 1;
                if !has_orchestrator(candidate, &record.name) {
                    continue;
                }
                let Some(checked) = self.check_one(candidate, &instance_id).await? else {
                    continue;
                };
                report.checked += 1;
                if let Err(failure) = checked {
                    report.diverging_count += 1;
                    note(&mut report.diverging, instance_id, record.name, failure);
                }
            }
            continuation = page.continuation;
            if continuation.is_none() {
                break;
            }
        }
        for (kind, name) in missing {
            let instances = match kind {
                FunctionKind::Orchestrator => {
                    let name = name.as_str().to_ascii_lowercase();
                    alive.get(&name).copied().unwrap_or_default()
                }
                FunctionKind::Entity => {
                    let name = Some(name.clone());
                    let filter = EntityFilter { name, ..EntityFilter::default() };
                    self.client.count_entities(filter).await?.value
                }
                FunctionKind::Activity | FunctionKind::Http => 0,
            };
            if instances > 0 {
                let now = kind_of(candidate, &name);
                report.missing.push(MissingFunction { name, kind, now, instances });
            }
        }
        Ok(report)
    }

    /// Moves what is alive to a component that is published, where its history fits. Adds how many it
    /// moved, and which keep their code.
    pub(super) async fn migrate(
        &self,
        component: &LoadedComponent,
        migration: &mut Migration,
    ) -> Result<(), DeploymentError> {
        let mut continuation = None;
        loop {
            let page = self.client.live_instances(continuation).await?;
            for (instance_id, record) in page.instances {
                if !is_elsewhere(component, &record) {
                    continue;
                }
                match self.check_one(component, &instance_id).await? {
                    Some(Ok(())) => {
                        let is_moved = self.move_to(component, &instance_id).await?;
                        migration.migrated += u64::from(is_moved);
                    }
                    Some(Err(failure)) => {
                        migration.kept_count += 1;
                        note(&mut migration.kept, instance_id, record.name, failure);
                    }
                    None => {}
                }
            }
            continuation = page.continuation;
            if continuation.is_none() {
                return Ok(());
            }
        }
    }

    /// Moves one orchestration to a component that is published, or says why it does not fit.
    pub(super) async fn migrate_one(
        &self,
        component: &LoadedComponent,
        status: &InstanceStatus,
    ) -> Result<(), DeploymentError> {
        // What has ended is refused for that, whether it fits or not.
        if !status.record.status.is_finished() {
            let checked = self.runtime.check_history(component, status).await;
            checked.map_err(|failure| DeploymentError::DoesNotFit(failure.error_message))?;
        }
        let migrated = self.client.migrate(&status.instance_id, component.hash).await?;
        self.client.durable(migrated.seq).await;
        Ok(())
    }

    /// `None`: it has ended meanwhile.
    async fn check_one(
        &self,
        component: &LoadedComponent,
        instance_id: &InstanceId,
    ) -> Result<Option<Result<(), Failure>>, DeploymentError> {
        let status = self.client.get_status(instance_id).await?.value;
        let status = status.filter(|status| !status.record.status.is_finished());
        let Some(status) = status else { return Ok(None) };
        Ok(Some(self.runtime.check_history(component, &status).await))
    }

    /// Whether it was there to be moved.
    async fn move_to(
        &self,
        component: &LoadedComponent,
        instance_id: &InstanceId,
    ) -> Result<bool, DeploymentError> {
        use everstate_engine::ClientError::{NotFound, WrongState};
        match self.client.migrate(instance_id, component.hash).await {
            Ok(migrated) => {
                self.client.durable(migrated.seq).await;
                Ok(true)
            }
            Err(NotFound(_) | WrongState { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Names one that does not fit, unless enough are named.
fn note(
    diverging: &mut Vec<Diverging>,
    instance_id: InstanceId,
    name: FunctionName,
    failure: Failure,
) {
    if diverging.len() < DIVERGING_MAX {
        diverging.push(Diverging { instance_id, name, message: failure.error_message });
    }
}

/// What a component has under a name.
fn kind_of(component: &LoadedComponent, name: &FunctionName) -> Option<FunctionKind> {
    let mut functions = component.functions.iter();
    let found =
        functions.find(|function| function.name.as_str().eq_ignore_ascii_case(name.as_str()));
    found.map(|function| function.kind)
}

/// Whether a component has an orchestrator.
pub(super) fn has_orchestrator(component: &LoadedComponent, name: &FunctionName) -> bool {
    has(component, FunctionKind::Orchestrator, name)
}

/// Whether a component has a function.
pub(super) fn has(component: &LoadedComponent, kind: FunctionKind, name: &FunctionName) -> bool {
    component.functions.iter().any(|function| {
        function.kind == kind && function.name.as_str().eq_ignore_ascii_case(name.as_str())
    })
}

/// Whether an orchestration of this component is pinned to another one. What has stopped because of its
/// code is not meant: it tries the newest by itself.
fn is_elsewhere(component: &LoadedComponent, record: &OrchestrationRecord) -> bool {
    let has_stopped = record.status == RuntimeStatus::Suspended && record.failure.is_some();
    has_orchestrator(component, &record.name)
        && record.component != Some(component.hash)
        && !has_stopped
}
