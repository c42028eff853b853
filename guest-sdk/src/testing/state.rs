//! What a [`TestHost`](super::TestHost) keeps: the script, the agenda of what is to happen, and
//! the record of what the orchestrator did. It runs none of the test's functions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Failure;
use crate::executor::Handle;
use crate::id::EntityId;
use crate::log::LogLevel;
use crate::orchestration::{HttpCall, HttpCallResponse};
use crate::payload::NULL;
use crate::testing::TestAction;
use crate::testing::entity::Entities;
use crate::testing::section::Section;
use crate::time::Timestamp;

pub(super) const INSTANCE_ID: &str = "test";

/// 2000-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp::from_unix_ms(946_684_800_000);

/// How something under way ended.
pub(super) type Outcome = Result<String, Failure>;

pub(super) type Answer<F> = Rc<RefCell<F>>;
type FunctionAnswer = Answer<dyn FnMut(&str) -> Outcome>;
type OperationAnswer = Answer<dyn FnMut(&str, &str) -> Outcome>;
type HttpAnswer = Answer<dyn FnMut(&HttpCall) -> Result<HttpCallResponse, Failure>>;

/// What a function of the script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Activity,
    SubOrchestration,
}

/// An activity or a child of the script.
#[derive(Clone)]
pub(super) struct Scripted {
    pub(super) time: Duration,
    pub(super) answer: FunctionAnswer,
}

/// An event that nobody has taken yet, or a waiter has.
#[derive(Clone, Debug)]
struct Event {
    name: String,
    data: String,
}

/// An operation that an entity was told to do.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    pub(super) entity: EntityId,
    pub(super) operation: String,
    /// JSON text.
    pub(super) input: Option<String>,
}

/// What happens at a point in time.
enum Happening {
    Completion(Handle, Outcome),
    Event(Event),
    Signal(Signal),
}

/// What came of letting the next thing happen.
pub(super) enum Step {
    /// Nothing more will happen in time.
    Nothing,
    /// Something did.
    Happened,
    /// An entity is to do an operation now.
    Signal(Signal),
}

pub(super) struct State {
    pub(super) now: Timestamp,
    pub(super) input: String,
    pub(super) functions: BTreeMap<(Kind, String), Scripted>,
    /// By entity name and operation, both in lower case.
    pub(super) operations: BTreeMap<(String, String), OperationAnswer>,
    pub(super) http: Option<HttpAnswer>,
    pub(super) entities: Entities,
    /// The critical section of the orchestrator.
    pub(super) section: Section,
    pub(super) actions: Vec<TestAction>,
    pub(super) under_way: BTreeMap<Handle, TestAction>,
    pub(super) timers: Vec<Duration>,
    pub(super) log_lines: Vec<(LogLevel, String)>,
    pub(super) custom_status: Option<String>,
    pub(super) continued_as_new: Option<String>,
    /// How many attempts were made of the activity with this first handle.
    pub(super) attempts: BTreeMap<Handle, u32>,
    /// The last number given to anything: a handle, a happening, a GUID.
    last_number: u32,
    /// What is to happen, by time and then by number.
    agenda: BTreeMap<(Timestamp, u32), Happening>,
    /// What has happened and nobody has asked for yet, by its place in the history.
    completed: BTreeMap<u32, (Handle, Outcome)>,
    /// Events without a waiter, by their place in the history.
    buffered: BTreeMap<u32, Event>,
    /// The event that a waiter got and has not given to its author yet.
    taken: BTreeMap<Handle, (u32, Event)>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            now: BEGIN,
            input: NULL.to_owned(),
            functions: BTreeMap::new(),
            operations: BTreeMap::new(),
            http: None,
            entities: Entities::default(),
            section: Section::default(),
            actions: Vec::new(),
            under_way: BTreeMap::new(),
            timers: Vec::new(),
            log_lines: Vec::new(),
            custom_status: None,
            continued_as_new: None,
            attempts: BTreeMap::new(),
            last_number: 0,
            agenda: BTreeMap::new(),
            completed: BTreeMap::new(),
            buffered: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    pub(super) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// Writes down something that begins and ends.
    pub(super) fn begin(&mut self, action: TestAction) -> Handle {
        let handle = self.next_number();
        self.actions.push(action.clone());
        self.under_way.insert(handle, action);
        handle
    }

