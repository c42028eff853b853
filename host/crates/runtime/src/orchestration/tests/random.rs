//! Random orchestrators in a random world: kept over all turns and replayed from the start at every
//! turn they must see the same and ask for the same.

use std::collections::HashMap;

use everstate_engine::guest::{OrchestrationOutcome, OrchestrationResult};
use everstate_types::{Action, EventKind, Failure, HistoryEvent, Payload, Timestamp};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use uuid::Uuid;

use super::{Recorder, activity, call, came, child, entity, lock, send, start};
use crate::orchestration::script::{Script, ScriptError};

const EXECUTIONS: u64 = 1_000;
const TURNS_MAX: u32 = 15;
const EVENT_NAMES: [&str; 4] = ["a", "A", "b", "c"];
const REFUSED: &str = "refused: ";

/// An orchestrator whose next step depends on chance and on what it has seen.
struct Orchestrator {
    random: ChaCha12Rng,
    /// Handles that it may wait for.
    open: Vec<u32>,
    activities: Vec<u32>,
    locks: Vec<u32>,
    /// The wait that it is suspended in.
    wait: Option<Vec<u32>>,
    /// All that it has seen, in order.
    seen: Vec<String>,
}

type End = Result<Payload, Failure>;

impl Orchestrator {
    fn new(seed: u64) -> Self {
        Self {
            random: ChaCha12Rng::seed_from_u64(seed),
            open: Vec::new(),
            activities: Vec::new(),
            locks: Vec::new(),
            wait: None,
            seen: Vec::new(),
        }
    }

    /// Runs up to its end, or to where it has to wait.
    fn run(&mut self, script: &mut Script) -> Option<End> {
        loop {
            if let Some(handles) = self.wait.take() {
                let Some((handle, outcome)) = script.wait_any(&handles).expect("good handles")
                else {
                    self.wait = Some(handles);
                    return None;
                };
                self.open.retain(|other| *other != handle);
                let time = script.current_time().as_millis();
                self.seen.push(format!("{handle} at {time}: {outcome:?}"));
                // What happens next depends on what came.
                let salt = u64::from(handle) ^ time ^ outcome.map_or(1, |p| p.len() as u64);
                self.random = ChaCha12Rng::seed_from_u64(self.random.next_u64() ^ salt);
            }
            if let Some(end) = self.step(script) {
                return Some(end);
            }
        }
    }

    fn step(&mut self, script: &mut Script) -> Option<End> {
        match self.random.random_range(0..100) {
            0..45 => self.act(script),
            45..50 if !self.locks.is_empty() => {
                let index = self.random.random_range(0..self.locks.len());
                let lock = self.locks.swap_remove(index);
                script.unlock(lock).expect("it follows its history");
                self.open.retain(|other| *other != lock);
            }
            50..55 => {
                let status = self.random.random::<bool>().then(|| Payload::from("1"));
                script.set_custom_status(status);
            }
            55..60 => {
                if !script.is_replaying() {
                    script.keep_log_line("trace", "a line");
                }
            }
            60..68 if !self.open.is_empty() => {
                let index = self.random.random_range(0..self.open.len());
                script.cancel(self.open.swap_remove(index)).expect("it follows its history");
            }
            68..98 if !self.open.is_empty() => {
                let mut handles = self.open.clone();
                handles.retain(|_| self.random.random_range(0..5) > 0);
                self.wait = Some(if handles.is_empty() { self.open.clone() } else { handles });
            }
            98 => {
                let input = Payload::from("again");
                script.continue_as_new(input, self.random.random());
            }
            99 if self.random.random_range(0..2) == 0 => {
                return Some(match self.random.random() {
                    true => Ok(Payload::from("done")),
                    false => Err(Failure::new("Own", "word")),
                });
            }
            _ => self.seen.push(format!("guid {}", script.next_guid())),
        }
        None
    }

