//! [`Lane`]: drives one partition.
//!
//! A lane has no thread of its own. Whoever brings an input while nobody drives the lane drives it
//! until nothing is left, on the thread it is on: a request, its orchestration and its entity can so
//! pass through several lanes without a change of thread. Inputs wait in a queue meanwhile, so
//! a partition still has one owner at a time. Driving never blocks: guests run in tasks of their
//! own, and what is not in memory is read where blocking is allowed.
//!
//! Order of a turn: apply inputs, stage all changes and messages as one, answer, send, run, load.
//! Staging comes first, so what anybody learns of a turn is behind it in the commit queue.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use everstate_types::{
    DelayedKey, Failure, FunctionKind, InstanceId, Message, MessageBody, MessageId, MessageKey,
    Payload,
};
use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use crate::client::Observed;
use crate::commit::Change;
use crate::guest::{
    ABANDONED, ActivityWorkItem, EntityOutcome, EntityWorkItem, OperationOutcome,
    OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use crate::partition::{
    Effects, Gate, Input, Moment, Partition, PartitionLimits, Reply, ReplyTo, Work,
};
use crate::storage::Cached;
use crate::task_hub::Node;

/// Inputs that one turn takes at most: what is staged as one, and how long others wait.
const TURN_INPUTS_MAX: usize = 256;

/// Turns after which a driver hands over to a task, so that nobody drives for others without end.
const TURNS_AT_A_TIME: usize = 64;

/// Work items that a task runs in a row before it lets others run.
const CHAIN_LENGTH_MAX: u32 = 16;

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct ReplySender(pub(crate) oneshot::Sender<Observed<Reply>>);

impl ReplyTo for ReplySender {
    fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// One partition, and the inputs that wait for it.
#[derive(Debug)]
pub(crate) struct Lane {
    queue: Mutex<Queue>,
    /// Locked by the driver alone; nobody ever waits for it.
    partition: Mutex<Partition<ReplySender>>,
    /// Whether more waits than the limit.
    is_full: AtomicBool,
    queue_count_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    inputs: VecDeque<Input<ReplySender>>,
    is_driven: bool,
}

impl Lane {
    pub(crate) fn new(limits: PartitionLimits, queue_count_max: usize) -> Self {
        Self {
            queue: Mutex::default(),
            partition: Mutex::new(Partition::new(limits)),
            is_full: AtomicBool::new(false),
            queue_count_max,
        }
    }

    /// Whether no new work should be accepted.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Takes an input and drives the lane, unless somebody does already.
    pub(crate) fn submit(self: &Arc<Self>, node: &Arc<Node>, input: Input<ReplySender>) {
        {
            let mut queue = self.queue.lock().expect("no panic under this lock");
            queue.inputs.push_back(input);
            if queue.inputs.len() > self.queue_count_max {
                self.is_full.store(true, Ordering::Relaxed);
            }
            if queue.is_driven {
                return;
            }
            queue.is_driven = true;
        }
        self.drive(node);
    }

    fn drive(self: &Arc<Self>, node: &Arc<Node>) {
        let mut inputs = Vec::new();
        for _ in 0..TURNS_AT_A_TIME {
            {
                let mut queue = self.queue.lock().expect("no panic under this lock");
                let count = queue.inputs.len().min(TURN_INPUTS_MAX);
                inputs.extend(queue.inputs.drain(..count));
                if queue.inputs.len() <= self.queue_count_max {
                    self.is_full.store(false, Ordering::Relaxed);
                }
                if inputs.is_empty() {
                    queue.is_driven = false;
                    return;
                }
            }
            self.turn(node, &mut inputs);
        }
        let (lane, node) = (Arc::clone(self), Arc::clone(node));
        node.runtime().clone().spawn(async move { lane.drive(&node) });
    }

    fn turn(self: &Arc<Self>, node: &Arc<Node>, inputs: &mut Vec<Input<ReplySender>>) {
        let mut effects = Effects::default();
        let taken_back;
        let (staged, forgotten) = {
            let mut partition = self.partition.lock().expect("no panic under this lock");
            let moment = Moment { now: node.clock.now(), durable: node.commits.durable_seq() };
            for input in inputs.drain(..) {
                partition.apply(moment, input, &mut effects);
            }
            let changes = std::mem::take(&mut effects.changes);
            taken_back = delayed_keys(&changes);
            let staged = node.commits.stage(changes, &effects.sent, &effects.delayed);
            (staged, partition.end_turn(moment, staged.seq))
        };
        for (reply_to, reply, gate) in effects.replies {
            let seq = match gate {
                Gate::ThisTurn => staged.seq,
                Gate::Turn(seq) => seq,
            };
            if reply_to.0.send(Observed { value: reply, seq }).is_err() {
                tracing::trace!("the caller went away before its answer");
            }
        }
        node.timers.add(effects.delayed);
        // Behind the addition: a turn may arm a timer and give it up.
        taken_back.iter().for_each(|key| node.timers.remove(key));
        for id in forgotten.into_iter().chain(effects.forgotten) {
            node.executor.forget(&id);
        }
        for id in effects.loads {
            self.load(node, id);
        }
        for mut work in effects.work {
            if let Work::Activity { item, .. } = &mut work {
                item.seq = staged.seq;
            }
            self.run(node, work);
        }
        let mut message_id = staged.first_message_id;
        for message in effects.sent {
            node.deliver(MessageKey::Sent(message_id), message);
            message_id = MessageId(message_id.0 + 1);
        }
    }

    fn load(self: &Arc<Self>, node: &Arc<Node>, id: InstanceId) {
        match node.storage.load_cached(&id) {
            Ok(Cached::Found(stored)) => self.submit(node, Input::Loaded(id, stored)),
            Ok(Cached::WouldBlock) => {
                let (lane, node) = (Arc::clone(self), Arc::clone(node));
                let runtime = node.runtime().clone();
                runtime.spawn_blocking(move || match node.storage.load(&id) {
                    Ok(stored) => lane.submit(&node, Input::Loaded(id, stored)),
                    Err(error) => node.fatal(&error),
                });
            }
            Err(error) => node.fatal(&error),
        }
    }

    /// Runs a work item, here and now if the thread is ready for that, else in a task of its own.
    fn run(self: &Arc<Self>, node: &Arc<Node>, work: Work) {
        let ready = ReadyWork { lane: Arc::clone(self), work };
        if let Some(ready) = ready.hand_over() {
            node.runtime().spawn(ready.run_on(Arc::clone(node)));
        }
    }

    async fn run_work(self: &Arc<Self>, node: &Arc<Node>, work: Work) -> Input<ReplySender> {
        match work {
            Work::Orchestration { token, item } => {
                let instance_id = item.instance_id.clone();
                let outcome = run_orchestration(node, item).await;
                Input::OrchestrationRan { instance_id, token, outcome }
            }
            Work::Activity { message_key, task, item } => {
                let instance_id = item.instance_id.clone();
                let result = run_activity(node, item).await;
                Input::ActivityRan { instance_id, message_key, task, result }
            }
            Work::Entity { instance_id, token, item } => {
                let outcome = run_entity(node, &instance_id, item).await;
                Input::EntityRan { instance_id, token, outcome }
            }
        }
    }
}

/// A work item and the lane that wants its outcome.
#[derive(Debug)]
struct ReadyWork {
    lane: Arc<Lane>,
    work: Work,
}

thread_local! {
    /// The next work item of the task that this thread runs. `Some(None)`: it has none and could
    /// take one; `None`: what this thread runs is not such a task.
    static NEXT: RefCell<Option<Option<ReadyWork>>> = const { RefCell::new(None) };
}

impl ReadyWork {
    /// Gives itself to the task that this thread runs; back if there is none that could take it.
    fn hand_over(self) -> Option<Self> {
        NEXT.with_borrow_mut(|next| match next {
            Some(next @ None) => {
                *next = Some(self);
                None
            }
            _ => Some(self),
        })
    }

    /// Runs a work item, brings its outcome to its lane, and goes on with the first work item that
    /// comes of that: a chain of work stays on one thread, in one task.
    async fn run_on(self, node: Arc<Node>) {
        let mut next = Some(self);
        let mut length = 0;
        while let Some(Self { lane, work }) = next {
            let input = lane.run_work(&node, work).await;
            NEXT.set(Some(None));
            lane.submit(&node, input);
            next = NEXT.take().flatten();
            length += 1;
            if length % CHAIN_LENGTH_MAX == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Finds the newest code for a message that came from an instance: its sender could not know it.
pub(crate) fn resolve_component(node: &Node, message: &mut Message) {
    let (name, component) = match &mut message.body {
        MessageBody::StartOrchestration(start) => (&start.name, &mut start.component),
        MessageBody::Rewind(order) => (&order.start.name, &mut order.start.component),
        MessageBody::Proceed { name, component, .. } => (&*name, component),
        _ => return,
    };
    if component.is_none()
        && let Some(found) = node.executor.find(FunctionKind::Orchestrator, name.as_str())
    {
        *component = Some(found.component);
    }
}

/// The delayed messages that these changes consume or take back.
fn delayed_keys(changes: &[Change]) -> Vec<DelayedKey> {
    let key = |change: &Change| match change {
        Change::Consumed(MessageKey::Delayed(key)) => Some(*key),
        _ => None,
    };
    changes.iter().filter_map(key).collect()
}

/// Runs an activity; `None`: nobody waited for it when its turn came.
async fn run_activity(node: &Node, item: ActivityWorkItem) -> Option<Result<Payload, Failure>> {
    let instance_id = item.instance_id.clone();
    let is_abandoned = Arc::clone(&item.is_abandoned);
    if is_abandoned.load(Ordering::Relaxed) {
        return None;
    }
    let run = AssertUnwindSafe(node.executor.run_activity(item)).catch_unwind();
    match run.await.unwrap_or_else(|_| Err(host_failure(&instance_id))) {
        Err(failure) if failure.error_type == ABANDONED && is_abandoned.load(Ordering::Relaxed) => {
            None
        }
        result => Some(result),
    }
}

async fn run_orchestration(node: &Node, item: OrchestrationWorkItem) -> OrchestrationOutcome {
    let instance_id = item.instance_id.clone();
    let run = AssertUnwindSafe(node.executor.run_orchestration(item)).catch_unwind();
    run.await.unwrap_or_else(|_| {
        let failure = host_failure(&instance_id);
        OrchestrationOutcome::of(OrchestrationResult::Failed(failure))
    })
}

async fn run_entity(node: &Node, id: &InstanceId, item: EntityWorkItem) -> EntityOutcome {
    let state = item.state.clone();
    let count = item.operations.len();
    let run = AssertUnwindSafe(node.executor.run_entity(item)).catch_unwind();
    run.await.unwrap_or_else(|_| {
        let result = Err(host_failure(id));
        let outcome = OperationOutcome { result, effects: Vec::new() };
        EntityOutcome { results: vec![outcome; count], state }
    })
}

/// A defect of the host hurts the work item that met it and nothing else.
fn host_failure(id: &InstanceId) -> Failure {
    tracing::error!(instance = %id, "the host panicked while it ran a guest; this is a defect of the host");
    Failure::new("HostError", "the host failed while it ran the function")
}
