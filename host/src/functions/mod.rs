//! The functions folder: components come, change and go while the host runs.
//!
//! A file is loaded when it has arrived (`arrivals.rs`) and takes its place if it conflicts with nothing
//! (`loaded.rs`). What cannot be served is reported once, with the reason, and tried again when that has
//! changed; until then an earlier version that works goes on working, if need be the one that was served
//! before a restart. What is served no more retires (`retiring.rs`).
//!
//! Components that come over HTTP ([`FunctionsFolder::install`]) are files of the folder too. One lock
//! is held while anything changes, so that the watcher never meets a file that is being installed.

mod arrivals;
mod loaded;
mod retiring;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use everstate_http::{DeploymentAction, DeploymentError, RouteTable, SharedRoutes, SharedWarnings};
use everstate_runtime::{LoadedComponent, Runtime};
use everstate_types::ComponentHash;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, watch};

pub(crate) use self::arrivals::PARTIAL;
use self::arrivals::{Arrivals, Found, Stamp, is_cut_off, remove_partial, scan};
use self::loaded::{Loaded, Refusal};
pub(crate) use self::retiring::Counted;
use self::shown::entries;
pub(crate) use self::shown::{Refusals, Shown, is_component_name};
use crate::data_folder::DEPLOYMENTS;
use crate::deployments::DeploymentRecord;

/// The components of the folder and what was made of them.
#[derive(Debug)]
pub(crate) struct FunctionsFolder {
    path: PathBuf,
    runtime: Runtime,
    routes: Arc<SharedRoutes>,
    warnings: Arc<SharedWarnings>,
    record: DeploymentRecord,
    retiring_path: PathBuf,
    loaded: Mutex<Loaded>,
    /// A standard lock: held for the time of a reference count.
    shown: RwLock<Arc<Shown>>,
    /// Counts the changes of what is published.
    changes: watch::Sender<u64>,
}

