//! The version of the storage format: written into a new folder, checked in an old one.

use std::path::Path;

use rocksdb::{DB, DBRecoveryMode, IteratorMode};

use crate::codec;
use crate::db::{family, open_error};
use crate::error::{Error, Result};
use crate::key::{Family, MetaKey, Row};
use crate::{meta, options};

/// The version that this crate reads and writes. docs/storage-format.md has the history.
pub const FORMAT: u32 = 4;

/// Refuses a folder that has the column families of another version, before RocksDB refuses it with
/// a message that says less, or adds to it those that it lacks.
pub(crate) fn refuse_other_families(path: &Path) -> Result<()> {
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let options = options::to_look_at(DBRecoveryMode::PointInTime);
    let names = DB::list_cf(&options, path).map_err(|cause| open_error(path, cause))?;
    let has = |family: &Family| names.iter().any(|name| name == family.name());
    let meta = Family::Meta.name();
    // Every database has RocksDB's own family `default` besides.
    let as_expected = Family::ALL.iter().all(has) && names.len() == Family::ALL.len() + 1;
    if as_expected || !has(&Family::Meta) {
        return Ok(());
    }
    let db = DB::open_cf_for_read_only(&options, path, [meta], false)
        .map_err(|cause| open_error(path, cause))?;
    match meta::read(&db, MetaKey::Format)? {
        Some(found) if found != FORMAT => Err(wrong_version(path, found)),
        // RocksDB names the column families that should not be there. Those that are missing were
        // not created yet when the first open was interrupted.
        _ => Ok(()),
    }
}

/// Refuses a database of another version.
pub(crate) fn refuse_other_version(path: &Path, db: &DB) -> Result<()> {
    match meta::read(db, MetaKey::Format)? {
        Some(found) if found != FORMAT => Err(wrong_version(path, found)),
        _ => Ok(()),
    }
}

/// Writes the version into a new database.
pub(crate) fn write_into_new(db: &DB) -> Result<()> {
    match meta::read(db, MetaKey::Format)? {
        Some::<u32>(_) => Ok(()),
        None if is_empty(db)? => meta::write(db, MetaKey::Format, &FORMAT),
        None => Err(codec::damaged(Row::Meta(MetaKey::Format), "it is missing")),
    }
}

/// Whether nothing was ever stored. Only asked where the version is missing.
fn is_empty(db: &DB) -> Result<bool> {
    for each in Family::ALL {
        if let Some(row) = db.iterator_cf(family(db, each), IteratorMode::Start).next() {
            row.map_err(Error::Read)?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn wrong_version(path: &Path, found: u32) -> Error {
    Error::Format { path: path.to_owned(), found, supported: FORMAT }
}
