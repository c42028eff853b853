//! [`Writer`]: the thread that reads what was kept before, and then writes what comes.

use std::fs::File;
use std::io::{self, Write as _};
use std::mem;
use std::sync::Arc;

use super::files::LogFiles;
use super::waiting::Waiting;
use super::{Line, ObserverMetrics, PURGED};

/// Files that the lines are spread over.
const FILES: usize = 4;

/// The smallest file that is of use.
const FILE_BYTES_MIN: u64 = 1 << 12;

/// Writes lines, file after file.
pub(super) struct Writer {
    files: Arc<LogFiles>,
    waiting: Arc<Waiting>,
    metrics: ObserverMetrics,
    file_bytes_max: u64,
    /// The number of the next file.
    next: u64,
    current: Option<Current>,
}

/// The file that is written.
struct Current {
    file: File,
    /// Where its last whole line ends.
    bytes: u64,
    /// Whether there may be a part of a line behind that.
    is_torn: bool,
}

impl Writer {
    pub(super) fn new(
        files: Arc<LogFiles>,
        waiting: Arc<Waiting>,
        bytes_max: u64,
        metrics: ObserverMetrics,
    ) -> Self {
        // An offset has 32 bits.
        let file_bytes_max = (bytes_max / FILES as u64).clamp(FILE_BYTES_MIN, u64::from(u32::MAX));
        Self { files, waiting, metrics, file_bytes_max, next: 0, current: None }
    }

    /// Reads the files of these numbers, then writes what comes until the end.
    pub(super) fn run(mut self, numbers: &[u64]) {
        self.read(numbers);
        self.waiting.read();
        let mut has_failed = false;
        loop {
            let lines = self.waiting.take();
            if lines.is_empty() {
                return;
            }
            for line in &lines {
                match self.write(line) {
                    Ok(()) => {
                        self.metrics.log_lines.inc();
                        has_failed = false;
                    }
                    Err(error) => {
                        self.metrics.log_lines_dropped.inc();
                        // Said once, until it works again.
                        if !mem::replace(&mut has_failed, true) {
                            tracing::warn!("the logs of guests cannot be written: {error}");
                        }
                    }
                }
            }
            self.waiting.written();
        }
    }

    /// Reads the files of these numbers, and goes on with the last of them.
    fn read(&mut self, numbers: &[u64]) {
        let Some(last) = numbers.last() else { return };
        self.next = last + 1;
        for number in numbers.iter().rev() {
            // At the end nobody asks for what is in older files.
            if self.waiting.is_closed() && number != last {
                return;
            }
            let read = self.files.read(*number, number != last);
            let read =
                read.and_then(|end| if number == last { self.go_on(*number, end) } else { Ok(()) });
            if let Err(error) = read {
                let path = self.files.path(*number);
                tracing::warn!("the logs of guests in {} cannot be read: {error}", path.display());
            }
        }
    }

    /// Goes on with a file whose last whole line ends here.
    fn go_on(&mut self, number: u64, bytes: u64) -> io::Result<()> {
        let file = File::options().append(true).open(self.files.path(number))?;
        let mut current = Current { file, bytes, is_torn: true };
        current.mend()?;
        self.current = Some(current);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.current.as_ref().is_none_or(|current| current.bytes >= self.file_bytes_max) {
            let file = self.files.begin(self.next, FILES)?;
            self.next += 1;
            self.current = Some(Current { file, bytes: 0, is_torn: false });
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        let offset = u32::try_from(current.bytes).unwrap_or(u32::MAX);
        current.append(&text)?;
        self.files.add(&line.instance, offset);
        if line.level == PURGED {
            // Who purged it is told that it is gone.
            current.file.sync_data()?;
        }
        Ok(())
    }
}

/// Nobody waits for a thread that is no more.
impl Drop for Writer {
    fn drop(&mut self) {
        self.waiting.end();
    }
}

impl Current {
    /// Adds a whole line, or nothing.
    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.is_torn = true;
        let appended = self.file.write_all(text);
        if appended.is_ok() {
            self.bytes += text.len() as u64;
            self.is_torn = false;
        } else {
            self.mend()?;
        }
        appended
    }

    /// Cuts off what is left of a line that could not be written.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.bytes)?;
            self.is_torn = false;
        }
        Ok(())
    }
}
