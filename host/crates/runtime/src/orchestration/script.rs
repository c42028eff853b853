//! [`Script`]: what one execution of an orchestrator may see, and what it has asked for.
//!
//! A replay re-enacts the recorded turns. The guest runs until it waits for what has not come; then
//! the next turn is taken in, with its clock and its events, and the guest goes on. It may ask for
//! exactly the actions that the recorded turn confirms. When the recorded turns are over, the live
//! one is taken in the same way, and its actions are new. When that is over, the guest is suspended.
//!
//! A guest that is kept in the meantime lives through the same turns in the same order, so that
//! nothing it sees depends on whether it was kept or replayed.
//!
//! The script is pure data without guest, clock or I/O, so that replay can be tested without
//! WebAssembly.

mod replay;

use everstate_engine::guest::{
    Awaited, OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use everstate_types::limits::ACTIONS_MAX;
use everstate_types::{Action, EventKind, Failure, FunctionName, Payload, Timestamp};
use rand_chacha::ChaCha12Rng;

use super::events::Events;
use super::handles::{Handles, Outcome, State};
use super::history::completion_of;
use super::outcome::LiveOutcome;
use super::section::{Section, Violation};
use super::turns::{TurnEvents, Turns};

/// Handles of waiters for events have this bit: they are no actions and have numbers of their own.
const EVENT_BIT: u32 = 1 << 31;

/// One execution as its guest sees it.
#[derive(Debug)]
pub(crate) struct Script {
    /// The execution, and what is known of it. Without its events: they are in `turns`.
    pub(crate) item: OrchestrationWorkItem,
    turns: Turns,
    /// What the execution was started with.
    input: Payload,
    /// The orchestrator's clock.
    time: Timestamp,
    handles: Handles,
    section: Section,
    events: Events,
    /// Counts completions and events as they arrive.
    arrivals: u32,
    /// How many actions there were before the live turn.
    recorded_actions: usize,
    /// What the live turn gave so far.
    live: LiveOutcome,
    /// The input of the next generation, and whether events go along.
    next_generation: Option<(Payload, bool)>,
    /// The guest waits for what has not come.
    is_waiting: bool,
    /// The handles that it waits for, or has waited for last.
    waits_for: Vec<u32>,
    /// Why the run cannot go on, if it does not follow its history.
    divergence: Option<Failure>,
    guids: u64,
    /// The generator behind `random`, once it is used.
    pub(crate) random: Option<ChaCha12Rng>,
    /// What the guest has allocated, as of its last wait, in bytes.
    pub(crate) memory_grown_bytes: usize,
}

/// A handle and how what it stands for has ended.
pub(crate) type Delivery = (u32, Outcome);

/// Why a call of the guest got no answer, or is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    /// The script has the failure.
    #[error("the run does not follow its history")]
    Diverged,
    /// More actions, or more waiters for events, than [`ACTIONS_MAX`].
    #[error(
        "one execution has at most {ACTIONS_MAX} actions and as many waits for events; use \
         continue-as-new"
    )]
    TooMany,
    /// A wait for something that cannot come; the text says why.
    #[error("{0}")]
    BadHandle(String),
    /// A critical section forbids it.
    #[error(transparent)]
    Forbidden(#[from] Violation),
    /// There is no entity function of that name; the text says so. The action is recorded.
    #[error("{0}")]
    NoSuchEntity(String),
    /// An unlock of something else than a lock.
    #[error("unlock-entities: handle {0} is none of a lock")]
    NoLock(u32),
}

impl Script {
    /// A script for the first turn, or for a replay.
    pub(crate) fn new(mut item: OrchestrationWorkItem) -> Self {
        let history = std::mem::take(&mut item.history);
        let turns = Turns::new(history, std::mem::take(&mut item.new_events));
        let mut script = Self {
            item,
            turns,
            input: Payload::null(),
            time: Timestamp::default(),
            handles: Handles::default(),
            section: Section::default(),
            events: Events::default(),
            arrivals: 0,
            recorded_actions: 0,
            live: LiveOutcome::default(),
            next_generation: None,
            is_waiting: false,
            waits_for: Vec::new(),
            divergence: None,
            guids: 0,
            random: None,
            memory_grown_bytes: 0,
        };
        if let Some(first) = script.turns.take_next() {
            script.take_in(&first);
        }
        script
    }

    /// Whether a guest that is suspended with this script may go on with `item` instead of being
    /// replayed: it has lived through exactly what the history holds.
    pub(crate) fn fits(&self, item: &OrchestrationWorkItem) -> bool {
        let was_rewound =
            item.new_events.iter().any(|e| matches!(e.kind, EventKind::ExecutionRewound { .. }));
        let actions = self.recorded_actions..self.handles.len();
        self.item.execution_id == item.execution_id
            && self.item.component == item.component
            && self.item.name == item.name
            && !was_rewound
            && self.turns.are_seen_in(&item.history, actions)
    }

