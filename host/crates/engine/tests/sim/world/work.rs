//! Runs the code of the guests, which is slow, may be told twice, and may have been done when the process
//! dies.

use std::sync::atomic::Ordering;

use everstate_engine::guest::{
    ActivityWorkItem, EntityOutcome, EntityWorkItem, OrchestrationResult, OrchestrationWorkItem,
};
use everstate_engine::partition::{ActivityRef, EntityRead, Input, Reply, Request, Work};
use everstate_types::{EventKind, Failure, HistoryEvent, Payload};
use rand::RngExt as _;

use super::{ReplyId, SideEffect, World};
use crate::entities::{self, Surroundings, split_due};
use crate::guests;
use crate::model::{ChangeKind, Operation, root};
use crate::scripts::fate;

impl World {
    pub(super) fn run_guest(&mut self, index: usize) {
        self.run_read(index);
        let count = self.lanes[index].work.len();
        if count == 0 {
            return;
        }
        let picked = self.rng.random_range(0..count);
        if let Work::Activity { item, .. } = &self.lanes[index].work[picked]
            && !self.may_run(item)
        {
            return;
        }
        let is_repeated = self.rng.random_bool(0.2);
        let work = self.lanes[index].work.swap_remove(picked);
        let input = match work {
            Work::Orchestration { token, item } => {
                self.check_due(&item);
                self.check_rewound(&item);
                let outcome = guests::run_orchestration(self.ledgers, &item);
                let instance_id = item.instance_id;
                // A late copy of the outcome, as a restarted guest might give.
                if is_repeated {
                    let (instance_id, outcome) = (instance_id.clone(), outcome.clone());
                    let copy = Input::OrchestrationRan { instance_id, token, outcome };
                    self.lanes[index].inputs.push_back(copy);
                }
                Input::OrchestrationRan { instance_id, token, outcome }
            }
            Work::Activity { message_key, task, item } => {
                let instance_id = item.instance_id.clone();
                let result = self.run_activity(task, &item);
                Input::ActivityRan { instance_id, message_key, task, result, span: None }
            }
            Work::Entity { instance_id, token, item } => {
                let outcome = Box::new(self.run_entity(&item));
                if is_repeated {
                    let (instance_id, outcome) = (instance_id.clone(), outcome.clone());
                    let copy = Input::EntityRan { instance_id, token, outcome, spans: Vec::new() };
                    self.lanes[index].inputs.push_back(copy);
                }
                Input::EntityRan { instance_id, token, outcome, spans: Vec::new() }
            }
        };
        let hasty = self.hasty_rewind(&input);
        self.lanes[index].inputs.push_front(input);
        if let Some(request) = hasty {
            self.lanes[index].inputs.push_front(Input::Request(request));
        }
    }

    /// Runs an operation that changes nothing, if one waits.
    fn run_read(&mut self, index: usize) {
        let count = self.lanes[index].reads.len();
        if count == 0 {
            return;
        }
        let picked = self.rng.random_range(0..count);
        let (seq, EntityRead { item, reply_to, .. }) = self.lanes[index].reads.swap_remove(picked);
        let mut outcome = self.run_operations(&item);
        assert_eq!(outcome.state, item.state, "{:?} has changed something", item.operations);
        let done = outcome.results.pop().expect("one operation");
        self.gated.push((seq, reply_to, Reply::Operation(done.result)));
    }

    /// Runs operations, and stores a large state by itself.
    fn run_entity(&mut self, item: &EntityWorkItem) -> EntityOutcome {
        let mut outcome = self.run_operations(item);
        if let Some(value) = &outcome.state.value
            && item.state.value.as_ref() != Some(value)
        {
            outcome.large = self.storage.store_large(value);
        }
        outcome
    }

    fn run_operations(&mut self, item: &EntityWorkItem) -> EntityOutcome {
        for operation in &item.operations {
            let input = operation.input.as_ref().map_or("", Payload::as_str);
            let is_early = split_due(input).1.is_some_and(|due| due > self.latest);
            assert!(!is_early, "{operation:?} comes early at {}", item.entity);
        }
        let surroundings = Surroundings {
            ledgers: self.ledgers,
            now: self.now,
            lease_ms: self.lease_ms,
            repaired: &self.repaired,
        };
        entities::run_entity(surroundings, &mut self.rng, item)
    }

