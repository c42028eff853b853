//! [`Partition`]: the state of one lane's instances, and how each input changes it.
//!
//! This is the whole logic of the engine, free of I/O, clock, randomness and guest code: an input
//! goes in, the state in memory changes, and [`Effects`] say what has to be staged, sent, run,
//! loaded and answered. Whoever drives it does those things in this order, see `lane.rs`; the
//! simulation in `tests/sim` drives it with seeds.
//!
//! Invariants:
//! - An instance has at most one work item under way. Its outcome is applied if it carries the token of
//!   that work item, and dropped otherwise.
//! - A message is consumed (`Change::Consumed`) in the turn that applies its effect, or that finds
//!   that it has none any more. It is never consumed before, and its effect is never applied twice.
//! - An answer carries the last change of the instance that it tells about.
//! - An instance leaves memory only if nothing is under way at it and all its changes are durable.

mod entity;
mod entity_transfer;
mod eviction;
mod input;
mod lifetime;
mod lock;
mod orchestration;
mod slot;

#[cfg(test)]
mod tests;

use everstate_types::{Failure, InstanceId, Message, MessageBody, MessageKey, Payload, Timestamp};
use foldhash::{HashMap, HashMapExt as _};

use self::eviction::Eviction;
pub use self::input::{
    ActivityRef, Effects, EntityRead, Fact, Gate, Input, LifecycleChange, OperationCall, Reply,
    ReplyTo, Request, Seen, StartRequest, Stopped, Transfer, WaitFor, Work,
};
pub(crate) use self::orchestration::delayed_of;
pub use self::orchestration::{Explained, OpenReason, SoughtLock, open_timers};
use self::slot::{EntitySlot, OrchestrationSlot, Slot, SlotState};
use crate::clock::ExactTime;
use crate::commit::Change;
use crate::storage::{CommitSeq, StoredInstance};

/// What a partition may hold; the shares of one lane.
#[derive(Clone, Copy, Debug)]
pub struct PartitionLimits {
    /// Operations that may wait at one entity before clients are refused.
    pub entity_inbox_count_max: usize,
    /// Bytes of operations that may wait at one entity before clients are refused.
    pub entity_inbox_bytes_max: usize,
    /// How long the idempotency key of a signal is remembered, in milliseconds.
    pub idempotency_window_ms: u64,
    /// Operations of one work item.
    pub entity_batch_count_max: usize,
    /// Instances that stay loaded.
    pub loaded_instances_max: usize,
    /// Bytes that stay loaded.
    pub loaded_bytes_max: usize,
}

/// What an input may know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time of day.
    pub now: Timestamp,
    /// The same to the nanosecond, if somebody wants spans: it goes nowhere else.
    pub exact: Option<ExactTime>,
    /// The last turn that is durable.
    pub durable: CommitSeq,
}

/// The instances of one lane. `R` is what an answer is sent to.
#[derive(Debug)]
pub struct Partition<R> {
    limits: PartitionLimits,
    slots: HashMap<InstanceId, Slot<R>>,
    eviction: Eviction,
    /// Instances that this turn has changed, to be stamped with its place.
    changed: Vec<InstanceId>,
    next_token: u64,
}

impl<R: ReplyTo> Partition<R> {
    /// A partition with nothing loaded.
    #[must_use]
    pub fn new(limits: PartitionLimits) -> Self {
        Self {
            limits,
            slots: HashMap::new(),
            eviction: Eviction::default(),
            changed: Vec::new(),
            next_token: 0,
        }
    }

    /// Applies one input. Several may be applied in one turn; [`Partition::end_turn`] ends it.
    pub fn apply(&mut self, moment: Moment, input: Input<R>, effects: &mut Effects<R>) {
        match input {
            Input::Request(request) => self.apply_request(moment, request, effects),
            Input::Message(id, message) => self.apply_message(moment, id, message, effects),
            Input::Loaded(instance_id, stored) => {
                self.apply_loaded(moment, &instance_id, stored, effects);
            }
            Input::OrchestrationRan { instance_id, token, outcome } => {
                self.with_orchestration(&instance_id, effects, |slot, turn, effects| {
                    slot.apply_outcome(moment, token, outcome, turn, effects);
                });
            }
            Input::ActivityRan { instance_id, message_key, task, result, span } => {
                effects.facts.extend(span.map(Fact::Span));
                activity_ran(instance_id, message_key, task, result, effects);
            }
            Input::EntityRan { instance_id, token, outcome, spans } => {
                self.with_entity(&instance_id, |slot, turn| {
                    if slot.apply_outcome(moment, token, *outcome, turn, effects) {
                        effects.facts.extend(spans.into_iter().map(|s| Fact::Span(Box::new(s))));
                    }
                });
            }
        }
    }

