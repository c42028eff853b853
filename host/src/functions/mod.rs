//! The functions folder: components come, change and go while the host runs.
//!
//! The folder is looked at when the operating system says that something happened in it, and a file
//! is loaded when it has not changed for a moment, because a copy arrives in pieces. What cannot be
//! loaded is reported once, with the reason, and tried again when the file changes; until then an
//! earlier version that works goes on working, if need be the one that was served before a restart.
//!
//! Components that come over HTTP ([`FunctionsFolder::install`]) are files of the folder too. One lock
//! is held while anything changes, so that the watcher never meets a file that is being installed.

mod scan;
mod shown;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_http::{DeploymentAction, DeploymentError, RouteTable, SharedRoutes, SharedWarnings};
use everstate_runtime::{LoadedComponent, Runtime};
use everstate_types::{ComponentHash, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, Notify, watch};

pub(crate) use self::scan::PARTIAL;
use self::scan::{Stamp, remove_partial, scan, settled};
use self::shown::entries;
pub(crate) use self::shown::{Refusals, Shown, is_component_name};
use crate::data_folder::DEPLOYMENTS;
use crate::deployments::DeploymentRecord;

/// How often the folder is looked at where the operating system cannot tell of changes.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The components of the folder and what was made of them.
#[derive(Debug)]
pub(crate) struct FunctionsFolder {
    path: PathBuf,
    runtime: Runtime,
    routes: Arc<SharedRoutes>,
    warnings: Arc<SharedWarnings>,
    record: DeploymentRecord,
    loaded: Mutex<Loaded>,
    /// A standard lock: held for the time of a reference count.
    shown: RwLock<Arc<Shown>>,
    /// Counts the changes of what is published.
    changes: watch::Sender<u64>,
}

/// What was made of the files.
#[derive(Debug, Default)]
struct Loaded {
    files: HashMap<PathBuf, File>,
    /// Files in the order in which they came: of two that claim the same, the older one keeps it.
    order: Vec<PathBuf>,
    /// Conflicts that were reported, so that each is reported once.
    reported: Vec<String>,
}

#[derive(Debug)]
struct File {
    /// What the file looked like when it was read.
    stamp: Stamp,
    /// The newest version that could be loaded.
    component: Option<Arc<LoadedComponent>>,
    /// Why what the file has now could not be loaded.
    problem: Option<String>,
    loaded_at: Timestamp,
}

/// A file that cannot be loaded.
struct Problem {
    component: Option<ComponentHash>,
    message: String,
}

impl FunctionsFolder {
    /// A folder from which nothing is loaded yet, and the record of deployments in the data folder.
    pub(crate) fn open(path: PathBuf, data: &Path, runtime: Runtime) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            path,
            runtime,
            routes: Arc::new(SharedRoutes::new(RouteTable::empty())),
            warnings: Arc::default(),
            record: DeploymentRecord::open(data.join(DEPLOYMENTS))?,
            loaded: Mutex::default(),
            shown: RwLock::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// Makes the folder if it is missing, and loads what is in it.
    pub(crate) async fn load_all(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.path)
            .with_context(|| format!("cannot make the functions folder {}", self.path.display()))?;
        remove_partial(&self.path);
        let found = scan(&self.path)?;
        for file in self.record.current_files() {
            if !found.iter().any(|(path, _)| name(path) == file) {
                self.record.note(&file, None, DeploymentAction::Removed, None);
            }
        }
        let mut loaded = self.loaded.lock().await;
        self.take(&mut loaded, found).await;
        Ok(())
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What loads the components.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The routes that are served.
    pub(crate) fn routes(&self) -> Arc<SharedRoutes> {
        Arc::clone(&self.routes)
    }

    /// What is wrong with the files.
    pub(crate) fn warnings(&self) -> Arc<SharedWarnings> {
        Arc::clone(&self.warnings)
    }

    /// What was deployed when.
    pub(crate) fn record(&self) -> &DeploymentRecord {
        &self.record
    }