    fn act(&mut self, script: &mut Script) {
        let input = self.random.random_range(0..5).to_string();
        let action = match self.random.random_range(0..13) {
            0..2 => activity(&input),
            2 if !self.activities.is_empty() => {
                let index = self.random.random_range(0..self.activities.len());
                self.retry(script, self.activities[index], &input)
            }
            3 => child(&input),
            4..6 => call(&input),
            6 => self.signal(script, &input),
            7 => start(&input),
            8 => send(&input),
            9 => Action::CreateTimer { fire_at: self.later(script) },
            10..12 => {
                let keys = ["0", "1", "2", "3", "4"];
                let first = self.random.random_range(0..keys.len());
                lock(&keys[first..self.random.random_range(first..keys.len()) + 1])
            }
            _ => {
                let name = EVENT_NAMES[self.random.random_range(0..EVENT_NAMES.len())];
                self.open.push(script.wait_for_event(name).expect("a handle"));
                return;
            }
        };
        let completes = !matches!(
            action,
            Action::SignalEntity { .. }
                | Action::StartOrchestration { .. }
                | Action::SendEvent { .. }
        );
        let is_activity = matches!(action, Action::CallActivity { .. });
        let is_lock = matches!(action, Action::LockEntities { .. });
        let handle = match script.act(action) {
            Ok(handle) => handle,
            Err(error @ (ScriptError::Forbidden(_) | ScriptError::NoSuchEntity(_))) => {
                self.seen.push(format!("{REFUSED}{error}"));
                return;
            }
            Err(error) => unreachable!("{error}"),
        };
        if completes {
            self.open.push(handle);
        }
        if is_activity {
            self.activities.push(handle);
        }
        if is_lock {
            self.locks.push(handle);
        }
    }

    fn later(&mut self, script: &Script) -> Timestamp {
        let delay = self.random.random_range(0..5_000);
        Timestamp::from_millis(script.current_time().as_millis() + delay)
    }

    /// A signal. Which functions there are changes from turn to turn, and a replay does not look.
    fn signal(&mut self, script: &Script, key: &str) -> Action {
        let at = self.random.random::<bool>().then(|| self.later(script));
        let is_there =
            script.is_replaying() || !script.current_time().as_millis().is_multiple_of(3);
        Action::SignalEntity {
            entity: entity(key),
            operation: "get".to_owned(),
            input: None,
            at,
            refusal: (!is_there).then(|| "no such function".to_owned()),
        }
    }

    fn retry(&mut self, script: &Script, handle: u32, input: &str) -> Action {
        let Action::CallActivity { name, input, tags, .. } = activity(input) else {
            unreachable!("an activity")
        };
        let (first, attempt) = script.next_attempt(handle, &name).expect("an activity");
        self.seen.push(format!("attempt {attempt} at {first}"));
        Action::CallActivity { name, input, tags, first_attempt: Some(first), attempt }
    }
}

/// Everything outside of the orchestrator.
struct World {
    random: ChaCha12Rng,
    /// What was asked for and has not completed.
    open: Vec<(i32, Action)>,
    next_number: i32,
    now: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let random = ChaCha12Rng::seed_from_u64(seed);
        Self { random, open: Vec::new(), next_number: 0, now: 1_000 }
    }

    /// What happens after a turn.
    fn next_turn(&mut self, outcome: &OrchestrationOutcome) -> Vec<HistoryEvent> {
        for action in &outcome.actions {
            self.open.push((self.next_number, action.clone()));
            self.next_number += 1;
        }
        self.now += self.random.random_range(0..3_000);
        let turn = Timestamp::from_millis(self.now);
        let mut events = vec![HistoryEvent::new(turn, EventKind::OrchestratorStarted)];
        for _ in 0..self.random.random_range(0..9) {
            match self.random.random_range(0..8) {
                0..3 => {
                    let name = EVENT_NAMES[self.random.random_range(0..EVENT_NAMES.len())];
                    events.push(super::raised(name, &self.random.random::<u8>().to_string()));
                }
                3 => events.push(came(EventKind::ExecutionSuspended { reason: None })),
                4 => events.push(came(EventKind::ExecutionResumed { reason: None })),
                _ if !self.open.is_empty() => {
                    let index = self.random.random_range(0..self.open.len());
                    let (number, action) = self.open.swap_remove(index);
                    events.extend(self.completion(number, action).map(came));
                }
                _ => {}
            }
        }
        events
    }

    fn completion(&mut self, scheduled_id: i32, action: Action) -> Option<EventKind> {
        let request_id = Uuid::nil();
        let result: Result<Payload, Failure> = match self.random.random_range(0..3) {
            0 => Err(Failure::new("Broken", "by chance")),
            _ => Ok(Payload::from(self.random.random::<u8>().to_string())),
        };
        Some(match (action, result) {
            (Action::CallActivity { .. }, Ok(result)) => {
                EventKind::ActivityCompleted { scheduled_id, result }
            }
            (Action::CallActivity { .. }, Err(failure)) => {
                EventKind::ActivityFailed { scheduled_id, failure }
            }
            (Action::CallSubOrchestration { .. }, Ok(result)) => {
                EventKind::SubOrchestrationCompleted { scheduled_id, result }
            }
            (Action::CallSubOrchestration { .. }, Err(failure)) => {
                EventKind::SubOrchestrationFailed { scheduled_id, failure }
            }
            (Action::CallEntity { .. }, Ok(output)) => {
                let output = Some(output);
                EventKind::EntityOperationCompleted { scheduled_id, request_id, output }
            }
            (Action::CallEntity { .. }, Err(failure)) => {
                EventKind::EntityOperationFailed { scheduled_id, request_id, failure }
            }
            (Action::LockEntities { .. }, Ok(_)) => {
                EventKind::EntityLockGranted { scheduled_id, critical_section_id: request_id }
            }
            (Action::LockEntities { .. }, Err(failure)) => {
                EventKind::EntityOperationFailed { scheduled_id, request_id, failure }
            }
            (Action::CreateTimer { fire_at }, _) => {
                EventKind::TimerFired { timer_id: scheduled_id, fire_at }
            }
            _ => return None,
        })
    }
}

