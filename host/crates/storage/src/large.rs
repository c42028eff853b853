//! [`LargeValues`]: values that are too large for a commit, a file each.
//!
//! A commit is written as a whole, and all others wait behind it. So a large value is written before
//! the commit that refers to it, by whoever has it, and the row only has the name of the file. A file
//! is there and durable before any commit refers to it, and it is removed after the commit that no
//! longer does is durable: whatever a crash leaves, each row's value is there. What a crash leaves
//! besides, no row refers to; a start removes it.
//!
//! A file is `[layout u8][checksum u32 LE][text]`; the checksum is CRC-32 (IEEE) of the id, big-endian,
//! and the text. It is not compressed: the processor would take longer than the disk.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use everstate_types::{LargeId, Payload};

use crate::codec::{checksum, damaged};
use crate::error::{Error, Result};
use crate::key::Row;

/// Values of at least this many bytes are stored by themselves. RocksDB writes a smaller one to the log
/// in the time of a few commits.
pub(crate) const LARGE_BYTES_MIN: usize = 1 << 20;

/// The folder of the files, in the data folder.
const FOLDER: &str = "large";

/// The layout of a file that is the text as it is.
const LAYOUT_TEXT: u8 = 1;

/// Bytes before the text.
const HEADER_BYTES: usize = 5;

/// So much is written and made durable at a time. The log's sync may have to wait for what other
/// files have not written yet, and so for no more than this.
const PIECE_BYTES: usize = 1 << 20;

/// The files of large values.
pub(crate) struct LargeValues {
    shared: Arc<Shared>,
    ids: Mutex<Range<u64>>,
    remover: Option<JoinHandle<()>>,
}

/// While it lives, no file is removed that a commit frees from now on.
pub(crate) struct LargeRead<'a> {
    shared: &'a Shared,
    moment: u64,
}

struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Counts the commits that freed something.
    moment: u64,
    /// How many reads have begun at which moment and have not ended.
    reads: BTreeMap<u64, usize>,
    /// What is to be removed, in the order of the commits.
    freed: VecDeque<Freed>,
    /// The last commit that is certainly durable.
    durable: u64,
    is_stopping: bool,
}

/// A value that no row refers to.
struct Freed {
    id: LargeId,
    /// The commit that freed it.
    commit: u64,
    /// Reads that began earlier may still need it.
    moment: u64,
}

impl LargeValues {
    /// The values in a data folder, whose rows refer to these. Removes all others.
    pub(crate) fn open(data_folder: &Path, mut referred: HashSet<LargeId>) -> Result<Self> {
        let folder = folder_in(data_folder);
        let mut state = State::default();
        for id in stored_ids(&folder)? {
            if !referred.remove(&id) {
                state.freed.push_back(Freed { id, commit: 0, moment: 0 });
            }
        }
        if let Some(missing) = referred.into_iter().min() {
            let reason = format!("the file {} is missing", path(&folder, missing).display());
            return Err(Error::Damaged { row: "a large value".to_owned(), reason });
        }
        let changed = Condvar::new();
        let shared = Arc::new(Shared { folder, state: Mutex::new(state), changed });
        let removes = Arc::clone(&shared);
        let remover = thread::Builder::new()
            .name("large-values".to_owned())
            .spawn(move || removes.remove_freed())
            .map_err(|cause| Error::Thread { cause })?;
        Ok(Self { shared, ids: Mutex::default(), remover: Some(remover) })
    }

    /// Stores a value, durably. `reserve` gives ids that nothing has had, and never gives them again.
    pub(crate) fn store(
        &self,
        value: &Payload,
        reserve: impl FnOnce() -> Result<Range<u64>>,
    ) -> Result<LargeId> {
        let id = self.next_id(reserve)?;
        let path = path(&self.shared.folder, id);
        write_file(&path, id, value.as_str().as_bytes())
            .and_then(|()| sync_folder(&self.shared.folder))
            .map_err(|cause| Error::WriteLarge { path, cause })?;
        Ok(id)
    }

    /// To be called before the rows are read that refer to the values.
    pub(crate) fn begin_read(&self) -> LargeRead<'_> {
        let mut state = self.shared.lock();
        let moment = state.moment;
        *state.reads.entry(moment).or_default() += 1;
        LargeRead { shared: &self.shared, moment }
    }

    /// Puts these values into the copy of a data folder, as links where that can be.
    pub(crate) fn copy_into(&self, data_folder: &Path, ids: &HashSet<LargeId>) -> io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let folder = folder_in(data_folder);
        fs::create_dir_all(&folder)?;
        for id in ids {
            let (from, to) = (path(&self.shared.folder, *id), path(&folder, *id));
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(from, to)?;
            }
        }
        Ok(())
    }

    /// These values are freed by this commit, which is written.
    pub(crate) fn free(&self, commit: u64, ids: impl Iterator<Item = LargeId>) {
        let mut state = self.shared.lock();
        state.moment += 1;
        let moment = state.moment;
        state.freed.extend(ids.map(|id| Freed { id, commit, moment }));
        self.shared.changed.notify_all();
    }

    /// All commits up to this one are durable.
    pub(crate) fn note_durable(&self, commit: u64) {
        let mut state = self.shared.lock();
        state.durable = state.durable.max(commit);
        if !state.freed.is_empty() {
            self.shared.changed.notify_all();
        }
    }

    fn next_id(&self, reserve: impl FnOnce() -> Result<Range<u64>>) -> Result<LargeId> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.is_empty() {
            create_folder(&self.shared.folder)?;
            *ids = reserve()?;
        }
        let id = ids.next().expect("at least one id was reserved");
        Ok(LargeId(id))
    }
}

