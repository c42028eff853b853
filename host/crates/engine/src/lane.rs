//! [`Lane`]: drives one partition.
//!
//! A lane has no thread of its own. Whoever brings an input while nobody drives the lane drives it
//! until nothing is left, on the thread it is on: a request, its orchestration and its entity can so
//! pass through several lanes without a change of thread. Inputs wait in a queue meanwhile, so
//! a partition still has one owner at a time. Driving never blocks: guests run in tasks of their
//! own, and what is not in memory is read where blocking is allowed.
//!
//! Order of a turn: apply inputs, stage all changes and messages as one, send, answer, load, run.
//! Staging comes first, so what anybody learns of a turn is behind it in the commit queue. Sending
//! comes before answering, so that what a caller does next comes behind what its call has sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use everstate_types::{
    DelayedKey, Failure, FunctionKind, FunctionName, InstanceId, LargeId, Message, MessageBody,
    MessageId, MessageKey, Payload,
};
use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use crate::client::Observed;
use crate::commit::Change;
use crate::guest::{
    ABANDONED, ActivityWorkItem, EntityOutcome, EntityWorkItem, GuestExecutor, OperationOutcome,
    OrchestrationOutcome, OrchestrationResult, OrchestrationWorkItem,
};
use crate::metrics::KnownCounters;
use crate::partition::{
    Effects, EntityRead, Fact, Gate, Input, LifecycleChange, Moment, OperationCall, Partition,
    PartitionLimits, Reply, ReplyTo, Request, Stopped, Work,
};
use crate::storage::{Cached, CommitSeq};
use crate::task_hub::Node;
use crate::trace::{begin_attempt, begin_operations, end_operations};

/// Inputs that one turn takes at most: what is staged as one, and how long others wait.
const TURN_INPUTS_MAX: usize = 256;

/// Turns after which a driver hands over to a task, so that nobody drives for others without end.
const TURNS_AT_A_TIME: usize = 64;

/// States from so many bytes up are offered to the storage before the commit.
const LARGE_BYTES_MIN: usize = 1 << 20;

/// Work items that a task runs in a row before it lets others run.
const CHAIN_LENGTH_MAX: u32 = 16;

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct ReplySender(pub(crate) oneshot::Sender<Observed<Reply>>);

impl ReplySender {
    /// Answers. `staged` is the place of the turn that gave the answer.
    fn send(self, reply: Reply, gate: Gate, staged: CommitSeq) {
        let seq = gate.place(staged);
        if self.0.send(Observed { value: reply, seq }).is_err() {
            tracing::trace!("the caller went away before its answer");
        }
    }
}

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
    driven: Mutex<Driven>,
    /// How many instances are loaded, as of the last turn.
    loaded: AtomicUsize,
    /// Whether more waits than the limit.
    is_full: AtomicBool,
    queue_count_max: usize,
}