    /// Says how it will end, and when.
    pub(super) fn complete_at(&mut self, due: Timestamp, handle: Handle, outcome: Outcome) {
        let number = self.next_number();
        self.agenda.insert((due, number), Happening::Completion(handle, outcome));
    }

    pub(super) fn raise(&mut self, span: Duration, name: &str, data: String) {
        let event = Event { name: name.to_lowercase(), data };
        let (due, number) = (self.now + span, self.next_number());
        self.agenda.insert((due, number), Happening::Event(event));
    }

    /// An entity is told something, now or later.
    pub(super) fn signal_at(&mut self, due: Timestamp, signal: Signal) {
        let number = self.next_number();
        self.agenda.insert((due, number), Happening::Signal(signal));
    }

    /// The completion of one of the handles that stands first in the history, if there is one.
    pub(super) fn take_completion(&mut self, handles: &[Handle]) -> Option<(Handle, Outcome)> {
        let first = self.completed.iter().find(|(_, (handle, _))| handles.contains(handle));
        let place = *first?.0;
        let (handle, outcome) = self.completed.remove(&place)?;
        self.under_way.remove(&handle);
        self.taken.remove(&handle);
        self.section.taken(handle);
        Some((handle, outcome))
    }

    /// Lets time pass up to the next thing that happens, but not beyond a point in time.
    pub(super) fn step(&mut self, until: Timestamp) -> Step {
        match self.agenda.first_key_value() {
            Some((&(due, _), _)) if due <= until => {}
            _ => return Step::Nothing,
        }
        let Some(((due, place), happening)) = self.agenda.pop_first() else { return Step::Nothing };
        self.now = self.now.max(due);
        match happening {
            Happening::Completion(handle, outcome) => {
                self.section.arrived(handle);
                if self.under_way.contains_key(&handle) {
                    self.completed.insert(place, (handle, outcome));
                }
            }
            Happening::Event(event) => self.deliver(place, event),
            Happening::Signal(signal) => return Step::Signal(signal),
        }
        Step::Happened
    }

    /// A new waiter takes the oldest event that nobody has taken.
    pub(super) fn wait_for_event(&mut self, name: &str) -> Handle {
        let handle = self.begin(TestAction::WaitForEvent(name.to_owned()));
        let name = name.to_lowercase();
        let oldest = self.buffered.iter().find(|(_, event)| event.name == name);
        if let Some(place) = oldest.map(|(&place, _)| place)
            && let Some(event) = self.buffered.remove(&place)
        {
            self.take(place, event, handle);
        }
        handle
    }

    /// Gives up on a handle. An event that it got goes to another waiter, or back to its place.
    pub(super) fn cancel(&mut self, handle: Handle) {
        self.unlock(handle);
        self.under_way.remove(&handle);
        self.completed.retain(|_, (each, _)| *each != handle);
        if let Some((place, event)) = self.taken.remove(&handle) {
            self.deliver(place, event);
        }
    }

    /// Ends the critical section of a lock, if it has not ended yet.
    pub(super) fn unlock(&mut self, lock: Handle) {
        if self.section.leave(lock) {
            self.actions.push(TestAction::UnlockEntities);
        }
    }

    /// An event goes to the newest waiter without one, or into the buffer.
    fn deliver(&mut self, place: u32, event: Event) {
        let waits = |(handle, action): &(&Handle, &TestAction)| match action {
            TestAction::WaitForEvent(name) => {
                name.to_lowercase() == event.name && !self.taken.contains_key(handle)
            }
            _ => false,
        };
        match self.under_way.iter().rev().find(waits).map(|(&handle, _)| handle) {
            Some(handle) => self.take(place, event, handle),
            None => {
                self.buffered.insert(place, event);
            }
        }
    }

    fn take(&mut self, place: u32, event: Event, handle: Handle) {
        self.completed.insert(place, (handle, Ok(event.data.clone())));
        self.taken.insert(handle, (place, event));
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("now", &self.now)
            .field("under_way", &self.under_way)
            .finish_non_exhaustive()
    }
}
