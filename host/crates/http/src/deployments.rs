//! What the API needs to bring components into the host and to take them back. The host implements it:
//! this crate knows neither the functions folder nor what a component is.

use std::pin::Pin;

use bytes::Bytes;
use everstate_engine::ClientError;
use everstate_types::{
    AuthorizationLevel, ComponentHash, FunctionKind, FunctionName, InstanceId, Timestamp,
};

/// An answer under way.
pub type DeploymentFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, DeploymentError>> + Send + 'a>>;

/// The components of the host: what is there, what came when, and how it is changed.
pub trait Deployments: Send + Sync {
    /// What is loaded, file by file and function by function.
    fn functions(&self) -> DeploymentFuture<'_, FunctionsState>;

    /// What was deployed when, newest first; only of one file, if it is named.
    fn deployments(&self, file: Option<&str>) -> Vec<Deployment>;

    /// Begins to take in a component that is to be the file of this name, or to be checked as such.
    fn upload<'a>(&'a self, file: &'a str) -> DeploymentFuture<'a, Box<dyn Upload>>;

    /// Serves the version of a file that was served before the one that is served now, or the one that is
    /// named: by the number of a deployment or the beginning of its hash.
    fn rollback<'a>(
        &'a self,
        file: &'a str,
        to: Option<String>,
        options: DeployOptions,
    ) -> DeploymentFuture<'a, Deployed>;

    /// Removes a file. What is pinned to its code goes on.
    fn remove<'a>(&'a self, file: &'a str) -> DeploymentFuture<'a, ()>;

    /// Moves an orchestration to the newest code, if that follows its history. When this returns it is
    /// durable.
    fn migrate<'a>(&'a self, instance_id: &'a InstanceId) -> DeploymentFuture<'a, ()>;
}

/// A component on its way in. One that is dropped leaves nothing.
pub trait Upload: Send {
    /// Takes the next piece of it.
    fn write(&mut self, piece: Bytes) -> DeploymentFuture<'_, ()>;

    /// It is complete: verifies it and serves it in the place of what the file had. When this returns
    /// with an error nothing has changed.
    fn deploy(self: Box<Self>, options: DeployOptions) -> DeploymentFuture<'static, Deployed>;

    /// It is complete: says what would come of deploying it.
    fn check(self: Box<Self>) -> DeploymentFuture<'static, CheckReport>;
}

/// How a component is deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeployOptions {
    /// Refuse it if the history of a live orchestration does not fit it, or a function in use would be gone.
    pub checks: bool,
    /// Move the live orchestrations to it whose histories fit it.
    pub migrates: bool,
}

/// Why a deployment did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeploymentError {
    /// It is no name of a component's file.
    #[error("`{0}` is no name of a component: it must be a plain file name that ends in `.wasm`")]
    Name(String),
    /// There is no such file, or no earlier version of it.
    #[error("{0}")]
    NotFound(String),
    /// It is larger than so many bytes.
    #[error("the component is larger than {0} bytes")]
    TooLarge(usize),
    /// It cannot be loaded, or conflicts with what is there. In one line.
    #[error("{0}")]
    Refused(String),
    /// Histories do not fit it, or functions in use would be gone.
    #[error("{}", .0.problem())]
    Diverging(Box<CheckReport>),
    /// The history of the orchestration does not fit the newest code; how.
    #[error("{0}")]
    DoesNotFit(String),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] ClientError),
    /// A file could not be read or written.
    #[error("{0}")]
    Io(String),
}

/// What is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionsState {
    /// The functions that are served.
    pub functions: Vec<FunctionState>,
    /// The files, and the versions of them that live orchestrations still need.
    pub files: Vec<FileState>,
}

/// A function that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionState {
    /// Its name as its author wrote it.
    pub name: FunctionName,
    /// Its kind.
    pub kind: FunctionKind,
    /// The file that has it.
    pub file: String,
    /// The component that has it.
    pub component: ComponentHash,
    /// Methods (none: any), route, and which key a request must bring; of an HTTP function.
    pub http: Option<(Vec<String>, String, AuthorizationLevel)>,
}

