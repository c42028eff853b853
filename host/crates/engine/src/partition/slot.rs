//! What a partition holds for one instance.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use everstate_types::{
    EntityId, EntityRecord, HistoryEvent, LockRequest, MessageBody, MessageKey,
    OrchestrationRecord, Payload, ReplyAddress, RequestId, Timestamp, TraceContext,
};

use super::input::{Input, LifecycleChange, WaitFor};
use super::orchestration::{Closings, OpenActions, Section};
use crate::clock::ExactTime;
use crate::storage::{CommitSeq, Indexed, IndexedFields};

/// One instance in memory.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks, each with its own reader")]
pub(super) struct Slot<R> {
    pub(super) state: SlotState<R>,
    /// The last turn that changed the instance. 0: none since it was loaded, and then all is durable.
    pub(super) last_seq: CommitSeq,
    /// Whether the turn that is under way has changed it.
    pub(super) is_changed: bool,
    /// Bytes that were counted for it.
    pub(super) weight: usize,
    /// Whether it stands in the queue of idle instances.
    pub(super) is_idle_queued: bool,
    /// Whether it stands in the queue of settled instances.
    pub(super) is_settled_queued: bool,
    /// Whether it was used since the queue of idle instances came by.
    pub(super) is_used: bool,
}

#[derive(Debug)]
pub(super) enum SlotState<R> {
    /// It is being read; what came meanwhile waits, in order.
    Loading {
        parked: Vec<Input<R>>,
    },
    Orchestration(OrchestrationSlot<R>),
    Entity(EntitySlot<R>),
}

/// An orchestration, or the knowledge that there is none of that id.
#[derive(Debug)]
pub(super) struct OrchestrationSlot<R> {
    pub(super) state: Option<Box<Orchestration>>,
    /// Messages that no turn has seen, in order of arrival.
    pub(super) inbox: VecDeque<(MessageKey, MessageBody)>,
    pub(super) running: Option<RunningTurn>,
    pub(super) waiters: Vec<Waiter<R>>,
    /// `None`: nobody follows it.
    pub(super) closings: Option<Box<Closings>>,
    /// What clients want changed when the turn that runs has ended.
    pub(super) deferred: Vec<(LifecycleChange, R)>,
}

/// Somebody who waits for an orchestration.
#[derive(Debug)]
pub(super) struct Waiter<R> {
    pub(super) wait_for: WaitFor,
    pub(super) reply_to: R,
}

/// An orchestration that exists.
#[derive(Debug)]
pub(super) struct Orchestration {
    pub(super) record: OrchestrationRecord,
    pub(super) history: Arc<Vec<HistoryEvent>>,
    /// What it has asked for and not been told.
    pub(super) open: OpenActions,
    /// The entities that it holds, or has asked to hold.
    pub(super) section: Option<Section>,
    /// The number of the next action.
    pub(super) next_action: i32,
    /// Whether a turn has begun the execution.
    pub(super) has_started: bool,
    /// Whether no turn may begin before the message has come that says with which code: it was
    /// rewound, or resumed after its code did not fit.
    pub(super) awaits_proceed: bool,
    /// Tells activities that have not begun that nobody waits for them.
    pub(super) is_abandoned: Arc<AtomicBool>,
    /// What the index holds of it, once what is staged is written.
    pub(super) indexed: Option<Box<Indexed>>,
    /// When its first turn began, if somebody wants its span and it was in memory since.
    pub(super) begun: Option<ExactTime>,
}

/// A turn that runs.
#[derive(Debug)]
pub(super) struct RunningTurn {
    pub(super) token: u64,
    /// The messages that its events came from.
    pub(super) messages: Vec<(MessageKey, MessageBody)>,
    pub(super) new_events: Arc<Vec<HistoryEvent>>,
}

