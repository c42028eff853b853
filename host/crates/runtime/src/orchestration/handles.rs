//! [`Handles`]: what has become of the actions of one execution, by their numbers.

use std::collections::HashMap;

use everstate_types::{Action, Failure, FunctionName, InnerFailure, Payload};

/// What came of something that was asked for.
pub(crate) type Outcome = Result<Payload, Failure>;

/// What has become of something that a guest has a handle to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing comes back from it.
    Silent,
    /// It has not completed.
    Open,
    /// It has completed, as the so-manieth of all that arrived, and the guest does not know yet.
    Ready(u32),
    /// The guest has its completion.
    Taken,
    /// The guest gave up on it.
    Cancelled,
}

/// All actions of one execution.
#[derive(Debug, Default)]
pub(super) struct Handles {
    /// By action number. Beside the rest, because every wait looks through it.
    states: Vec<State>,
    /// By action number.
    asked: Vec<Asked>,
    /// Completions that the guest does not know yet, by action number.
    outcomes: HashMap<usize, Outcome>,
}

/// What has to be remembered of an action.
#[derive(Debug)]
enum Asked {
    Activity {
        name: FunctionName,
        /// The first attempt at the same work; `None`: this is.
        first_attempt: Option<i32>,
        /// How many there were, of a first attempt.
        attempts: u32,
    },
    SubOrchestration {
        name: FunctionName,
    },
    Timer,
    Lock,
    Other,
}

impl Handles {
    /// How many actions there were.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Takes on an action.
    pub(super) fn push(&mut self, action: &Action) {
        let (state, asked) = match action {
            Action::CallActivity { name, first_attempt, .. } => {
                let first = first_attempt.and_then(|number| usize::try_from(number).ok());
                if let Some(Asked::Activity { attempts, .. }) =
                    first.and_then(|number| self.asked.get_mut(number))
                {
                    *attempts += 1;
                }
                let (name, first_attempt) = (name.clone(), *first_attempt);
                (State::Open, Asked::Activity { name, first_attempt, attempts: 1 })
            }
            Action::CallSubOrchestration { name, .. } => {
                (State::Open, Asked::SubOrchestration { name: name.clone() })
            }
            Action::CreateTimer { .. } => (State::Open, Asked::Timer),
            Action::LockEntities { .. } => (State::Open, Asked::Lock),
            Action::CallEntity { .. } => (State::Open, Asked::Other),
            Action::StartOrchestration { .. }
            | Action::SignalEntity { .. }
            | Action::UnlockEntity { .. }
            | Action::SendEvent { .. } => (State::Silent, Asked::Other),
        };
        self.states.push(state);
        self.asked.push(asked);
    }

    /// What has become of an action.
    pub(super) fn state(&self, number: usize) -> Option<State> {
        self.states.get(number).copied()
    }

    /// Whether an action asked for a lock.
    pub(super) fn is_lock(&self, number: usize) -> bool {
        matches!(self.asked.get(number), Some(Asked::Lock))
    }

    /// The first attempt at the work of the activity `number`, and the number of the next attempt.
    /// `None` if that is no activity of this name.
    pub(super) fn next_attempt(&self, number: u32, name: &FunctionName) -> Option<(i32, u32)> {
        let activity = |number: usize| match self.asked.get(number) {
            Some(Asked::Activity { name, first_attempt, attempts }) => {
                Some((name, *first_attempt, *attempts))
            }
            _ => None,
        };
        let (asked, first_attempt, mut attempts) = activity(number as usize)?;
        if !asked.as_str().eq_ignore_ascii_case(name.as_str()) {
            return None;
        }
        let first = first_attempt.map_or_else(|| i32::try_from(number).ok(), Some)?;
        if first_attempt.is_some() {
            attempts = activity(usize::try_from(first).ok()?)?.2;
        }
        Some((first, attempts + 1))
    }

    /// Something that was asked for has completed, as the so-manieth of all that arrived. A second
    /// completion, and one that nobody waits for any more, is dropped.
    pub(super) fn complete(&mut self, number: usize, order: u32, outcome: Outcome) {
        let Some(state @ State::Open) = self.states.get_mut(number) else { return };
        *state = State::Ready(order);
        let outcome = match &self.asked[number] {
            Asked::Activity { name, .. } => outcome.map_err(|failure| {
                wrapped("ActivityFailed", &format!("The activity function '{name}'"), failure)
            }),
            Asked::SubOrchestration { name } => outcome.map_err(|failure| {
                let what = format!("The orchestrator function '{name}'");
                wrapped("SubOrchestrationFailed", &what, failure)
            }),
            Asked::Timer | Asked::Lock | Asked::Other => outcome,
        };
        self.outcomes.insert(number, outcome);
    }

    /// Hands out the completion of an action that is ready.
    pub(super) fn take(&mut self, number: usize) -> Option<Outcome> {
        let outcome = self.outcomes.remove(&number)?;
        self.states[number] = State::Taken;
        Some(outcome)
    }

    /// The guest gives up on an action. True if that was a timer which has not fired.
    pub(super) fn cancel(&mut self, number: usize) -> bool {
        let Some(state @ (State::Open | State::Ready(_))) = self.states.get_mut(number) else {
            return false;
        };
        let was_open = *state == State::Open;
        *state = State::Cancelled;
        self.outcomes.remove(&number);
        was_open && matches!(self.asked[number], Asked::Timer)
    }
}

/// The failure of a call, with what the other side reported as its first cause.
fn wrapped(error_type: &str, what: &str, failure: Failure) -> Failure {
    let error_message = format!(
        "{what} failed: \"{}\". See the function execution logs for additional details.",
        failure.error_message
    );
    let Failure { error_type: of_cause, error_message: cause, stack_trace, .. } = failure;
    let cause = InnerFailure { error_type: of_cause, error_message: cause, stack_trace };
    let mut inner_failures = vec![cause];
    inner_failures.extend(failure.inner_failures);
    Failure {
        error_type: error_type.to_owned(),
        error_message,
        stack_trace: None,
        inner_failures,
        is_non_retriable: failure.is_non_retriable,
        properties: failure.properties,
    }
}