    /// What is loaded and served.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells of changes of what is served, from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Follows the folder for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        let something_happened = Arc::new(Notify::new());
        let watcher = scan::watch(&self.path, &something_happened);
        if let Err(error) = &watcher {
            tracing::warn!("the functions folder is looked at every {POLL_INTERVAL:?}: {error:#}");
        }
        // What changed between the first look and the watch is seen now.
        something_happened.notify_one();
        loop {
            match &watcher {
                Ok(_) => something_happened.notified().await,
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
            if let Err(error) = self.catch_up().await {
                tracing::error!("{error:#}");
            }
        }
    }

    /// Takes in what the folder has, once it has settled.
    async fn catch_up(&self) -> anyhow::Result<()> {
        loop {
            let found = settled(&self.path).await?;
            let mut loaded = self.loaded.lock().await;
            // Something may have been installed while the lock was waited for.
            if scan(&self.path)? == found {
                self.take(&mut loaded, found).await;
                return Ok(());
            }
        }
    }

    /// Loads what is new or changed, forgets what is gone, and publishes if anything changed.
    async fn take(&self, loaded: &mut Loaded, found: Vec<(PathBuf, Stamp)>) {
        let mut is_changed = false;
        let is_gone = |path: &&PathBuf| !found.iter().any(|(other, _)| other == *path);
        for path in loaded.order.iter().filter(is_gone).cloned().collect::<Vec<_>>() {
            tracing::info!(file = %name(&path), "the component was removed");
            loaded.remove(&path);
            is_changed = true;
        }
        for (path, stamp) in found {
            if loaded.files.get(&path).is_none_or(|file| file.stamp != stamp) {
                is_changed |= self.take_file(loaded, path, stamp).await;
            }
        }
        if is_changed {
            self.publish(loaded);
            self.note_all(loaded);
        }
    }

    /// Loads a file that is new or changed. Whether that changes anything that is seen.
    async fn take_file(&self, loaded: &mut Loaded, path: PathBuf, stamp: Stamp) -> bool {
        let file_name = name(&path);
        let (component, problem) = match self.load(&path).await {
            Ok(component) => (Some(component), None),
            Err(Problem { component, message }) => {
                tracing::error!(file = file_name, "the component {message}");
                let text = Some(message.clone());
                self.record.note(&file_name, component, DeploymentAction::Refused, text);
                let earlier = loaded.files.get(&path).and_then(|file| file.component.clone());
                (self.earlier(&file_name, earlier).await, Some(message))
            }
        };
        let of_file = loaded.files.get(&path);
        let hash = |component: &Option<Arc<LoadedComponent>>| component.as_ref().map(|it| it.hash);
        let is_changed = of_file.is_none_or(|file| {
            hash(&file.component) != hash(&component) || file.problem != problem
        });
        loaded.put(path, File { stamp, component, problem, loaded_at: SystemClock.now() });
        is_changed
    }

    async fn load(&self, path: &Path) -> Result<Arc<LoadedComponent>, Problem> {
        let bytes = tokio::fs::read(path).await.map_err(|error| Problem {
            component: None,
            message: format!("cannot be read: {error}"),
        })?;
        let component = Some(ComponentHash(Sha256::digest(&bytes).into()));
        let loaded = self.runtime.load(&name(path), bytes).await;
        loaded.map_err(|error| {
            let message = format!("cannot be loaded: {error}");
            Problem { component, message }
        })
    }

    /// What goes on working in the place of a file that cannot be loaded: what did before, be it in an
    /// earlier run of the host.
    async fn earlier(
        &self,
        file: &str,
        component: Option<Arc<LoadedComponent>>,
    ) -> Option<Arc<LoadedComponent>> {
        if component.is_some() {
            return component;
        }
        let bytes = self.runtime.kept_component(self.record.current(file)?).await.ok()?;
        self.runtime.load(file, bytes).await.ok()
    }

    /// Writes down what is served now, where that is new.
    fn note_all(&self, loaded: &Loaded) {
        for (path, file) in &loaded.files {
            if let (Some(component), None) = (&file.component, &file.problem) {
                let (file, hash) = (name(path), Some(component.hash));
                self.record.note(&file, hash, DeploymentAction::Deployed, None);
            }
        }
        for file in self.record.current_files() {
            if !loaded.files.keys().any(|path| name(path) == file) {
                self.record.note(&file, None, DeploymentAction::Removed, None);
            }
        }
    }

