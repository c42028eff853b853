//! Runs scripted orchestrators: an `async fn` is run again from its start over the whole history, and
//! what it asks for is compared with what the history says that it asked for.
//!
//! The script is the only thing that decides; nothing is kept between two turns.

mod context;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as PollContext, Poll, Waker};

use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult};
use everstate_types::{
    Action, EventKind, Failure, HistoryEvent, InstanceId, NO_EVENT_ID, Payload, Timestamp,
};

pub(crate) use self::context::{Either, Lock, either};

/// How a script ends.
#[derive(Debug)]
pub(crate) enum End {
    /// With this output.
    Output(String),
    /// With this failure.
    Failed(Failure),
    /// With a new generation of this input.
    Anew(String),
}

/// What a replay shows.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// What the executor gives to the engine.
    pub(crate) outcome: OrchestrationOutcome,
    /// The actions that have not been told and were not given up: numbers.
    pub(crate) open: Vec<i32>,
    /// Whether the script waits for an event.
    pub(crate) awaits_event: bool,
    /// The last custom status, if one was set.
    pub(crate) custom_status: Option<Payload>,
}

/// What a script may ask for.
#[derive(Clone, Debug)]
pub(crate) struct Context(Rc<RefCell<Replay>>);

#[derive(Debug)]
struct Replay {
    id: InstanceId,
    ledgers: usize,
    /// The actions that the history confirms, by number.
    recorded: Vec<EventKind>,
    next: i32,
    now: Timestamp,
    is_new: bool,
    rewinds: usize,
    done: HashMap<i32, Result<Payload, Failure>>,
    awaited: HashSet<i32>,
    /// The timers and locks that were given up.
    cancelled: HashSet<i32>,
    /// The locks among them, and in which turn.
    given_up: HashMap<i32, usize>,
    turn: usize,
    events: Vec<(String, Payload)>,
    awaits_event: bool,
    custom_status: Option<Payload>,
    actions: Vec<Action>,
    newly_cancelled: Vec<i32>,
    new_status: Option<Option<Payload>>,
}

type Script = Pin<Box<dyn Future<Output = End>>>;

/// Runs `script` over what happened before and what happened now.
pub(crate) fn replay(
    (id, ledgers): (&InstanceId, usize),
    script: impl Fn(Context, &str) -> Script,
    history: &[HistoryEvent],
    new_events: &[HistoryEvent],
) -> Replayed {
    let context = Context(Rc::new(RefCell::new(Replay::new(id, ledgers, history))));
    let mut running: Option<Script> = None;
    let mut end = None;
    for (index, event) in history.iter().chain(new_events).enumerate() {
        context.0.borrow_mut().is_new = index >= history.len();
        context.0.borrow_mut().feed(event);
        if let EventKind::ExecutionStarted { input, .. } = &event.kind {
            assert!(running.is_none(), "{id} began twice");
            running = Some(script(context.clone(), input.as_str()));
        }
        if end.is_none()
            && let Some(script) = &mut running
        {
            context.0.borrow_mut().awaits_event = false;
            let poll = script.as_mut().poll(&mut PollContext::from_waker(Waker::noop()));
            if let Poll::Ready(ended) = poll {
                end = Some(ended);
            }
        }
    }
    assert!(running.is_some(), "{id} runs and was not started");
    drop(running);
    Rc::clone(&context.0).borrow_mut().take_replayed(end)
}

impl Replay {
    fn take_replayed(&mut self, end: Option<End>) -> Replayed {
        let replay = self;
        let count = usize::try_from(replay.next).expect("not negative");
        assert!(
            count >= replay.recorded.len(),
            "{} did not ask for what its history holds: {:?}",
            replay.id,
            &replay.recorded[count..]
        );
        let is_open = |number: &i32| {
            replay.awaited.contains(number)
                && !replay.done.contains_key(number)
                && !replay.cancelled.contains(number)
        };
        let open = (0..replay.next).filter(is_open).collect();
        let result = match end {
            None => OrchestrationResult::Waiting,
            Some(End::Output(output)) => OrchestrationResult::Completed(Payload::from(output)),
            Some(End::Failed(failure)) => OrchestrationResult::Failed(failure),
            Some(End::Anew(input)) => OrchestrationResult::ContinuedAsNew {
                input: Payload::from(input),
                events: std::mem::take(&mut replay.events),
            },
        };
        let outcome = OrchestrationOutcome {
            actions: std::mem::take(&mut replay.actions),
            cancelled: std::mem::take(&mut replay.newly_cancelled),
            custom_status: replay.new_status.take(),
            logs: Vec::new(),
            result,
        };
        let custom_status = replay.custom_status.take();
        Replayed { outcome, open, awaits_event: replay.awaits_event, custom_status }
    }
}

