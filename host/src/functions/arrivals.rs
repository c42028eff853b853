//! Looking at the functions folder: which components are in it, when something happens to them, and which
//! of them have arrived.
//!
//! A file is complete when whoever wrote it has closed it, or when it came by a rename; where the operating
//! system does not say so, when it has not changed for a while. One that is cut off all the same is given
//! some seconds more. The folder is also looked at from time to time, because not all changes are told: of
//! what is behind a link, of file systems of other machines, of a folder that took the place of this one.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How often the folder is looked at though nothing is known to have happened.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How often files are looked at that have not arrived yet; one that was closed may be written once more
/// within this time.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);

/// A file that nobody closed is taken to be complete when it has not changed for so long.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// For so long after its last change a file that is cut off is taken to be still on its way.
const CUT_OFF_PATIENCE: Duration = Duration::from_secs(4);

/// The extension of a file that is on its way in. It is no component yet.
pub(crate) const PARTIAL: &str = "part";

/// Tells two versions of a file apart without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    modified: SystemTime,
    /// Device and inode: another file may have the same length and time.
    file: (u64, u64),
    /// When anything of the file was changed last, which nobody can set.
    changed: (i64, i64),
}

/// A file and what it looks like.
pub(super) type Found = (PathBuf, Stamp);

/// The folder and what is on its way into it.
#[derive(Debug)]
pub(super) struct Arrivals {
    folder: PathBuf,
    told: Arc<Told>,
    /// The watch, and the folder that it is for: another one may have taken its name.
    watch: Option<(RecommendedWatcher, (u64, u64))>,
    /// What is new or changed, as it was seen last.
    coming: HashMap<PathBuf, Coming>,
}

/// What the operating system has told.
#[derive(Debug, Default)]
struct Told {
    something: Notify,
    /// Files that nobody writes any more. A standard lock: held for a look-up.
    complete: Mutex<HashSet<PathBuf>>,
}

/// A file that is new or changed.
#[derive(Clone, Copy, Debug)]
struct Coming {
    stamp: Stamp,
    /// Since when it looks like that.
    since: Instant,
    /// Whether it was read and is cut off.
    is_cut_off: bool,
}

impl Stamp {
    /// That of a file as it is; `None`: there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        metadata.is_file().then_some(Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok()?,
            file: (metadata.dev(), metadata.ino()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Arrivals {
    pub(super) fn new(folder: PathBuf) -> Self {
        let told = Arc::<Told>::default();
        // What changed between the first look and the watch is seen now.
        told.something.notify_one();
        Self { folder, told, watch: None, coming: HashMap::new() }
    }

    /// Returns when something may have happened in the folder.
    pub(super) async fn wait(&self) {
        // Nobody need tell: then it is time to look anyway.
        let _told_or_time = timeout(POLL_INTERVAL, self.told.something.notified()).await;
    }

    /// Gives files that are on their way the time for it.
    pub(super) async fn wait_for_rest(&self) {
        sleep(LOOK_INTERVAL).await;
    }

    /// The files as far as they have arrived, and whether others are on their way. `known` are those that
    /// were taken: one of them that is being written is given as it was.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn look(
        &mut self,
        known: &HashMap<PathBuf, Stamp>,
    ) -> anyhow::Result<(Vec<Found>, bool)> {
        self.watch_folder();
        let found = scan(&self.folder)?;
        lock(&self.told.complete).retain(|path| found.iter().any(|(other, _)| other == path));
        self.coming.retain(|path, _| found.iter().any(|(other, _)| other == path));
        let (mut arrived, mut is_more_coming) = (Vec::new(), false);
        for (path, stamp) in found {
            if known.get(&path) == Some(&stamp) {
                self.coming.remove(&path);
                arrived.push((path, stamp));
            } else if self.has_arrived(&path, stamp) {
                arrived.push((path, stamp));
            } else {
                is_more_coming = true;
                arrived.extend(known.get(&path).map(|before| (path, *before)));
            }
        }
        Ok((arrived, is_more_coming))
    }

    /// Whether a file that is cut off is worth waiting for. It is looked at again then.
    pub(super) fn may_wait(&mut self, path: &Path) -> bool {
        let Some(coming) = self.coming.get_mut(path) else { return false };
        coming.is_cut_off = true;
        coming.since.elapsed() < CUT_OFF_PATIENCE
    }

    fn has_arrived(&mut self, path: &Path, stamp: Stamp) -> bool {
        let new = Coming { stamp, since: Instant::now(), is_cut_off: false };
        let coming = self.coming.entry(path.to_owned()).or_insert(new);
        if coming.stamp != stamp {
            *coming = new;
        }
        let is_complete = lock(&self.told.complete).contains(path);
        coming.since.elapsed()
            >= match (coming.is_cut_off, is_complete) {
                (true, _) => CUT_OFF_PATIENCE,
                (false, true) => LOOK_INTERVAL,
                (false, false) => SETTLED_AFTER,
            }
    }

    /// Watches the folder that has the name now.
    fn watch_folder(&mut self) {
        let id = std::fs::metadata(&self.folder).ok().map(|it| (it.dev(), it.ino()));
        if self.watch.as_ref().map(|(_, watched)| *watched) == id {
            return;
        }
        self.watch = None;
        let Some(id) = id else { return };
        match watch(&self.folder, &self.told) {
            Ok(watcher) => self.watch = Some((watcher, id)),
            Err(error) => {
                tracing::warn!(
                    "the functions folder is looked at every {POLL_INTERVAL:?}: {error}"
                );
            }
        }
    }
}

impl Told {
    /// Takes in an event; whatever cannot be told apart counts as a change.
    fn tell(&self, event: notify::Result<notify::Event>) {
        if let Ok(event) = event {
            let mut complete = lock(&self.complete);
            match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
                    complete.extend(event.paths);
                }
                // Reading files is an event too.
                EventKind::Access(_) => return,
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => {
                    for path in &event.paths {
                        complete.remove(path);
                    }
                }
                _ => {}
            }
        }
        self.something.notify_one();
    }
}

