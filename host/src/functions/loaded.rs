//! [`Loaded`]: what was made of the files, and which of them may take the place of what is served.
//!
//! What a file has takes its place at once, unless that would take functions or routes from another file,
//! or leave it without its own: then what was served before goes on, and the new version waits until
//! the conflict is over. A file of which nothing was served serves what is left to it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_http::RouteTable;
use everstate_runtime::{LoadedComponent, Runtime};
use everstate_types::{ComponentHash, Timestamp};

use super::arrivals::Stamp;
use super::retiring::Counts;
use super::shown::{Refusals, entries, served};

/// What was made of the files.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) files: HashMap<PathBuf, File>,
    /// Files in the order in which they came: of two that claim the same, the older one keeps it.
    pub(super) order: Vec<PathBuf>,
    /// Files that were served when the host ended and were not there when it started, and what they had.
    pub(super) missing: HashMap<String, ComponentHash>,
    /// Components that are not served any more, the newest first: live orchestrations may need them.
    pub(super) retiring: Vec<Arc<LoadedComponent>>,
    /// Conflicts that were reported, so that each is reported once.
    pub(super) reported: Vec<String>,
    pub(super) counts: Counts,
    /// Why the folder cannot be read.
    pub(super) unreadable: Option<String>,
}

#[derive(Debug)]
pub(super) struct File {
    /// What the file looked like when it was read.
    pub(super) stamp: Stamp,
    /// The version that is served.
    pub(super) component: Option<Arc<LoadedComponent>>,
    /// What the file has, where that conflicts with what others have.
    waiting: Option<Arc<LoadedComponent>>,
    /// Why what the file has now is not served.
    pub(super) problem: Option<String>,
    pub(super) loaded_at: Timestamp,
}

/// A version of a file that is not served.
pub(super) struct Refusal {
    pub(super) path: PathBuf,
    pub(super) component: ComponentHash,
    pub(super) message: String,
}

impl File {
    pub(super) fn hash(&self) -> Option<ComponentHash> {
        self.component.as_ref().map(|component| component.hash)
    }

    /// Serves a version.
    fn serve(&mut self, component: Arc<LoadedComponent>) {
        if self.hash() != Some(component.hash) {
            self.loaded_at = SystemClock.now();
        }
        self.component = Some(component);
        self.waiting = None;
        self.problem = None;
    }
}

impl Loaded {
    /// What is served.
    pub(super) fn components(&self) -> Vec<Arc<LoadedComponent>> {
        self.with(&[])
    }

    /// What would be served with these in the places of their files.
    pub(super) fn with(&self, others: &[Arc<LoadedComponent>]) -> Vec<Arc<LoadedComponent>> {
        let of_file = |path: &PathBuf| {
            let name = super::name(path);
            let other = others.iter().find(|it| it.file_name == name);
            other.or(self.files.get(path)?.component.as_ref()).cloned()
        };
        let mut components: Vec<_> = self.order.iter().filter_map(of_file).collect();
        let is_new = |other: &&Arc<LoadedComponent>| {
            components.iter().all(|it| it.file_name != other.file_name)
        };
        let new: Vec<_> = others.iter().filter(is_new).cloned().collect();
        components.extend(new);
        components
    }

    /// The stamps of the files that were taken.
    pub(super) fn known(&self) -> HashMap<PathBuf, Stamp> {
        self.files.iter().map(|(path, file)| (path.clone(), file.stamp)).collect()
    }

    /// What is served of each file, and what is wrong with it.
    pub(super) fn summary(&self) -> HashMap<PathBuf, (Option<ComponentHash>, Option<String>)> {
        let of_file =
            |(path, file): (&PathBuf, &File)| (path.clone(), (file.hash(), file.problem.clone()));
        self.files.iter().map(of_file).collect()
    }

    /// Takes a version that is served at once.
    pub(super) fn serve(&mut self, path: PathBuf, stamp: Stamp, component: Arc<LoadedComponent>) {
        let file = self.place(path, stamp);
        file.stamp = stamp;
        file.serve(component);
    }

