//! [`KeptLogs`]: what guests logged for their instances, in files that are appended to.
//!
//! A line is handed to a thread that writes it; nobody waits for that, and nothing is synced: after a
//! loss of power the last lines may be missing. Four files of equal size follow each other, and when the
//! last is full the oldest goes. In memory is only where the lines of an instance stand. See
//! docs/decisions.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_engine::guest::{GuestLog, GuestLogLine};
use everstate_http::{GuestLogEntry, GuestLogs};
use everstate_types::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};

use super::metrics::ObserverMetrics;

/// Files that the lines are spread over.
const FILES: u64 = 4;

/// Lines that may wait to be written.
const WAITING_MAX: usize = 8_192;

/// Bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 8 << 10;

/// A line as it stands in a file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Milliseconds since 1970.
    time: u64,
    instance: String,
    function: String,
    level: String,
    message: String,
}

#[derive(Debug)]
enum Message {
    Line(Line),
    Stop,
}

/// Keeps lines, and finds them.
#[derive(Debug)]
pub(crate) struct KeptLogs {
    waiting: SyncSender<Message>,
    index: Arc<Mutex<Index>>,
    metrics: ObserverMetrics,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where lines stand.
#[derive(Debug)]
struct Index {
    folder: PathBuf,
    /// By the hash of the instance's id: file and offset, oldest first.
    places: HashMap<u64, VecDeque<(u64, u32)>>,
}

impl KeptLogs {
    /// Reads what is there, and keeps what comes.
    pub(crate) fn open(
        folder: &Path,
        bytes_max: u64,
        metrics: ObserverMetrics,
    ) -> anyhow::Result<Arc<Self>> {
        let name = || format!("the logs of guests in {}", folder.display());
        fs::create_dir_all(folder).with_context(name)?;
        let mut index = Index { folder: folder.to_owned(), places: HashMap::new() };
        let numbers = index.files().with_context(name)?;
        for number in &numbers {
            index.read_file(*number).with_context(name)?;
        }
        let next = numbers.last().map_or(0, |number| number + 1);
        let index = Arc::new(Mutex::new(index));
        let (waiting, to_write) = sync_channel(WAITING_MAX);
        let writer = Writer {
            index: Arc::clone(&index),
            file_bytes_max: (bytes_max / FILES).clamp(1 << 12, u64::from(u32::MAX)),
            metrics: metrics.clone(),
            next,
            current: None,
        };
        let thread = thread::Builder::new().name("guest-logs".to_owned());
        let thread = thread.spawn(move || writer.run(&to_write)).with_context(name)?;
        Ok(Arc::new(Self { waiting, index, metrics, thread: Mutex::new(Some(thread)) }))
    }

    /// Writes what has come so far, and ends. Blocks.
    pub(crate) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if self.waiting.send(Message::Stop).is_ok() {
            // A panic of the thread was reported where it happened.
            drop(thread.join());
        }
    }
}

impl GuestLog for KeptLogs {
    fn keep(&self, line: GuestLogLine<'_>) {
        let mut end = line.message.len().min(LINE_BYTES_MAX);
        while !line.message.is_char_boundary(end) {
            end -= 1;
        }
        let line = Line {
            time: SystemClock.now().as_millis(),
            instance: line.instance_id.to_string(),
            function: line.function.to_owned(),
            level: line.level.to_owned(),
            message: line.message[..end].to_owned(),
        };
        if self.waiting.try_send(Message::Line(line)).is_err() {
            self.metrics.log_lines_dropped.inc();
        }
    }
}

impl GuestLogs for KeptLogs {
    fn newest(&self, instance_id: &InstanceId, top: usize) -> Vec<GuestLogEntry> {
        let (folder, places) = {
            let index = lock(&self.index);
            let places = index.places.get(&hash(instance_id.as_str()));
            let newest = places.into_iter().flatten().rev().take(top).copied();
            (index.folder.clone(), newest.collect::<Vec<_>>())
        };
        let mut files: HashMap<u64, Option<File>> = HashMap::new();
        let mut lines: Vec<GuestLogEntry> = places
            .into_iter()
            .filter_map(|(number, offset)| {
                let open = || File::open(path(&folder, number)).ok();
                let file = files.entry(number).or_insert_with(open).as_mut()?;
                let line = read_line(file, offset).ok()?;
                // Two ids may have the same hash.
                (line.instance == instance_id.as_str()).then(|| GuestLogEntry {
                    timestamp: Timestamp::from_millis(line.time),
                    level: line.level,
                    function: line.function,
                    message: line.message,
                })
            })
            .collect();
        lines.reverse();
        lines
    }
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("guests-{number:016}.jsonl"))
}