/// An entity, whether it exists or not.
#[derive(Debug)]
pub(super) struct EntitySlot<R> {
    pub(super) record: EntityRecord,
    /// What the index holds of it, once what is staged is written; `None`: it has no row.
    pub(super) indexed: Option<IndexedFields>,
    /// The time of its last operation, as it is stored once what is staged is written.
    pub(super) stored_operation_at: Timestamp,
    /// What has not been done, in order of arrival. What runs stays at the front.
    pub(super) inbox: VecDeque<InboxItem<R>>,
    /// What the holder of the lock has sent since it holds it. It goes before everything else.
    pub(super) holder_inbox: VecDeque<InboxItem<R>>,
    /// Bytes of the inputs in both, about.
    pub(super) inbox_bytes: usize,
    pub(super) running: Option<RunningBatch>,
}

/// Operations that run.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningBatch {
    pub(super) token: u64,
    /// How many.
    pub(super) count: usize,
    /// Whether they are those of the holder of the lock.
    pub(super) is_holders: bool,
}

/// Something that waits at an entity.
#[derive(Debug)]
pub(super) enum InboxItem<R> {
    Operation(InboxOperation<R>),
    /// A request for the lock.
    Lock(MessageKey, Box<LockRequest>),
    /// A client wants the entity removed.
    Purge(R),
    /// The lock is given back when what stands before is done; and whom that is passed on to.
    Release(MessageKey, RequestId, Vec<EntityId>),
}

/// An operation that waits.
#[derive(Debug)]
pub(super) struct InboxOperation<R> {
    /// The message that it came with; none for a client's call.
    pub(super) message_key: Option<MessageKey>,
    pub(super) request_id: RequestId,
    pub(super) operation: String,
    pub(super) input: Option<Payload>,
    pub(super) reply: ReplyRoute<R>,
    pub(super) trace: Option<Box<TraceContext>>,
}

/// Where the result of an operation goes.
#[derive(Debug)]
pub(super) enum ReplyRoute<R> {
    /// Nowhere: it was a signal.
    Nobody,
    Orchestration(Box<ReplyAddress>),
    Client(R),
}

impl<R> Slot<R> {
    pub(super) fn new(state: SlotState<R>) -> Self {
        Self {
            state,
            last_seq: CommitSeq(0),
            is_changed: false,
            weight: 0,
            is_idle_queued: false,
            is_settled_queued: false,
            is_used: false,
        }
    }

    /// Whether it has to stay in memory because something is under way.
    pub(super) fn is_busy(&self) -> bool {
        match &self.state {
            SlotState::Loading { .. } => true,
            SlotState::Orchestration(slot) => {
                slot.running.is_some()
                    || !slot.inbox.is_empty()
                    || !slot.waiters.is_empty()
                    || !slot.deferred.is_empty()
            }
            SlotState::Entity(slot) => slot.is_busy(),
        }
    }

    /// Whether nothing can happen to it any more but to be asked for.
    pub(super) fn is_settled(&self) -> bool {
        match &self.state {
            SlotState::Orchestration(slot) => slot
                .state
                .as_ref()
                .is_none_or(|orchestration| orchestration.record.status.is_finished()),
            SlotState::Entity(slot) => slot.record.is_empty(),
            SlotState::Loading { .. } => false,
        }
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        /// A slot, its id and its place in the maps.
        const SLOT_BYTES: usize = 512;
        /// An event beside its payload.
        const EVENT_BYTES: usize = 256;
        SLOT_BYTES
            + match &self.state {
                SlotState::Loading { .. } => 0,
                SlotState::Orchestration(slot) => slot.state.as_ref().map_or(0, |orchestration| {
                    let record = &orchestration.record;
                    orchestration.history.len() * EVENT_BYTES
                        + 2 * record.input.len()
                        + record.output.as_ref().map_or(0, Payload::len)
                }),
                SlotState::Entity(slot) => slot.record.state.value.as_ref().map_or(0, Payload::len),
            }
    }
}

impl<R> EntitySlot<R> {
    pub(super) fn new(record: Option<EntityRecord>) -> Self {
        let indexed = record.as_ref().map(|record| record.state.fields.clone());
        let record = record.unwrap_or_default();
        Self {
            stored_operation_at: record.last_operation_at,
            record,
            indexed,
            inbox: VecDeque::new(),
            holder_inbox: VecDeque::new(),
            inbox_bytes: 0,
            running: None,
        }
    }

    /// Whether something runs or waits.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some() || !self.inbox.is_empty() || !self.holder_inbox.is_empty()
    }
}