    /// Takes a version that is served as soon as it conflicts with nothing. `earlier`: what was served in an
    /// earlier run of the host.
    pub(super) fn wait(
        &mut self,
        path: PathBuf,
        stamp: Stamp,
        component: Arc<LoadedComponent>,
        earlier: Option<Arc<LoadedComponent>>,
    ) {
        let file = self.place(path, stamp);
        file.stamp = stamp;
        file.component = file.component.take().or(earlier);
        file.waiting = Some(component);
        file.problem = None;
    }

    /// Takes a version that cannot be loaded.
    pub(super) fn refuse(
        &mut self,
        path: PathBuf,
        stamp: Stamp,
        problem: String,
        earlier: Option<Arc<LoadedComponent>>,
    ) {
        let file = self.place(path, stamp);
        file.stamp = stamp;
        file.component = file.component.take().or(earlier);
        file.waiting = None;
        file.problem = Some(problem);
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.files.remove(path);
        self.order.retain(|other| other != path);
    }

    fn place(&mut self, path: PathBuf, stamp: Stamp) -> &mut File {
        self.missing.remove(&super::name(&path));
        if !self.order.contains(&path) {
            self.order.push(path.clone());
        }
        let new = || File {
            stamp,
            component: None,
            waiting: None,
            problem: None,
            loaded_at: SystemClock.now(),
        };
        self.files.entry(path).or_insert_with(new)
    }

    /// Serves what waits and conflicts with nothing any more, first all of it at once, because one file may
    /// give what another one takes. Gives what is refused and was not yet, or for other reasons.
    pub(super) fn settle(&mut self, runtime: &Runtime) -> Vec<Refusal> {
        let waiting = self.waiting();
        if self.conflicts(runtime, &waiting).is_empty() {
            waiting.iter().for_each(|component| self.serve_waiting(component));
            return Vec::new();
        }
        loop {
            let waiting = self.waiting();
            let fits = |it: &&Arc<LoadedComponent>| {
                self.conflicts(runtime, std::slice::from_ref(it)).is_empty()
            };
            match waiting.iter().find(fits) {
                Some(component) => self.serve_waiting(component),
                None => break,
            }
        }
        self.waiting()
            .iter()
            .filter_map(|component| self.refuse_waiting(runtime, component))
            .collect()
    }

    fn waiting(&self) -> Vec<Arc<LoadedComponent>> {
        self.order.iter().filter_map(|path| self.files.get(path)?.waiting.clone()).collect()
    }

    fn serve_waiting(&mut self, component: &Arc<LoadedComponent>) {
        let of_it =
            self.files.iter_mut().find(|(path, _)| super::name(path) == component.file_name);
        if let Some((_, file)) = of_it {
            file.serve(Arc::clone(component));
        }
    }

    fn refuse_waiting(
        &mut self,
        runtime: &Runtime,
        component: &Arc<LoadedComponent>,
    ) -> Option<Refusal> {
        let message = self.conflicts(runtime, std::slice::from_ref(component)).join("; ");
        let refusals = refusals(runtime, &self.with(std::slice::from_ref(component)));
        let path = self.order.iter().find(|path| super::name(path) == component.file_name)?.clone();
        let file = self.files.get_mut(&path)?;
        if file.component.is_none() && !served(component, &refusals).is_empty() {
            file.serve(Arc::clone(component));
            return None;
        }
        if file.problem.as_ref() == Some(&message) {
            return None;
        }
        file.problem = Some(message.clone());
        Some(Refusal { path, component: component.hash, message })
    }

    /// The conflicts that there would be beside those that there are, with these in the places of their
    /// files.
    pub(super) fn conflicts(
        &self,
        runtime: &Runtime,
        others: &[Arc<LoadedComponent>],
    ) -> Vec<String> {
        let known: HashSet<String> = refusals(runtime, &self.components()).texts().collect();
        let with = refusals(runtime, &self.with(others));
        with.texts().filter(|conflict| !known.contains(conflict)).collect()
    }
}

/// What would be refused of these components.
fn refusals(runtime: &Runtime, components: &[Arc<LoadedComponent>]) -> Refusals {
    let (https, functions) = runtime.preview(components);
    let (_, routes) = RouteTable::build(&entries(https));
    Refusals { functions, routes }
}
