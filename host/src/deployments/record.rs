//! [`DeploymentRecord`]: what was deployed when, in a file of the data folder with a line of JSON for each
//! deployment.
//!
//! Lines are only added, and are on disk when [`DeploymentRecord::note`] returns. A line that a crash
//! has cut off is dropped at the next start. When the file has twice as many lines as are kept, it is
//! written anew with those that are: refusals go first, and what a file serves and served before stays.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_http::{Deployment, DeploymentAction};
use everstate_types::{ComponentHash, Timestamp};
use serde::{Deserialize, Serialize};

/// Deployments that are remembered.
const DEPLOYMENTS_MAX: usize = 1_000;

/// What was deployed when.
#[derive(Debug)]
pub(crate) struct DeploymentRecord {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Oldest first.
    deployments: Vec<Deployment>,
}

/// A line of the file: a storage format.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    id: u64,
    /// Milliseconds since 1970.
    time: u64,
    file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// The numbers of the lines of a record that cannot be read; none if there is no record. The first is 1.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn unreadable_lines(path: &Path) -> std::io::Result<Vec<usize>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines = bytes[..whole_lines(&bytes)].split(|byte| *byte == b'\n').enumerate();
    let is_unreadable =
        |line: &[u8]| !line.is_empty() && serde_json::from_slice::<Line>(line).is_err();
    Ok(lines.filter(|(_, line)| is_unreadable(line)).map(|(index, _)| index + 1).collect())
}

/// The bytes before a last line that a crash has cut off.
fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    Deployed,
    RolledBack,
    Removed,
    Refused,
}

