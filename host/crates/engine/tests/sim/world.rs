//! The simulated world: it drives partitions in the order that `lane.rs` promises, and decides by its
//! seed what happens next. What clients do is in `clients.rs`, what guests do in
//! `world/work.rs`, how a run ends in `world/drain.rs`.

mod drain;
mod scope;
mod watch;
mod work;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::mem;
use std::rc::Rc;

use everstate_engine::commit::{Change, CommitQueue};
use everstate_engine::partition::{
    Effects, EntityRead, Gate, Input, LifecycleChange, Moment, Partition, PartitionLimits, Reply,
    ReplyTo, Request, Work,
};
use everstate_engine::storage::CommitSeq;
use everstate_types::{
    ComponentHash, DelayedKey, EntityId, ExecutionId, FunctionName, InstanceId, Message,
    MessageBody, MessageId, MessageKey, Payload, RequestId, RuntimeStatus, Timestamp,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

pub(crate) use self::scope::{Kinds, Scope};
use self::watch::View;
pub(crate) use self::watch::{LeaseChange, held_section};
use crate::audit;
use crate::entities::ledger;
use crate::guests::{BROKEN, NOBODY, SOUND};
use crate::model::Model;
use crate::storage::SimStorage;

const STEPS: u64 = 500;

/// A client that waits.
#[derive(Clone, Debug)]
pub(crate) struct ReplyId {
    /// None: what the world does by itself.
    pub(crate) client: Option<u64>,
    /// Whether the client went away.
    pub(crate) is_gone: Rc<Cell<bool>>,
}

impl ReplyId {
    /// The world itself, which does not listen.
    pub(crate) fn nobody() -> Self {
        Self { client: None, is_gone: Rc::default() }
    }
}

impl ReplyTo for ReplyId {
    fn is_abandoned(&self) -> bool {
        self.is_gone.get()
    }
}

/// What a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) steps: u64,
    pub(crate) crashes: u64,
    /// Mixes all that clients were told, so that two runs can be compared.
    pub(crate) fingerprint: u64,
}

#[derive(Debug)]
struct SimLane {
    partition: Partition<ReplyId>,
    inputs: VecDeque<Input<ReplyId>>,
    loads: Vec<InstanceId>,
    work: Vec<Work>,
    /// Operations that change nothing, and what their answers wait for.
    reads: Vec<(CommitSeq, EntityRead<ReplyId>)>,
}