/// Runs the live turn of a script.
fn run(orchestrator: &mut Orchestrator, script: &mut Script) -> OrchestrationOutcome {
    match orchestrator.run(script) {
        Some(end) => script.end(end),
        None => script.suspend(),
    }
}

/// How often things happened over all executions, to see that the test tests something.
#[derive(Debug, Default)]
struct Counts {
    turns: usize,
    seen: usize,
    cancelled: usize,
    generations: usize,
    locks: usize,
    unlocks: usize,
    /// By the text of the rule, or of the refusal.
    refused: HashMap<String, usize>,
}

fn execute(seed: u64, counts: &mut Counts) {
    let mut world = World::new(!seed);
    let mut recorder = Recorder::new();
    let mut kept = recorder.script();
    let mut keeper = Orchestrator::new(seed);
    for turn in 0..TURNS_MAX {
        let mut script = recorder.script();
        let mut replayer = Orchestrator::new(seed);
        let replayed = run(&mut replayer, &mut script);
        if turn > 0 {
            assert!(kept.fits(&recorder.item), "seed {seed}, turn {turn}");
            kept.continue_with(recorder.item.clone());
        }
        let outcome = run(&mut keeper, &mut kept);
        assert_eq!(replayed, outcome, "seed {seed}, turn {turn}");
        assert_eq!(replayer.seen, keeper.seen, "seed {seed}, turn {turn}");
        assert_eq!(script.current_time(), kept.current_time(), "seed {seed}, turn {turn}");
        assert!(!script.is_replaying() && !kept.is_replaying(), "seed {seed}, turn {turn}");
        counts.turns += 1;
        counts.cancelled += outcome.cancelled.len();
        let count = |is: fn(&Action) -> bool| outcome.actions.iter().filter(|a| is(a)).count();
        counts.locks += count(|action| matches!(action, Action::LockEntities { .. }));
        counts.unlocks += count(|action| matches!(action, Action::UnlockEntity { .. }));
        if matches!(outcome.result, OrchestrationResult::ContinuedAsNew { .. }) {
            counts.generations += 1;
        }
        if outcome.result != OrchestrationResult::Waiting {
            break;
        }
        if world.random.random() {
            // The kept one is dropped; the replayed one takes its place.
            (kept, keeper) = (script, replayer);
        }
        let new_events = world.next_turn(&outcome);
        recorder.record(&outcome, new_events);
    }
    counts.seen += keeper.seen.len();
    for text in keeper.seen.iter().filter_map(|seen| seen.strip_prefix(REFUSED)) {
        *counts.refused.entry(text.to_owned()).or_default() += 1;
    }
}

#[test]
fn random_orchestrators_see_and_ask_for_the_same_whether_kept_or_replayed() {
    let mut counts = Counts::default();
    for seed in 0..EXECUTIONS {
        execute(seed, &mut counts);
    }
    let Counts { turns, seen, cancelled, generations, locks, unlocks, refused } = &counts;
    assert!(*turns > 2_000 && *seen > 5_000, "{counts:?}");
    assert!(*cancelled > 100 && *generations > 20, "{counts:?}");
    assert!(*locks > 500 && *unlocks > 500, "{counts:?}");
    assert_eq!(refused.len(), 7, "six rules and unknown entities: {counts:?}");
    assert!(refused.values().all(|count| *count > 20), "{counts:?}");
}
