//! [`KeptComponents`]: the folder `components`, where each component that was deployed is kept, so that
//! old orchestrations keep their code.
//!
//! The time of a file's last change says when its component was last deployed or published. A
//! component goes when nothing needs it and that was a while ago: a start that found its code just
//! before it was replaced may not be in the storage yet.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use everstate_engine::clock::{Clock, SystemClock};
use everstate_types::ComponentHash;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::LoadError;

/// For how long a component is kept that nothing needs any more.
const KEPT_UNNEEDED: Duration = Duration::from_mins(10);

/// What was deployed, by content hash.
#[derive(Debug)]
pub(crate) struct KeptComponents {
    folder: PathBuf,
    /// Held while it is decided whether a file stays.
    deciding: Mutex<()>,
}

impl KeptComponents {
    /// # Errors
    /// If the folder cannot be made.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, LoadError> {
        fs::create_dir_all(&folder).map_err(|error| io_error(&folder, error))?;
        Ok(Self { folder, deciding: Mutex::new(()) })
    }

    /// Keeps a component that was deployed. When this returns it is on disk.
    pub(crate) fn keep(&self, hash: ComponentHash, bytes: &[u8]) -> Result<(), LoadError> {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(hash);
        let kept =
            if path.exists() { renew(&path) } else { write_atomically(&path, &[bytes], true) };
        kept.map_err(|error| io_error(&path, error))
    }

    /// Says that a component was needed until now.
    pub(crate) fn renew(&self, hash: ComponentHash) {
        let path = self.path(hash);
        if let Err(error) = renew(&path) {
            tracing::warn!(path = %path.display(), %error, "a component may be removed too early");
        }
    }

    /// Whether a component is kept.
    pub(crate) fn has(&self, hash: ComponentHash) -> bool {
        self.path(hash).exists()
    }

    /// Whether a component is kept; it was needed until now.
    pub(crate) fn renew_if_kept(&self, hash: ComponentHash) -> bool {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept = self.path(hash).exists();
        if is_kept {
            self.renew(hash);
        }
        is_kept
    }

    /// A component that was deployed earlier.
    pub(crate) fn read(&self, hash: ComponentHash) -> Result<Vec<u8>, LoadError> {
        let path = self.path(hash);
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => LoadError::Missing(hash),
            _ => io_error(&path, error),
        })?;
        if Sha256::digest(&bytes)[..] != hash.0 {
            return Err(LoadError::Invalid(format!("{} is damaged", path.display())));
        }
        Ok(bytes)
    }

    /// Removes the components that are not needed and were not for a while, and gives them.
    /// `is_published` is asked at the last moment.
    pub(crate) fn remove_unneeded(
        &self,
        needed: &HashSet<ComponentHash>,
        is_published: impl Fn(ComponentHash) -> bool,
    ) -> std::io::Result<Vec<ComponentHash>> {
        let mut removed = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            let Some(hash) = hash_of(&path) else { continue };
            if needed.contains(&hash) {
                continue;
            }
            let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
            if !is_published(hash) && age(&path)? >= KEPT_UNNEEDED {
                fs::remove_file(&path)?;
                removed.push(hash);
            }
        }
        Ok(removed)
    }

    fn path(&self, hash: ComponentHash) -> PathBuf {
        self.folder.join(format!("{hash}.wasm"))
    }
}

/// The component that a file keeps; `None` for other files.
fn hash_of(path: &Path) -> Option<ComponentHash> {
    ComponentHash::from_hex(path.file_name()?.to_str()?.strip_suffix(".wasm")?)
}

/// How long ago a file was changed or renewed.
fn age(path: &Path) -> std::io::Result<Duration> {
    let changed = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Duration::from_millis(SystemClock.now().as_millis()).saturating_sub(changed))
}

fn renew(path: &Path) -> std::io::Result<()> {
    let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().as_millis());
    File::options().write(true).open(path)?.set_modified(now)
}

/// Writes a file so that it is there as a whole or not at all.
pub(crate) fn write_atomically(path: &Path, parts: &[&[u8]], durably: bool) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let write = || {
        let mut file = File::create(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        if durably {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(folder) if durably => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    };
    let result = write();
    if result.is_err()
        && let Err(error) = fs::remove_file(&temporary)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(path = %temporary.display(), %error, "a temporary file stays behind");
    }
    result
}

pub(crate) fn io_error(path: &Path, source: std::io::Error) -> LoadError {
    LoadError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs::File;
    use std::time::{Duration, UNIX_EPOCH};

    use everstate_types::ComponentHash;
    use sha2::{Digest, Sha256};
    use tempfile::TempDir;

    use super::KeptComponents;

    /// Two components that were deployed a long time ago.
    fn old() -> (TempDir, KeptComponents, [ComponentHash; 2]) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kept = KeptComponents::open(folder.path().to_owned()).expect("it opens");
        let hashes = [b"a", b"b"].map(|bytes| {
            let hash = ComponentHash(Sha256::digest(bytes).into());
            kept.keep(hash, bytes).expect("writable");
            let file = File::options().write(true).open(kept.path(hash)).expect("kept");
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).expect("writable");
            hash
        });
        (folder, kept, hashes)
    }

    #[test]
    fn old_component_goes_unless_it_is_needed_or_published() {
        let (_folder, kept, [a, b]) = old();
        let needed = HashSet::from([a]);
        let removed = kept.remove_unneeded(&needed, |hash| hash == b).expect("readable");
        assert_eq!(removed, []);
        let removed = kept.remove_unneeded(&needed, |_| false).expect("readable");
        assert_eq!(removed, [b]);
        assert_eq!(kept.read(a).expect("kept"), b"a");
        assert!(kept.read(b).is_err());
    }

    #[test]
    fn component_that_was_deployed_or_needed_a_moment_ago_stays() {
        let (_folder, kept, [a, b]) = old();
        kept.keep(a, b"a").expect("writable");
        kept.renew(b);
        let removed = kept.remove_unneeded(&HashSet::new(), |_| false).expect("readable");
        assert_eq!(removed, []);
    }

    #[test]
    fn files_that_are_no_components_stay() {
        let (folder, kept, _) = old();
        let other = folder.path().join("notes.wasm");
        std::fs::write(&other, "").expect("writable");
        kept.remove_unneeded(&HashSet::new(), |_| false).expect("readable");
        assert!(other.exists());
    }
}