    /// Adds the next turn, for a suspended guest. It is taken in when the guest looks.
    pub(crate) fn continue_with(&mut self, mut item: OrchestrationWorkItem) {
        let history = std::mem::take(&mut item.history);
        self.turns.continue_with(history.len(), std::mem::take(&mut item.new_events));
        self.item = item;
        self.is_waiting = false;
    }

    fn take_in(&mut self, turn: &TurnEvents) {
        if !turn.is_recorded {
            self.recorded_actions = self.handles.len();
        }
        for event in turn.iter() {
            match &event.kind {
                EventKind::OrchestratorStarted => self.time = self.time.max(event.timestamp),
                EventKind::ExecutionStarted { input, .. } => self.input = input.clone(),
                EventKind::GenericEvent { data } if turn.is_recorded => {
                    self.live.count_log_line(data.len());
                }
                EventKind::EventRaised { name, input } => {
                    self.arrivals += 1;
                    self.events.raise(self.arrivals, name, input.clone());
                }
                kind => {
                    if let Some((number, outcome)) = completion_of(kind) {
                        self.arrivals += 1;
                        self.section.arrived(number, outcome.is_err());
                        self.handles.complete(number, self.arrivals, outcome);
                    }
                }
            }
        }
    }

    /// What the execution was started with; `null` if with nothing.
    pub(crate) fn input(&self) -> &Payload {
        &self.input
    }

    /// The orchestrator's clock.
    pub(crate) fn current_time(&self) -> Timestamp {
        self.time
    }

    /// Whether what runs now ran in an earlier turn.
    pub(crate) fn is_replaying(&self) -> bool {
        self.turns.is_recorded()
    }

    /// Whether the guest waits for what has not come.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// How many turns the guest has lived through.
    pub(crate) fn turns_count(&self) -> u64 {
        self.turns.taken_count()
    }

    /// Counts the GUIDs that were given out.
    pub(crate) fn next_guid(&mut self) -> u64 {
        self.guids += 1;
        self.guids
    }

    /// The number that the next action will get.
    pub(crate) fn next_number(&self) -> i32 {
        i32::try_from(self.handles.len()).unwrap_or(i32::MAX)
    }

    /// The first attempt at the same work as the activity `handle`, and the number of the next
    /// attempt. `None` if that is no activity of this name.
    pub(crate) fn next_attempt(&self, handle: u32, name: &FunctionName) -> Option<(i32, u32)> {
        self.handles.next_attempt(handle, name)
    }

    /// The guest asks for something; gives the handle, for what completes.
    pub(crate) fn act(&mut self, action: Action) -> Result<u32, ScriptError> {
        let number = self.handles.len();
        let handle = u32::try_from(number).unwrap_or(u32::MAX);
        // What is held can always be given back.
        if handle >= ACTIONS_MAX && !matches!(action, Action::UnlockEntity { .. }) {
            return Err(ScriptError::TooMany);
        }
        self.section.check(&action)?;
        self.handles.push(&action);
        self.section.asked(number, &action);
        let refusal = if self.is_replaying() {
            self.repeat(number, &action)?
        } else {
            let refusal = refusal_of(&action);
            self.live.actions.push(action);
            refusal
        };
        refusal.map_or(Ok(handle), |refusal| Err(ScriptError::NoSuchEntity(refusal)))
    }

    /// The guest gives back what a lock holds, or gives the lock up. Without effect on one that it has
    /// not, or not any more.
    pub(crate) fn unlock(&mut self, lock: u32) -> Result<(), ScriptError> {
        match self.handles.is_lock(lock as usize) {
            true => self.leave(lock),
            false => Err(ScriptError::NoLock(lock)),
        }
    }

    /// Ends the critical section of a lock, if it is the one that is open.
    fn leave(&mut self, lock: u32) -> Result<(), ScriptError> {
        let Some(entities) = self.section.leave(lock as usize) else { return Ok(()) };
        self.handles.cancel(lock as usize);
        let lock = i32::try_from(lock).unwrap_or(i32::MAX);
        for entity in entities {
            self.act(Action::UnlockEntity { lock, entity })?;
        }
        Ok(())
    }

    /// The guest waits for the next event of a name; gives the handle.
    pub(crate) fn wait_for_event(&mut self, name: &str) -> Result<u32, ScriptError> {
        let handle = u32::try_from(self.events.waiters_count()).unwrap_or(u32::MAX);
        if handle >= ACTIONS_MAX {
            return Err(ScriptError::TooMany);
        }
        self.events.wait(name, self.time);
        Ok(handle | EVENT_BIT)
    }

    /// Takes the completion that came first among these handles, if need be in a later turn.
    /// `None`: there is no later turn; the guest has to wait.
    pub(crate) fn wait_any(&mut self, handles: &[u32]) -> Result<Option<Delivery>, ScriptError> {
        if handles.is_empty() {
            return Err(ScriptError::BadHandle("wait-any without handles never ends".to_owned()));
        }
        loop {
            if let Some(handle) = self.first_ready(handles)? {
                return Ok(self.take(handle).map(|outcome| (handle, outcome)));
            }
            self.check_all_repeated("waits")?;
            let Some(turn) = self.turns.take_next() else {
                self.is_waiting = true;
                self.waits_for.clear();
                self.waits_for.extend_from_slice(handles);
                return Ok(None);
            };
            self.take_in(&turn);
        }
    }

