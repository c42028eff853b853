//! [`verify`]: examines all that is stored, and changes nothing.
//!
//! Every row is read and decoded; rows and index are compared in both directions; histories are
//! compared with their records; messages are looked at for what they can mean. What is wrong is
//! listed, and the examination goes on. Not here: components, which the storage does not know; the report
//! says which ones are needed.

mod index;
mod messages;
mod rows;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::path::Path;

use everstate_types::{ComponentHash, InstanceId, LargeId};
use rocksdb::{DB, DBRawIterator, DBRecoveryMode, ErrorKind, ReadOptions};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use crate::db::{family, open_error};
use crate::error::{Error, Result};
use crate::format;
use crate::key::{Family, MetaKey};
use crate::large;
use crate::mark::{self, CommitMark};
use crate::{meta, options};

/// Problems that a report lists; the others are counted.
const PROBLEMS_LISTED_MAX: usize = 100;

/// Bytes that are read ahead where everything is read.
const READAHEAD_BYTES: usize = 2 << 20;

/// What an examination found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The version of the storage format; `None`: the folder does not say.
    pub format: Option<u32>,
    /// What there is.
    pub counts: Counts,
    /// What is wrong, a sentence each; the first hundred.
    pub problems: Vec<String>,
    /// How much is wrong.
    pub problem_count: u64,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// The components that orchestrations need which have not ended.
    pub pinned: BTreeMap<ComponentHash, Pinned>,
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orchestrations.
    pub orchestrations: u64,
    /// Those of them that have not ended.
    pub live: u64,
    /// Entities.
    pub entities: u64,
    /// Receipts for signals with an idempotency key.
    pub receipts: u64,
    /// Events in all histories.
    pub events: u64,
    /// Messages that were sent and not consumed.
    pub messages: u64,
    /// Messages that are delivered later and not consumed.
    pub delayed: u64,
    /// Entries of the index.
    pub index_entries: u64,
    /// Values that are files of their own.
    pub large_values: u64,
}

/// Orchestrations that need the same component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// How many.
    pub count: u64,
    /// One of them.
    pub example: InstanceId,
}

impl Report {
    /// Adds something that is wrong.
    pub fn add_problem(&mut self, problem: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_LISTED_MAX {
            self.problems.push(problem.into());
        }
    }
}

/// Examines the data in a folder, and keeps hosts out of it meanwhile.
///
/// # Errors
/// If there is no data, a process has it open, it is of another version, or it cannot be opened at all.
pub fn verify(path: &Path) -> Result<Report> {
    if !path.join(format::CURRENT).exists() {
        format::refuse_remains(path)?;
        return Err(Error::NoData { path: path.to_owned() });
    }
    let _lock = lock(path)?;
    format::refuse_other_families(path)?;
    let mut report = Report::default();
    let promised = known_durable(path, &mut report)?;
    let db = open(path, promised, &mut report)?;
    format::refuse_other_version(path, &db)?;
    let mut examination = Examination { db: &db, path, report, referred: HashSet::new() };
    examination.look_at_meta(promised);
    examination.look_at_rows();
    examination.look_at_histories();
    examination.look_at_index();
    examination.look_at_messages();
    examination.look_at_large_files();
    Ok(examination.report)
}

/// An examination under way.
struct Examination<'a> {
    db: &'a DB,
    path: &'a Path,
    report: Report,
    /// The large values that rows refer to.
    referred: HashSet<LargeId>,
}

impl Examination<'_> {
    fn look_at_meta(&mut self, promised: u64) {
        match meta::read::<u32>(self.db, MetaKey::Format) {
            Ok(Some(format)) => self.report.format = Some(format),
            Ok(None) => self.report.add_problem("the version of the storage format is missing"),
            Err(error) => self.report.add_problem(error.to_string()),
        }
        match CommitMark::read(self.db) {
            Ok(CommitMark { commit, synced }) if synced.max(promised) > commit => {
                self.report.add_problem(format!(
                    "the log ends with commit {commit}, though commit {} was durable",
                    synced.max(promised)
                ));
            }
            Ok(_) => {}
            Err(error) => self.report.add_problem(error.to_string()),
        }
    }

    fn look_at_large_files(&mut self) {
        match large::stored_ids(&large::folder_in(self.path)) {
            Ok(stored) => {
                let left = stored.iter().filter(|id| !self.referred.contains(id)).count();
                if left > 0 {
                    self.report.notes.push(format!(
                        "{left} files of large values belong to no row, as a crash leaves them; the next \
                         start removes them"
                    ));
                }
            }
            Err(error) => self.report.add_problem(error.to_string()),
        }
    }

    /// Takes note of an error, if it is one.
    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.report.add_problem(error.to_string());
                None
            }
        }
    }

    /// Takes note of why the rows of a family ended, if not because there are no more.
    fn note_end(&mut self, of: Family, rows: &DBRawIterator<'_>) {
        if let Err(cause) = rows.status() {
            let name = of.name();
            self.report.add_problem(format!(
                "the stored family `{name}` cannot be read to its end, so part of it was not \
                 examined: {cause}"
            ));
        }
    }
}

/// All rows of a family.
fn all_rows(db: &DB, of: Family) -> DBRawIterator<'_> {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_readahead_size(READAHEAD_BYTES);
    let mut rows = db.raw_iterator_cf_opt(family(db, of), options);
    rows.seek_to_first();
    rows
}

/// Takes the lock that RocksDB takes, so that no host opens the folder meanwhile. A folder without the
/// file is a copy that no host has opened; it stays as it is.
fn lock(path: &Path) -> Result<Option<File>> {
    let name = path.join("LOCK");
    let (file, operation) = match File::options().read(true).write(true).open(&name) {
        // On a disk that is only to be read, or in the folder of somebody else.
        Err(cause) if is_not_ours_to_write(&cause) => {
            (File::open(&name), FlockOperation::NonBlockingLockShared)
        }
        opened => (opened, FlockOperation::NonBlockingLockExclusive),
    };
    let refused = |cause| Error::Lock { path: name.clone(), cause };
    let file = match file {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(refused)?,
    };
    match fcntl_lock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(Error::Locked { path: path.to_owned() }),
        Err(cause) => Err(refused(cause.into())),
    }
}

fn is_not_ours_to_write(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// The last commit that is known to have been durable.
fn known_durable(path: &Path, report: &mut Report) -> Result<u64> {
    match mark::known_before_open(path) {
        Ok(known) => Ok(known.synced),
        Err(damaged @ Error::Damaged { .. }) => {
            report.add_problem(damaged.to_string());
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Opens the database without changing it; what its log has lost is noted.
fn open(path: &Path, promised: u64, report: &mut Report) -> Result<DB> {
    let names = Family::ALL.map(Family::name);
    let open =
        |recovery| DB::open_cf_for_read_only(&options::to_look_at(recovery), path, names, false);
    match open(DBRecoveryMode::TolerateCorruptedTailRecords) {
        Err(cause) if cause.kind() == ErrorKind::Corruption => {
            let last = mark::last_before_bad_record(path)?;
            if last >= promised {
                report.notes.push(
                    "the end of the log is torn, as the loss of power leaves it; what was being written \
                     then is dropped by the next start"
                        .to_owned(),
                );
            } else {
                report.add_problem(format!("the log is damaged: {cause}"));
            }
            open(DBRecoveryMode::PointInTime).map_err(|cause| open_error(path, cause))
        }
        opened => opened.map_err(|cause| open_error(path, cause)),
    }
}
