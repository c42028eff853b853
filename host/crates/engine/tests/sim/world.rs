//! The simulated world: it drives partitions in the order that `lane.rs` promises, and decides by its
//! seed what happens next.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use everstate_engine::commit::CommitQueue;
use everstate_engine::partition::{
    Effects, Gate, Input, Moment, Partition, PartitionLimits, Reply, ReplyTo, Request,
    StartRequest, Work,
};
use everstate_engine::storage::{CommitSeq, StoredInstance};
use everstate_types::{
    ComponentHash, EventKind, ExecutionId, FunctionName, InstanceId, Message, MessageBody,
    MessageId, Payload, RequestId, RuntimeStatus, Timestamp,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::guests;
use crate::model::{Model, Operation, Told};
use crate::storage::SimStorage;

const STEPS: u64 = 400;
const CODE: ComponentHash = ComponentHash([7; 32]);

/// A client that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyId(u64);

impl ReplyTo for ReplyId {
    fn is_abandoned(&self) -> bool {
        false
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
}

#[derive(Debug)]
pub(crate) struct World {
    rng: StdRng,
    ledgers: usize,
    limits: PartitionLimits,
    now: u64,
    step: u64,
    lanes: Vec<SimLane>,
    commits: CommitQueue,
    storage: SimStorage,
    durable: CommitSeq,
    /// Answers that wait for the disk.
    gated: Vec<(CommitSeq, ReplyId, Reply)>,
    /// Messages that will come a second time.
    copies: Vec<Message>,
    /// Whether faults are over.
    is_draining: bool,
    next_client: u64,
    model: Model,
    report: Report,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let ledgers = rng.random_range(1..=4);
        let limits = PartitionLimits {
            entity_inbox_count_max: rng.random_range(2..=50),
            entity_batch_count_max: rng.random_range(1..=5),
            loaded_instances_max: rng.random_range(1..=20),
            loaded_bytes_max: rng.random_range(1..=20_000),
        };
        let lane_count = rng.random_range(1..=4);
        let mut world = Self {
            rng,
            ledgers,
            limits,
            now: 1_000_000,
            step: 0,
            lanes: Vec::new(),
            commits: CommitQueue::new(MessageId(0), []),
            storage: SimStorage::default(),
            durable: CommitSeq(0),
            gated: Vec::new(),
            copies: Vec::new(),
            is_draining: false,
            next_client: 0,
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
            match self.rng.random_range(0..100) {
                0..15 => self.begin_operation(),
                15 => self.crash(),
                16..20 => self.now += self.rng.random_range(0..5_000),
                _ => self.progress(),
            }
        }
        self.drain();
        self.crash();
        self.drain();
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
        };
        self.lanes = (0..lane_count).map(|_| lane()).collect();
        self.gated.clear();
        // A sender that died with its change does not send it again.
        self.copies.clear();
        self.durable = CommitSeq(0);
        let (messages, next) = self.storage.recover();
        self.commits = CommitQueue::new(next, messages.iter().map(|(id, _)| *id));
        for (id, message) in messages {
            self.deliver(id, message);
        }
    }

    fn crash(&mut self) {
        self.report.crashes += 1;
        self.storage.crash(&mut self.rng);
        let lane_count = self.rng.random_range(1..=4);
        self.boot(lane_count);
    }

    /// One thing that the engine does by itself.
    fn progress(&mut self) {
        let lane = self.rng.random_range(0..self.lanes.len());
        match self.rng.random_range(0..10) {
            0..4 => self.turn(lane),
            4..6 => self.run_guest(lane),
            6 => self.finish_load(lane),
            7 => self.commit(),
            8 => self.sync(),
            _ => self.release(),
        }
    }

    fn begin_operation(&mut self) {
        let ledger = self.rng.random_range(0..self.ledgers);
        let client = self.next_client;
        self.next_client += 1;
        let token = format!("t{client}");
        let operation = match self.rng.random_range(0..8) {
            0..3 => {
                let names = ["Append", "Both", "Relay", "Fails"];
                let name = names[self.rng.random_range(0..names.len())];
                Operation::Orchestration { name, ledger }
            }
            3..5 => Operation::Append { ledger },
            5 => Operation::Signal { ledger },
            _ => Operation::Read { ledger },
        };
        self.model.begin(self.step, client, operation.clone(), token.clone());
        self.request(client, &operation, &token);
    }

    fn request(&mut self, client: u64, operation: &Operation, token: &str) {
        let reply_to = ReplyId(client);
        let entity = |ledger: usize| guests::ledger(ledger).instance_id();
        let request_id = RequestId::from_u128(u128::from(client) << 64 | 1);
        let append = || ("append".to_owned(), Some(Payload::from(token)));
        let request = match *operation {
            Operation::Orchestration { name, ledger } => Request::Start(Box::new(StartRequest {
                instance_id: InstanceId::orchestration(token).expect("a valid id"),
                is_new_id: self.rng.random_bool(0.5),
                name: FunctionName::new(name).expect("a valid name"),
                component: CODE,
                execution_id: ExecutionId::new(request_id),
                input: Payload::from(format!("{ledger}:{token}")),
                tags: Vec::new(),
                use_existing: false,
                reply_to,
            })),
            Operation::Append { ledger } => {
                let (operation, input) = append();
                let instance_id = entity(ledger);
                Request::CallEntity { instance_id, request_id, operation, input, reply_to }
            }
            Operation::Signal { ledger } => {
                let (operation, input) = append();
                let instance_id = entity(ledger);
                Request::SignalEntity { instance_id, request_id, operation, input, reply_to }
            }
            Operation::Read { ledger } => {
                Request::ReadState { instance_id: entity(ledger), reply_to }
            }
        };
        self.submit(&request.instance_id().clone(), Input::Request(request));
    }

    fn lane_of(&self, id: &InstanceId) -> usize {
        usize::try_from(id.hash64() % self.lanes.len() as u64).expect("a small number")
    }

    fn submit(&mut self, id: &InstanceId, input: Input<ReplyId>) {
        let lane = self.lane_of(id);
        self.lanes[lane].inputs.push_back(input);
    }

    fn deliver(&mut self, id: MessageId, mut message: Message) {
        if let MessageBody::StartOrchestration { component, .. } = &mut message.body {
            *component = Some(CODE);
        }
        self.submit(&message.target.clone(), Input::Message(id, message));
    }

    fn moment(&self) -> Moment {
        Moment { now: Timestamp::from_millis(self.now), durable: self.durable }
    }

    fn turn(&mut self, index: usize) {
        self.now += 1;
        let moment = self.moment();
        let lane = &mut self.lanes[index];
        let count = self.rng.random_range(0..=lane.inputs.len());
        let mut effects = Effects::default();
        for input in lane.inputs.drain(..count) {
            lane.partition.apply(moment, input, &mut effects);
        }
        // A sender that is not sure may send starts and replies again, much later.
        for message in &effects.sent {
            if self.is_draining {
                break;
            }
            let is_repeatable = !matches!(message.body, MessageBody::EntityOperation { .. });
            if is_repeatable && self.rng.random_bool(0.1) {
                self.copies.push(message.clone());
            }
        }
        if !self.is_draining && !self.copies.is_empty() && self.rng.random_bool(0.1) {
            let picked = self.rng.random_range(0..self.copies.len());
            effects.sent.push(self.copies.swap_remove(picked));
        }
        let staged = self.commits.stage(mem::take(&mut effects.changes), &effects.sent);
        lane.partition.end_turn(moment, staged.seq);
        lane.work.append(&mut effects.work);
        lane.loads.append(&mut effects.loads);
        for (reply_to, reply, gate) in effects.replies {
            let seq = match gate {
                Gate::ThisTurn => staged.seq,
                Gate::Turn(seq) => seq,
            };
            self.gated.push((seq, reply_to, reply));
        }
        for (offset, message) in (0..).zip(effects.sent) {
            self.deliver(MessageId(staged.first_message_id.0 + offset), message);
        }
    }

    fn run_guest(&mut self, index: usize) {
        let lane = &mut self.lanes[index];
        if lane.work.is_empty() {
            return;
        }
        let picked = self.rng.random_range(0..lane.work.len());
        let input = match lane.work.swap_remove(picked) {
            Work::Orchestration { token, item } => {
                let outcome = guests::run_orchestration(self.ledgers, &item);
                let instance_id = item.instance_id;
                // A late copy of the outcome, as a restarted guest might give.
                if self.rng.random_bool(0.2) {
                    let (instance_id, outcome) = (instance_id.clone(), outcome.clone());
                    let copy = Input::OrchestrationRan { instance_id, token, outcome };
                    lane.inputs.push_back(copy);
                }
                Input::OrchestrationRan { instance_id, token, outcome }
            }
            Work::Entity { instance_id, token, item } => {
                let outcome = guests::run_entity(self.ledgers, &mut self.rng, &item);
                if self.rng.random_bool(0.2) {
                    let (instance_id, outcome) = (instance_id.clone(), outcome.clone());
                    lane.inputs.push_back(Input::EntityRan { instance_id, token, outcome });
                }
                Input::EntityRan { instance_id, token, outcome }
            }
        };
        lane.inputs.push_front(input);
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
        for (_, ReplyId(client), reply) in free {
            self.tell(client, reply);
        }
    }

    fn tell(&mut self, client: u64, reply: Reply) {
        let told = match reply {
            Reply::Started(id) => {
                // Told that it runs, the client waits for its end.
                let reply_to = ReplyId(client);
                let wait = Request::WaitForCompletion { instance_id: id.clone(), reply_to };
                self.submit(&id, Input::Request(wait));
                Told::Accepted
            }
            Reply::Accepted => Told::Accepted,
            Reply::Operation(Ok(result)) => Told::Result(text(result)),
            Reply::Operation(Err(_)) => Told::Failed,
            Reply::State(state) => {
                Told::Tokens(state.map(|state| tokens(state.as_str())).unwrap_or_default())
            }
            Reply::Status(status) => {
                let record = &status.expect("what was accepted exists").record;
                match record.status {
                    RuntimeStatus::Completed => Told::Result(text(record.output.clone())),
                    RuntimeStatus::Failed => Told::Failed,
                    status => panic!("waited for the end and was told {status}"),
                }
            }
            Reply::Refused(_) => Told::Refused,
        };
        for byte in format!("{client}{told:?}").bytes() {
            self.report.fingerprint =
                (self.report.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.model.tell(self.step, client, told);
    }

    /// Lets everything that is under way come to its end.
    fn drain(&mut self) {
        self.is_draining = true;
        let mut idle = 0;
        while idle < 3 {
            self.step += 1;
            idle += 1;
            for lane in 0..self.lanes.len() {
                let before = &self.lanes[lane];
                if !(before.inputs.is_empty() && before.loads.is_empty() && before.work.is_empty())
                {
                    idle = 0;
                }
                self.turn(lane);
                self.run_guest(lane);
                self.finish_load(lane);
            }
            self.commit();
            self.durable = self.durable.max(self.storage.sync(self.storage.unsynced_count()));
            self.release();
            assert!(self.step < 1_000_000, "it never comes to rest");
        }
        for lane in &self.lanes {
            assert!(!lane.partition.is_busy(), "something is stuck: {:?}", lane.partition);
        }
        assert!(self.gated.is_empty(), "an answer was never let out");
        assert_eq!(self.storage.message_count(), 0, "a message was never consumed");
    }

    fn check(&self) {
        let mut lists = BTreeMap::new();
        for (id, stored) in self.storage.instances() {
            match stored {
                StoredInstance::Entity(record) => {
                    let entity = id.as_entity().expect("an entity's id");
                    let number: usize = entity.key().parse().expect("a ledger");
                    lists.insert(number, tokens(record.state.as_str()));
                }
                StoredInstance::Orchestration { record, history } => {
                    assert!(record.status.is_finished(), "{id} is left {}", record.status);
                    let starts = history
                        .iter()
                        .filter(|event| matches!(event.kind, EventKind::ExecutionStarted { .. }));
                    assert_eq!(starts.count(), 1, "{id} began once");
                    let ends = history
                        .iter()
                        .filter(|event| matches!(event.kind, EventKind::ExecutionCompleted { .. }));
                    assert_eq!(ends.count(), 1, "{id} ended once");
                    assert!(
                        history.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp),
                        "time went back in {id}"
                    );
                }
            }
        }
        self.model.check(&lists);
    }
}

fn text(payload: Option<Payload>) -> String {
    payload.map(|payload| payload.as_str().to_owned()).unwrap_or_default()
}

fn tokens(state: &str) -> Vec<String> {
    state.split(',').filter(|token| !token.is_empty()).map(str::to_owned).collect()
}