/// What a version of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileCondition {
    /// It is what the file has, and is served.
    Serving,
    /// What the file has cannot be served. If an older version is, the hash is that of it.
    Broken,
    /// The file has it no more; live orchestrations are pinned to it, and find its functions.
    Retiring,
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileState {
    /// The file's name.
    pub file: String,
    /// The component that is served, or needed; `None`: none is.
    pub component: Option<ComponentHash>,
    /// What it is.
    pub condition: FileCondition,
    /// What is wrong with it.
    pub message: Option<String>,
    /// When it was loaded; `None` for one that is retiring.
    pub loaded_at: Option<Timestamp>,
    /// Live orchestrations that are pinned to the component.
    pub pinned: u64,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentAction {
    /// A new version is served.
    Deployed,
    /// An earlier version is served again.
    RolledBack,
    /// The file is gone.
    Removed,
    /// A version could not be served.
    Refused,
}

/// Something that happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Counts what happened.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// To which file.
    pub file: String,
    /// With which component.
    pub component: Option<ComponentHash>,
    /// What.
    pub action: DeploymentAction,
    /// Why, if it was refused.
    pub message: Option<String>,
}

/// A component that is served now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The file.
    pub file: String,
    /// The component.
    pub component: ComponentHash,
    /// Its functions.
    pub functions: Vec<FunctionState>,
    /// What the check found, if one was asked for.
    pub check: Option<CheckReport>,
    /// What became of the orchestrations that run other code, if they were to be moved to it.
    pub migration: Option<Migration>,
    /// What went wrong after it was served: it is served all the same.
    pub problem: Option<String>,
}

/// What became of live orchestrations that were to be moved to a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// How many go on with it.
    pub migrated: u64,
    /// Those whose histories do not fit it, and which keep their code; the first thousand.
    pub kept: Vec<Diverging>,
    /// How many they are.
    pub kept_count: u64,
}

/// What would come of deploying a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The file.
    pub file: String,
    /// Live orchestrations whose histories were replayed.
    pub checked: u64,
    /// Those whose histories do not fit; the first thousand.
    pub diverging: Vec<Diverging>,
    /// How many they are.
    pub diverging_count: u64,
    /// Functions that the file has now, that are in use, and that it would have no more.
    pub missing: Vec<MissingFunction>,
}

impl CheckReport {
    /// Whether all that is alive would go on with the component.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.diverging_count == 0 && self.missing.is_empty()
    }

    /// Why it does not, in one line.
    fn problem(&self) -> String {
        let mut problems = Vec::new();
        match self.diverging_count {
            0 => {}
            1 => problems.push("1 live orchestration does not fit the component".to_owned()),
            count => problems.push(format!("{count} live orchestrations do not fit the component")),
        }
        for MissingFunction { name, kind, now, .. } in &self.missing {
            problems.push(match now {
                None => format!("the {kind} function {name} is in use and would be gone"),
                Some(now) => {
                    format!("the {kind} function {name} is in use and would be of kind {now}")
                }
            });
        }
        problems.join("; ")
    }
}

/// An orchestration whose history does not fit a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diverging {
    /// The orchestration.
    pub instance_id: InstanceId,
    /// Its orchestrator.
    pub name: FunctionName,
    /// Where and how.
    pub message: String,
}

/// A function that would be missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFunction {
    /// Its name.
    pub name: FunctionName,
    /// Orchestrator or entity.
    pub kind: FunctionKind,
    /// What the component has under its name instead.
    pub now: Option<FunctionKind>,
    /// Live orchestrations, or entities that exist.
    pub instances: u64,
}

#[cfg(test)]
mod tests {
    use everstate_types::{FunctionKind, FunctionName};

    use super::{CheckReport, MissingFunction};

    #[test]
    fn report_fits_if_nothing_diverges_and_nothing_in_use_is_gone() {
        assert!(CheckReport { checked: 3, ..CheckReport::default() }.fits());
        let name = |name| FunctionName::new(name).expect("a name");
        let gone = MissingFunction {
            name: name("Order"),
            kind: FunctionKind::Orchestrator,
            now: None,
            instances: 2,
        };
        let changed = MissingFunction {
            name: name("Stock"),
            kind: FunctionKind::Orchestrator,
            now: Some(FunctionKind::Entity),
            instances: 1,
        };
        let report = CheckReport {
            diverging_count: 1,
            missing: vec![gone, changed],
            ..CheckReport::default()
        };
        assert!(!report.fits());
        assert_eq!(
            report.problem(),
            "1 live orchestration does not fit the component; \
             the orchestrator function Order is in use and would be gone; \
             the orchestrator function Stock is in use and would be of kind entity"
        );
    }
}
