//! [`Turns`]: what one execution lives through, turn by turn. First the recorded turns, cut out of
//! the history, then the live one, whose events nobody has seen yet.
//!
//! A recorded turn has a second half: the events that confirm the actions of that turn. A replay
//! must ask for exactly these, in this order.
//!
//! The history is let go of as soon as nothing of it is left to be replayed. The engine appends to
//! it after every turn, and would have to copy it if a suspended guest still held it.

use std::ops::Range;
use std::sync::Arc;

use everstate_types::{EventKind, HistoryEvent};

/// The turns of one execution, and which of them was taken in last.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Empty once the live turn was taken in.
    history: Arc<Vec<HistoryEvent>>,
    /// Where in the history the recorded turn that was taken in last goes on: before are events
    /// that were taken in or compared.
    position: usize,
    /// Where in the history that turn ends.
    turn_end: usize,
    /// How long the history was before the live turn.
    recorded_len: usize,
    /// The events of the live turn.
    live: Arc<Vec<HistoryEvent>>,
    /// The live turn was taken in.
    is_live: bool,
    /// How many turns were taken in.
    taken_count: u64,
}

/// The events of one turn.
pub(super) struct TurnEvents {
    events: Arc<Vec<HistoryEvent>>,
    range: Range<usize>,
    /// Whether the turn ran before.
    pub(super) is_recorded: bool,
}

impl TurnEvents {
    pub(super) fn iter(&self) -> impl Iterator<Item = &HistoryEvent> {
        self.events[self.range.clone()].iter()
    }
}

impl Turns {
    pub(super) fn new(history: Arc<Vec<HistoryEvent>>, live: Arc<Vec<HistoryEvent>>) -> Self {
        let recorded_len = history.len();
        Self {
            history,
            position: 0,
            turn_end: 0,
            recorded_len,
            live,
            is_live: false,
            taken_count: 0,
        }
    }

    /// Adds the turn after the live one, for a guest that was kept.
    pub(super) fn continue_with(&mut self, recorded_len: usize, live: Arc<Vec<HistoryEvent>>) {
        self.recorded_len = recorded_len;
        self.live = live;
        self.is_live = false;
    }

    /// Takes in the next turn, if there is one.
    pub(super) fn take_next(&mut self) -> Option<TurnEvents> {
        if self.is_live {
            return None;
        }
        self.taken_count += 1;
        let start = self.turn_end;
        let begins = |event: &HistoryEvent| event.kind == EventKind::OrchestratorStarted;
        // A pause may have been recorded before the first turn.
        let mut starts = (start..).zip(&self.history[start..]).filter(|(_, e)| begins(e));
        if starts.next().is_some() {
            self.turn_end = starts.next().map_or(self.history.len(), |(next, _)| next);
            self.position = start;
            let events = Arc::clone(&self.history);
            return Some(TurnEvents { events, range: start..self.turn_end, is_recorded: true });
        }
        self.is_live = true;
        self.history = Arc::default();
        (self.position, self.turn_end) = (0, 0);
        let events = Arc::clone(&self.live);
        Some(TurnEvents { range: 0..events.len(), events, is_recorded: false })
    }

    /// Whether the turn that was taken in last ran before.
    pub(super) fn is_recorded(&self) -> bool {
        !self.is_live
    }

    /// How many turns were taken in.
    pub(crate) fn taken_count(&self) -> u64 {
        self.taken_count
    }

    /// The next action that the recorded turn confirms, and its place in the history. `None` if
    /// the turn has no other, or is the live one.
    pub(super) fn next_confirmation(&mut self) -> Option<(usize, &HistoryEvent)> {
        let rest = &self.history[self.position..self.turn_end];
        match rest.iter().position(|event| event.event_id >= 0) {
            Some(offset) => {
                self.position += offset;
                Some((self.position, &self.history[self.position]))
            }
            None => {
                self.position = self.turn_end;
                None
            }
        }
    }

    /// Goes on to the event after the last one that [`Turns::next_confirmation`] gave.
    pub(super) fn confirmed(&mut self) {
        self.position += 1;
    }

    /// How many events of the history come before the end of the recorded turn that was taken in
    /// last.
    pub(super) fn turn_end(&self) -> usize {
        self.turn_end
    }

    /// Whether `history` is what a guest has seen that was suspended in the live turn: after what
    /// was recorded before there is that turn, with the confirmations of `actions`, and nothing
    /// else that concerns a guest.
    pub(super) fn are_seen_in(&self, history: &[HistoryEvent], actions: Range<usize>) -> bool {
        let Some(since) = history.get(self.recorded_len..) else { return false };
        let mut since = since.iter().filter(|event| concerns_guests(event));
        let mut seen = self.live.iter().filter(|event| concerns_guests(event));
        if !seen.all(|event| since.next() == Some(event)) {
            return false;
        }
        let mut number = actions.start;
        since.all(|event| {
            let is_confirmation = usize::try_from(event.event_id) == Ok(number);
            number += usize::from(is_confirmation);
            is_confirmation
                || matches!(
                    event.kind,
                    EventKind::OrchestratorCompleted | EventKind::GenericEvent { .. }
                )
        }) && number == actions.end
    }
}

/// Pauses are recorded wherever they happen, also in the middle of a turn.
fn concerns_guests(event: &HistoryEvent) -> bool {
    !matches!(event.kind, EventKind::ExecutionSuspended { .. } | EventKind::ExecutionResumed { .. })
}