    /// Whether a component could take the place of a file; if not, what it conflicts with.
    pub(crate) async fn check_conflicts(
        &self,
        candidate: &Arc<LoadedComponent>,
    ) -> Result<(), DeploymentError> {
        self.conflicts(&*self.loaded.lock().await, candidate)
    }

    fn conflicts(
        &self,
        loaded: &Loaded,
        candidate: &Arc<LoadedComponent>,
    ) -> Result<(), DeploymentError> {
        let mut components = loaded.components();
        match components.iter_mut().find(|it| it.file_name == candidate.file_name) {
            Some(place) => *place = Arc::clone(candidate),
            None => components.push(Arc::clone(candidate)),
        }
        let (https, functions) = self.runtime.preview(&components);
        let (_, routes) = RouteTable::build(&entries(https));
        let new: Vec<String> = Refusals { functions, routes }
            .texts()
            .filter(|conflict| !loaded.reported.contains(conflict))
            .collect();
        match new.is_empty() {
            true => Ok(()),
            false => Err(DeploymentError::Refused(new.join("; "))),
        }
    }

    /// Puts a component that is complete on disk into the folder, and serves it. `temporary` is its file,
    /// which is moved. Where this fails nothing has changed.
    pub(crate) async fn install(
        &self,
        file: &str,
        temporary: &Path,
        bytes: Vec<u8>,
        action: DeploymentAction,
    ) -> Result<Arc<LoadedComponent>, DeploymentError> {
        let mut loaded = self.loaded.lock().await;
        let component = self.runtime.load(file, bytes).await;
        let component = component.map_err(|error| DeploymentError::Refused(error.to_string()))?;
        self.conflicts(&loaded, &component)?;
        let path = self.path.join(file);
        let failed = |error: std::io::Error| {
            DeploymentError::Io(format!("cannot write {}: {error}", path.display()))
        };
        std::fs::rename(temporary, &path).map_err(failed)?;
        sync_folder(&self.path).map_err(failed)?;
        if let Some(stamp) = Stamp::of(&path) {
            let loaded_at = SystemClock.now();
            let component = Some(Arc::clone(&component));
            loaded.put(path.clone(), File { stamp, component, problem: None, loaded_at });
        }
        self.publish(&mut loaded);
        self.record.note(file, Some(component.hash), action, None);
        Ok(component)
    }

    /// Removes a file and the functions that it has.
    pub(crate) async fn remove(&self, file: &str) -> Result<(), DeploymentError> {
        let mut loaded = self.loaded.lock().await;
        let path = self.path.join(file);
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                DeploymentError::NotFound(format!("there is no file `{file}`"))
            }
            _ => DeploymentError::Io(format!("cannot remove {}: {error}", path.display())),
        };
        std::fs::remove_file(&path).map_err(failed)?;
        sync_folder(&self.path).map_err(failed)?;
        loaded.remove(&path);
        self.publish(&mut loaded);
        self.record.note(file, None, DeploymentAction::Removed, None);
        Ok(())
    }

    /// Lets everybody find what is loaded. Functions change all at once; a request for a route that
    /// was matched before runs the code that had it.
    fn publish(&self, loaded: &mut Loaded) {
        let functions = self.runtime.publish(&loaded.components());
        let entries = entries(self.runtime.http_functions());
        let (table, routes) = RouteTable::build(&entries);
        self.routes.replace(table);
        let refusals = Refusals { functions, routes };
        let conflicts: Vec<String> = refusals.texts().collect();
        for conflict in &conflicts {
            if !loaded.reported.contains(conflict) {
                tracing::error!("{conflict}");
            }
        }
        loaded.reported = conflicts;
        let shown = Shown::new(loaded, &refusals, entries);
        self.warnings.set(shown.warnings());
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Loaded {
    fn components(&self) -> Vec<Arc<LoadedComponent>> {
        self.order.iter().filter_map(|path| self.files.get(path)?.component.clone()).collect()
    }

    fn put(&mut self, path: PathBuf, file: File) {
        if !self.order.contains(&path) {
            self.order.push(path.clone());
        }
        self.files.insert(path, file);
    }

    fn remove(&mut self, path: &Path) {
        self.files.remove(path);
        self.order.retain(|other| other != path);
    }
}

/// Makes durable which files a folder has.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
