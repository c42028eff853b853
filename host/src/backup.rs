//! A backup: a folder with all that the data folder holds and that cannot be made again.
//!
//! The storage makes its own copy ([`Client::backup`]), as of one place in the order of all changes.
//! Components are linked, because a file of that folder never changes; everything else is copied behind
//! that. The folder is written under another name and gets its own when it is complete and durable, so a
//! backup that a crash cut short is none. Bringing one back is in `restore.rs`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use everstate_engine::Client;
use everstate_engine::clock::{Clock, SystemClock};
use everstate_http::{BackupDone, BackupError, BackupFuture, Backups};
use everstate_types::ComponentHash;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

/// The version of the layout of a backup.
pub(crate) const BACKUP_FORMAT: u32 = 1;

/// The file of a backup that says what belongs to it.
pub(crate) const MANIFEST: &str = "backup.json";

/// Where the storage is, in a data folder and in a backup.
pub(crate) const STATE: &str = "state";

/// Where the components are. A file there never changes.
pub(crate) const COMPONENTS: &str = "components";

/// What can be made again is left out.
const DERIVABLE: &str = "compiled";

/// Bytes of a file that are read together.
const PIECE_BYTES: usize = 1 << 20;

/// What says of a folder that it is not complete: the end of its name, or a folder in it.
const PARTIAL_SUFFIX: &str = ".everstate-partial";

/// What file systems have in their topmost folder. It is nobody's.
const LOST_AND_FOUND: &str = "lost+found";

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    /// The version of the layout of the backup.
    pub(crate) format: u32,
    /// The version of the storage format.
    pub(crate) storage_format: u32,
    /// The version of the host that made it.
    pub(crate) version: String,
    /// When it was made.
    pub(crate) created_time: String,
    /// All files but this one.
    pub(crate) files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackupFile {
    /// Its path within the backup.
    pub(crate) path: PathBuf,
    /// How long it is.
    pub(crate) bytes: u64,
    /// SHA-256 of what is in it, in hexadecimal digits. Backups of the first hosts do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// Makes backups of a running host, one at a time.
#[derive(Debug)]
pub(crate) struct RunningBackups(Arc<Source>);

#[derive(Debug)]
struct Source {
    client: Client,
    data: PathBuf,
    running: Mutex<()>,
}

impl RunningBackups {
    /// Backups of the data in this folder, which the host of the client has open.
    pub(crate) fn new(client: Client, data: PathBuf) -> Self {
        Self(Arc::new(Source { client, data, running: Mutex::new(()) }))
    }
}

impl Source {
    async fn make(&self, target: PathBuf) -> Result<BackupDone, BackupError> {
        let Ok(_running) = self.running.try_lock() else {
            return Err(BackupError::Conflict("another backup is being made".to_owned()));
        };
        let data = self.data.clone();
        let place = tokio::task::spawn_blocking(move || check_target(&data, &target)).await;
        let place = place.map_err(|panic| BackupError::Failed(panic.to_string()))??;
        match self.write(&place).await {
            Ok(manifest) => Ok(BackupDone {
                folder: place.target,
                bytes: manifest.files.iter().map(|file| file.bytes).sum(),
                files: manifest.files.len() as u64,
            }),
            Err(error) => {
                if let Err(error) = remove(&place.partial) {
                    let path = place.partial.display();
                    tracing::warn!("what is left of a failed backup stays in {path}: {error}");
                }
                Err(BackupError::Failed(format!("{error:#}")))
            }
        }
    }

    async fn write(&self, place: &Place) -> anyhow::Result<Manifest> {
        let (data, partial) = (self.data.clone(), place.partial.clone());
        let target = place.target.clone();
        // Before the storage is copied, so that what it refers to is here even if it goes meanwhile.
        blocking(move || {
            remove(&partial)?;
            // As secret as what is in it.
            fs::DirBuilder::new().mode(0o700).create(&partial)?;
            hide(&target, &partial);
            copy_components(&data, &partial)
        })
        .await
        .with_context(|| format!("cannot write {}", place.partial.display()))?;
        self.client.backup(place.partial.join(STATE)).await?;
        let (data, place) = (self.data.clone(), place.clone());
        blocking(move || complete(&data, &place)).await
    }
}

impl Backups for RunningBackups {
    fn backup(&self, folder: PathBuf) -> BackupFuture<'_> {
        let source = Arc::clone(&self.0);
        // It goes on if whoever asked for it goes away: half of it runs in threads that cannot be
        // stopped, and another backup to the same place must not meet them.
        let made = tokio::spawn(async move { source.make(folder).await });
        Box::pin(async move {
            made.await.unwrap_or_else(|panic| Err(BackupError::Failed(panic.to_string())))
        })
    }
}

