//! [`Error`]: why the storage could not do what it was asked for. None is worth trying again: those
//! of [`open`](crate::RocksStorage::open) are for the operator, those of a query for who asked, all
//! others end the process.

use std::io;
use std::path::PathBuf;

use everstate_engine::storage::{StorageError, WrongContinuation};

/// Why the storage could not do what it was asked for.
///
/// Each message is a whole sentence that contains its cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder does not exist and cannot be created, or is no folder.
    #[error("the data folder {} cannot be created: {cause}", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },

    /// Another process, or another part of this one, has the folder open.
    #[error("the data folder {} is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },

    /// The data was written by another version of Everstate, which stores differently.
    #[error(
        "the data folder {} has storage format {found}, this version of Everstate reads and writes \
         storage format {supported}",
        path.display()
    )]
    Format {
        /// The folder.
        path: PathBuf,
        /// The version that the folder has.
        found: u32,
        /// The version that this crate has.
        supported: u32,
    },

    /// Something is left of a database, but not what names its files.
    #[error(
        "the data folder {} is damaged: the file CURRENT is missing, though there is {left}; a new \
         database would begin there and remove what is left. Put back what is missing, or restore a \
         backup",
        path.display()
    )]
    Remains {
        /// The folder.
        path: PathBuf,
        /// What is left: a file.
        left: String,
    },

    /// The file that says how far the syncs have come cannot be read or written.
    #[error("the file {} cannot be read or written: {cause}", path.display())]
    Witness {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },

    /// The file that keeps other processes out cannot be opened or locked.
    #[error("the file {} cannot be locked: {cause}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },

    /// The operating system cannot read the log.
    #[error("the log in the data folder {} cannot be read: {cause}", path.display())]
    ReadLog {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },

    /// The folder cannot be read or written, or holds something else.
    #[error("the data folder {} cannot be opened: {cause}", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// RocksDB's reason.
        cause: rocksdb::Error,
    },

    /// RocksDB found its files damaged.
    #[error("the data folder {} is damaged: {cause}", path.display())]
    DamagedFiles {
        /// The folder.
        path: PathBuf,
        /// RocksDB's reason.
        cause: rocksdb::Error,
    },

    /// A row is not what was written.
    #[error("{row} is damaged: {reason}")]
    Damaged {
        /// Which row.
        row: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A query goes on from where no page of it ended.
    #[error(transparent)]
    Continuation(#[from] WrongContinuation),

    /// A value cannot be encoded.
    #[error("{row} cannot be encoded: {cause}")]
    Encode {
        /// Which row.
        row: String,
        /// The encoder's reason.
        cause: postcard::Error,
    },

    /// The operating system cannot start a thread.
    #[error("a thread of the storage cannot be started: {cause}")]
    Thread {
        /// The operating system's reason.
        cause: io::Error,
    },

    /// The file of a large value, or the folder of these, cannot be read.
    #[error("the file {} of a large value cannot be read: {cause}", path.display())]
    ReadLarge {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },

    /// The file of a large value, or the folder of these, cannot be written: the disk is full, or
    /// failed.
    #[error("the file {} of a large value cannot be written: {cause}", path.display())]
    WriteLarge {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },

    /// RocksDB could not read: the disk failed, or a file is missing.
    #[error("the data cannot be read: {0}")]
    Read(rocksdb::Error),

    /// RocksDB could not write: the disk is full, or failed.
    #[error("the data cannot be written: {0}")]
    Write(rocksdb::Error),

    /// RocksDB could not make a copy of the data.
    #[error("the data cannot be copied: {0}")]
    Backup(rocksdb::Error),

    /// The operating system could not make a copy of the data.
    #[error("the data cannot be copied to {}: {cause}", path.display())]
    WriteBackup {
        /// The folder of the copy.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },

    /// There is nothing to be looked at.
    #[error("there is no data in {}", path.display())]
    NoData {
        /// The folder.
        path: PathBuf,
    },
}

/// The result of a call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        match error {
            Error::Continuation(wrong) => Self(Box::new(wrong)),
            other => Self(Box::new(other)),
        }
    }
}