/// Notifies whenever something happens in a folder.
fn watch(folder: &Path, told: &Arc<Told>) -> notify::Result<RecommendedWatcher> {
    let told = Arc::clone(told);
    let mut watcher = notify::recommended_watcher(move |event| told.tell(event))?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// The components in a folder, oldest first, then by name.
pub(super) fn scan(folder: &Path) -> anyhow::Result<Vec<Found>> {
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

/// Removes what is left of components whose way in has ended.
pub(super) fn remove_partial(folder: &Path) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in files.map(|file| file.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_partial = name.starts_with('.') && name.ends_with(&format!(".wasm.{PARTIAL}"));
        if is_partial && let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), "a part of a component stays behind: {error}");
        }
    }
}

/// Whether bytes are the beginning of a component and not all of it: they end within its head or within a
/// section.
pub(super) fn is_cut_off(bytes: &[u8]) -> bool {
    const HEAD: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    if bytes.len() <= HEAD.len() {
        return bytes.len() < HEAD.len() && HEAD.starts_with(bytes);
    }
    let Some(mut rest) = bytes.strip_prefix(&HEAD) else { return false };
    // A byte says what a section is, a number how long it is.
    while let [_, after @ ..] = rest {
        let Some((length, body)) = leb128(after) else { return after.len() < 5 };
        let Some(next) = usize::try_from(length).ok().and_then(|length| body.get(length..)) else {
            return true;
        };
        rest = next;
    }
    false
}

/// A number of at most 32 bits, seven in a byte, and what is behind it.
fn leb128(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at(end + 1);
    let sum = number.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
    Some((sum, rest))
}

fn lock(complete: &Mutex<HashSet<PathBuf>>) -> MutexGuard<'_, HashSet<PathBuf>> {
    complete.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::time::UNIX_EPOCH;

    use super::{Arrivals, Stamp, is_cut_off, scan};

    #[test]
    fn component_that_ends_within_a_section_is_cut_off() {
        let whole = b"\0asm\x0d\0\x01\0\0\x03\x01n!\0\x81\x01".iter().copied();
        let whole: Vec<u8> = whole.chain([7; 129]).collect();
        // The places between two sections look like ends.
        for cut in (0..whole.len()).filter(|cut| ![8, 13].contains(cut)) {
            assert!(is_cut_off(&whole[..cut]), "at {cut}");
        }
        assert!(!is_cut_off(&whole));
        for other in [
            &b"no component"[..],
            b"\0asm\x01\0\0\0\x01",
            b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(!is_cut_off(other), "{other:?}");
        }
    }

    /// As builds do that give the same for the same source.
    #[test]
    fn other_file_of_the_same_length_and_time_has_another_stamp() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("writable");
            let file = fs::File::options().write(true).open(&path).expect("it is there");
            file.set_modified(UNIX_EPOCH).expect("writable");
            path
        };
        let path = write("a.wasm", "one");
        let before = Stamp::of(&path).expect("a file");
        fs::rename(write("staged", "two"), &path).expect("writable");
        let renamed = Stamp::of(&path).expect("a file");
        assert_ne!(renamed, before);
        let behind = folder.path().join("link.wasm");
        symlink(write("behind", "one"), &behind).expect("writable");
        let before = scan(folder.path()).expect("readable");
        fs::rename(write("staged", "two"), folder.path().join("behind")).expect("writable");
        assert_ne!(scan(folder.path()).expect("readable"), before);
    }

    #[test]
    fn file_that_is_being_written_is_given_as_it_was_and_a_new_one_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("known.wasm"), "one").expect("writable");
        let known: HashMap<PathBuf, Stamp> =
            scan(folder.path()).expect("readable").into_iter().collect();
        let mut arrivals = Arrivals::new(folder.path().to_owned());
        fs::write(path("known.wasm"), "one and a ha").expect("writable");
        fs::write(path("new.wasm"), "ha").expect("writable");
        let (found, is_more_coming) = arrivals.look(&known).expect("readable");
        assert!(is_more_coming);
        assert_eq!(found, known.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn folder_in_the_place_of_another_is_watched() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("functions");
        fs::create_dir(&folder).expect("writable");
        let mut arrivals = Arrivals::new(folder.clone());
        arrivals.look(&HashMap::new()).expect("readable");
        let first = arrivals.watch.as_ref().map(|(_, id)| *id).expect("it is watched");
        fs::rename(&folder, parent.path().join("other")).expect("writable");
        assert!(arrivals.look(&HashMap::new()).is_err());
        fs::create_dir(&folder).expect("writable");
        arrivals.look(&HashMap::new()).expect("readable");
        assert_ne!(arrivals.watch.as_ref().map(|(_, id)| *id), Some(first));
    }
}
