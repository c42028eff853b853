//! Looks at every change before it is staged. What is seen here needs no crash and no client to be
//! wrong: entities change one way only, nobody comes into a critical section, nobody is in one who does
//! not hold its lock, and nothing expires early.

use std::collections::{HashMap, HashSet};

use everstate_engine::commit::Change;
use everstate_engine::guest::OrchestrationWorkItem;
use everstate_engine::partition::{EntityRead, Input, Request};
use everstate_engine::storage::{CommitSeq, EntityRow};
use everstate_types::{
    EntityId, EntityRecord, EventKind, ExecutionId, HistoryEvent, InstanceId, OrchestrationRecord,
    RequestId,
};

use super::{ReplyId, World};
use crate::entities::{is_lease, options, state_of, text_of, tokens};
use crate::scripts::owner;

/// What the process that runs has made of the instances, stored or not; and what is known of all time.
#[derive(Debug, Default)]
pub(crate) struct View {
    entities: HashMap<InstanceId, EntityRecord>,
    orchestrations: HashMap<InstanceId, OrchestrationRecord>,
    /// When the process last saw an entity do anything.
    used: HashMap<InstanceId, u64>,
    /// The tokens of executions.
    owners: HashMap<ExecutionId, String>,
    /// Entities whose locks somebody wanted to break.
    breaking: HashSet<InstanceId>,
    /// Entities that somebody wanted removed.
    purging: HashSet<InstanceId>,
    /// Owners of locks that may have been broken.
    pub(crate) broken: HashSet<String>,
    /// What leases did, and whether it is durable.
    staged: Vec<(CommitSeq, LeaseChange)>,
    pub(crate) leases: Vec<LeaseChange>,
}

/// What happened to a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LeaseChange {
    /// It has one token more.
    Added(EntityId, String),
    /// It has none any more.
    Emptied(EntityId),
}

/// What is known of the inputs of a turn.
#[derive(Debug, Default)]
pub(super) struct TurnInputs {
    /// Entities whose operations have run, and have left no state.
    emptied: HashSet<InstanceId>,
}

/// A critical section that an execution believes to be in.
#[derive(Debug)]
pub(crate) struct HeldSection {
    pub(crate) number: i32,
    pub(crate) entities: Vec<EntityId>,
}

impl View {
    /// The process is gone, and what was staged behind `synced` with it.
    pub(super) fn crash(&mut self, synced: CommitSeq) {
        self.entities.clear();
        self.orchestrations.clear();
        self.used.clear();
        self.breaking.clear();
        self.purging.clear();
        let survived = self.staged.drain(..).filter(|(seq, _)| *seq <= synced);
        self.leases.extend(survived.map(|(_, change)| change));
    }

    /// What leases did, in order, when everything is durable.
    pub(crate) fn all_lease_changes(&self) -> impl Iterator<Item = &LeaseChange> {
        self.leases.iter().chain(self.staged.iter().map(|(_, change)| change))
    }
}

impl World {
    pub(super) fn note_inputs(&mut self, lane: usize, inputs: &[Input<ReplyId>]) -> TurnInputs {
        let mut noted = TurnInputs::default();
        for input in inputs {
            match input {
                Input::EntityRan { instance_id, token, outcome, .. } => {
                    if !self.done.insert((lane, *token)) {
                        // A late copy.
                        continue;
                    }
                    self.view.used.insert(instance_id.clone(), self.now);
                    if outcome.state.value.is_none() {
                        noted.emptied.insert(instance_id.clone());
                    }
                }
                Input::Request(Request::BreakLock { instance_id, .. }) => {
                    self.view.breaking.insert(instance_id.clone());
                }
                Input::Request(Request::PurgeEntity { instance_id, .. }) => {
                    self.view.purging.insert(instance_id.clone());
                }
                _ => {}
            }
        }
        noted
    }

    /// Takes note of operations that change nothing, and run beside the others.
    pub(super) fn note_reads(&mut self, reads: &[EntityRead<ReplyId>]) {
        for read in reads {
            self.view.used.insert(read.item.entity.instance_id(), self.now);
        }
    }