impl DeploymentRecord {
    /// Reads what is there; begins a new file if there is none.
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let name = || format!("the record of deployments {}", path.display());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(name),
        };
        let whole = whole_lines(&bytes);
        let deployments = bytes[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .filter_map(|line| match serde_json::from_slice(line) {
                Ok(line) => Some(of_line(line)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), "a deployment cannot be read: {error}");
                    None
                }
            })
            .collect();
        let file = File::options().create(true).append(true).open(&path).with_context(name)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).with_context(name)?;
        }
        Ok(Self { inner: Mutex::new(Inner { file, deployments }), path })
    }

    /// Writes down what happened to a file, unless it is what happened to it last. When this returns it is
    /// on disk; if that fails, the log says so: what was deployed is served all the same.
    pub(crate) fn note(
        &self,
        file: &str,
        component: Option<ComponentHash>,
        action: DeploymentAction,
        message: Option<String>,
    ) {
        let mut inner = self.lock();
        if inner.is_known(file, component, action) {
            return;
        }
        let id = inner.deployments.last().map_or(1, |last| last.id + 1);
        let (time, file) = (SystemClock.now(), file.to_owned());
        inner.deployments.push(Deployment { id, time, file, component, action, message });
        if let Err(error) = inner.write_last(&self.path) {
            tracing::error!(path = %self.path.display(), "a deployment is not recorded: {error}");
        }
    }

    /// Newest first; only those of one file, if it is named.
    pub(crate) fn list(&self, file: Option<&str>) -> Vec<Deployment> {
        let inner = self.lock();
        let is_wanted = |it: &&Deployment| file.is_none_or(|file| it.file == file);
        inner.deployments.iter().rev().filter(is_wanted).cloned().collect()
    }

    /// The version of a file that was served last, if the file was not removed since.
    pub(crate) fn current(&self, file: &str) -> Option<ComponentHash> {
        self.lock().current(file)?.component
    }

    /// The version of a file that is named by the number of a deployment, or by how its hash begins.
    pub(crate) fn version(&self, file: &str, named: &str) -> Option<ComponentHash> {
        const HASH_CHARS_MIN: usize = 6;
        let id = named.parse::<u64>().ok();
        let of_file = self.list(Some(file));
        let served = || of_file.iter().filter(|it| is_served(it.action));
        let by_id = served().find(|it| id == Some(it.id));
        let by_hash = || {
            let named = named.to_ascii_lowercase();
            let is_it = |it: &&Deployment| {
                it.component.is_some_and(|hash| hash.to_string().starts_with(&named))
            };
            served().find(is_it).filter(|_| named.len() >= HASH_CHARS_MIN)
        };
        by_id.or_else(by_hash)?.component
    }

    /// The versions of a file that were served, the last one first.
    pub(crate) fn versions(&self, file: &str) -> Vec<ComponentHash> {
        let served = |it: &Deployment| it.component.filter(|_| is_served(it.action));
        self.list(Some(file)).iter().filter_map(served).collect()
    }

    /// The files that were not removed, with the version that was served last.
    pub(crate) fn all_current(&self) -> Vec<(String, ComponentHash)> {
        let files: HashSet<_> = self.list(None).into_iter().map(|it| it.file).collect();
        files.into_iter().filter_map(|file| Some((file.clone(), self.current(&file)?))).collect()
    }

    /// Which deployment brought a file that was not removed since.
    pub(crate) fn first_deployed(&self, file: &str) -> Option<u64> {
        let inner = self.lock();
        inner.deployments.iter().filter(|it| it.file == file).fold(None, |first, it| {
            match it.action {
                DeploymentAction::Deployed | DeploymentAction::RolledBack => first.or(Some(it.id)),
                DeploymentAction::Removed => None,
                DeploymentAction::Refused => first,
            }
        })
    }

    /// The last so many versions of each file.
    pub(crate) fn last_versions(&self, count: usize) -> HashSet<ComponentHash> {
        let files: HashSet<_> = self.list(None).into_iter().map(|it| it.file).collect();
        let mut kept = HashSet::new();
        for file in files {
            let mut of_file = Vec::new();
            for version in self.versions(&file) {
                if !of_file.contains(&version) && of_file.len() < count {
                    of_file.push(version);
                }
            }
            kept.extend(of_file);
        }
        kept
    }

    /// The file that had a component last.
    pub(crate) fn file_of(&self, component: ComponentHash) -> Option<String> {
        let inner = self.lock();
        let mut of_it = inner.deployments.iter().rev().filter(|it| is_served(it.action));
        of_it.find(|it| it.component == Some(component)).map(|it| it.file.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The last deployment of a file, if the file was not removed since.
    fn current(&self, file: &str) -> Option<&Deployment> {
        let of_file = |it: &&Deployment| it.file == file && it.action != DeploymentAction::Refused;
        let last = self.deployments.iter().rev().find(of_file)?;
        is_served(last.action).then_some(last)
    }

    /// Whether this is how things are already.
    fn is_known(
        &self,
        file: &str,
        component: Option<ComponentHash>,
        action: DeploymentAction,
    ) -> bool {
        let current = self.current(file);
        let last = self.deployments.iter().rev().find(|it| it.file == file);
        let is_same = |it: &Deployment| it.component == component;
        match action {
            DeploymentAction::Deployed => current.is_some_and(is_same),
            // What is served may have been brought back in the place of something broken.
            DeploymentAction::RolledBack => {
                last.is_some_and(|last| is_served(last.action) && is_same(last))
            }
            DeploymentAction::Removed => current.is_none(),
            DeploymentAction::Refused => {
                last.is_some_and(|last| last.action == action && is_same(last))
            }
        }
    }

    fn write_last(&mut self, path: &Path) -> std::io::Result<()> {
        if self.deployments.len() > 2 * DEPLOYMENTS_MAX {
            self.forget();
            return self.write_anew(path);
        }
        let last = self.deployments.last().map(line_of).unwrap_or_default();
        let end = self.file.metadata()?.len();
        let written = self.file.write_all(&last).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // The next line would stand behind a part of this one, and both would be lost.
            self.file.set_len(end)?;
        }
        written
    }

    /// Forgets what is too much, oldest first.
    fn forget(&mut self) {
        let mut surplus = self.deployments.len().saturating_sub(DEPLOYMENTS_MAX);
        let mut stays = |may_go: bool| {
            let goes = may_go && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        };
        self.deployments.retain(|it| stays(it.action == DeploymentAction::Refused));
        let needed = needed(&self.deployments);
        self.deployments.retain(|it| stays(!needed.contains(&it.id)));
    }

    fn write_anew(&mut self, path: &Path) -> std::io::Result<()> {
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&self.deployments.iter().flat_map(line_of).collect::<Vec<_>>())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = File::options().append(true).open(path)?;
        Ok(())
    }
}

/// The ids of what each file serves and of what it would go back to. A file that was removed needs nothing.
fn needed(deployments: &[Deployment]) -> HashSet<u64> {
    let mut of_file: HashMap<&str, Option<Vec<ComponentHash>>> = HashMap::new();
    let mut needed = HashSet::new();
    for it in deployments.iter().rev().filter(|it| it.action != DeploymentAction::Refused) {
        let versions = of_file.entry(&it.file).or_insert_with(|| it.component.map(|_| Vec::new()));
        if let (Some(versions), Some(component)) = (versions, it.component)
            && versions.len() < 2
            && !versions.contains(&component)
        {
            versions.push(component);
            needed.insert(it.id);
        }
    }
    needed
}

fn is_served(action: DeploymentAction) -> bool {
    matches!(action, DeploymentAction::Deployed | DeploymentAction::RolledBack)
}

fn line_of(it: &Deployment) -> Vec<u8> {
    let line = Line {
        id: it.id,
        time: it.time.as_millis(),
        file: it.file.clone(),
        hash: it.component.map(|component| component.to_string()),
        action: match it.action {
            DeploymentAction::Deployed => Action::Deployed,
            DeploymentAction::RolledBack => Action::RolledBack,
            DeploymentAction::Removed => Action::Removed,
            DeploymentAction::Refused => Action::Refused,
        },
        message: it.message.clone(),
    };
    let mut text = serde_json::to_vec(&line).expect("plain text and numbers");
    text.push(b'\n');
    text
}

