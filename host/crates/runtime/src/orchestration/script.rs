//! [`Script`]: what one execution of an orchestrator may see, and what it has asked for.
//!
//! The script holds the history against the calls of the guest. Actions have numbers from one
//! counter: a number that the history has must stand for the same action, any other is new. It is
//! pure data without guest, clock or I/O, so that replay can be tested without WebAssembly.
//!
//! A script outlives a turn when its guest is kept suspended; `continue_with` gives it the next
//! events. Whether that happened or all was replayed makes no difference to any answer.

use std::sync::Arc;

use everstate_engine::guest::OrchestrationWorkItem;
use everstate_types::limits::ACTIONS_MAX;
use everstate_types::{Action, EventKind, Failure, HistoryEvent, Payload, Timestamp};
use rand_chacha::ChaCha12Rng;

use super::history::{completion_of, confirms, describe_action, describe_event};

/// One execution as its guest sees it.
#[derive(Debug)]
pub(crate) struct Script {
    /// The turn under way: the execution, and what is known of it.
    pub(crate) item: OrchestrationWorkItem,
    /// What the execution was started with.
    input: Payload,
    /// The orchestrator's clock.
    time: Timestamp,
    /// Where in `item.history` the confirmation of each action stands, by action number.
    recorded: Vec<Option<usize>>,
    /// By action number: what has come and was not taken.
    completions: Vec<Option<Completion>>,
    /// By action number: what has become of each action of this run.
    handles: Vec<Handle>,
    /// Counts the completions that came in.
    completions_seen: u32,
    /// The latest completion that was delivered.
    delivered: u32,
    /// Counts the turns that this script has seen. 0 stands for all that is replayed.
    turn: u32,
    /// The turn that the latest delivered completion came in with.
    delivered_turn: u32,
    /// New actions of this turn.
    actions: Vec<Action>,
    /// The number of the first of them.
    actions_start: usize,
    custom_status: Option<Option<Payload>>,
    /// The guest waits for what has not come.
    waiting: bool,
    /// Why the run cannot go on, if it does not follow its history.
    mismatch: Option<Failure>,
    guids: u64,
    /// The generator behind `random`, once it is used.
    pub(crate) random: Option<ChaCha12Rng>,
    /// What the guest has allocated, as of its last wait, in bytes.
    pub(crate) memory_grown_bytes: usize,
}

/// What has become of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handle {
    /// Nothing comes back from it.
    Silent,
    /// Its completion was not taken yet.
    Open,
    /// The guest has its completion.
    Taken,
    /// The guest gave up on it.
    Cancelled,
}

#[derive(Debug)]
struct Completion {
    /// Its place among all completions.
    order: u32,
    /// The turn it came in with, and that turn's time.
    turn: u32,
    time: Timestamp,
    outcome: Result<Payload, Failure>,
}

/// A handle and how what it stands for has ended.
pub(crate) type Delivery = (u32, Result<Payload, Failure>);

/// Why a call of the guest got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScriptError {
    /// The run does not follow its history; the script has the failure.
    Mismatch,
    /// More actions than [`ACTIONS_MAX`].
    TooManyActions,
    /// A wait for something that cannot come; the text says why.
    BadHandle(String),
}

impl Script {
    /// A script for the first turn, or for a replay.
    pub(crate) fn new(item: OrchestrationWorkItem) -> Self {
        let history = Arc::clone(&item.history);
        let new_events = Arc::clone(&item.new_events);
        let mut script = Self {
            item,
            input: Payload::null(),
            time: Timestamp::default(),
            recorded: Vec::new(),
            completions: Vec::new(),
            handles: Vec::new(),
            completions_seen: 0,
            delivered: 0,
            turn: 0,
            delivered_turn: 0,
            actions: Vec::new(),
            actions_start: 0,
            custom_status: None,
            waiting: false,
            mismatch: None,
            guids: 0,
            random: None,
            memory_grown_bytes: 0,
        };
        let first_turn = history.iter().chain(new_events.iter()).find_map(turn_time);
        script.time = first_turn.unwrap_or_default();
        script.take_in(&history);
        script.actions_start = script.recorded.len();
        script.turn = 1;
        script.take_in(&new_events);
        if history.is_empty() {
            script.delivered_turn = 1;
        }
        script
    }

