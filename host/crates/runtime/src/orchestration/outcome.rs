//! [`LiveOutcome`]: what the live turn of a script gave, as it is gathered.
//!
//! What a recorded turn gave is in the history; nothing of it is gathered again.

use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult};
use everstate_types::limits::{LOG_BYTES_MAX, LOG_LINES_MAX};
use everstate_types::{Action, Payload};

/// What the live turn gave so far.
#[derive(Debug, Default)]
pub(super) struct LiveOutcome {
    /// New actions, in order.
    pub(super) actions: Vec<Action>,
    /// Numbers of timers that the guest gave up on.
    pub(super) cancelled: Vec<i32>,
    /// `Some` if the guest set or cleared its custom status.
    pub(super) custom_status: Option<Option<Payload>>,
    logs: Vec<String>,
    /// Log lines of the whole execution that are kept, and their bytes.
    log_lines: usize,
    log_bytes: usize,
}

impl LiveOutcome {
    /// Counts a log line that is kept in the history.
    pub(super) fn count_log_line(&mut self, bytes: usize) {
        self.log_lines += 1;
        self.log_bytes += bytes;
    }

    /// Keeps a log line, if there is room for it in the history.
    pub(super) fn keep_log_line(&mut self, level: &str, line: &str) {
        let bytes = level.len() + ": ".len() + line.len();
        if self.log_lines < LOG_LINES_MAX && self.log_bytes + bytes <= LOG_BYTES_MAX {
            self.count_log_line(bytes);
            self.logs.push(format!("{level}: {line}"));
        }
    }

    /// Ends the turn; the next one begins with nothing but the room for log lines.
    pub(super) fn take(&mut self, result: OrchestrationResult) -> OrchestrationOutcome {
        OrchestrationOutcome {
            actions: std::mem::take(&mut self.actions),
            cancelled: std::mem::take(&mut self.cancelled),
            custom_status: self.custom_status.take(),
            logs: std::mem::take(&mut self.logs),
            result,
        }
    }
}
