//! [`Deployer`]: components come and go over HTTP, are checked before they do, and come back.
//!
//! A component is verified as a candidate first, which leaves nothing behind if it is refused. It is then
//! put into the functions folder by a rename, so that a crash leaves the old file or the new one.

mod check;
mod record;
mod restored;
mod upkeep;
mod upload;

use std::sync::Arc;

use everstate_engine::Client;
use everstate_http::{
    CheckReport, DeployOptions, Deployed, Deployment, DeploymentAction, DeploymentError,
    DeploymentFuture, Deployments, FileCondition, FileState, FunctionsState, Migration, Upload,
};
use everstate_runtime::LoadedComponent;
use everstate_types::{ComponentHash, FunctionKind, FunctionName, InstanceId};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use self::check::Checker;
pub(crate) use self::record::{DeploymentRecord, unreadable_lines};
pub(crate) use self::restored::{Written, write_served};
pub(crate) use self::upkeep::follow_deployments;
use self::upload::{FileUpload, Temporary};
use crate::functions::{FunctionsFolder, is_component_name};

/// What an operator may change about deployments.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentsConfig {
    /// Versions of each file that are kept, the one that is served included, so that it can be rolled
    /// back. What is pinned to a version is not counted. Default: 5.
    pub versions_kept: usize,
}

impl Default for DeploymentsConfig {
    fn default() -> Self {
        Self { versions_kept: 5 }
    }
}

/// Brings components in and takes them back. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Deployer {
    folder: Arc<FunctionsFolder>,
    checker: Checker,
}

impl Deployer {
    pub(crate) fn new(folder: Arc<FunctionsFolder>, client: Client) -> Self {
        let runtime = folder.runtime().clone();
        Self { folder, checker: Checker { runtime, client } }
    }

    fn folder(&self) -> &FunctionsFolder {
        &self.folder
    }

    /// Says what would come of deploying a component.
    async fn check(&self, file: &str, bytes: Vec<u8>) -> Result<CheckReport, DeploymentError> {
        let candidate = self.candidate(file, bytes).await?;
        let report = async {
            self.folder.check_conflicts(&candidate).await?;
            self.checker.check(&candidate, self.missing(&candidate)).await
        };
        let report = report.await;
        self.checker.runtime.discard_candidate(candidate.hash).await;
        report
    }

    /// Verifies a component, and serves it.
    async fn deploy(
        &self,
        file: &str,
        temporary: Temporary,
        bytes: Vec<u8>,
        action: DeploymentAction,
        options: DeployOptions,
    ) -> Result<Deployed, DeploymentError> {
        let hash = ComponentHash(Sha256::digest(&bytes).into());
        let installed = async {
            let candidate = self.candidate(file, bytes.clone()).await?;
            self.folder.check_conflicts(&candidate).await?;
            let report = match options.checks {
                true => Some(self.checker.check(&candidate, self.missing(&candidate)).await?),
                false => None,
            };
            if let Some(report) = report.as_ref().filter(|report| !report.fits()) {
                return Err(DeploymentError::Diverging(Box::new(report.clone())));
            }
            Ok((self.folder.install(file, temporary.path(), bytes, action).await?, report))
        };
        let installed = installed.await;
        let ((component, mut problem), check) = match installed {
            Ok(installed) => installed,
            Err(error) => {
                self.checker.runtime.discard_candidate(hash).await;
                self.note_refusal(file, hash, &error);
                return Err(error);
            }
        };
        let mut migration = options.migrates.then(Migration::default);
        if let Some(migration) = &mut migration
            && let Err(error) = self.checker.migrate(&component, migration).await
        {
            problem = Some(format!("not all that is alive was looked at: {error}"));
        }
        if let Some(problem) = &problem {
            tracing::error!("{file} is deployed, but {problem}");
        }
        Ok(Deployed {
            file: file.to_owned(),
            component: component.hash,
            functions: self.folder.shown().functions_of(file),
            check,
            migration,
            problem,
        })
    }

    async fn candidate(
        &self,
        file: &str,
        bytes: Vec<u8>,
    ) -> Result<Arc<LoadedComponent>, DeploymentError> {
        let candidate = self.checker.runtime.load_candidate(file, bytes).await;
        candidate.map_err(|error| DeploymentError::Refused(error.to_string()))
    }

    fn note_refusal(&self, file: &str, component: ComponentHash, error: &DeploymentError) {
        if matches!(error, DeploymentError::Refused(_) | DeploymentError::Diverging(_)) {
            let message = Some(error.to_string());
            self.folder.record().note(file, Some(component), DeploymentAction::Refused, message);
        }
    }

    /// Orchestrators and entities that the file has now and that nobody would have with this component.
    fn missing(&self, candidate: &LoadedComponent) -> Vec<(FunctionKind, FunctionName)> {
        let shown = self.folder.shown();
        let of_file = shown.functions.iter().filter(|it| it.file == candidate.file_name);
        of_file
            .filter(|it| matches!(it.kind, FunctionKind::Orchestrator | FunctionKind::Entity))
            .filter(|it| !check::has(candidate, it.kind, &it.name))
            .map(|it| (it.kind, it.name.clone()))
            .collect()
    }

