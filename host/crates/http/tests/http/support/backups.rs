//! Backups that are made of nothing.

use std::path::PathBuf;

use everstate_http::{BackupDone, BackupError, BackupFuture, Backups};

/// Backups of which one folder is taken, one cannot be, and one is on a full disk.
#[derive(Debug)]
pub(crate) struct FakeBackups;

impl Backups for FakeBackups {
    fn backup(&self, folder: PathBuf) -> BackupFuture<'_> {
        Box::pin(async move {
            match folder.to_str() {
                Some("/taken") => Err(BackupError::Conflict("/taken exists".to_owned())),
                Some("/full") => Err(BackupError::Failed("No space left on device".to_owned())),
                Some(path) if path.starts_with('/') => {
                    Ok(BackupDone { folder, bytes: 7, files: 2 })
                }
                _ => Err(BackupError::Target("it is no absolute path".to_owned())),
            }
        })
    }
}
