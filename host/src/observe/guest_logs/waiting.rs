//! [`Waiting`]: lines that wait to be written, of which each instance has its share.
//!
//! An instance may have as many bytes waiting as are free besides. So one alone fills half of the room,
//! two fill a third each, and there is always some left for one that has logged nothing yet. What does not
//! fit is dropped, until the lines before it are taken; a line behind these tells how many it were.

use std::collections::HashMap;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use everstate_types::InstanceId;

use super::Line;

/// Bytes that may wait.
const BYTES_MAX: usize = 4 << 20;

/// What a line has beside its message, about.
const LINE_OVERHEAD: usize = 256;

/// Lines between those who log and the thread that writes.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    /// Notified when lines have come, when some are written, and at the end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    bytes: usize,
    shares: HashMap<InstanceId, Share>,
    /// How many times all that waited was taken, and how many times it was written.
    taken: u64,
    written: u64,
    stage: Stage,
}

/// How far the thread that writes is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It reads what was kept before.
    #[default]
    Reading,
    Writing,
    /// It writes what is left; nothing more is taken.
    Closing,
    /// Nothing is written any more.
    Ended,
}

/// What an instance has waiting.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    /// Lines that did not fit behind those.
    dropped: u64,
    /// The last one that did not fit, without its message.
    last: Option<Line>,
}

impl Waiting {
    /// Adds a line; false: it is dropped.
    pub(super) fn push(&self, instance_id: &InstanceId, line: Line) -> bool {
        let bytes = LINE_OVERHEAD + line.message.len();
        let mut state = self.lock();
        if state.stage >= Stage::Closing {
            return false;
        }
        let free = BYTES_MAX.saturating_sub(state.bytes);
        let share = state.shares.entry(instance_id.clone()).or_default();
        if share.dropped > 0 || share.bytes + bytes > free {
            share.dropped += 1;
            share.last = Some(Line { message: String::new(), ..line });
            return false;
        }
        share.bytes += bytes;
        state.bytes += bytes;
        state.lines.push(line);
        self.changed.notify_all();
        true
    }

    /// Adds a line that is not dropped and before which nothing counts, and waits until it is written or
    /// nothing is written any more.
    pub(super) fn push_and_wait(&self, instance_id: &InstanceId, line: Line) {
        let mut state = self.lock();
        if state.stage >= Stage::Closing {
            return;
        }
        if let Some(share) = state.shares.get_mut(instance_id) {
            (share.dropped, share.last) = (0, None);
        }
        state.lines.push(line);
        let turn = state.taken + 1;
        self.changed.notify_all();
        let is_waiting = |state: &mut State| state.written < turn && state.stage < Stage::Ended;
        let waited = self.changed.wait_while(state, is_waiting);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for lines and takes them all; none: the end.
    pub(super) fn take(&self) -> Vec<Line> {
        let is_idle = |state: &mut State| {
            state.lines.is_empty() && state.shares.is_empty() && state.stage < Stage::Closing
        };
        let waited = self.changed.wait_while(self.lock(), is_idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let mut lines = mem::take(&mut state.lines);
        let shares = mem::take(&mut state.shares);
        state.bytes = 0;
        state.taken += 1;
        drop(state);
        lines.extend(shares.into_values().filter_map(|share| {
            let message = match share.dropped {
                1 => "1 line was dropped: too many came at a time".to_owned(),
                dropped => format!("{dropped} lines were dropped: too many came at a time"),
            };
            Some(Line { level: "warning".to_owned(), message, ..share.last? })
        }));
        lines
    }

    /// What was taken last is written.
    pub(super) fn written(&self) {
        let mut state = self.lock();
        state.written = state.taken;
        self.changed.notify_all();
    }

    /// What was kept before is read.
    pub(super) fn read(&self) {
        self.reach(Stage::Writing);
    }

    /// Waits until what was kept before is read, or nothing is read any more.
    pub(super) fn until_read(&self) {
        let is_reading = |state: &mut State| state.stage == Stage::Reading;
        let waited = self.changed.wait_while(self.lock(), is_reading);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes no more lines.
    pub(super) fn close(&self) {
        self.reach(Stage::Closing);
    }

    /// Whether no more lines are taken.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().stage >= Stage::Closing
    }

    /// Nothing is written any more.
    pub(super) fn end(&self) {
        self.reach(Stage::Ended);
    }

    fn reach(&self, stage: Stage) {
        let mut state = self.lock();
        state.stage = state.stage.max(stage);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use everstate_types::InstanceId;

    use super::{BYTES_MAX, LINE_OVERHEAD, Line, Waiting};

    fn push(waiting: &Waiting, instance: &str, message: &str) -> bool {
        let instance_id = InstanceId::orchestration(instance).expect("a valid id");
        let line = Line {
            time: 0,
            instance: instance.to_owned(),
            function: "F".to_owned(),
            level: "information".to_owned(),
            message: message.to_owned(),
        };
        waiting.push(&instance_id, line)
    }

    #[test]
    fn chatty_instance_fills_half_of_the_room_and_is_told_what_was_dropped() {
        let waiting = Waiting::default();
        let message = "x".repeat(1 << 10);
        let fitting = BYTES_MAX / 2 / (LINE_OVERHEAD + message.len());
        let accepted = (0..fitting + 7).filter(|_| push(&waiting, "chatty", &message)).count();
        assert_eq!(accepted, fitting);
        // Not in between, so that what is missing is missing in one place.
        assert!(!push(&waiting, "chatty", ""));
        assert!(push(&waiting, "quiet", "a line"));
        let lines = waiting.take();
        assert_eq!(lines.len(), fitting + 2);
        let told = &lines[fitting + 1];
        assert_eq!((told.instance.as_str(), told.level.as_str()), ("chatty", "warning"));
        assert_eq!(told.message, "8 lines were dropped: too many came at a time");
        assert!(push(&waiting, "chatty", &message), "there is room again");
        assert_eq!(waiting.take().len(), 1);
    }

    #[test]
    fn what_waits_is_taken_also_at_the_end_and_nothing_comes_after_it() {
        let waiting = Waiting::default();
        assert!(push(&waiting, "a", "last"));
        waiting.close();
        assert!(!push(&waiting, "a", "too late"));
        assert_eq!(waiting.take().len(), 1);
        assert!(waiting.take().is_empty());
    }
}
