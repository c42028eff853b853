//! The version of the storage format: written into a new folder, checked in an old one.

use std::fs;
use std::io;
use std::path::Path;

use rocksdb::{DB, DBRecoveryMode, IteratorMode};

use crate::codec;
use crate::db::{family, open_error};
use crate::error::{Error, Result};
use crate::key::{Family, MetaKey, Row};
use crate::{large, meta, options, witness};

/// The version that this crate reads and writes. docs/storage-format.md has the history.
pub const FORMAT: u32 = 4;

/// The file that names the others. RocksDB takes a folder without it for a new one, and removes what is
/// in it.
pub(crate) const CURRENT: &str = "CURRENT";

/// The first file that RocksDB makes in a new folder, before [`CURRENT`].
const FIRST_MANIFEST: &str = "MANIFEST-000001";

/// Refuses a folder that has no [`CURRENT`] but more than a first open leaves that was interrupted.
pub(crate) fn refuse_remains(path: &Path) -> Result<()> {
    if path.join(CURRENT).exists() {
        return Ok(());
    }
    match remains(path) {
        Ok(None) => Ok(()),
        Ok(Some(left)) => Err(Error::Remains { path: path.to_owned(), left }),
        Err(cause) => Err(Error::Create { path: path.to_owned(), cause }),
    }
}

/// A file that only a database has which was open once.
fn remains(path: &Path) -> io::Result<Option<String>> {
    let mut names = Vec::new();
    for folder in [path.to_owned(), large::folder_in(path)] {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if is_no_folder(&cause) => continue,
            Err(cause) => return Err(cause),
        };
        for entry in entries {
            let entry = entry?.path();
            let name = entry.strip_prefix(path).unwrap_or(&entry).display().to_string();
            names.push(name);
        }
    }
    let is_of_database = |name: &String| {
        [".sst", ".blob", ".log"].iter().any(|ending| name.ends_with(ending))
            || name.starts_with("OPTIONS-")
            || (name.starts_with("MANIFEST-") && name != FIRST_MANIFEST)
            || name.starts_with("large/")
            || name == witness::NAME
    };
    names.sort();
    Ok(names.into_iter().find(is_of_database))
}

fn is_no_folder(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Refuses a folder that has the column families of another version, before RocksDB refuses it with
/// a message that says less, or adds to it those that it lacks.
pub(crate) fn refuse_other_families(path: &Path) -> Result<()> {
    if !path.join(CURRENT).exists() {
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
