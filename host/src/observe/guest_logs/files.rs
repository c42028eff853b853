//! [`LogFiles`]: the files, and where in them the lines of an instance stand.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use super::Line;

/// The files of a folder. Nothing in them changes; lines are added behind the last.
#[derive(Debug)]
pub(super) struct LogFiles {
    folder: PathBuf,
    /// Oldest file first.
    index: Mutex<VecDeque<FileIndex>>,
}

/// Where the lines of a file stand: eight bytes for each.
#[derive(Debug)]
pub(super) struct FileIndex {
    number: u64,
    /// The hash of the instance, and the offset of the line. In the order of the file, and in that of the
    /// hashes when no more are added.
    places: Vec<(u32, u32)>,
    is_sorted: bool,
}

/// What must be read of a line to know whose it is.
#[derive(Deserialize)]
struct Whose {
    instance: String,
}

impl LogFiles {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), index: Mutex::default() }
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("guests-{number:016}.jsonl"))
    }

    /// The numbers of the files, oldest first.
    pub(super) fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let name = file?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("guests-"));
            let number = number.and_then(|name| name.strip_suffix(".jsonl"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Takes note of the lines of a file that is older than all that are known. Gives where the last whole
    /// line ends: a crash may have cut off the one behind it.
    pub(super) fn read(&self, number: u64, is_full: bool) -> io::Result<u64> {
        let mut file = BufReader::new(File::open(self.path(number))?);
        let mut index = FileIndex::new(number);
        let (mut end, mut text) = (0_u64, Vec::new());
        loop {
            text.clear();
            let bytes = file.read_until(b'\n', &mut text)? as u64;
            if text.last() != Some(&b'\n') {
                break;
            }
            if let (Ok(line), Ok(offset)) =
                (serde_json::from_slice::<Whose>(&text), u32::try_from(end))
            {
                index.places.push((hash(&line.instance), offset));
            }
            end += bytes;
        }
        if is_full {
            index.sort();
        }
        self.lock().push_front(index);
        Ok(end)
    }

    /// A new file, behind the others. So many stay; what is older goes.
    pub(super) fn begin(&self, number: u64, files_max: usize) -> io::Result<File> {
        let file = File::options().create(true).append(true).open(self.path(number))?;
        let first = {
            let mut index = self.lock();
            if let Some(full) = index.back_mut() {
                full.sort();
            }
            index.push_back(FileIndex::new(number));
            while index.len() > files_max {
                index.pop_front();
            }
            index.front().map_or(number, |file| file.number)
        };
        for number in self.numbers()?.into_iter().filter(|number| *number < first) {
            let path = self.path(number);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!("{} stays: {error}", path.display());
            }
        }
        Ok(file)
    }

    /// A line of this instance is in the last file.
    pub(super) fn add(&self, instance: &str, offset: u32) {
        if let Some(last) = self.lock().back_mut() {
            last.places.push((hash(instance), offset));
        }
    }

    /// The lines of an instance. Reads each when it is asked for.
    pub(super) fn newest_first(&self, instance: &str) -> impl Iterator<Item = Line> {
        let hash = hash(instance);
        let places: Vec<(u64, u32)> = self
            .lock()
            .iter()
            .rev()
            .flat_map(|file| file.newest_first(hash).map(|offset| (file.number, offset)))
            .collect();
        let mut files: HashMap<u64, Option<File>> = HashMap::new();
        places.into_iter().filter_map(move |(number, offset)| {
            // One that is gone meanwhile has nothing to show any more.
            let open = || File::open(self.path(number)).ok();
            let file = files.entry(number).or_insert_with(open).as_mut()?;
            let line = read_line(file, offset).ok()?;
            // Two ids may have the same hash.
            (line.instance == instance).then_some(line)
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<FileIndex>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileIndex {
    fn new(number: u64) -> Self {
        Self { number, places: Vec::new(), is_sorted: false }
    }

    /// No more lines are added.
    fn sort(&mut self) {
        self.places.sort_unstable();
        self.places.shrink_to_fit();
        self.is_sorted = true;
    }

    fn newest_first(&self, hash: u32) -> impl Iterator<Item = u32> {
        let among = if self.is_sorted {
            let first = self.places.partition_point(|(other, _)| *other < hash);
            let end = self.places.partition_point(|(other, _)| *other <= hash);
            &self.places[first..end]
        } else {
            &self.places
        };
        let own = among.iter().rev().filter(move |(other, _)| *other == hash);
        own.map(|(_, offset)| *offset)
    }
}

fn read_line(file: &mut File, offset: u32) -> anyhow::Result<Line> {
    file.seek(SeekFrom::Start(u64::from(offset)))?;
    let mut text = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn hash(instance: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    instance.hash(&mut hasher);
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
