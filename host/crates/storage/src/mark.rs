//! [`CommitMark`]: with each commit, how far the syncs had come. And what it is for: to tell a log
//! that the loss of power tore from a log that is damaged.
//!
//! After the loss of power the end of the log may be anything: what was being written when it
//! happened was promised to nobody. RocksDB either drops all that follows a bad record, which would
//! also drop commits that were durable, or refuses to open, which would also refuse a torn end.
//! The marks decide: if any commit anywhere in the logs says that one was durable which is behind
//! the bad record, then that is damage; otherwise it is the end. What only the last sync made
//! durable has no such witness.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use rocksdb::{DB, DBRecoveryMode};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::db::open_error;
use crate::error::{Error, Result};
use crate::key::{Family, MetaKey, Row};
use crate::{meta, options};

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
}

/// Refuses a database whose log lost commits that were durable, now and at every later open.
/// `promised` is what the logs said before they were read.
pub(crate) fn refuse_lost_commits(db: &DB, promised: u64) -> Result<()> {
    let CommitMark { commit, synced } = CommitMark::read(db)?;
    let synced = synced.max(promised);
    if synced <= commit {
        return Ok(());
    }
    // RocksDB has taken the log for whole and deletes it. A mark that contradicts itself stays.
    meta::write(db, MetaKey::CommitMark, &CommitMark { commit, synced })?;
    let reason = format!("it ends with commit {commit}, though commit {synced} was durable");
    Err(Error::Damaged { row: "the log".to_owned(), reason })
}

/// The last commit before the first bad record of the log. Changes nothing on disk.
pub(crate) fn last_before_bad_record(path: &Path) -> Result<u64> {
    let options = options::to_look_at(DBRecoveryMode::PointInTime);
    let db = DB::open_cf_for_read_only(&options, path, [Family::Meta.name()], false)
        .map_err(|cause| open_error(path, cause))?;
    Ok(CommitMark::read(&db)?.commit)
}

/// The last commit that any mark in any log says was durable, be the record that it is in good or
/// bad.
pub(crate) fn promised_by_logs(path: &Path) -> Result<u64> {
    let mut promised = 0;
    let read_error = |cause| Error::ReadLog { path: path.to_owned(), cause };
    for entry in fs::read_dir(path).map_err(read_error)? {
        let log = entry.map_err(read_error)?.path();
        if log.extension().is_some_and(|extension| extension == "log") {
            match File::open(&log).and_then(promised_by_log) {
                Ok(synced) => promised = promised.max(synced),
                // Of a process that still runs; the open will say so.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => (),
                Err(cause) => return Err(read_error(cause)),
            }
        }
    }
    Ok(promised)
}

fn promised_by_log(mut log: impl Read) -> io::Result<u64> {
    let mut promised = 0;
    let mut bytes = Vec::with_capacity(READ_BYTES + OVERLAP_BYTES);
    while log.by_ref().take(READ_BYTES as u64).read_to_end(&mut bytes)? > 0 {
        promised = marks_in(&bytes).map(|mark| mark.synced).fold(promised, u64::max);
        // A mark may be half in this piece and half in the next.
        bytes.drain(..bytes.len().saturating_sub(OVERLAP_BYTES));
    }
    Ok(promised)
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
