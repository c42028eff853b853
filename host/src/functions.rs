//! The functions folder: components come, change and go while the host runs.
//!
//! The folder is looked at when the operating system says that something happened in it, and a file
//! is loaded when it has not changed for a moment, because a copy arrives in pieces. What cannot be
//! loaded is reported once, with the reason, and tried again when the file changes; until then an
//! earlier version that works goes on working.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use everstate_http::{RouteEntry, RouteTable, SharedRoutes};
use everstate_runtime::{Conflict, LoadedComponent, Runtime};
use everstate_types::{FunctionKind, FunctionName};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::listing::ListedHttp;

/// A file that has not changed for so long is taken to be complete.
const SETTLED_AFTER: Duration = Duration::from_millis(150);

/// How often the folder is looked at where the operating system cannot tell of changes.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The components of the folder and what was made of them.
#[derive(Debug)]
pub(crate) struct FunctionsFolder {
    path: PathBuf,
    runtime: Runtime,
    routes: Arc<SharedRoutes>,
    files: HashMap<PathBuf, File>,
    /// Files in the order in which they came: of two that claim the same, the older one keeps it.
    order: Vec<PathBuf>,
    http: Vec<ListedHttp>,
    others: Vec<(FunctionKind, FunctionName)>,
    /// Conflicts that were reported, so that each is reported once.
    reported: Vec<String>,
}

#[derive(Debug)]
struct File {
    /// What the file looked like when it was read.
    stamp: Stamp,
    /// The newest version that could be loaded.
    component: Option<Arc<LoadedComponent>>,
}

/// Tells two versions of a file apart without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: SystemTime,
}

impl FunctionsFolder {
    pub(crate) fn new(path: PathBuf, runtime: Runtime, routes: Arc<SharedRoutes>) -> Self {
        Self {
            path,
            runtime,
            routes,
            files: HashMap::new(),
            order: Vec::new(),
            http: Vec::new(),
            others: Vec::new(),
            reported: Vec::new(),
        }
    }

    /// Makes the folder if it is missing, and loads what is in it.
    pub(crate) async fn load_all(&mut self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.path)
            .with_context(|| format!("cannot make the functions folder {}", self.path.display()))?;
        let found = self.scan()?;
        self.take(found).await;
        Ok(())
    }

    /// The HTTP functions that are served.
    pub(crate) fn http(&self) -> &[ListedHttp] {
        &self.http
    }

    /// All other functions.
    pub(crate) fn others(&self) -> &[(FunctionKind, FunctionName)] {
        &self.others
    }

    /// Follows the folder for ever; `changed` is called after each change with the functions as they are.
    pub(crate) async fn follow(mut self, changed: impl Fn(&Self)) {
        let something_happened = Arc::new(Notify::new());
        let watcher = self.watch(&something_happened);
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
            let found = match self.settled().await {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!("{error:#}");
                    continue;
                }
            };
            if self.take(found).await {
                changed(&self);
            }
        }
    }

    fn watch(&self, notify: &Arc<Notify>) -> anyhow::Result<RecommendedWatcher> {
        let notify = Arc::clone(notify);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Reading files is an event too; whatever cannot be told apart counts as a change.
                if event.as_ref().map_or(true, |event| !event.kind.is_access()) {
                    notify.notify_one();
                }
            })?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }

    /// The folder's files, once none that is not loaded has changed for a moment.
    async fn settled(&self) -> anyhow::Result<Vec<(PathBuf, Stamp)>> {
        let mut before = self.scan()?;
        loop {
            tokio::time::sleep(SETTLED_AFTER).await;
            let now = self.scan()?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
    }

    /// The components in the folder, oldest first, then by name.
    fn scan(&self) -> anyhow::Result<Vec<(PathBuf, Stamp)>> {
        let unreadable = || format!("cannot read the functions folder {}", self.path.display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            let is_component = path.extension().is_some_and(|extension| extension == "wasm");
            // A file that is gone again since is no error.
            if let (true, Ok(metadata)) = (is_component, std::fs::metadata(&path))
                && metadata.is_file()
                && let Ok(modified) = metadata.modified()
            {
                found.push((path, Stamp { len: metadata.len(), modified }));
            }
        }
        found.sort_by(|(a_path, a), (b_path, b)| (a.modified, a_path).cmp(&(b.modified, b_path)));
        Ok(found)
    }

    /// Loads what is new or changed, forgets what is gone, and publishes. Whether anything changed.
    async fn take(&mut self, found: Vec<(PathBuf, Stamp)>) -> bool {
        let mut is_changed = false;
        let gone: Vec<_> = self
            .order
            .iter()
            .filter(|path| !found.iter().any(|(other, _)| other == *path))
            .cloned()
            .collect();
        for path in gone {
            tracing::info!(file = %name(&path), "the component was removed");
            self.files.remove(&path);
            self.order.retain(|other| *other != path);
            is_changed = true;
        }
        for (path, stamp) in found {
            if self.files.get(&path).is_some_and(|file| file.stamp == stamp) {
                continue;
            }
            is_changed = true;
            if !self.order.contains(&path) {
                self.order.push(path.clone());
            }
            let loaded = self.load(&path).await;
            let earlier = self.files.remove(&path).and_then(|file| file.component);
            self.files.insert(path, File { stamp, component: loaded.or(earlier) });
        }
        if is_changed {
            self.publish();
        }
        is_changed
    }

    async fn load(&self, path: &Path) -> Option<Arc<LoadedComponent>> {
        let file = name(path);
        let bytes = match tokio::fs::read(path).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(file, "the component cannot be read: {error}");
                return None;
            }
        };
        match self.runtime.load(&file, bytes).await {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::error!(file, "the component cannot be loaded: {error}");
                None
            }
        }
    }

    fn publish(&mut self) {
        let components: Vec<_> =
            self.order.iter().filter_map(|path| self.files.get(path)?.component.clone()).collect();
        let mut conflicts: Vec<String> =
            self.runtime.publish(&components).iter().map(explain).collect();
        let entries: Vec<_> = self
            .runtime
            .http_functions()
            .into_iter()
            .map(|function| RouteEntry {
                function: function.name,
                component: function.component,
                methods: function.trigger.methods,
                route: function.trigger.route,
            })
            .collect();
        let (table, refused) = RouteTable::build(&entries);
        self.routes.replace(table);
        conflicts.extend(refused.iter().map(ToString::to_string));
        for conflict in &conflicts {
            if !self.reported.contains(conflict) {
                tracing::error!("{conflict}");
            }
        }
        self.reported = conflicts;
        self.http = entries
            .into_iter()
            .filter(|entry| {
                !refused.iter().any(|conflict| {
                    conflict.function == entry.function && conflict.route == entry.route
                })
            })
            .map(|entry| ListedHttp {
                name: entry.function,
                methods: entry.methods,
                route: entry.route,
            })
            .collect();
        self.others = others(&components);
    }
}

/// All functions but HTTP ones, by kind and name.
fn others(components: &[Arc<LoadedComponent>]) -> Vec<(FunctionKind, FunctionName)> {
    let mut others: Vec<_> = components
        .iter()
        .flat_map(|component| &component.functions)
        .map(|function| (function.kind, function.name.clone()))
        .filter(|(kind, _)| *kind != FunctionKind::Http)
        .collect();
    others.sort();
    others.dedup();
    others
}

fn explain(conflict: &Conflict) -> String {
    let Conflict { kind, name, kept, refused } = conflict;
    format!("{refused}: the {kind} function `{name}` is refused, {kept} has one of that name")
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