    /// The version of a file to go back to: what is served, if the file has something else that is broken;
    /// else what was served before it.
    fn version_before(&self, file: &str) -> Option<ComponentHash> {
        let shown = self.folder.shown();
        let of_file = shown.files.iter().find(|it| it.file == file);
        let is_broken = of_file.is_some_and(|it| it.condition == FileCondition::Broken);
        let served = of_file.and_then(|it| it.component);
        if is_broken && served.is_some() {
            return served;
        }
        self.folder.record().versions(file).into_iter().find(|version| Some(*version) != served)
    }

    async fn roll_back(
        self,
        file: String,
        to: Option<String>,
        options: DeployOptions,
    ) -> Result<Deployed, DeploymentError> {
        let version = match &to {
            None => self.version_before(&file),
            Some(named) => self.folder.record().version(&file, named),
        };
        let nothing = || {
            DeploymentError::NotFound(match &to {
                None => format!("there is no earlier version of `{file}` to go back to"),
                Some(named) => format!("`{file}` had no version `{named}` that was served"),
            })
        };
        let version = version.ok_or_else(nothing)?;
        let bytes = self.checker.runtime.kept_component(version).await.map_err(|_| {
            let problem = format!("the version {version} of `{file}` is not kept any more");
            DeploymentError::NotFound(problem)
        })?;
        let mut upload = FileUpload::begin(self, &file).await?;
        upload.write_all(&bytes).await?;
        upload.install(DeploymentAction::RolledBack, options).await
    }

    /// What is loaded, and how much is pinned to it and to what is not loaded any more.
    async fn state(&self) -> Result<FunctionsState, DeploymentError> {
        let shown = self.folder.shown();
        let mut pinned = self.checker.client.pinned_components().await?;
        let mut files = shown.files.clone();
        for file in &mut files {
            let count = file.component.and_then(|component| pinned.remove(&component));
            file.pinned = count.unwrap_or_default();
        }
        let mut retiring: Vec<_> = pinned
            .into_iter()
            .map(|(component, pinned)| FileState {
                file: self
                    .folder
                    .record()
                    .file_of(component)
                    .unwrap_or_else(|| "unknown".to_owned()),
                component: Some(component),
                condition: FileCondition::Retiring,
                message: None,
                loaded_at: None,
                pinned,
            })
            .collect();
        retiring.sort_by(|a, b| (&a.file, a.component).cmp(&(&b.file, b.component)));
        files.extend(retiring);
        Ok(FunctionsState { functions: shown.functions.clone(), files })
    }

    async fn migrate_newest(&self, instance_id: &InstanceId) -> Result<(), DeploymentError> {
        let found = self.checker.client.get_status(instance_id).await?.value;
        let Some(status) = found else {
            return Err(everstate_engine::ClientError::NotFound(instance_id.clone()).into());
        };
        let name = &status.record.name;
        let shown = self.folder.shown();
        let newest = shown.functions.iter().find(|function| {
            function.kind == FunctionKind::Orchestrator
                && function.name.as_str().eq_ignore_ascii_case(name.as_str())
        });
        let component = newest.and_then(|function| shown.component_of(&function.file));
        let Some(component) = component else {
            let problem = format!("no component has the orchestrator `{name}` any more");
            return Err(DeploymentError::DoesNotFit(problem));
        };
        self.checker.migrate_one(&component, &status).await
    }
}

impl Deployments for Deployer {
    fn functions(&self) -> DeploymentFuture<'_, FunctionsState> {
        Box::pin(self.state())
    }

    fn deployments(&self, file: Option<&str>) -> Vec<Deployment> {
        self.folder.record().list(file)
    }

    fn upload<'a>(&'a self, file: &'a str) -> DeploymentFuture<'a, Box<dyn Upload>> {
        Box::pin(async move {
            check_name(file)?;
            let upload: Box<dyn Upload> = Box::new(FileUpload::begin(self.clone(), file).await?);
            Ok(upload)
        })
    }

    fn rollback<'a>(
        &'a self,
        file: &'a str,
        to: Option<String>,
        options: DeployOptions,
    ) -> DeploymentFuture<'a, Deployed> {
        Box::pin(async move {
            check_name(file)?;
            self.clone().roll_back(file.to_owned(), to, options).await
        })
    }

    fn remove<'a>(&'a self, file: &'a str) -> DeploymentFuture<'a, ()> {
        Box::pin(async move {
            check_name(file)?;
            self.folder.remove(file).await
        })
    }

    fn migrate<'a>(&'a self, instance_id: &'a InstanceId) -> DeploymentFuture<'a, ()> {
        Box::pin(self.migrate_newest(instance_id))
    }
}

fn check_name(file: &str) -> Result<(), DeploymentError> {
    match is_component_name(file) {
        true => Ok(()),
        false => Err(DeploymentError::Name(file.to_owned())),
    }
}