/// What belongs to the driver.
#[derive(Debug)]
struct Driven {
    partition: Partition<ReplySender>,
    counters: KnownCounters,
    /// Empty between turns: room for what each of them tells.
    facts: Vec<Fact>,
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
            driven: Mutex::new(Driven {
                partition: Partition::new(limits),
                counters: KnownCounters::default(),
                facts: Vec::new(),
            }),
            loaded: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            queue_count_max,
        }
    }

    /// Whether no new work should be accepted.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// How many inputs wait.
    pub(crate) fn queue_len(&self) -> usize {
        self.queue.lock().expect("no panic under this lock").inputs.len()
    }

    /// How many instances are loaded, or being loaded.
    pub(crate) fn loaded_count(&self) -> usize {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Takes an input and drives the lane, unless somebody does already.
    pub(crate) fn submit(self: &Arc<Self>, node: &Arc<Node>, input: Input<ReplySender>) {
        if self.enqueue(input) {
            self.drive(node);
        }
    }

    /// Takes an input. True: nobody drives the lane, and the caller has to.
    pub(crate) fn enqueue(&self, input: Input<ReplySender>) -> bool {
        let mut queue = self.queue.lock().expect("no panic under this lock");
        queue.inputs.push_back(input);
        if queue.inputs.len() > self.queue_count_max {
            self.is_full.store(true, Ordering::Relaxed);
        }
        !std::mem::replace(&mut queue.is_driven, true)
    }

    /// Works until nothing is left. Only for whoever was told to.
    pub(crate) fn drive(self: &Arc<Self>, node: &Arc<Node>) {
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
            let mut driven = self.driven.lock().expect("no panic under this lock");
            let Driven { partition, counters, facts } = &mut *driven;
            effects.facts = std::mem::take(facts);
            let now = node.clock.now_exactly();
            let exact = node.wants_spans.then_some(now);
            let durable = node.commits.durable_seq();
            let moment = Moment { now: now.timestamp(), exact, durable };
            for input in inputs.drain(..) {
                partition.apply(moment, input, &mut effects);
            }
            let changes = std::mem::take(&mut effects.changes);
            taken_back = delayed_keys(&changes);
            let staged = node.commits.stage(changes, &effects.sent, &effects.delayed);
            tell(node, counters, staged.seq, &mut effects);
            *facts = std::mem::take(&mut effects.facts);
            let forgotten = partition.end_turn(moment, staged.seq);
            self.loaded.store(partition.loaded_count(), Ordering::Relaxed);
            (staged, forgotten)
        };
        // Before the answers: what somebody asks for after an answer comes behind what it told of.
        let to_drive = enqueue_all(node, staged.first_message_id, effects.sent);
        for (reply_to, reply, gate) in effects.replies {
            reply_to.send(reply, gate, staged.seq);
        }
        node.timers.add(effects.delayed);
        // Behind the addition: a turn may arm a timer and give it up.
        taken_back.iter().for_each(|key| node.timers.remove(key));
        for id in forgotten.into_iter().chain(effects.forgotten) {
            node.executor.forget(&id);
        }
        for stopped in effects.stopped {
            self.try_newer_code(node, stopped);
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
        for read in effects.reads {
            node.runtime().spawn(run_read(Arc::clone(node), read, staged.seq));
        }
        for lane in to_drive {
            lane.drive(node);
        }
    }

    /// Resumes an orchestration that has just stopped with code that is not the newest any more. That is
    /// looked up after its stop was staged: whoever deploys code later finds it among what has stopped.
    fn try_newer_code(self: &Arc<Self>, node: &Arc<Node>, stopped: Stopped) {
        let Stopped { instance_id, name, component } = stopped;
        let newest = node.executor.find_for_work(FunctionKind::Orchestrator, name.as_str());
        if newest.is_none_or(|newest| Some(newest.component) == component) {
            return;
        }
        let change = LifecycleChange::Resume { reason: Some("there is newer code".to_owned()) };
        // Nobody waits: if it was resumed or terminated meanwhile, that is as well.
        let reply_to = ReplySender(oneshot::channel().0);
        let request = Request::Change { instance_id, change, reply_to };
        self.submit(node, Input::Request(request));
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
        let begun = Instant::now();
        match work {
            Work::Orchestration { token, item } => {
                let instance_id = item.instance_id.clone();
                let outcome = run_orchestration(node, item).await;
                node.metrics.orchestration_turn.observe(begun.elapsed());
                Input::OrchestrationRan { instance_id, token, outcome }
            }
            Work::Activity { message_key, task, item } => {
                let instance_id = item.instance_id.clone();
                let open = begin_attempt(node, &item, task.above);
                let result = run_activity(node, item).await;
                node.metrics.activity_attempt.observe(begun.elapsed());
                let span = open.zip(result.as_ref()).map(|(open, result)| {
                    Box::new(open.end(node.clock.now_exactly(), result.as_ref().err()))
                });
                Input::ActivityRan { instance_id, message_key, task, result, span }
            }
            Work::Entity { instance_id, token, item } => {
                let open = begin_operations(node, &item);
                let outcome = Box::new(run_entity(node, &instance_id, item).await);
                node.metrics.entity_batch.observe(begun.elapsed());
                let spans = end_operations(node, open, &outcome.results);
                Input::EntityRan { instance_id, token, outcome, spans }
            }
        }
    }
}