/// A file that cannot be loaded.
struct Problem {
    component: Option<ComponentHash>,
    message: String,
    is_cut_off: bool,
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
            retiring_path: data.join("retiring"),
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
        let mut found = scan(&self.path)?;
        // Who came first keeps what others claim too, over a restart as well.
        let first = |path: &Path| self.record.first_deployed(&name(path)).unwrap_or(u64::MAX);
        found.sort_by_key(|(path, _)| first(path));
        let mut loaded = self.loaded.lock().await;
        let mut former = self.read_retiring();
        for (file, component) in self.record.all_current() {
            former.push(component);
            if !found.iter().any(|(path, _)| name(path) == file) {
                tracing::warn!(file, "it was served and is not in the functions folder any more");
                loaded.missing.insert(file, component);
            }
        }
        self.take(&mut loaded, found, None).await;
        self.take_former(&mut loaded, former).await;
        self.publish(&mut loaded);
        self.note_all(&loaded);
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
        let mut arrivals = Arrivals::new(self.path.clone());
        loop {
            arrivals.wait().await;
            let problem = self.catch_up(&mut arrivals).await.err();
            let mut loaded = self.loaded.lock().await;
            let problem = problem.map(|error| format!("{error:#}"));
            if problem != loaded.unreadable {
                match &problem {
                    Some(problem) => tracing::error!("{problem}"),
                    None => tracing::info!("the functions folder can be read again"),
                }
                loaded.unreadable = problem;
                self.warn(&loaded);
            }
        }
    }

    /// Takes in what the folder has, until nothing more is on its way.
    async fn catch_up(&self, arrivals: &mut Arrivals) -> anyhow::Result<()> {
        loop {
            // Nothing can be installed meanwhile.
            let mut loaded = self.loaded.lock().await;
            let (found, is_more_coming) = arrivals.look(&loaded.known())?;
            let before = loaded.summary();
            let is_cut_off = self.take(&mut loaded, found, Some(arrivals)).await;
            if loaded.summary() != before {
                self.publish(&mut loaded);
                self.note_all(&loaded);
            }
            drop(loaded);
            if !is_more_coming && !is_cut_off {
                return Ok(());
            }
            arrivals.wait_for_rest().await;
        }
    }

    /// Loads what is new or changed, and forgets what is gone. Whether anything has to be looked at again,
    /// because it is cut off.
    async fn take(
        &self,
        loaded: &mut Loaded,
        found: Vec<Found>,
        mut arrivals: Option<&mut Arrivals>,
    ) -> bool {
        let is_gone = |path: &&PathBuf| !found.iter().any(|(other, _)| other == *path);
        let gone: Vec<_> = loaded.order.iter().filter(is_gone).cloned().collect();
        for path in &gone {
            tracing::info!(file = %name(path), "the component was removed");
            loaded.remove(path);
        }
        let (mut is_changed, mut has_cut_off) = (!gone.is_empty(), false);
        for (path, stamp) in found {
            if loaded.files.get(&path).is_some_and(|file| file.stamp == stamp) {
                continue;
            }
            match self.load(&path).await {
                Err(problem)
                    if problem.is_cut_off
                        && arrivals.as_mut().is_some_and(|arrivals| arrivals.may_wait(&path)) =>
                {
                    has_cut_off = true;
                }
                result => {
                    self.take_file(loaded, path, stamp, result).await;
                    is_changed = true;
                }
            }
        }
        if is_changed {
            for refusal in loaded.settle(&self.runtime) {
                self.note_refusal(refusal);
            }
        }
        has_cut_off
    }

    /// Takes a file that is new or changed.
    async fn take_file(
        &self,
        loaded: &mut Loaded,
        path: PathBuf,
        stamp: Stamp,
        result: Result<Arc<LoadedComponent>, Problem>,
    ) {
        let file = name(&path);
        let before = loaded.files.get(&path).and_then(loaded::File::hash);
        // What was served when the host ended.
        let current = self.record.current(&file);
        match result {
            Ok(component) if before.or(current) == Some(component.hash) => {
                loaded.serve(path, stamp, component);
            }
            Ok(component) => {
                let earlier = if before.is_none() { self.earlier(&file).await } else { None };
                loaded.wait(path, stamp, component, earlier);
            }
            Err(Problem { component, message, .. }) => {
                tracing::error!(file, "the component {message}");
                let text = Some(message.clone());
                self.record.note(&file, component, DeploymentAction::Refused, text);
                let earlier = if before.is_none() { self.earlier(&file).await } else { None };
                loaded.refuse(path, stamp, message, earlier);
            }
        }
    }

    async fn load(&self, path: &Path) -> Result<Arc<LoadedComponent>, Problem> {
        let bytes = tokio::fs::read(path).await.map_err(|error| Problem {
            component: None,
            message: format!("cannot be read: {error}"),
            is_cut_off: false,
        })?;
        let component = Some(ComponentHash(Sha256::digest(&bytes).into()));
        let is_cut_off = is_cut_off(&bytes);
        let loaded = self.runtime.load(&name(path), bytes).await;
        loaded.map_err(|error| {
            let message = format!("cannot be loaded: {error}");
            Problem { component, message, is_cut_off }
        })
    }

    /// Says that a version conflicts with what others have.
    fn note_refusal(&self, refusal: Refusal) {
        let Refusal { path, component, message } = refusal;
        let file = name(&path);
        tracing::error!(file, "the component is not served: {message}");
        self.record.note(&file, Some(component), DeploymentAction::Refused, Some(message));
    }

    /// What was served of a file in an earlier run of the host.
    async fn earlier(&self, file: &str) -> Option<Arc<LoadedComponent>> {
        let bytes = self.runtime.kept_component(self.record.current(file)?).await.ok()?;
        self.runtime.load(file, bytes).await.ok()
    }

    /// Writes down what is served now, where that is new.
    fn note_all(&self, loaded: &Loaded) {
        for path in &loaded.order {
            let Some(file) = loaded.files.get(path) else { continue };
            if let (Some(hash), None) = (file.hash(), &file.problem) {
                self.record.note(&name(path), Some(hash), DeploymentAction::Deployed, None);
            }
        }
        for (file, _) in self.record.all_current() {
            let is_there = loaded.files.keys().any(|path| name(path) == file);
            if !is_there && !loaded.missing.contains_key(&file) {
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
        let new = loaded.conflicts(&self.runtime, std::slice::from_ref(candidate));
        match new.is_empty() {
            true => Ok(()),
            false => Err(DeploymentError::Refused(new.join("; "))),
        }
    }

    /// Puts a component that is complete on disk into the folder, and serves it. `temporary` is its file,
    /// which is moved. Where this fails nothing has changed; where it does not it may tell of a problem all
    /// the same.
    pub(crate) async fn install(
        &self,
        file: &str,
        temporary: &Path,
        bytes: Vec<u8>,
        action: DeploymentAction,
    ) -> Result<(Arc<LoadedComponent>, Option<String>), DeploymentError> {
        let mut loaded = self.loaded.lock().await;
        let component = self.runtime.load(file, bytes).await;
        let component = component.map_err(|error| DeploymentError::Refused(error.to_string()))?;
        self.conflicts(&loaded, &component)?;
        let path = self.path.join(file);
        let failed = |error: std::io::Error| {
            DeploymentError::Io(format!("cannot write {}: {error}", path.display()))
        };
        std::fs::rename(temporary, &path).map_err(failed)?;
        let problem = sync_folder(&self.path).err().map(|error| {
            format!(
                "its folder cannot be synced, and a crash may bring back what was before: {error}"
            )
        });
        if let Some(stamp) = Stamp::of(&path) {
            loaded.serve(path.clone(), stamp, Arc::clone(&component));
        }
        self.publish_settled(&mut loaded);
        self.record.note(file, Some(component.hash), action, None);
        self.note_all(&loaded);
        Ok((component, problem))
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
        let was_missing = loaded.missing.remove(file).is_some();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && was_missing => {}
            removed => removed.map_err(failed)?,
        }
        sync_folder(&self.path).map_err(failed)?;
        loaded.remove(&path);
        self.publish_settled(&mut loaded);
        self.record.note(file, None, DeploymentAction::Removed, None);
        self.note_all(&loaded);
        Ok(())
    }

    /// The same as [`publish`](Self::publish), with what can be served now that others have changed.
    fn publish_settled(&self, loaded: &mut Loaded) {
        for refusal in loaded.settle(&self.runtime) {
            self.note_refusal(refusal);
        }
        self.publish(loaded);
    }

    /// Lets everybody find what is loaded. Functions change all at once; a request for a route that
    /// was matched before runs the code that had it.
    fn publish(&self, loaded: &mut Loaded) {
        self.note_retiring(loaded, &self.shown().components);
        let functions = self.runtime.publish_beside(&loaded.components(), &loaded.retiring);
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
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shown);
        self.warn(loaded);
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Makes durable which files a folder has.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
