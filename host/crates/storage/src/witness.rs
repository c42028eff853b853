//! [`Witness`]: the file `synced`, which says beside the log how far the syncs have come.
//!
//! A log that is missing or cut short cannot say what was in it. This file can: each sync writes the
//! last commit that it made durable over the one before. It is not synced itself, so nobody waits for
//! it. A process that is killed leaves it as it is; the loss of power may leave an older one, but none
//! that says more than the log had, because the log was durable before.
//!
//! The file is `[layout u8][checksum u32 LE][commit u64 BE]`; the checksum is CRC-32 (IEEE) of its name
//! and the commit.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::codec::checksum;
use crate::error::{Error, Result};

/// The name of the file, in the data folder.
pub(crate) const NAME: &str = "synced";

/// Its name while it is made.
const NEW: &str = "synced.new";

/// The layout of the file.
const LAYOUT: u8 = 1;

/// The layout, the checksum and the commit.
const BYTES: usize = 1 + 4 + 8;

/// The file, open to be written.
pub(crate) struct Witness {
    path: PathBuf,
    file: File,
}

impl Witness {
    /// The witness of a folder whose commits up to `last` are durable. It is made if it is missing.
    pub(crate) fn open(folder: &Path, last: u64) -> Result<Self> {
        let path = folder.join(NAME);
        let opened = if path.exists() { Ok(()) } else { create(folder, last) };
        let opened = opened.and_then(|()| File::options().write(true).open(&path));
        let file = opened.map_err(|cause| Error::Witness { path: path.clone(), cause })?;
        let witness = Self { path, file };
        witness.note(last)?;
        Ok(witness)
    }

    /// All commits up to this one are durable.
    pub(crate) fn note(&self, commit: u64) -> Result<()> {
        self.file
            .write_all_at(&encode(commit), 0)
            .map_err(|cause| Error::Witness { path: self.path.clone(), cause })
    }
}

/// The last commit that was durable in a folder, as far as its witness knows.
pub(crate) fn read(folder: &Path) -> Result<u64> {
    let path = folder.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        // No sync has been there yet, or the folder is a copy of the database.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(cause) => return Err(Error::Witness { path, cause }),
    };
    let commit = bytes.last_chunk().map_or(0, |commit| u64::from_be_bytes(*commit));
    if bytes == encode(commit) {
        return Ok(commit);
    }
    let reason = "it is not what was written; where it is missing, the log is taken for complete";
    Err(Error::Damaged { row: format!("the file {}", path.display()), reason: reason.to_owned() })
}

fn encode(commit: u64) -> [u8; BYTES] {
    let commit = commit.to_be_bytes();
    let mut bytes = [0; BYTES];
    bytes[0] = LAYOUT;
    bytes[1..5].copy_from_slice(&checksum(NAME.as_bytes(), &commit).to_le_bytes());
    bytes[5..].copy_from_slice(&commit);
    bytes
}

/// Makes the file. It is there as a whole or not at all.
fn create(folder: &Path, commit: u64) -> io::Result<()> {
    let new = folder.join(NEW);
    fs::write(&new, encode(commit))?;
    File::open(&new)?.sync_all()?;
    fs::rename(new, folder.join(NAME))?;
    File::open(folder)?.sync_all()
}
