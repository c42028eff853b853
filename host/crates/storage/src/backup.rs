//! A copy of all that is stored, made while others read and write.
//!
//! RocksDB makes it: a checkpoint has the files that never change as links where that can be, and copies
//! of the others, all as of one place in the log. The large values that it refers to are added in the same
//! way; none of them is removed meanwhile.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, DBRecoveryMode};

use crate::db::{RocksStorage, open_error};
use crate::error::{Error, Result};
use crate::key::Family;
use crate::{options, recovery};

impl RocksStorage {
    /// Makes a copy in `folder`, which must not exist. It is durable when this returns; when this
    /// fails, what is there of it is of no use.
    pub(crate) fn write_backup(&self, folder: &Path) -> Result<()> {
        // What is freed before this is freed by a commit that the copy has.
        let _values_stay = self.large().begin_read();
        let checkpoint = Checkpoint::new(self.db()).map_err(Error::Backup)?;
        checkpoint.create_checkpoint(folder).map_err(Error::Backup)?;
        let options = options::to_look_at(DBRecoveryMode::PointInTime);
        let copy = DB::open_cf_for_read_only(&options, folder, [Family::Index.name()], false)
            .map_err(|cause| open_error(folder, cause))?;
        let referred = recovery::read_large_ids(&copy)?;
        drop(copy);
        self.large()
            .copy_into(folder, &referred)
            .and_then(|()| sync_all(folder))
            .map_err(|cause| Error::WriteBackup { path: folder.to_owned(), cause })
    }
}

/// Makes every file and folder below this one durable.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}
