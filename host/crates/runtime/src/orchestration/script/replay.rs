//! How a run is held against its history: each action against the event that confirms it, each wait and
//! the end against what the recorded turn still has. A run that does not fit has diverged, and the
//! failure says where and how.

use everstate_types::{Action, Failure, InnerFailure, Payload};

use super::{Script, ScriptError};
use crate::orchestration::description::{describe_action, describe_event};
use crate::orchestration::history::{confirms, recorded_refusal};

impl Script {
    /// Finds the event that confirms an action of a recorded turn; gives why nothing came of it, if
    /// that is what the event says.
    pub(super) fn repeat(
        &mut self,
        number: usize,
        action: &Action,
    ) -> Result<Option<String>, ScriptError> {
        let (then, place) = match self.turns.next_confirmation() {
            Some((_, event))
                if usize::try_from(event.event_id) == Ok(number)
                    && confirms(&event.kind, action) =>
            {
                let refusal = recorded_refusal(&event.kind).map(str::to_owned);
                self.turns.confirmed();
                return Ok(refusal);
            }
            Some((index, event)) => (describe_event(&event.kind), event_at(index)),
            None => {
                let place = format!("the turn ends with {}", event_at(self.turns.turn_end() - 1));
                ("asked for nothing more".to_owned(), place)
            }
        };
        let now = format!("asked to {}", describe_action(action));
        Err(self.diverge(&format!("as action {number}, "), &then, &place, &now))
    }

    /// The run ended in a recorded turn: it has diverged, whatever ended it.
    pub(super) fn end_too_early(&mut self, result: &Result<Payload, Failure>) {
        let now = match result {
            Ok(_) => "ended".to_owned(),
            Err(Failure { error_type, error_message, .. }) => {
                format!("failed ({error_type}: {error_message})")
            }
        };
        if self.check_all_repeated(&now).is_ok() {
            let place = format!("after {}", event_at(self.turns.turn_end() - 1));
            self.diverge("", "waited and went on", &place, &now);
        }
        if let (Some(divergence), Err(failure)) = (&mut self.divergence, result) {
            divergence.inner_failures.push(InnerFailure {
                error_type: failure.error_type.clone(),
                error_message: failure.error_message.clone(),
                stack_trace: failure.stack_trace.clone(),
            });
            divergence.inner_failures.extend(failure.inner_failures.iter().cloned());
        }
    }

    /// Whether the recorded turn that was taken in last confirms no action that is still missing.
    pub(super) fn check_all_repeated(&mut self, now: &str) -> Result<(), ScriptError> {
        let Some((index, event)) = self.turns.next_confirmation() else { return Ok(()) };
        let (number, then) = (event.event_id, describe_event(&event.kind));
        let now = format!("{now} without it");
        Err(self.diverge(&format!("as action {number}, "), &then, &event_at(index), &now))
    }

    fn diverge(&mut self, what: &str, then: &str, place: &str, now: &str) -> ScriptError {
        let message = format!(
            "Non-deterministic orchestration detected: {what}a previous execution of this \
             orchestration {then} ({place}), but the current replay {now}. Was a change made to \
             the orchestrator code after this instance had already started running?"
        );
        self.divergence = Some(Failure::new("NonDeterminism", message).non_retriable());
        ScriptError::Diverged
    }
}

/// The place of an event as people count.
fn event_at(index: usize) -> String {
    format!("event {} of the history", index + 1)
}
