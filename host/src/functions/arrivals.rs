//! Looking at the functions folder: which components are in it, and when something happens to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// A file that has not changed for so long is taken to be complete.
const SETTLED_AFTER: Duration = Duration::from_millis(150);

/// The extension of a file that is on its way in. It is no component yet.
pub(crate) const PARTIAL: &str = "part";

/// Tells two versions of a file apart without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    len: u64,
    modified: SystemTime,
}

impl Stamp {
    /// That of a file as it is; `None`: there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        let modified = metadata.modified().ok()?;
        metadata.is_file().then_some(Self { len: metadata.len(), modified })
    }
}

/// The components in a folder, oldest first, then by name.
pub(crate) fn scan(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Stamp)>> {
    let unreadable = || format!("cannot read the functions folder {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let is_component = path.extension().is_some_and(|extension| extension == "wasm");
        // A file that is gone again since is no error.
        if let (true, Some(stamp)) = (is_component, Stamp::of(&path)) {
            found.push((path, stamp));
        }
    }
    found.sort_by(|(a_path, a), (b_path, b)| (a.modified, a_path).cmp(&(b.modified, b_path)));
    Ok(found)
}

/// The folder's files, once none has changed for a moment.
pub(crate) async fn settled(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Stamp)>> {
    let mut before = scan(folder)?;
    loop {
        tokio::time::sleep(SETTLED_AFTER).await;
        let now = scan(folder)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

/// Removes what is left of components whose way in has ended.
pub(crate) fn remove_partial(folder: &Path) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in files.map(|file| file.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_partial = name.starts_with('.') && name.ends_with(&format!(".wasm.{PARTIAL}"));
        if is_partial && let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), "a part of a component stays behind: {error}");
        }
    }
}

/// Notifies whenever something happens in a folder.
pub(crate) fn watch(folder: &Path, notify: &Arc<Notify>) -> anyhow::Result<RecommendedWatcher> {
    let notify = Arc::clone(notify);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading files is an event too; whatever cannot be told apart counts as a change.
        if event.as_ref().map_or(true, |event| !event.kind.is_access()) {
            notify.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