impl Drop for LargeValues {
    fn drop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.changed.notify_all();
        if let Some(remover) = self.remover.take()
            && remover.join().is_err()
        {
            tracing::error!("the thread that removes large values has panicked");
        }
    }
}

impl LargeRead<'_> {
    /// The value, to which this row refers.
    pub(crate) fn value(&self, row: Row<'_>, id: LargeId) -> Result<Payload> {
        read_value(&self.shared.folder, row, id)
    }
}

impl Drop for LargeRead<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(count) = state.reads.get_mut(&self.moment) {
            *count -= 1;
            if *count == 0 {
                state.reads.remove(&self.moment);
                self.shared.changed.notify_all();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what is freed until it is told to stop.
    fn remove_freed(&self) {
        let mut state = self.lock();
        while !state.is_stopping {
            let Some(freed) = state.next_to_be_removed() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let path = path(&self.folder, freed.id);
            if let Err(cause) = fs::remove_file(&path) {
                // It takes space until the next start, which tries again.
                tracing::warn!(path = %path.display(), %cause, "a large value cannot be removed");
            }
            state = self.lock();
        }
    }
}

impl State {
    fn next_to_be_removed(&mut self) -> Option<Freed> {
        let oldest_read = self.reads.first_key_value().map_or(u64::MAX, |(moment, _)| *moment);
        let durable = self.durable;
        self.freed.pop_front_if(|freed| freed.commit <= durable && freed.moment <= oldest_read)
    }
}

/// The folder of the values in a data folder.
pub(crate) fn folder_in(data_folder: &Path) -> PathBuf {
    data_folder.join(FOLDER)
}

/// The value in one of the files of a folder, to which this row refers.
pub(crate) fn read_value(folder: &Path, row: Row<'_>, id: LargeId) -> Result<Payload> {
    let path = path(folder, id);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(row, format!("its file {} is missing", path.display())));
        }
        Err(cause) => return Err(Error::ReadLarge { path, cause }),
    };
    let (header, text) =
        read_file(file).map_err(|cause| Error::ReadLarge { path: path.clone(), cause })?;
    let is_good = match *header.as_slice() {
        [LAYOUT_TEXT, ref stored @ ..] => *stored == stored_checksum(id, &text),
        _ => false,
    };
    match String::from_utf8(text) {
        Ok(text) if is_good => Ok(Payload::from(text)),
        _ => {
            let path = path.display();
            Err(damaged(row, format!("what is in its file {path} is not what was written")))
        }
    }
}

/// The ids of the files in a folder, which need not exist.
pub(crate) fn stored_ids(folder: &Path) -> Result<Vec<LargeId>> {
    let error = |cause| Error::ReadLarge { path: folder.to_owned(), cause };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(error(cause)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(error)?.file_name();
        let id = name.to_str().filter(|name| name.len() == 16);
        ids.extend(id.and_then(|id| u64::from_str_radix(id, 16).ok()).map(LargeId));
    }
    Ok(ids)
}

/// The file of a value: its id in hexadecimal digits.
fn path(folder: &Path, id: LargeId) -> PathBuf {
    folder.join(format!("{:016x}", id.0))
}

/// Creates the folder, durably, unless it is there.
fn create_folder(folder: &Path) -> Result<()> {
    let created = match fs::create_dir(folder) {
        Ok(()) => folder.parent().map_or(Ok(()), sync_folder),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(cause),
    };
    created.map_err(|cause| Error::WriteLarge { path: folder.to_owned(), cause })
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write_file(path: &Path, id: LargeId, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(&[LAYOUT_TEXT])?;
    file.write_all(&stored_checksum(id, text))?;
    for piece in text.chunks(PIECE_BYTES) {
        file.write_all(piece)?;
        file.sync_data()?;
    }
    file.sync_all()
}

/// The header and the text; of a file that was cut short, what there is.
fn read_file(mut file: File) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    Read::by_ref(&mut file).take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    let mut text = Vec::with_capacity(bytes.saturating_sub(HEADER_BYTES));
    file.read_to_end(&mut text)?;
    Ok((header, text))
}

fn stored_checksum(id: LargeId, text: &[u8]) -> [u8; 4] {
    checksum(&id.0.to_be_bytes(), text).to_le_bytes()
}
