//! [`Backups`]: what the HTTP surface asks of whoever can make a copy of all that the host holds.
//!
//! Not a seam of the system: there is one implementation, in the process. The trait keeps folders and
//! disks out of this crate.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;

/// A backup under way.
pub type BackupFuture<'a> =
    Pin<Box<dyn Future<Output = Result<BackupDone, BackupError>> + Send + 'a>>;

/// Makes backups, one at a time.
pub trait Backups: Send + Sync + fmt::Debug + 'static {
    /// Makes a backup in a folder, which must not exist or be empty. It is there as a whole or not at
    /// all, and has all that was answered before this call.
    fn backup(&self, folder: PathBuf) -> BackupFuture<'_>;
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupDone {
    /// Where it is.
    pub folder: PathBuf,
    /// How many bytes its files have. Files that it shares with the data folder count as well.
    pub bytes: u64,
    /// How many files it has.
    pub files: u64,
}

/// Why there is no backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// It cannot be there.
    #[error("{0}")]
    Target(String),
    /// Something else is there, or under way.
    #[error("{0}")]
    Conflict(String),
    /// It could not be written. What is stored is as it was.
    #[error("{0}")]
    Failed(String),
}