    /// Nothing comes before the clock has shown its time.
    fn check_due(&self, item: &OrchestrationWorkItem) {
        for event in item.new_events.iter() {
            let due = match &event.kind {
                EventKind::TimerFired { fire_at, .. } => Some(*fire_at),
                EventKind::ExecutionStarted { scheduled_start, .. } => *scheduled_start,
                _ => None,
            };
            let is_early = due.is_some_and(|due| due.as_millis() > self.latest);
            assert!(!is_early, "{event:?} comes early at {}", item.instance_id);
        }
    }

    /// A turn after a rewind knows of it.
    fn check_rewound(&self, item: &OrchestrationWorkItem) {
        let id = &item.instance_id;
        let Some(record) = self.orchestration(id) else { return };
        if record.execution_id != item.execution_id {
            // It was replaced, and this turn comes to nothing.
            return;
        }
        let is_rewind =
            |event: &&HistoryEvent| matches!(event.kind, EventKind::ExecutionRewound { .. });
        let known = item.history.iter().chain(item.new_events.iter()).filter(is_rewind).count();
        assert_eq!(
            known, record.rewinds as usize,
            "{id} runs and does not know that it was rewound"
        );
    }

    /// Now and then somebody rewinds an orchestration while the turn runs that fails.
    fn hasty_rewind(&mut self, input: &Input<ReplyId>) -> Option<Request<ReplyId>> {
        let Input::OrchestrationRan { instance_id, outcome, .. } = input else { return None };
        let is_failing = matches!(outcome.result, OrchestrationResult::Failed(_));
        if !is_failing || self.is_draining || !self.scope.has_lifecycle || self.rng.random_bool(0.8)
        {
            return None;
        }
        let (id, change) = (instance_id.as_str().to_owned(), ChangeKind::Rewind);
        if self.rng.random_bool(0.5) {
            self.repaired.insert(root(&id).to_owned());
        }
        Some(self.note(&Operation::Change { id, change }))
    }

    /// Whether an activity need not wait: its effects stay in the process, or what scheduled it is
    /// durable.
    pub(super) fn may_run(&self, item: &ActivityWorkItem) -> bool {
        !is_external(item) || item.seq <= self.durable
    }

    fn run_activity(
        &mut self,
        task: ActivityRef,
        item: &ActivityWorkItem,
    ) -> Option<Result<Payload, Failure>> {
        if item.is_abandoned.load(Ordering::Relaxed) {
            return None;
        }
        if is_external(item) {
            let is_scheduled = |kind: &EventKind| matches!(kind, EventKind::ActivityScheduled { input, .. } if *input == item.input);
            let found = self.storage.durable(&item.instance_id);
            // What was replaced or rewound meanwhile was durable before.
            let is_durable = found.is_none_or(|(record, history)| {
                record.execution_id != task.execution_id
                    || record.rewinds > 0
                    || history.iter().any(|event| is_scheduled(&event.kind))
            });
            assert!(is_durable, "{item:?} has an effect outside before it is durable");
        }
        self.note_side_effect(item);
        let is_repaired = self.repaired.contains(root(item.input.as_str()));
        Some(guests::run_activity(item, self.runs, is_repaired))
    }

    pub(super) fn note_side_effect(&mut self, item: &ActivityWorkItem) {
        self.runs += 1;
        self.side_effects.insert(SideEffect {
            instance_id: item.instance_id.clone(),
            name: item.name.clone(),
            input: item.input.as_str().to_owned(),
            idempotency_key: item.idempotency_key,
            attempt: item.attempt,
        });
    }
}

/// Whether an activity has effects outside of the process.
fn is_external(item: &ActivityWorkItem) -> bool {
    !fate(item.input.as_str()).is_multiple_of(2)
}