    /// Ends a turn whose changes were staged at `seq`, and lets go of what need not stay loaded.
    /// Returns the orchestrations that were let go of before their end.
    pub fn end_turn(&mut self, moment: Moment, seq: CommitSeq) -> Vec<InstanceId> {
        for id in self.changed.drain(..) {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.last_seq = seq;
                slot.is_changed = false;
            }
        }
        self.evict(moment.durable)
    }

    /// How many instances are loaded, or being loaded.
    #[must_use]
    pub fn loaded_count(&self) -> usize {
        self.slots.len()
    }

    /// Whether some instance has a work item under way, is being loaded, or has messages to work on.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.slots.values().any(Slot::is_busy)
    }

    fn apply_request(&mut self, moment: Moment, request: Request<R>, effects: &mut Effects<R>) {
        if let Request::Start(start) = &request
            && start.is_new_id
            && !self.slots.contains_key(&start.instance_id)
        {
            // Nobody can have used an id that was made for this request: no need to look on disk.
            let slot = Slot::new(SlotState::Orchestration(OrchestrationSlot::absent()));
            self.slots.insert(start.instance_id.clone(), slot);
        }
        let id = request.instance_id().clone();
        let Some(request) = self.loaded_or_park(&id, Input::Request(request), effects) else {
            return;
        };
        let Input::Request(request) = request else { return };
        if id.is_entity() {
            self.with_entity(&id, |slot, turn| slot.apply_request(moment, request, turn, effects));
        } else {
            self.with_orchestration(&id, effects, |slot, turn, effects| {
                slot.apply_request(moment, request, turn, effects);
            });
        }
    }

    fn apply_message(
        &mut self,
        moment: Moment,
        key: MessageKey,
        message: Message,
        effects: &mut Effects<R>,
    ) {
        let id = message.target.clone();
        let Some(input) = self.loaded_or_park(&id, Input::Message(key, message), effects) else {
            return;
        };
        let Input::Message(key, message) = input else { return };
        if id.is_entity() {
            self.with_entity(&id, |slot, turn| {
                slot.apply_message(moment, key, message.body, turn, effects);
            });
        } else {
            self.with_orchestration(&id, effects, |slot, turn, effects| {
                slot.apply_message(moment, key, message.body, turn, effects);
            });
        }
    }

    fn apply_loaded(
        &mut self,
        moment: Moment,
        id: &InstanceId,
        stored: Option<StoredInstance>,
        effects: &mut Effects<R>,
    ) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let SlotState::Loading { parked } = &mut slot.state else { return };
        let parked = std::mem::take(parked);
        slot.state = match stored {
            Some(StoredInstance::Orchestration { record, history }) => {
                SlotState::Orchestration(OrchestrationSlot::loaded(record, history))
            }
            Some(StoredInstance::Entity(record)) => {
                SlotState::Entity(EntitySlot::new(Some(record)))
            }
            None if id.is_entity() => SlotState::Entity(EntitySlot::new(None)),
            None => SlotState::Orchestration(OrchestrationSlot::absent()),
        };
        for input in parked {
            self.apply(moment, input, effects);
        }
        self.settle(id);
    }

    /// Gives the input back if its instance is loaded; keeps it and asks for the instance otherwise.
    fn loaded_or_park(
        &mut self,
        id: &InstanceId,
        input: Input<R>,
        effects: &mut Effects<R>,
    ) -> Option<Input<R>> {
        match self.slots.get_mut(id) {
            Some(Slot { state: SlotState::Loading { parked }, .. }) => {
                parked.push(input);
                None
            }
            Some(_) => Some(input),
            None => {
                let state = SlotState::Loading { parked: vec![input] };
                self.slots.insert(id.clone(), Slot::new(state));
                effects.loads.push(id.clone());
                None
            }
        }
    }

    fn with_orchestration(
        &mut self,
        id: &InstanceId,
        effects: &mut Effects<R>,
        run: impl FnOnce(&mut OrchestrationSlot<R>, &mut SlotTurn<'_>, &mut Effects<R>),
    ) {
        if let Some((SlotState::Orchestration(slot), mut turn)) = self.slot_turn(id) {
            run(slot, &mut turn, effects);
            slot.answer_waiters(&mut turn, effects);
            self.settle(id);
        }
    }

    fn with_entity(
        &mut self,
        id: &InstanceId,
        run: impl FnOnce(&mut EntitySlot<R>, &mut SlotTurn<'_>),
    ) {
        if let Some((SlotState::Entity(slot), mut turn)) = self.slot_turn(id) {
            run(slot, &mut turn);
            self.settle(id);
        }
    }

    fn slot_turn<'a>(
        &'a mut self,
        id: &'a InstanceId,
    ) -> Option<(&'a mut SlotState<R>, SlotTurn<'a>)> {
        let slot = self.slots.get_mut(id)?;
        let turn = SlotTurn {
            id,
            last_seq: slot.last_seq,
            is_changed: &mut slot.is_changed,
            changed: &mut self.changed,
            next_token: &mut self.next_token,
            limits: self.limits,
        };
        Some((&mut slot.state, turn))
    }
}

/// Takes an activity's task out of the queue and sends its result, as one change. The orchestration
/// need not be loaded for that.
fn activity_ran<R>(
    instance_id: InstanceId,
    message_key: MessageKey,
    task: ActivityRef,
    result: Option<Result<Payload, Failure>>,
    effects: &mut Effects<R>,
) {
    effects.changes.push(Change::Consumed(message_key));
    let Some(result) = result else { return };
    let body = MessageBody::ActivityResult {
        execution_id: task.execution_id,
        scheduled_id: task.scheduled_id,
        request_id: task.request_id,
        result: result.map_err(Box::new),
    };
    effects.sent.push(Message { target: instance_id, body });
}

/// What a slot may touch of its partition while an input is applied to it.
#[derive(Debug)]
struct SlotTurn<'a> {
    id: &'a InstanceId,
    last_seq: CommitSeq,
    is_changed: &'a mut bool,
    changed: &'a mut Vec<InstanceId>,
    next_token: &'a mut u64,
    limits: PartitionLimits,
}

impl SlotTurn<'_> {
    /// Notes that this turn changes the instance.
    fn mark_changed(&mut self) {
        if !*self.is_changed {
            *self.is_changed = true;
            self.changed.push(self.id.clone());
        }
    }

    /// What an answer about the instance as it is now has to wait for.
    fn gate(&self) -> Gate {
        if *self.is_changed { Gate::ThisTurn } else { Gate::Turn(self.last_seq) }
    }

    fn token(&mut self) -> u64 {
        *self.next_token += 1;
        *self.next_token
    }
}