    /// What the guest waits for.
    pub(crate) fn awaited(&self) -> Vec<Awaited> {
        let awaited = |handle: &u32| match waiter(*handle) {
            Some(number) => {
                let (name, since) = self.events.awaited(number)?;
                Some(Awaited::Event { name: name.to_owned(), since })
            }
            None => i32::try_from(*handle).ok().map(Awaited::Action),
        };
        self.waits_for.iter().filter_map(awaited).collect()
    }

    fn first_ready(&self, handles: &[u32]) -> Result<Option<u32>, ScriptError> {
        let mut first: Option<(u32, u32)> = None;
        for &handle in handles {
            let problem = match self.state(handle) {
                Some(State::Open) => continue,
                Some(State::Ready(order)) => {
                    if first.is_none_or(|(earliest, _)| order < earliest) {
                        first = Some((order, handle));
                    }
                    continue;
                }
                Some(State::Silent) | None => "is unknown",
                Some(State::Taken) => "was taken before",
                Some(State::Cancelled) => "was cancelled",
            };
            return Err(ScriptError::BadHandle(format!("wait-any: handle {handle} {problem}")));
        }
        Ok(first.map(|(_, handle)| handle))
    }

    fn state(&self, handle: u32) -> Option<State> {
        match waiter(handle) {
            Some(number) => self.events.state(number),
            None => self.handles.state(handle as usize),
        }
    }

    fn take(&mut self, handle: u32) -> Option<Outcome> {
        match waiter(handle) {
            Some(number) => self.events.take(number).map(Ok),
            None => {
                self.section.taken(handle as usize);
                self.handles.take(handle as usize)
            }
        }
    }

    /// The guest gives up on a handle. For a lock that it waits for, that is an unlock.
    pub(crate) fn cancel(&mut self, handle: u32) -> Result<(), ScriptError> {
        if let Some(number) = waiter(handle) {
            self.events.cancel(number);
        } else if self.section.is_awaited(handle as usize) {
            return self.leave(handle);
        } else if self.handles.cancel(handle as usize)
            && !self.is_replaying()
            && let Ok(number) = i32::try_from(handle)
        {
            self.live.cancelled.push(number);
        }
        Ok(())
    }

    /// The guest shows something of itself. Said before, when replaying.
    pub(crate) fn set_custom_status(&mut self, status: Option<Payload>) {
        if !self.is_replaying() {
            self.live.custom_status = Some(status);
        }
    }

    /// The guest logs something that it did not log before. It is kept if there is room.
    pub(crate) fn keep_log_line(&mut self, level: &str, line: &str) {
        self.live.keep_log_line(level, line);
    }

    /// The guest wants to begin anew when it returns well.
    pub(crate) fn continue_as_new(&mut self, input: Payload, preserves_events: bool) {
        self.next_generation = Some((input, preserves_events));
    }

    /// Whether the guest wants to begin anew.
    pub(crate) fn begins_anew(&self) -> bool {
        self.next_generation.is_some()
    }

    /// The guest waits: what the live turn gave.
    pub(crate) fn suspend(&mut self) -> OrchestrationOutcome {
        self.live.take(OrchestrationResult::Waiting)
    }

    /// The guest has ended: what the live turn gave. An end that the history does not have is a
    /// divergence, whatever caused it.
    pub(crate) fn end(&mut self, result: Result<Payload, Failure>) -> OrchestrationOutcome {
        if self.is_replaying() && self.divergence.is_none() {
            self.end_too_early(&result);
        }
        if let Some(divergence) = self.divergence.take() {
            return OrchestrationOutcome::of(OrchestrationResult::Diverged(divergence));
        }
        let result = match (result, self.next_generation.take()) {
            (Ok(_), Some((input, preserves_events))) => {
                let untaken = self.events.take_untaken();
                let events = if preserves_events { untaken } else { Vec::new() };
                OrchestrationResult::ContinuedAsNew { input, events }
            }
            (Ok(output), None) => OrchestrationResult::Completed(output),
            (Err(failure), _) => OrchestrationResult::Failed(failure),
        };
        self.live.take(result)
    }
}

/// The number of the waiter that a handle stands for, if it is none of an action.
fn waiter(handle: u32) -> Option<usize> {
    (handle & EVENT_BIT != 0).then_some((handle & !EVENT_BIT) as usize)
}

/// Why nothing comes of an action, where the guest is told at once.
fn refusal_of(action: &Action) -> Option<String> {
    match action {
        Action::SignalEntity { refusal, .. } => refusal.clone(),
        _ => None,
    }
}