fn read_line(file: &mut File, offset: u32) -> anyhow::Result<Line> {
    file.seek(SeekFrom::Start(u64::from(offset)))?;
    let mut text = Vec::new();
    BufReader::new(&mut *file).read_until(b'\n', &mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

impl Index {
    /// The numbers of the files, oldest first.
    fn files(&self) -> std::io::Result<Vec<u64>> {
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

    /// Takes note of the lines of a file. A crash may have cut off the last one.
    fn read_file(&mut self, number: u64) -> std::io::Result<()> {
        let mut file = BufReader::new(File::open(path(&self.folder, number))?);
        let (mut offset, mut text) = (0_u64, Vec::new());
        loop {
            text.clear();
            let bytes = file.read_until(b'\n', &mut text)? as u64;
            if bytes == 0 {
                return Ok(());
            }
            if let (Ok(line), Ok(place)) =
                (serde_json::from_slice::<Line>(&text), u32::try_from(offset))
            {
                self.add(hash(&line.instance), (number, place));
            }
            offset += bytes;
        }
    }

    fn add(&mut self, instance: u64, place: (u64, u32)) {
        self.places.entry(instance).or_default().push_back(place);
    }

    /// Forgets the lines of files before this one, and removes these.
    fn forget_before(&mut self, first: u64) -> std::io::Result<()> {
        for places in self.places.values_mut() {
            while places.front().is_some_and(|(number, _)| *number < first) {
                places.pop_front();
            }
        }
        self.places.retain(|_, places| !places.is_empty());
        for number in self.files()?.into_iter().filter(|number| *number < first) {
            fs::remove_file(path(&self.folder, number))?;
        }
        Ok(())
    }
}

fn hash(instance: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    instance.hash(&mut hasher);
    hasher.finish()
}

/// The thread that writes.
struct Writer {
    index: Arc<Mutex<Index>>,
    file_bytes_max: u64,
    metrics: ObserverMetrics,
    /// The number of the next file.
    next: u64,
    /// The file that is written: its number, and what it has.
    current: Option<(u64, File, u64)>,
}

impl Writer {
    fn run(mut self, from: &Receiver<Message>) {
        let mut has_failed = false;
        while let Ok(Message::Line(line)) = from.recv() {
            match self.write(&line) {
                Ok(()) => {
                    self.metrics.log_lines.inc();
                    has_failed = false;
                }
                Err(error) => {
                    self.metrics.log_lines_dropped.inc();
                    self.current = None;
                    // Said once, until it works again.
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::warn!("the logs of guests cannot be written: {error}");
                    }
                }
            }
        }
    }

    fn write(&mut self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.current.as_ref().is_none_or(|(_, _, bytes)| *bytes >= self.file_bytes_max) {
            let mut index = lock(&self.index);
            let number = self.next;
            let file = File::create(path(&index.folder, number))?;
            self.next += 1;
            self.current = Some((number, file, 0));
            index.forget_before(self.next.saturating_sub(FILES))?;
        }
        let Some((number, file, bytes)) = &mut self.current else { return Ok(()) };
        file.write_all(&text)?;
        let offset = u32::try_from(*bytes).unwrap_or(u32::MAX);
        *bytes += text.len() as u64;
        lock(&self.index).add(hash(&line.instance), (*number, offset));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use everstate_engine::guest::{GuestLog as _, GuestLogLine};
    use everstate_http::GuestLogs as _;
    use everstate_types::InstanceId;
    use tempfile::TempDir;

    use super::{KeptLogs, ObserverMetrics};

    fn open(folder: &TempDir, bytes_max: u64) -> Arc<KeptLogs> {
        let logs =
            KeptLogs::open(&folder.path().join("logs"), bytes_max, ObserverMetrics::default());
        logs.expect("it opens")
    }

    fn id(text: &str) -> InstanceId {
        InstanceId::orchestration(text).expect("a valid id")
    }

    fn keep(logs: &KeptLogs, instance: &str, message: &str) {
        let (instance_id, level) = (&id(instance), "information");
        logs.keep(GuestLogLine { instance_id, function: "F", level, message });
    }

    fn messages(logs: &KeptLogs, instance: &str, top: usize) -> Vec<String> {
        logs.newest(&id(instance), top).into_iter().map(|line| line.message).collect()
    }

    #[test]
    fn lines_are_found_by_their_instance_also_after_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let logs = open(&folder, 1 << 20);
        for number in 0..10 {
            keep(&logs, "a", &format!("a{number}"));
            keep(&logs, "b", "b \"quoted\"\nsecond line");
        }
        logs.stop();
        for logs in [logs, open(&folder, 1 << 20)] {
            assert_eq!(messages(&logs, "a", 3), ["a7", "a8", "a9"]);
            assert_eq!(messages(&logs, "b", 1), ["b \"quoted\"\nsecond line"]);
            assert!(messages(&logs, "c", 9).is_empty());
        }
    }

    #[test]
    fn oldest_lines_go_when_there_is_too_much() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let logs = open(&folder, 0);
        for number in 0..400 {
            keep(&logs, "a", &format!("{number} {}", "x".repeat(100)));
        }
        logs.stop();
        let kept = messages(&logs, "a", 1_000);
        assert!((50..200).contains(&kept.len()), "{}", kept.len());
        assert!(kept[kept.len() - 1].starts_with("399 "));
        assert_eq!(std::fs::read_dir(folder.path().join("logs")).expect("it is there").count(), 4);
    }

    #[test]
    fn line_that_a_crash_has_cut_off_is_left_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let logs = open(&folder, 1 << 20);
        keep(&logs, "a", "whole");
        keep(&logs, "a", "cut off");
        logs.stop();
        let file = folder.path().join("logs").join("guests-0000000000000000.jsonl");
        let text = std::fs::read(&file).expect("it is there");
        std::fs::write(&file, &text[..text.len() - 5]).expect("writable");
        let again = open(&folder, 1 << 20);
        keep(&again, "a", "next");
        again.stop();
        assert_eq!(messages(&again, "a", 9), ["whole", "next"]);
    }
}