    /// Whether a guest that is suspended with this script may go on with `item` instead of being
    /// replayed: it has seen exactly what `item.history` holds.
    pub(crate) fn fits(&self, item: &OrchestrationWorkItem) -> bool {
        let before = self.item.history.len();
        let seen = before + self.item.new_events.len();
        let same_execution = self.item.execution_id == item.execution_id
            && self.item.component == item.component
            && self.item.name == item.name;
        if !same_execution || item.history.len() < seen {
            return false;
        }
        let mut number = self.actions_start;
        item.history[before..seen] == self.item.new_events[..]
            && item.history[seen..].iter().all(|event| {
                let confirmed = usize::try_from(event.event_id) == Ok(number);
                number += usize::from(confirmed);
                confirmed || event.kind == EventKind::OrchestratorCompleted
            })
            && number == self.handles.len()
    }

    /// Begins the next turn of a suspended guest.
    pub(crate) fn continue_with(&mut self, item: OrchestrationWorkItem) {
        let new_events = Arc::clone(&item.new_events);
        self.item = item;
        self.turn += 1;
        self.recorded.clear();
        self.actions_start = self.handles.len();
        self.waiting = false;
        self.take_in(&new_events);
    }

    /// Reads events that come next.
    fn take_in(&mut self, events: &[HistoryEvent]) {
        let mut time = self.time;
        for (index, event) in events.iter().enumerate() {
            if let Some(turn_time) = turn_time(event) {
                time = turn_time;
            } else if let EventKind::ExecutionStarted { input, .. } = &event.kind {
                self.input = input.clone();
            } else if let Ok(number) = usize::try_from(event.event_id) {
                // Only what is replayed confirms anything; new events are what came in.
                if self.turn == 0 {
                    put(&mut self.recorded, number, index);
                }
            } else if let Some((number, outcome)) = completion_of(&event.kind) {
                self.completions_seen += 1;
                let order = self.completions_seen;
                let taken = self.handles.get(number).is_some_and(|handle| *handle != Handle::Open);
                if !taken {
                    let completion = Completion { order, turn: self.turn, time, outcome };
                    put(&mut self.completions, number, completion);
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
        self.delivered_turn != self.turn
    }

    /// Whether the guest waits for what has not come.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
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

    /// The guest asks for something that completes.
    pub(crate) fn call(&mut self, action: Action) -> Result<u32, ScriptError> {
        self.act(action, Handle::Open)
    }

    /// The guest asks for something that nothing comes back from.
    pub(crate) fn send(&mut self, action: Action) -> Result<(), ScriptError> {
        self.act(action, Handle::Silent).map(|_| ())
    }

    fn act(&mut self, action: Action, handle: Handle) -> Result<u32, ScriptError> {
        let number = self.handles.len();
        let as_handle = u32::try_from(number).unwrap_or(u32::MAX);
        if as_handle >= ACTIONS_MAX {
            return Err(ScriptError::TooManyActions);
        }
        match self.recorded.get(number).copied().flatten() {
            Some(index) if confirms(&self.item.history[index].kind, &action) => {}
            Some(index) => {
                let event = describe_event(&self.item.history[index].kind);
                let now = describe_action(&action);
                return Err(self.mismatched(number, &event, &format!("asked to {now}")));
            }
            None if self.is_replaying() => {
                let now = describe_action(&action);
                return Err(self.mismatched(number, "did nothing", &format!("asked to {now}")));
            }
            None => self.actions.push(action),
        }
        self.handles.push(handle);
        Ok(as_handle)
    }

    /// Takes the completion that came first among these handles; `None`: the guest has to wait.
    pub(crate) fn wait_any(&mut self, handles: &[u32]) -> Result<Option<Delivery>, ScriptError> {
        if handles.is_empty() {
            return Err(ScriptError::BadHandle("wait-any without handles never ends".to_owned()));
        }
        let mut first: Option<(u32, u32)> = None;
        for &handle in handles {
            let number = handle as usize;
            let problem = match self.handles.get(number) {
                Some(Handle::Open) => None,
                Some(Handle::Silent) | None => Some("is unknown"),
                Some(Handle::Taken) => Some("was taken before"),
                Some(Handle::Cancelled) => Some("was cancelled"),
            };
            if let Some(problem) = problem {
                return Err(ScriptError::BadHandle(format!("wait-any: handle {handle} {problem}")));
            }
            let order = self.completions.get(number).and_then(Option::as_ref).map(|c| c.order);
            if let Some(order) = order
                && first.is_none_or(|(earliest, _)| order < earliest)
            {
                first = Some((order, handle));
            }
        }
        let Some((_, handle)) = first else {
            self.check_all_repeated("waits")?;
            self.waiting = true;
            return Ok(None);
        };
        Ok(self.deliver(handle).map(|outcome| (handle, outcome)))
    }

    fn deliver(&mut self, handle: u32) -> Option<Result<Payload, Failure>> {
        let number = handle as usize;
        let completion = self.completions.get_mut(number)?.take()?;
        self.handles[number] = Handle::Taken;
        if completion.order > self.delivered {
            self.delivered = completion.order;
            self.delivered_turn = completion.turn;
            self.time = self.time.max(completion.time);
        }
        Some(completion.outcome)
    }

    /// The guest gives up on a handle.
    pub(crate) fn cancel(&mut self, handle: u32) {
        let number = handle as usize;
        if let Some(state @ Handle::Open) = self.handles.get_mut(number) {
            *state = Handle::Cancelled;
            if let Some(completion) = self.completions.get_mut(number) {
                *completion = None;
            }
        }
    }

    /// The guest shows something of itself. Said before, when replaying.
    pub(crate) fn set_custom_status(&mut self, status: Option<Payload>) {
        if !self.is_replaying() {
            self.custom_status = Some(status);
        }
    }

    /// The guest has returned. If it has not repeated all that the history has, that is a mismatch.
    pub(crate) fn end(&mut self) {
        if self.check_all_repeated("ended").is_err() {
            tracing::debug!(instance_id = %self.item.instance_id, "ended before its history");
        }
    }

    fn check_all_repeated(&mut self, now: &str) -> Result<(), ScriptError> {
        let number = self.handles.len();
        let mut rest = self.recorded.iter().enumerate().skip(number);
        let missing = rest.find_map(|(number, index)| index.map(|index| (number, index)));
        let Some((missing, index)) = missing else { return Ok(()) };
        let event = describe_event(&self.item.history[index].kind);
        Err(self.mismatched(missing, &event, &format!("{now} without it")))
    }

    /// What this turn gave besides its result.
    pub(crate) fn take_outcome(&mut self) -> (Vec<Action>, Option<Option<Payload>>) {
        (std::mem::take(&mut self.actions), self.custom_status.take())
    }

    /// Why the run did not follow its history, if it did not.
    pub(crate) fn take_mismatch(&mut self) -> Option<Failure> {
        self.mismatch.take()
    }

    fn mismatched(&mut self, number: usize, then: &str, now: &str) -> ScriptError {
        let message = format!(
            "Non-deterministic orchestration detected: as action {number}, a previous execution of \
             this orchestration {then}, but the current replay {now}. Was a change made to the \
             orchestrator code after this instance had already started running?"
        );
        self.mismatch = Some(Failure::new("NonDeterminism", message).non_retriable());
        ScriptError::Mismatch
    }
}

fn turn_time(event: &HistoryEvent) -> Option<Timestamp> {
    (event.kind == EventKind::OrchestratorStarted).then_some(event.timestamp)
}

/// Puts something at its number, unless there is something already.
fn put<T>(list: &mut Vec<Option<T>>, number: usize, value: T) {
    if number > ACTIONS_MAX as usize {
        return;
    }
    if list.len() <= number {
        list.resize_with(number + 1, || None);
    }
    list[number].get_or_insert(value);
}