/// Where a backup comes to stand.
#[derive(Clone, Debug)]
struct Place {
    target: PathBuf,
    /// The same, while it is not complete.
    partial: PathBuf,
}

/// Refuses places where a backup cannot be, or where it would do harm.
fn check_target(data: &Path, target: &Path) -> Result<Place, BackupError> {
    let refused = |reason: String| Err(BackupError::Target(reason));
    let shown = target.display();
    if !target.is_absolute() {
        return refused(format!("`{shown}` is no absolute path"));
    }
    let (Some(parent), Some(_)) = (target.parent(), target.file_name()) else {
        return refused(format!("`{shown}` cannot be the folder of a backup"));
    };
    let Ok(parent) = parent.canonicalize() else {
        return refused(format!("there is no folder {}", parent.display()));
    };
    if data.canonicalize().is_ok_and(|data| parent.starts_with(data)) {
        return refused(format!("{shown} is in the data folder itself"));
    }
    if !is_free(target).unwrap_or(false) {
        return Err(BackupError::Conflict(format!("{shown} exists and is no empty folder")));
    }
    Ok(Place { target: target.to_owned(), partial: partial_path(target) })
}

/// Makes a folder that is there already as secret as the backup in it.
fn hide(target: &Path, partial: &Path) {
    if partial.parent() == Some(target)
        && let Err(error) = fs::set_permissions(target, fs::Permissions::from_mode(0o700))
    {
        tracing::warn!("others may see into the backup in {}: {error}", target.display());
    }
}