impl Replay {
    fn new(id: &InstanceId, ledgers: usize, history: &[HistoryEvent]) -> Self {
        let is_end =
            |event: &&HistoryEvent| matches!(event.kind, EventKind::ExecutionCompleted { .. });
        let of_action = history.iter().filter(|event| event.event_id != NO_EVENT_ID);
        let recorded = of_action.filter(|event| !is_end(event)).map(|event| event.kind.clone());
        Self {
            id: id.clone(),
            ledgers,
            recorded: recorded.collect(),
            next: 0,
            now: Timestamp::default(),
            is_new: false,
            rewinds: 0,
            done: HashMap::new(),
            awaited: HashSet::new(),
            cancelled: HashSet::new(),
            given_up: HashMap::new(),
            turn: 0,
            events: Vec::new(),
            awaits_event: false,
            custom_status: None,
            actions: Vec::new(),
            newly_cancelled: Vec::new(),
            new_status: None,
        }
    }

    fn feed(&mut self, event: &HistoryEvent) {
        let told = match &event.kind {
            EventKind::OrchestratorStarted => {
                assert!(self.now <= event.timestamp, "time goes back in {}", self.id);
                self.now = event.timestamp;
                self.turn += 1;
                return;
            }
            EventKind::EventRaised { name, input } => {
                self.events.push((name.to_lowercase(), input.clone()));
                return;
            }
            EventKind::ExecutionRewound { .. } => {
                self.rewinds += 1;
                return;
            }
            EventKind::ActivityCompleted { scheduled_id, result }
            | EventKind::SubOrchestrationCompleted { scheduled_id, result } => {
                (*scheduled_id, Ok(result.clone()))
            }
            EventKind::EntityOperationCompleted { scheduled_id, output, .. } => {
                (*scheduled_id, Ok(output.clone().unwrap_or_else(Payload::null)))
            }
            EventKind::ActivityFailed { scheduled_id, failure }
            | EventKind::SubOrchestrationFailed { scheduled_id, failure }
            | EventKind::EntityOperationFailed { scheduled_id, failure, .. } => {
                (*scheduled_id, Err(failure.clone()))
            }
            EventKind::EntityLockGranted { scheduled_id, .. } => {
                // It may be granted in the turn that gives it up.
                let given_up = self.given_up.get(scheduled_id);
                let is_late = given_up.is_some_and(|turn| *turn < self.turn);
                assert!(!is_late, "{} was told of a lock that it gave up", self.id);
                (*scheduled_id, Ok(Payload::null()))
            }
            EventKind::TimerFired { timer_id, fire_at } => {
                assert!(event.timestamp >= *fire_at, "a timer of {} fired early", self.id);
                // One that was given up may have been on its way: whoever gave up does not look.
                (*timer_id, Ok(Payload::null()))
            }
            _ => return,
        };
        let (number, result) = told;
        assert!(self.awaited.contains(&number), "{} never asked for {number}", self.id);
        let before = self.done.insert(number, result);
        assert!(before.is_none(), "{} was told of {number} twice", self.id);
    }

    /// Asks for something, unless the history says that it was asked for.
    fn act(&mut self, action: Action) -> i32 {
        let number = self.next;
        self.next += 1;
        match self.recorded.get(usize::try_from(number).expect("not negative")) {
            Some(recorded) => {
                let same = is_confirmed_by(&action, recorded);
                assert!(same, "{} asks for {action:?}, its history has {recorded:?}", self.id);
            }
            None => {
                assert!(self.is_new, "the history of {} does not have {action:?}", self.id);
                self.actions.push(action);
            }
        }
        number
    }
}

/// Whether an event says that this was asked for.
fn is_confirmed_by(action: &Action, event: &EventKind) -> bool {
    match (action, event) {
        (
            Action::CallActivity { name, input, first_attempt, attempt, .. },
            EventKind::ActivityScheduled {
                name: n, input: i, first_attempt: f, attempt: a, ..
            },
        ) => (name, input, first_attempt, attempt) == (n, i, f, a),
        (
            Action::CallSubOrchestration { name, instance_id, input, .. },
            EventKind::SubOrchestrationCreated { name: n, instance_id: id, input: i, .. },
        )
        | (
            Action::StartOrchestration { name, instance_id, input, .. },
            EventKind::OrchestrationStartSent { name: n, instance_id: id, input: i },
        ) => (name, instance_id, input) == (n, id, i),
        (
            Action::CallEntity { entity, operation, input },
            EventKind::EntityOperationCalled { entity: e, operation: o, input: i, .. },
        ) => (entity, operation, input) == (e, o, i),
        (
            Action::SignalEntity { entity, operation, input, at, refusal },
            EventKind::EntityOperationSignaled {
                entity: e,
                operation: o,
                input: i,
                scheduled_time,
                refusal: r,
                ..
            },
        ) => (entity, operation, input, at, refusal) == (e, o, i, scheduled_time, r),
        (
            Action::LockEntities { entities, .. },
            EventKind::EntityLockRequested { lock_set, .. },
        ) => entities == lock_set,
        (Action::UnlockEntity { entity, .. }, EventKind::EntityUnlockSent { entity: e, .. }) => {
            entity == e
        }
        (Action::CreateTimer { fire_at }, EventKind::TimerCreated { fire_at: at }) => fire_at == at,
        (
            Action::SendEvent { instance_id, name, input },
            EventKind::EventSent { instance_id: id, name: n, input: i },
        ) => (instance_id, name, input) == (id, n, i),
        _ => false,
    }
}
