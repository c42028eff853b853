//! [`CommitMark`]: with each commit, how far the syncs had come. And what it is for: to tell a log
//! that the loss of power tore from a log that is damaged.
//!
//! After the loss of power the end of the log may be anything: what was being written when it
//! happened was promised to nobody. RocksDB either drops all that follows a bad record, which would
//! also drop commits that were durable, or refuses to open, which would also refuse a torn end.
//! The marks decide: if any commit anywhere in the logs says that one was durable which is behind
//! the bad record, then that is damage; otherwise it is the end. What the last sync made durable has
//! no mark behind it, and a log that is missing has no marks: for these there is the file beside the
//! log (`witness.rs`).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use rocksdb::{DB, DBRecoveryMode};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::db::open_error;
use crate::error::{Error, Result};
use crate::key::{Family, MetaKey, Row};
use crate::{meta, options, witness};

/// Most bytes of a stored mark: the envelope and two numbers.
const STORED_BYTES_MAX: usize = 5 + 2 * 10;

/// Bytes of a log that are looked at together.
const READ_BYTES: usize = 1 << 20;

/// Bytes of one piece that are looked at again with the next: more than a key and a mark.
const OVERLAP_BYTES: usize = 64;

/// Which commit this is, and which one was durable when it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitMark {
    /// Commits are counted from the first one in the folder.
    pub(crate) commit: u64,
    /// The last commit that was certainly durable.
    pub(crate) synced: u64,
}

impl CommitMark {
    /// The mark of the last commit in the database.
    pub(crate) fn read(db: &DB) -> Result<Self> {
        Ok(meta::read(db, MetaKey::CommitMark)?.unwrap_or_default())
    }

    fn max_of_each(self, other: Self) -> Self {
        Self { commit: self.commit.max(other.commit), synced: self.synced.max(other.synced) }
    }
}

/// What is known before the database is opened: the last commit that is in a log, and the last one that
/// is known to have been durable.
pub(crate) fn known_before_open(path: &Path) -> Result<CommitMark> {
    let logs = marks_in_logs(path)?;
    Ok(CommitMark { synced: logs.synced.max(witness::read(path)?), ..logs })
}

/// Refuses a folder whose newest log is missing or has lost what was in it, and leaves it as it is: the
/// log may be found.
pub(crate) fn refuse_missing_log(path: &Path, known: CommitMark) -> Result<()> {
    // What is in no log is in the tables, or lost. After most starts the logs are empty.
    if known.synced <= known.commit {
        return Ok(());
    }
    let last = last_before_bad_record(path)?;
    if last < known.synced { Err(lost_commits(last, known.synced)) } else { Ok(()) }
}

/// Refuses a database whose log lost commits that were durable, now and at every later open.
/// `promised` is what was known before it was opened.
pub(crate) fn refuse_lost_commits(db: &DB, promised: u64) -> Result<()> {
    let CommitMark { commit, synced } = CommitMark::read(db)?;
    let synced = synced.max(promised);
    if synced <= commit {
        return Ok(());
    }
    // RocksDB has taken the log for whole and deletes it. A mark that contradicts itself stays.
    meta::write(db, MetaKey::CommitMark, &CommitMark { commit, synced })?;
    Err(lost_commits(commit, synced))
}

fn lost_commits(last: u64, durable: u64) -> Error {
    let reason = format!("it ends with commit {last}, though commit {durable} was durable");
    Error::Damaged { row: "the log".to_owned(), reason }
}

/// The last commit before the first bad record of the log. Changes nothing on disk.
pub(crate) fn last_before_bad_record(path: &Path) -> Result<u64> {
    let options = options::to_look_at(DBRecoveryMode::PointInTime);
    let db = DB::open_cf_for_read_only(&options, path, [Family::Meta.name()], false)
        .map_err(|cause| open_error(path, cause))?;
    Ok(CommitMark::read(&db)?.commit)
}

/// The last commits that any mark in any log names, be the record that it is in good or bad.
fn marks_in_logs(path: &Path) -> Result<CommitMark> {
    let mut last = CommitMark::default();
    let read_error = |cause| Error::ReadLog { path: path.to_owned(), cause };
    for entry in fs::read_dir(path).map_err(read_error)? {
        let log = entry.map_err(read_error)?.path();
        if log.extension().is_some_and(|extension| extension == "log") {
            match File::open(&log).and_then(marks_in_log) {
                Ok(marks) => last = last.max_of_each(marks),
                // Of a process that still runs; the open will say so.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => (),
                Err(cause) => return Err(read_error(cause)),
            }
        }
    }
    Ok(last)
}

fn marks_in_log(mut log: impl Read) -> io::Result<CommitMark> {
    let mut last = CommitMark::default();
    let mut bytes = Vec::with_capacity(READ_BYTES + OVERLAP_BYTES);
    while log.by_ref().take(READ_BYTES as u64).read_to_end(&mut bytes)? > 0 {
        last = marks_in(&bytes).fold(last, CommitMark::max_of_each);
        // A mark may be half in this piece and half in the next.
        bytes.drain(..bytes.len().saturating_sub(OVERLAP_BYTES));
    }
    Ok(last)
}

/// Every mark in these bytes of a log: a key, the length of the value, and a value whose checksum
/// is right.
fn marks_in(log: &[u8]) -> impl Iterator<Item = CommitMark> {
    let key = MetaKey::CommitMark.as_str().as_bytes();
    let mark_at = move |at: usize| {
        let (&length, rest) = log.get(at + key.len()..)?.split_first()?;
        let value = rest.get(..usize::from(length).min(STORED_BYTES_MAX))?;
        codec::decode(Row::Meta(MetaKey::CommitMark), key, value).ok()
    };
    (0..log.len()).filter(move |at| log[*at..].starts_with(key)).filter_map(mark_at)
}