/// An activity that has run, as the rest of the world saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SideEffect {
    pub(crate) instance_id: InstanceId,
    pub(crate) name: FunctionName,
    pub(crate) input: String,
    pub(crate) idempotency_key: RequestId,
    pub(crate) attempt: u32,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) scope: Scope,
    pub(crate) ledgers: usize,
    /// How long leases live.
    pub(crate) lease_ms: u64,
    limits: PartitionLimits,
    watermark_step: u64,
    pub(crate) now: u64,
    /// What the clock has shown at the latest: somebody may have set it back.
    latest: u64,
    pub(crate) step: u64,
    /// The newest code.
    pub(crate) newest: ComponentHash,
    lanes: Vec<SimLane>,
    commits: CommitQueue,
    delayed: BTreeMap<DelayedKey, Message>,
    pub(crate) storage: SimStorage,
    durable: CommitSeq,
    /// Answers that wait for the disk.
    gated: Vec<(CommitSeq, ReplyId, Reply)>,
    /// Queries that wait for what was staged before them: the ledger that is counted.
    pub(crate) queries: Vec<(CommitSeq, ReplyId, usize)>,
    /// Messages that will come a second time.
    copies: Vec<Message>,
    pub(crate) view: View,
    /// Work items of entities that have come back.
    done: HashSet<(usize, u64)>,
    /// What was locked by which action.
    lock_sets: HashMap<(ExecutionId, i32), Vec<EntityId>>,
    side_effects: BTreeSet<SideEffect>,
    runs: usize,
    /// The beginnings of inputs whose activities do not fail any more.
    pub(crate) repaired: HashSet<String>,
    /// Whether faults are over.
    is_draining: bool,
    pub(crate) next_client: u64,
    /// Clients that will be told something, if there is no crash.
    pub(crate) awaiting: BTreeMap<u64, ReplyId>,
    /// Counters that were told to end.
    told_to_end: HashSet<InstanceId>,
    pub(crate) model: Model,
    pub(crate) report: Report,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let ledgers = rng.random_range(1..=4);
        let limits = PartitionLimits {
            entity_inbox_count_max: rng.random_range(2..=50),
            entity_inbox_bytes_max: rng.random_range(1..=2_000),
            idempotency_window_ms: 100_000,
            entity_batch_count_max: rng.random_range(1..=5),
            loaded_instances_max: rng.random_range(1..=20),
            loaded_bytes_max: rng.random_range(1..=20_000),
        };
        let scope = Scope::pick(&mut rng);
        let watermark_step = [1, 10, 4_096][rng.random_range(0..3)];
        let lane_count = rng.random_range(1..=4);
        let lease_ms = [50, 400, 3_000][rng.random_range(0..3)];
        let large_from = [8, 40, usize::MAX][rng.random_range(0..3)];
        let mut world = Self {
            rng,
            scope,
            ledgers,
            lease_ms,
            limits,
            watermark_step,
            now: 1_000_000,
            latest: 0,
            step: 0,
            newest: BROKEN,
            lanes: Vec::new(),
            commits: CommitQueue::new(MessageId(0), [], []),
            delayed: BTreeMap::new(),
            storage: SimStorage::new(large_from),
            durable: CommitSeq(0),
            gated: Vec::new(),
            queries: Vec::new(),
            copies: Vec::new(),
            view: View::default(),
            done: HashSet::new(),
            lock_sets: HashMap::new(),
            side_effects: BTreeSet::new(),
            runs: 0,
            repaired: HashSet::new(),
            is_draining: false,
            next_client: 0,
            awaiting: BTreeMap::new(),
            told_to_end: HashSet::new(),
            model: Model::new(ledgers),
            report: Report { steps: 0, crashes: 0, fingerprint: 0 },
        };
        world.boot(lane_count);
        world
    }

    /// Runs for a while with faults, then without until nothing is left to do, and checks everything.
    pub(crate) fn run(mut self) -> Report {
        for _ in 0..STEPS {
            self.step += 1;
            match self.rng.random_range(0..1_000) {
                0..100 => self.begin_operation(),
                100..130 => self.now += self.rng.random_range(0..2_000),
                130..140 => self.deploy(),
                // Somebody sets the clock of the machine.
                140..145 => self.now -= self.rng.random_range(0..1_000),
                145..150 => self.abandon(),
                _ => self.progress(),
            }
            if self.rng.random_bool(self.scope.crash_rate) {
                self.crash();
            }
        }
        self.is_draining = true;
        self.drain(false);
        self.crash();
        self.drain(false);
        audit::check_rest(&self);
        self.drain(true);
        self.crash();
        self.drain(true);
        self.check();
        self.report.steps = self.step;
        self.report
    }

    /// Starts a process on what the storage has; the number of lanes may be another one.
    fn boot(&mut self, lane_count: usize) {
        let limits = self.limits;
        let lane = || SimLane {
            partition: Partition::new(limits),
            inputs: VecDeque::new(),
            loads: Vec::new(),
            work: Vec::new(),
            reads: Vec::new(),
        };
        self.lanes = (0..lane_count).map(|_| lane()).collect();
        self.gated.clear();
        self.queries.clear();
        self.done.clear();
        // A sender that died with its change does not send it again.
        self.copies.clear();
        self.awaiting.clear();
        self.told_to_end.clear();
        self.durable = CommitSeq(0);
        let recovered = self.storage.recover();
        let ids = recovered.messages.iter().map(|(id, _)| *id);
        let keys = recovered.delayed.iter().map(|(key, _)| *key);
        let commits = CommitQueue::new(recovered.next_message_id, ids, keys);
        self.commits = commits.with_watermark_step(self.watermark_step);
        self.delayed = recovered.delayed.into_iter().collect();
        for (id, message) in recovered.messages {
            self.deliver(MessageKey::Sent(id), message);
        }
    }

    fn crash(&mut self) {
        self.report.crashes += 1;
        // Activities that run may be done when the process dies, and nobody hears of it.
        let work: Vec<_> =
            self.lanes.iter_mut().flat_map(|lane| mem::take(&mut lane.work)).collect();
        for work in work {
            if let Work::Activity { item, .. } = work
                && self.may_run(&item)
                && self.rng.random_bool(0.3)
            {
                self.note_side_effect(&item);
            }
        }
        let survived = self.storage.crash(&mut self.rng);
        self.view.crash(survived);
        let lane_count = self.rng.random_range(1..=4);
        self.boot(lane_count);
    }

    /// One thing that the engine does by itself.
    fn progress(&mut self) {
        let lane = self.rng.random_range(0..self.lanes.len());
        match self.rng.random_range(0..11) {
            0..4 => self.turn(lane),
            4..6 => self.run_guest(lane),
            6 => self.finish_load(lane),
            7 => {
                if self.rng.random_bool(self.scope.commit_rate) {
                    self.commit();
                }
            }
            8 => self.sync(),
            9 => self.deliver_due(),
            _ => self.release(),
        }
    }

    /// There is other code. What stopped because of the old code is told to try it.
    fn deploy(&mut self) {
        self.newest = if self.rng.random_bool(0.5) { SOUND } else { BROKEN };
        self.resume(|failed| failed);
        if self.rng.random_bool(0.3) {
            self.migrate();
        }
    }

    /// Lets suspended orchestrations go on, by whether their code did not fit.
    fn resume(&mut self, is_meant: impl Fn(bool) -> bool) -> bool {
        let suspended: Vec<_> = self
            .storage
            .orchestrations()
            .filter(|(_, record, _)| {
                record.status == RuntimeStatus::Suspended && is_meant(record.failure.is_some())
            })
            .map(|(id, ..)| id.clone())
            .collect();
        let is_any = !suspended.is_empty();
        for instance_id in suspended {
            self.change(instance_id, LifecycleChange::Resume { reason: None });
        }
        is_any
    }

    /// Moves some of what has not ended to the newest code, whether that fits or not.
    fn migrate(&mut self) {
        let alive: Vec<_> = self
            .storage
            .orchestrations()
            .filter(|(_, record, _)| !record.status.is_finished())
            .map(|(id, ..)| id.clone())
            .collect();
        for instance_id in alive {
            if self.rng.random_bool(0.5) {
                self.change(instance_id, LifecycleChange::Migrate { component: self.newest });
            }
        }
    }

    /// Changes where an orchestration is in its life, and does not wait for the answer.
    fn change(&mut self, instance_id: InstanceId, change: LifecycleChange) {
        self.request(Request::Change { instance_id, change, reply_to: ReplyId::nobody() });
    }

    pub(crate) fn request(&mut self, request: Request<ReplyId>) {
        self.submit(&request.instance_id().clone(), Input::Request(request));
    }

    fn lane_of(&self, id: &InstanceId) -> usize {
        usize::try_from(id.hash64() % self.lanes.len() as u64).expect("a small number")
    }

    fn submit(&mut self, id: &InstanceId, input: Input<ReplyId>) {
        let lane = self.lane_of(id);
        self.lanes[lane].inputs.push_back(input);
    }

    fn deliver(&mut self, key: MessageKey, mut message: Message) {
        let (name, component) = match &mut message.body {
            MessageBody::StartOrchestration(start) => (&start.name, &mut start.component),
            MessageBody::Rewind(order) => (&order.start.name, &mut order.start.component),
            MessageBody::Proceed { name, component, .. } => (&*name, component),
            _ => return self.submit(&message.target.clone(), Input::Message(key, message)),
        };
        if component.is_none() && name.as_str() != NOBODY {
            *component = Some(self.newest);
        }
        self.submit(&message.target.clone(), Input::Message(key, message));
    }

    fn is_due(&self) -> bool {
        self.delayed.first_key_value().is_some_and(|(key, _)| key.due.as_millis() <= self.now)
    }

    fn deliver_due(&mut self) {
        self.latest = self.latest.max(self.now);
        while self.is_due()
            && let Some((key, message)) = self.delayed.pop_first()
        {
            self.deliver(MessageKey::Delayed(key), message);
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: Timestamp::from_millis(self.now), exact: None, durable: self.durable }
    }

    fn turn(&mut self, index: usize) {
        self.now += 1;
        self.latest = self.latest.max(self.now);
        let moment = self.moment();
        let count = self.rng.random_range(0..=self.lanes[index].inputs.len());
        let inputs: Vec<_> = self.lanes[index].inputs.drain(..count).collect();
        let noted = self.note_inputs(index, &inputs);
        let mut effects = Effects::default();
        for input in inputs {
            self.lanes[index].partition.apply(moment, input, &mut effects);
        }
        self.send_copies(&mut effects.sent);
        let changes = mem::take(&mut effects.changes);
        self.watch(&noted, &changes, CommitSeq(self.commits.seq().0 + 1));
        let taken_back: Vec<_> = changes.iter().filter_map(taken_back).collect();
        let staged = self.commits.stage(changes, &effects.sent, &effects.delayed);
        let lane = &mut self.lanes[index];
        lane.partition.end_turn(moment, staged.seq);
        let place = |gate| match gate {
            Gate::ThisTurn => staged.seq,
            Gate::Turn(seq) => seq,
        };
        for (reply_to, reply, gate) in effects.replies {
            self.gated.push((place(gate), reply_to, reply));
        }
        self.note_reads(&effects.reads);
        let lane = &mut self.lanes[index];
        lane.reads.extend(effects.reads.into_iter().map(|read| (place(read.gate), read)));
        self.delayed.extend(effects.delayed);
        for key in taken_back {
            self.delayed.remove(&key);
        }
        lane.loads.append(&mut effects.loads);
        for stopped in effects.stopped {
            if stopped.component != Some(self.newest) {
                let change = LifecycleChange::Resume { reason: None };
                self.change(stopped.instance_id, change);
            }
        }
        for mut work in effects.work {
            match &mut work {
                Work::Activity { item, .. } => item.seq = staged.seq,
                Work::Orchestration { item, .. } => self.watch_work(item),
                Work::Entity { .. } => {}
            }
            self.lanes[index].work.push(work);
        }
        for (offset, message) in (0..).zip(effects.sent) {
            let id = MessageId(staged.first_message_id.0 + offset);
            self.deliver(MessageKey::Sent(id), message);
        }
    }

    /// A sender that is not sure may send some messages again, much later.
    fn send_copies(&mut self, sent: &mut Vec<Message>) {
        if self.is_draining || !self.scope.has_copies {
            return;
        }
        for message in sent.iter() {
            let is_repeatable = match &message.body {
                // An id that is free again would take the start of an execution that has ended,
                // and the copy of a start that is delayed would not be.
                MessageBody::StartOrchestration(start) => {
                    !self.scope.reuses_ids && !self.scope.has_lifecycle && start.start_at.is_none()
                }
                MessageBody::EntityReply { result: Err(_), .. }
                | MessageBody::ActivityResult { result: Err(_), .. }
                | MessageBody::SubOrchestrationResult { result: Err(_), .. } => {
                    // Whoever is rewound waits for the same once more.
                    !self.scope.has_lifecycle
                }
                MessageBody::EntityReply { .. }
                | MessageBody::LockReply { result: Ok(()), .. }
                | MessageBody::ActivityTask(_)
                | MessageBody::ActivityResult { .. }
                | MessageBody::SubOrchestrationResult { .. } => true,
                // There is nothing to know a copy by.
                _ => false,
            };
            if is_repeatable && self.rng.random_bool(0.1) {
                self.copies.push(message.clone());
            }
        }
        if !self.copies.is_empty() && self.rng.random_bool(0.1) {
            let picked = self.rng.random_range(0..self.copies.len());
            sent.push(self.copies.swap_remove(picked));
        }
    }

    /// The place of the last turn.
    pub(crate) fn commits_seq(&self) -> CommitSeq {
        self.commits.seq()
    }

    fn finish_load(&mut self, index: usize) {
        let lane = &mut self.lanes[index];
        if let Some(id) = lane.loads.pop() {
            let stored = self.storage.load(&id);
            lane.inputs.push_back(Input::Loaded(id, stored));
        }
    }

    fn commit(&mut self) {
        if let Some(batch) = self.commits.take() {
            self.storage.write(batch);
        }
    }

    fn sync(&mut self) {
        let count = self.rng.random_range(0..=self.storage.unsynced_count());
        if count > 0 {
            self.durable = self.storage.sync(count);
        }
    }

    /// Lets out what may leave, in any order.
    fn release(&mut self) {
        let durable = self.durable;
        let (free, gated) = mem::take(&mut self.gated).into_iter().partition(|g| g.0 <= durable);
        self.gated = gated;
        let free: Vec<(CommitSeq, ReplyId, Reply)> = free;
        for (_, ReplyId { client, .. }, reply) in free {
            if let Some(client) = client {
                self.tell(client, reply);
            }
        }
        let (ready, queries) =
            mem::take(&mut self.queries).into_iter().partition(|q| q.0 <= durable);
        self.queries = queries;
        let ready: Vec<(CommitSeq, ReplyId, usize)> = ready;
        for (_, reply_to, ledger) in ready {
            self.answer_query(reply_to, ledger);
        }
    }

    /// Counts the tokens of a ledger by what it is found by. What is written may not be durable yet.
    fn answer_query(&mut self, reply_to: ReplyId, number: usize) {
        let count = self.storage.indexed_field(&ledger(number), "count").unwrap_or("0");
        let reply = Reply::Operation(Ok(Some(Payload::from(count))));
        self.gated.push((self.commits.seq(), reply_to, reply));
    }

    /// Somebody does not wait any more.
    fn abandon(&mut self) {
        let may_go = |client: &u64| self.model.noted[client].operation.is_call();
        let clients: Vec<u64> = self.awaiting.keys().copied().filter(may_go).collect();
        if let Some(client) = clients.choose(&mut self.rng)
            && let Some(reply_to) = self.awaiting.remove(client)
        {
            reply_to.is_gone.set(true);
        }
    }
}

/// The delayed message that a change takes back.
fn taken_back(change: &Change) -> Option<DelayedKey> {
    match change {
        Change::Consumed(MessageKey::Delayed(key)) => Some(*key),
        _ => None,
    }
}