/// The rest of a backup, of which the storage and older components are there.
fn complete(data: &Path, place: &Place) -> anyhow::Result<Manifest> {
    let partial = &place.partial;
    copy_components(data, partial).context("cannot copy the components")?;
    copy_rest(data, partial).context("cannot copy what is beside the state")?;
    let mut files = files_in(partial)?;
    for file in &mut files {
        let hash = File::open(partial.join(&file.path)).and_then(|file| sha256(file, |_| Ok(())));
        file.sha256 = Some(hash.with_context(|| format!("cannot read {}", file.path.display()))?);
    }
    let manifest = Manifest {
        format: BACKUP_FORMAT,
        storage_format: everstate_storage::STORAGE_FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_time: SystemClock.now().to_string(),
        files,
    };
    fs::write(partial.join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
    publish(partial, &place.target)?;
    Ok(manifest)
}

/// Links all components, or copies them to another disk; those that are there already stay.
fn copy_components(data: &Path, partial: &Path) -> io::Result<()> {
    let (from, to) = (data.join(COMPONENTS), partial.join(COMPONENTS));
    fs::create_dir_all(&to)?;
    for entry in entries(&from)? {
        let (file, copy) = (entry.path(), to.join(entry.file_name()));
        // One that is being written has another ending.
        let is_component = file.extension().is_some_and(|extension| extension == "wasm");
        if !is_component || copy.exists() || fs::hard_link(&file, &copy).is_ok() {
            continue;
        }
        match fs::copy(&file, &copy) {
            // Nothing needed it any more.
            Err(error) if error.kind() == ErrorKind::NotFound && !file.exists() => {}
            copied => drop(copied?),
        }
    }
    Ok(())
}

/// Copies all that is in the data folder and is neither copied already nor derivable.
fn copy_rest(data: &Path, partial: &Path) -> io::Result<()> {
    for entry in entries(data)? {
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if [STATE, COMPONENTS, DERIVABLE, LOST_AND_FOUND].iter().any(|known| name == *known)
            || kind.is_symlink()
        {
            continue;
        }
        copy_all(&entry.path(), &partial.join(name))?;
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return match fs::copy(from, to) {
            // It was there for a moment only.
            Err(error) if error.kind() == ErrorKind::NotFound && !from.exists() => Ok(()),
            copied => copied.map(drop),
        };
    }
    fs::create_dir_all(to)?;
    entries(from)?.iter().try_for_each(|entry| copy_all(&entry.path(), &to.join(entry.file_name())))
}

/// What is in a folder; nothing if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// All files below a folder, by path.
pub(crate) fn files_in(folder: &Path) -> io::Result<Vec<BackupFile>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(within) = folders.pop() {
        for entry in entries(&folder.join(&within))? {
            let path = within.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                let (bytes, sha256) = (entry.metadata()?.len(), None);
                files.push(BackupFile { path, bytes, sha256 });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// SHA-256 of what is read, in hexadecimal digits. Each piece is handed on.
pub(crate) fn sha256(
    mut from: impl Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => {
                hasher.update(&piece[..bytes]);
                each(&piece[..bytes])?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ComponentHash(hasher.finalize().into()).to_string())
}

/// Whether nothing is there but perhaps an empty folder, or what is left of a copy that was cut short.
pub(crate) fn is_free(folder: &Path) -> io::Result<bool> {
    let is_nothing = |entry: &fs::DirEntry| {
        [PARTIAL_SUFFIX, LOST_AND_FOUND].iter().any(|name| entry.file_name() == *name)
    };
    Ok(entries(folder)?.iter().all(is_nothing))
}

/// Where a folder is written while it is not complete: beside it, so that it comes by one rename; or in it, if
/// it is there already, because it may be a mount point, which no rename replaces.
pub(crate) fn partial_path(target: &Path) -> PathBuf {
    if target.is_dir() {
        return target.join(PARTIAL_SUFFIX);
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(PARTIAL_SUFFIX);
    target.with_file_name(name)
}

/// Makes a folder durable and gives it its name, or moves what is in it to where it belongs.
pub(crate) fn publish(partial: &Path, target: &Path) -> anyhow::Result<()> {
    sync_all(partial).with_context(|| format!("cannot make {} durable", partial.display()))?;
    if partial.parent() == Some(target) {
        return move_up(partial, target)
            .with_context(|| format!("cannot move what is in {}", partial.display()));
    }
    fs::rename(partial, target)
        .with_context(|| format!("cannot name the folder {}", target.display()))?;
    let parent = target.parent().context("the folder has a parent")?;
    Ok(File::open(parent)?.sync_all()?)
}

/// Moves all that is in a folder to the one above it. What says that it is complete comes last: the state of
/// a data folder, the list of a backup.
fn move_up(partial: &Path, target: &Path) -> io::Result<()> {
    let mut names: Vec<_> = entries(partial)?.iter().map(fs::DirEntry::file_name).collect();
    names.sort_by_key(|name| (name == MANIFEST, name == STATE));
    for name in names {
        fs::rename(partial.join(&name), target.join(&name))?;
        File::open(target)?.sync_all()?;
    }
    fs::remove_dir(partial)?;
    File::open(target)?.sync_all()
}

/// Refuses a data folder into which a restore was cut short.
///
/// # Errors
/// If something is left of the restore that is not where it belongs.
pub(crate) fn check_complete(data: &Path) -> anyhow::Result<()> {
    let partial = data.join(PARTIAL_SUFFIX);
    // Empty: it was cut short at the very end.
    if !partial.exists() || fs::remove_dir(&partial).is_ok() {
        return Ok(());
    }
    anyhow::bail!(
        "a restore into {} was interrupted ({} is there): remove what is in it and restore again",
        data.display(),
        partial.display()
    )
}

fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in entries(folder)? {
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> anyhow::Result<T>
where
    T: Send + 'static,
    E: Into<anyhow::Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await?.map_err(Into::into)
}