    /// Checks what a turn changes; `seq`: its place.
    pub(super) fn watch(&mut self, inputs: &TurnInputs, changes: &[Change], seq: CommitSeq) {
        for change in changes {
            match change {
                Change::Entity { id, row } => self.watch_entity(inputs, id, row, seq),
                Change::Orchestration(id, row) => {
                    self.view.owners.insert(row.record.execution_id, owner(&row.record.input));
                    let is_rewound = row.replaces == Some(row.record.execution_id);
                    for event in row.events.iter().filter(|_| !is_rewound) {
                        self.watch_event(&row.record, event);
                    }
                    self.view.orchestrations.insert(id.clone(), row.record.clone());
                }
                Change::Purged(id, _) => {
                    self.view.orchestrations.remove(id);
                }
                Change::Consumed(_) => {}
            }
        }
    }

    /// An entity as the last turn has left it.
    pub(crate) fn entity(&self, id: &InstanceId) -> EntityRecord {
        let known = self.view.entities.get(id).cloned();
        known.or_else(|| self.storage.entity(id)).unwrap_or_default()
    }

    /// An orchestration as the last turn has left it.
    pub(crate) fn orchestration(&self, id: &InstanceId) -> Option<OrchestrationRecord> {
        let known = self.view.orchestrations.get(id);
        known.or_else(|| self.storage.orchestration(id)).cloned()
    }

    fn owner_of(&self, execution_id: ExecutionId) -> &str {
        self.view.owners.get(&execution_id).expect("every execution was started")
    }

    fn watch_entity(
        &mut self,
        inputs: &TurnInputs,
        id: &InstanceId,
        row: &EntityRow,
        seq: CommitSeq,
    ) {
        let before = self.entity(id);
        let after = row.record.clone().unwrap_or_default();
        assert_eq!(row.record.is_none(), after.is_empty(), "{id} is stored as {row:?}");
        if !id.is_receipt() {
            let entity = id.as_entity().expect("an entity's id");
            self.watch_lock(id, &before, &after);
            self.watch_state(inputs, &entity, (&before, &after), seq);
        }
        self.watch_expiry(id, &after);
        self.view.entities.insert(id.clone(), after);
    }

    fn watch_lock(&mut self, id: &InstanceId, before: &EntityRecord, after: &EntityRecord) {
        let holder = before.lock.as_ref().map(|lock| lock.request_id);
        let next = after.lock.as_ref().map(|lock| lock.request_id);
        let is_fair = holder.is_none() || next.is_none() || holder == next;
        assert!(is_fair, "the lock of {id} passes from {:?} to {:?}", before.lock, after.lock);
        if let Some(lock) = before.lock.as_ref().filter(|_| next.is_none())
            && self.view.breaking.contains(id)
        {
            let owner = self.owner_of(lock.execution_id).to_owned();
            self.view.broken.insert(owner);
        }
    }

