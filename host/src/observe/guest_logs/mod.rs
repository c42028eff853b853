//! [`KeptLogs`]: what guests logged for their instances, in files that are appended to.
//!
//! A line waits for a thread that writes it; nobody waits for that, and nothing is synced: after a loss of
//! power the last lines may be missing. Four files of equal size follow each other, and when the last is
//! full the oldest goes. In memory is only where the lines of an instance stand. See docs/decisions.

mod files;
mod waiting;
mod writer;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_engine::guest::{GuestLog, GuestLogLine};
use everstate_http::{GuestLogEntry, GuestLogs};
use everstate_types::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};

use self::files::LogFiles;
use self::waiting::Waiting;
use self::writer::Writer;
use super::metrics::ObserverMetrics;

/// Bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 8 << 10;

/// The level of a line that nobody logged: the instance was purged, and what stands before is not its
/// successor's.
const PURGED: &str = "purged";

/// A line as it stands in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    /// Milliseconds since 1970.
    time: u64,
    instance: String,
    function: String,
    level: String,
    message: String,
}

/// Keeps lines, and finds them.
#[derive(Debug)]
pub(crate) struct KeptLogs {
    waiting: Arc<Waiting>,
    files: Arc<LogFiles>,
    metrics: ObserverMetrics,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl KeptLogs {
    /// Keeps what comes, and finds what is there as soon as that has been read.
    pub(crate) fn open(
        folder: &Path,
        bytes_max: u64,
        metrics: ObserverMetrics,
    ) -> anyhow::Result<Arc<Self>> {
        let name = || format!("the logs of guests in {}", folder.display());
        fs::create_dir_all(folder).with_context(name)?;
        let waiting = Arc::<Waiting>::default();
        let files = Arc::new(LogFiles::new(folder));
        let numbers = files.numbers().with_context(name)?;
        let writer =
            Writer::new(Arc::clone(&files), Arc::clone(&waiting), bytes_max, metrics.clone());
        let thread = thread::Builder::new().name("guest-logs".to_owned());
        let thread = thread.spawn(move || writer.run(&numbers)).with_context(name)?;
        Ok(Arc::new(Self { waiting, files, metrics, thread: Mutex::new(Some(thread)) }))
    }

    /// Writes what has come so far, and ends. Blocks.
    pub(crate) fn stop(&self) {
        self.waiting.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of the thread was reported where it happened.
        drop(thread.map(JoinHandle::join));
    }
}

impl GuestLog for KeptLogs {
    fn keep(&self, line: GuestLogLine<'_>) {
        let mut end = line.message.len().min(LINE_BYTES_MAX);
        while !line.message.is_char_boundary(end) {
            end -= 1;
        }
        let kept = Line {
            time: SystemClock.now().as_millis(),
            instance: line.instance_id.to_string(),
            function: line.function.to_owned(),
            level: line.level.to_owned(),
            message: line.message[..end].to_owned(),
        };
        if !self.waiting.push(line.instance_id, kept) {
            self.metrics.log_lines_dropped.inc();
        }
    }
}

impl GuestLogs for KeptLogs {
    fn newest(&self, instance_id: &InstanceId, top: usize) -> Vec<GuestLogEntry> {
        self.waiting.until_read();
        let lines = self.files.newest_first(instance_id.as_str());
        let own = lines.take_while(|line| line.level != PURGED).take(top);
        let entry = |line: Line| GuestLogEntry {
            timestamp: Timestamp::from_millis(line.time),
            level: line.level,
            function: line.function,
            message: line.message,
        };
        let mut entries: Vec<_> = own.map(entry).collect();
        entries.reverse();
        entries
    }

    fn forget(&self, instance_id: &InstanceId) {
        let mark = Line {
            time: SystemClock.now().as_millis(),
            instance: instance_id.to_string(),
            function: String::new(),
            level: PURGED.to_owned(),
            message: String::new(),
        };
        self.waiting.push_and_wait(instance_id, mark);
    }
}

#[cfg(test)]
mod tests;