/// Tells observers of a turn. Its spans wait until it is durable.
fn tell(
    node: &Node,
    counters: &mut KnownCounters,
    staged: CommitSeq,
    effects: &mut Effects<ReplySender>,
) {
    node.metrics.saw_inbox(effects.inbox_peak);
    let mut spans = Vec::new();
    let published = |name: &FunctionName| {
        Some(node.executor.find_for_work(FunctionKind::Orchestrator, name.as_str())?.name)
    };
    for fact in effects.facts.drain(..) {
        match fact {
            Fact::Started(name) => counters.started(&node.metrics, &name, published),
            Fact::Ended { name, status, span } => {
                counters.ended(&node.metrics, &name, status, published);
                spans.extend(span.map(|span| *span));
            }
            Fact::Span(span) => spans.push(*span),
        }
    }
    if !spans.is_empty() {
        node.commits.hold_spans(staged, spans);
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

/// Finds the newest code for a message that came from an instance: its sender could not know it, nor how
/// its author writes the name. Code that is retiring will do.
pub(crate) fn resolve_component(executor: &dyn GuestExecutor, message: &mut Message) {
    let (name, component) = match &mut message.body {
        MessageBody::StartOrchestration(start) => (&mut start.name, &mut start.component),
        MessageBody::Rewind(order) => (&mut order.start.name, &mut order.start.component),
        MessageBody::Proceed { name, component, .. } => (name, component),
        _ => return,
    };
    if component.is_none()
        && let Some(found) = executor.find_for_work(FunctionKind::Orchestrator, name.as_str())
    {
        *name = found.name;
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

async fn run_entity(node: &Arc<Node>, id: &InstanceId, item: EntityWorkItem) -> EntityOutcome {
    let before = item.state.value.clone();
    let mut outcome = run_operations(node, id, item).await;
    if let Some(value) = &outcome.state.value
        && value.len() >= LARGE_BYTES_MIN
        && before.as_ref() != Some(value)
    {
        outcome.large = store_large(node, value.clone()).await;
    }
    outcome
}

async fn run_operations(node: &Node, id: &InstanceId, item: EntityWorkItem) -> EntityOutcome {
    let (entity, state, count) = (item.entity.clone(), item.state.clone(), item.operations.len());
    let run = AssertUnwindSafe(node.executor.run_entity(item)).catch_unwind();
    run.await.unwrap_or_else(|_| {
        let result = Err(host_failure(id));
        let outcome = OperationOutcome { result, effects: Vec::new() };
        let options = node.executor.entity_options(entity.name());
        let time_to_live_ms = options.and_then(|options| options.time_to_live_ms);
        EntityOutcome { results: vec![outcome; count], state, time_to_live_ms, large: None }
    })
}

/// Has the storage keep a large value by itself, if it wants to. The entity alone waits for that.
async fn store_large(node: &Arc<Node>, value: Payload) -> Option<LargeId> {
    let storage = Arc::clone(&node.storage);
    let stored = node.runtime().spawn_blocking(move || storage.store_large(&value)).await;
    match stored.expect("the storage does not panic") {
        Ok(large) => large,
        Err(error) => {
            node.fatal(&error);
            None
        }
    }
}

/// Runs an operation that changes nothing, and answers.
async fn run_read(node: Arc<Node>, read: EntityRead<ReplySender>, staged: CommitSeq) {
    let EntityRead { item, reply_to, gate } = read;
    let (instance_id, before) = (item.entity.instance_id(), item.state.clone());
    let call = item.operations.first().cloned().map(OperationCall::from);
    let open = begin_operations(&node, &item);
    let mut outcome = run_operations(&node, &instance_id, item).await;
    let spans = end_operations(&node, open, &outcome.results);
    let done = outcome.results.pop();
    let has_effects = done.as_ref().is_some_and(|done| !done.effects.is_empty());
    match (call, done) {
        // Newer code has come in between, in which the operation is none that only reads.
        (Some(call), _) if has_effects || outcome.state != before => {
            let lane = Arc::clone(node.lane_of(&instance_id));
            lane.submit(&node, Input::Request(Request::CallEntity { instance_id, call, reply_to }));
        }
        (_, Some(done)) => {
            // It tells of nothing that is not durable by the time of the answer.
            if !spans.is_empty() {
                node.commits.hold_spans(gate.place(staged), spans);
            }
            reply_to.send(Reply::Operation(done.result), gate, staged);
        }
        (_, None) => {
            let failure = host_failure(&instance_id);
            reply_to.send(Reply::Operation(Err(failure)), gate, staged);
        }
    }
}

/// Puts messages into the queues of their lanes. Gives the lanes that the caller has to drive.
fn enqueue_all(node: &Node, first: MessageId, messages: Vec<Message>) -> Vec<Arc<Lane>> {
    let ids = (first.0..).map(|id| MessageKey::Sent(MessageId(id)));
    ids.zip(messages).filter_map(|(key, message)| node.enqueue(key, message)).collect()
}

/// A defect of the host hurts the work item that met it and nothing else.
fn host_failure(id: &InstanceId) -> Failure {
    tracing::error!(instance = %id, "the host panicked while it ran a guest; this is a defect of the host");
    Failure::new("HostError", "the host failed while it ran the function")
}

#[cfg(test)]
mod tests;