fn of_line(line: Line) -> Deployment {
    Deployment {
        id: line.id,
        time: Timestamp::from_millis(line.time),
        file: line.file,
        component: line.hash.as_deref().and_then(ComponentHash::from_hex),
        action: match line.action {
            Action::Deployed => DeploymentAction::Deployed,
            Action::RolledBack => DeploymentAction::RolledBack,
            Action::Removed => DeploymentAction::Removed,
            Action::Refused => DeploymentAction::Refused,
        },
        message: line.message,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use everstate_http::DeploymentAction::{self, Deployed, Refused, Removed, RolledBack};
    use everstate_types::ComponentHash;
    use tempfile::TempDir;

    use super::{DEPLOYMENTS_MAX, DeploymentRecord};

    fn hash(number: u8) -> ComponentHash {
        ComponentHash([number; 32])
    }

    fn open(folder: &TempDir) -> DeploymentRecord {
        DeploymentRecord::open(folder.path().join("deployments.jsonl")).expect("it opens")
    }

    fn note(record: &DeploymentRecord, component: Option<u8>, action: DeploymentAction) {
        record.note("a.wasm", component.map(hash), action, None);
    }

    #[test]
    fn what_was_noted_is_there_after_a_restart_newest_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let record = open(&folder);
        note(&record, Some(1), Deployed);
        record.note("b.wasm", Some(hash(9)), Refused, Some("no component".to_owned()));
        note(&record, Some(2), Deployed);
        note(&record, Some(1), RolledBack);
        let before = record.list(None);
        drop(record);
        let record = open(&folder);
        assert_eq!(record.list(None), before);
        assert_eq!(before.iter().map(|it| it.id).collect::<Vec<_>>(), [4, 3, 2, 1]);
        assert_eq!(before[2].message.as_deref(), Some("no component"));
        assert_eq!(record.versions("a.wasm"), [hash(1), hash(2), hash(1)]);
        assert_eq!(record.current("b.wasm"), None, "it was never served");
        assert_eq!(record.file_of(hash(2)).as_deref(), Some("a.wasm"));
    }

    #[test]
    fn what_is_so_already_is_not_noted_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let record = open(&folder);
        note(&record, None, Removed);
        for _ in 0..2 {
            note(&record, Some(1), Deployed);
            note(&record, Some(3), Refused);
            note(&record, Some(3), Refused);
        }
        assert_eq!(record.list(None).len(), 2);
        note(&record, None, Removed);
        note(&record, None, Removed);
        assert_eq!(record.current("a.wasm"), None);
        note(&record, Some(1), Deployed);
        assert_eq!(record.list(Some("a.wasm")).len(), 4);
        assert_eq!(record.all_current(), [("a.wasm".to_owned(), hash(1))]);
    }

    #[test]
    fn refusals_push_out_nothing_that_is_served() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let record = open(&folder);
        note(&record, Some(1), Deployed);
        note(&record, Some(2), Deployed);
        record.note("c.wasm", Some(hash(5)), Deployed, None);
        record.note("c.wasm", None, Removed, None);
        for number in 0..=2 * DEPLOYMENTS_MAX {
            let component = if number % 2 == 0 { 3 } else { 4 };
            record.note("b.wasm", Some(hash(component)), Refused, None);
        }
        assert!(record.list(None).len() <= 2 * DEPLOYMENTS_MAX, "some are forgotten");
        for record in [record, open(&folder)] {
            assert_eq!(record.current("a.wasm"), Some(hash(2)));
            assert_eq!(record.versions("a.wasm"), [hash(2), hash(1)]);
            assert_eq!(record.all_current(), [("a.wasm".to_owned(), hash(2))]);
        }
    }

    #[test]
    fn line_that_was_cut_off_is_dropped_and_the_next_one_is_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        note(&open(&folder), Some(1), Deployed);
        let path = folder.path().join("deployments.jsonl");
        let mut file = std::fs::File::options().append(true).open(&path).expect("it is there");
        file.write_all(b"{\"id\":2,\"time\":5,\"fi").expect("writable");
        let record = open(&folder);
        note(&record, Some(2), Deployed);
        drop(record);
        assert_eq!(open(&folder).versions("a.wasm"), [hash(2), hash(1)]);
    }

    #[test]
    fn record_stays_bounded_and_keeps_the_newest() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let record = open(&folder);
        for number in 0..=2 * DEPLOYMENTS_MAX {
            note(&record, Some(u8::try_from(number % 2).expect("small")), Deployed);
        }
        note(&record, Some(7), Deployed);
        assert_eq!(record.list(None).len(), DEPLOYMENTS_MAX + 1);
        drop(record);
        let record = open(&folder);
        assert_eq!(record.list(None).len(), DEPLOYMENTS_MAX + 1);
        assert_eq!(record.list(None)[0].id, 2 * DEPLOYMENTS_MAX as u64 + 2);
        assert_eq!(record.last_versions(2), [hash(7), hash(0)].into());
    }
}