    fn watch_state(
        &mut self,
        inputs: &TurnInputs,
        entity: &EntityId,
        (before, after): (&EntityRecord, &EntityRecord),
        seq: CommitSeq,
    ) {
        let (old, new) = (text_of(&before.state), text_of(&after.state));
        assert_eq!(after.state, state_of(entity, new), "the state of {entity} is another one");
        if old == new {
            return;
        }
        if new.is_empty() {
            assert!(is_lease(entity), "{entity} was deleted");
            assert!(before.lock.is_none(), "{entity} is locked, and its state goes");
            let id = entity.instance_id();
            if !inputs.emptied.contains(&id) && !self.view.purging.contains(&id) {
                self.watch_end(entity, before);
            }
            self.view.staged.push((seq, LeaseChange::Emptied(entity.clone())));
            return;
        }
        let added = new.strip_prefix(old).unwrap_or_else(|| panic!("{entity}: {old} became {new}"));
        let holder = before.lock.as_ref().map(|lock| self.owner_of(lock.execution_id).to_owned());
        let holder = holder.as_deref();
        for token in tokens(added) {
            let is_of = |owner: &str| {
                let rest = token.strip_prefix(owner);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            let is_alone = holder.is_none_or(is_of);
            assert!(is_alone, "{holder:?} holds {entity}, and it takes {token}");
            let section = token.split_once("-x").map(|(owner, _)| owner);
            let is_within = section
                .is_none_or(|owner| holder == Some(owner) || self.view.broken.contains(owner));
            assert!(is_within, "{entity} takes {token}, and {holder:?} holds it");
            if is_lease(entity) {
                self.view.staged.push((seq, LeaseChange::Added(entity.clone(), token)));
            }
        }
        let is_noted = after.last_operation_at.as_millis() >= self.now;
        assert!(is_noted, "nobody noted when {entity} did its last operation: {after:?}");
    }

    /// An entity that nobody has deleted was not used for its time to live.
    fn watch_end(&self, entity: &EntityId, before: &EntityRecord) {
        let lives = self.lives(entity, before).unwrap_or(u64::MAX);
        let end = before.last_operation_at.as_millis().saturating_add(lives);
        assert!(end <= self.latest, "{entity} expires before {end}, at {}", self.latest);
        // What changes nothing is noted from time to time.
        let noted = self.view.used.get(&entity.instance_id()).map(|used| used + lives - lives / 8);
        let is_over = noted.is_none_or(|end| end <= self.latest + 1);
        assert!(is_over, "{entity} was used not long ago, and expires at {}", self.latest);
    }

    /// How long an entity lives since its last use; `None`: for ever.
    fn lives(&self, entity: &EntityId, record: &EntityRecord) -> Option<u64> {
        let of_type = options(entity.name(), self.lease_ms).time_to_live_ms;
        record.state.time_to_live_ms.or(of_type).filter(|millis| *millis != u64::MAX)
    }

    /// Whatever lives for a time is looked at when that is over.
    fn watch_expiry(&self, id: &InstanceId, after: &EntityRecord) {
        let entity = id.as_entity().expect("an entity's id");
        let lives = match id.is_receipt() {
            true => Some(self.limits.idempotency_window_ms),
            false => self.lives(&entity, after),
        };
        let lives = lives.filter(|_| after.state.value.is_some());
        let expected = lives.map(|lives| self.latest.saturating_add(lives));
        let due = after.expiry.map(|expiry| expiry.due.as_millis());
        let fits = match (due, expected) {
            (None, None) => true,
            (Some(due), Some(expected)) => due <= expected,
            _ => false,
        };
        assert!(fits, "{id} is looked at {due:?}, and not before {expected:?}");
    }

    /// Who is told of a lock holds all of it.
    fn watch_event(&mut self, record: &OrchestrationRecord, event: &HistoryEvent) {
        match &event.kind {
            EventKind::EntityLockRequested { lock_set, .. } => {
                let asked = (record.execution_id, event.event_id);
                self.lock_sets.insert(asked, lock_set.clone());
            }
            EventKind::EntityLockGranted { scheduled_id, critical_section_id } => {
                let lock_set = self.lock_sets[&(record.execution_id, *scheduled_id)].clone();
                self.check_held(record.execution_id, &lock_set, *critical_section_id);
            }
            _ => {}
        }
    }

    /// Nobody runs in a critical section without its lock.
    pub(super) fn watch_work(&self, item: &OrchestrationWorkItem) {
        let Some(held) = held_section(&item.history) else { return };
        let Some(record) = self.orchestration(&item.instance_id) else { return };
        if record.execution_id != item.execution_id || record.status.is_finished() {
            // It was ended in the turn that ran it.
            return;
        }
        let request_id = item.execution_id.lock_guid(held.number, record.lock_epoch);
        self.check_held(item.execution_id, &held.entities, request_id);
    }

    fn check_held(&self, execution_id: ExecutionId, entities: &[EntityId], request_id: RequestId) {
        let owner = self.owner_of(execution_id);
        for entity in entities {
            let id = entity.instance_id();
            let lock = self.entity(&id).lock;
            let is_held = lock.as_ref().is_some_and(|lock| lock.request_id == request_id);
            let may_be_broken =
                self.view.breaking.contains(&id) || self.view.broken.contains(owner);
            assert!(is_held || may_be_broken, "{owner} does not hold {entity}: {lock:?}");
        }
    }
}

/// The critical section that a history leaves an execution in.
pub(crate) fn held_section(history: &[HistoryEvent]) -> Option<HeldSection> {
    let mut asked = HashMap::new();
    let mut held = None;
    for event in history {
        match &event.kind {
            EventKind::EntityLockRequested { lock_set, .. } => {
                asked.insert(event.event_id, lock_set.clone());
            }
            EventKind::EntityLockGranted { scheduled_id, .. } => {
                let entities = asked[scheduled_id].clone();
                held = Some(HeldSection { number: *scheduled_id, entities });
            }
            EventKind::EntityUnlockSent { entity, .. } => {
                held = held.and_then(|mut held: HeldSection| {
                    held.entities.retain(|other| other != entity);
                    (!held.entities.is_empty()).then_some(held)
                });
            }
            _ => {}
        }
    }
    held
}
