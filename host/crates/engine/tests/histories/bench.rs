//! One partition with scripted guests and a clock that the test moves: what an orchestration asks
//! for happens, in order, until nothing is left to do.

use std::collections::{BTreeMap, VecDeque};

use everstate_engine::ClientError;
use everstate_engine::client::ConflictPolicy;
use everstate_engine::commit::{Change, CommitQueue};
use everstate_engine::guest::{
    ActivityWorkItem, EntityOperation, EntityOutcome, OperationOutcome, OrchestrationOutcome,
    OrchestrationResult, OrchestrationWorkItem,
};
use everstate_engine::partition::{
    Effects, Input, LifecycleChange, Moment, Partition, PartitionLimits, Reply, ReplyTo, Request,
    StartRequest, Stopped, Work,
};
use everstate_engine::storage::{CommitBatch, CommitSeq};
use everstate_types::{
    Action, ComponentHash, DelayedKey, EntityId, EventKind, ExecutionId, ExecutionStart, Failure,
    FunctionName, HistoryEvent, InstanceId, Message, MessageBody, MessageId, MessageKey,
    OrchestrationRecord, Payload, RequestId, Timestamp, render_history,
};

/// 2026-11-23T12:00:00Z.
const NOON: u64 = 1_795_435_200_000;

/// What an orchestrator does in one turn, from all that has happened.
pub(crate) type Script = fn(&Turn<'_>) -> OrchestrationOutcome;

/// What an orchestrator sees in one turn.
pub(crate) struct Turn<'a> {
    pub(crate) item: &'a OrchestrationWorkItem,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller;

impl ReplyTo for Caller {
    fn is_abandoned(&self) -> bool {
        false
    }
}

pub(crate) struct Bench {
    partition: Partition<Caller>,
    commits: CommitQueue,
    inputs: VecDeque<Input<Caller>>,
    delayed: BTreeMap<DelayedKey, Message>,
    now: u64,
    executions: u128,
    scripts: BTreeMap<&'static str, Script>,
    /// What the next runs of an activity give, by its name; without any it gives its input.
    pub(crate) activities: BTreeMap<&'static str, VecDeque<Result<Payload, Failure>>>,
    /// What the next operations of this name give, on whichever entity; without any they give their input.
    pub(crate) operations: BTreeMap<&'static str, VecDeque<Result<Payload, Failure>>>,
    /// Every operation that was done: entity and operation.
    pub(crate) done: Vec<String>,
    /// Every run of an activity: name, input, idempotency key, attempt.
    pub(crate) ran: Vec<(String, String, RequestId, u32)>,
    /// The newest code.
    pub(crate) component: ComponentHash,
    /// Every component that ran a turn.
    pub(crate) components: Vec<ComponentHash>,
    replies: Vec<Reply>,
    /// The last answer that was no refusal.
    last: Option<Reply>,
}

impl Bench {
    pub(crate) fn new(scripts: &[(&'static str, Script)]) -> Self {
        let limits = PartitionLimits {
            entity_inbox_count_max: 100,
            entity_inbox_bytes_max: 1 << 20,
            idempotency_window_ms: 60_000,
            entity_batch_count_max: 10,
            loaded_instances_max: 100,
            loaded_bytes_max: 1 << 20,
        };
        Self {
            partition: Partition::new(limits),
            commits: CommitQueue::new(MessageId(1), [], []),
            inputs: VecDeque::new(),
            delayed: BTreeMap::new(),
            now: NOON,
            executions: 0,
            scripts: scripts.iter().copied().collect(),
            activities: BTreeMap::new(),
            operations: BTreeMap::new(),
            done: Vec::new(),
            ran: Vec::new(),
            component: ComponentHash([1; 32]),
            components: Vec::new(),
            replies: Vec::new(),
            last: None,
        }
    }

    pub(crate) fn start(&mut self, name: &str, input: &str) -> Result<(), ClientError> {
        self.start_with(name, input, None, ConflictPolicy::Fail)
    }

    /// Starts an orchestration under its name as its id.
    pub(crate) fn start_with(
        &mut self,
        name: &str,
        input: &str,
        start_at: Option<u64>,
        on_conflict: ConflictPolicy,
    ) -> Result<(), ClientError> {
        self.executions += 1;
        let start = ExecutionStart {
            name: FunctionName::new(name).expect("a valid name"),
            execution_id: ExecutionId::new(RequestId::from_u128(self.executions)),
            component: Some(self.component),
            input: Payload::from(input),
            tags: Vec::new(),
            parent: None,
            start_at: start_at.map(|after| Timestamp::from_millis(self.now + after)),
            events: Vec::new(),
            is_recorded: true,
            trace: None,
        };
        let instance_id = id(name);
        self.ask(Request::Start(Box::new(StartRequest {
            instance_id,
            is_new_id: false,
            start,
            on_conflict,
            reply_to: Caller,
        })))
    }

    pub(crate) fn raise(&mut self, to: &str, name: &str, input: &str) -> Result<(), ClientError> {
        let (name, input) = (name.to_owned(), Payload::from(input));
        self.ask(Request::RaiseEvent { instance_id: id(to), name, input, reply_to: Caller })
    }

    pub(crate) fn change(&mut self, of: &str, change: LifecycleChange) -> Result<(), ClientError> {
        self.ask(Request::Change { instance_id: id(of), change, reply_to: Caller })
    }

    /// Moves the clock and delivers what is due.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now += millis;
        let now = Timestamp::from_millis(self.now);
        while let Some(first) = self.delayed.first_entry()
            && first.key().due <= now
        {
            let (key, message) = first.remove_entry();
            self.deliver(MessageKey::Delayed(key), message);
        }
        self.settle();
    }

    pub(crate) fn record(&mut self, of: &str) -> Option<OrchestrationRecord> {
        self.status(of).map(|(record, _)| record)
    }

    /// The history as people read it.
    pub(crate) fn history(&mut self, of: &str) -> String {
        let (record, history) = self.status(of).expect("it exists");
        format!("{} of {of}\n{}", record.status, render_history(&history))
    }

    /// Who holds an entity.
    pub(crate) fn holder(&mut self, entity: &EntityId) -> Option<String> {
        let instance_id = entity.instance_id();
        self.ask(Request::GetEntity { instance_id, reply_to: Caller }).expect("an entity");
        let Some(Reply::Entity(status)) = self.last.take() else { panic!("an entity's status") };
        status.and_then(|status| status.record.lock).map(|lock| lock.instance_id.to_string())
    }

    /// Takes the lock of an entity from its holder.
    pub(crate) fn break_lock(&mut self, entity: &EntityId) -> bool {
        let instance_id = entity.instance_id();
        self.ask(Request::BreakLock { instance_id, reply_to: Caller }).expect("an entity");
        matches!(self.last.take(), Some(Reply::LockBroken(true)))
    }

    /// How many timers and scheduled starts wait.
    pub(crate) fn delayed_count(&self) -> usize {
        self.delayed.len()
    }

    /// What would be written now.
    pub(crate) fn commit(&mut self) -> CommitBatch {
        self.commits.take().unwrap_or_default()
    }

    fn status(&mut self, of: &str) -> Option<(OrchestrationRecord, Vec<HistoryEvent>)> {
        self.inputs.push_back(Input::Request(Request::GetStatus {
            instance_id: id(of),
            reply_to: Caller,
        }));
        self.settle();
        match self.replies.pop() {
            Some(Reply::Status(status)) => {
                status.map(|status| (status.record.clone(), status.history.to_vec()))
            }
            other => panic!("a status, not {other:?}"),
        }
    }

    fn ask(&mut self, request: Request<Caller>) -> Result<(), ClientError> {
        self.replies.clear();
        self.inputs.push_back(Input::Request(request));
        self.settle();
        match self.replies.pop() {
            Some(Reply::Refused(error)) => Err(error),
            Some(reply) => {
                self.last = Some(reply);
                Ok(())
            }
            None => panic!("no answer"),
        }
    }

    /// Does what is to be done until nothing is left.
    pub(crate) fn settle(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let moment = Moment {
                now: Timestamp::from_millis(self.now),
                exact: None,
                durable: CommitSeq(0),
            };
            let mut effects = Effects::default();
            self.partition.apply(moment, input, &mut effects);
            for change in &effects.changes {
                if let Change::Consumed(MessageKey::Delayed(key)) = change {
                    self.delayed.remove(key);
                }
            }
            let changes = std::mem::take(&mut effects.changes);
            let staged = self.commits.stage(changes, &effects.sent, &effects.delayed);
            self.partition.end_turn(moment, staged.seq);
            self.delayed.extend(effects.delayed);
            self.replies.extend(effects.replies.into_iter().map(|(_, reply, _)| reply));
            for stopped in effects.stopped {
                self.try_newer_code(stopped);
            }
            for loaded in effects.loads {
                self.inputs.push_back(Input::Loaded(loaded, None));
            }
            for work in effects.work {
                let input = self.run(work);
                self.inputs.push_back(input);
            }
            for (offset, message) in (0..).zip(effects.sent) {
                let id = MessageId(staged.first_message_id.0 + offset);
                self.deliver(MessageKey::Sent(id), message);
            }
        }
    }

    /// As a lane does: what has stopped with code that is not the newest tries that.
    fn try_newer_code(&mut self, stopped: Stopped) {
        if stopped.component != Some(self.component) {
            let (instance_id, reply_to) = (stopped.instance_id, Caller);
            let change = LifecycleChange::Resume { reason: Some("newer code".to_owned()) };
            let request = Request::Change { instance_id, change, reply_to };
            self.inputs.push_back(Input::Request(request));
        }
    }

    fn deliver(&mut self, key: MessageKey, mut message: Message) {
        let newest = Some(self.component);
        match &mut message.body {
            MessageBody::StartOrchestration(start) if start.component.is_none() => {
                start.component = newest;
            }
            MessageBody::Rewind(order) => order.start.component = newest,
            MessageBody::Proceed { component, .. } => *component = newest,
            _ => {}
        }
        self.inputs.push_back(Input::Message(key, message));
    }

    fn run(&mut self, work: Work) -> Input<Caller> {
        match work {
            Work::Orchestration { token, item } => {
                self.components.push(item.component);
                let script = self.scripts[item.name.as_str()];
                let outcome = script(&Turn { item: &item });
                Input::OrchestrationRan { instance_id: item.instance_id, token, outcome }
            }
            Work::Activity { message_key, task, item } => {
                let instance_id = item.instance_id.clone();
                let result = Some(self.run_activity(&item));
                Input::ActivityRan { instance_id, message_key, task, result, span: None }
            }
            Work::Entity { instance_id, token, item } => {
                let run = |operation: &EntityOperation| self.run_operation(&item.entity, operation);
                let results = item.operations.iter().map(run).collect();
                let outcome = Box::new(EntityOutcome {
                    results,
                    state: item.state,
                    time_to_live_ms: None,
                    large: None,
                });
                Input::EntityRan { instance_id, token, outcome, spans: Vec::new() }
            }
        }
    }

    fn run_operation(
        &mut self,
        entity: &EntityId,
        operation: &EntityOperation,
    ) -> OperationOutcome {
        self.done.push(format!("{entity} {}", operation.operation));
        let given = self.operations.get_mut(operation.operation.as_str());
        let result = match given.and_then(VecDeque::pop_front) {
            Some(given) => given.map(Some),
            None => Ok(operation.input.clone()),
        };
        OperationOutcome { result, effects: Vec::new() }
    }

    fn run_activity(&mut self, item: &ActivityWorkItem) -> Result<Payload, Failure> {
        let (name, input) = (item.name.to_string(), item.input.as_str().to_owned());
        self.ran.push((name, input, item.idempotency_key, item.attempt));
        let given = self.activities.get_mut(item.name.as_str()).and_then(VecDeque::pop_front);
        given.unwrap_or_else(|| Ok(item.input.clone()))
    }
}

impl Turn<'_> {
    fn events(&self) -> impl Iterator<Item = &HistoryEvent> {
        self.item.history.iter().chain(self.item.new_events.iter())
    }

    /// How many actions were asked for in earlier turns.
    pub(crate) fn asked(&self) -> usize {
        self.events().filter(|event| event.event_id >= 0).count()
    }

    pub(crate) fn input(&self) -> String {
        self.events()
            .find_map(|event| match &event.kind {
                EventKind::ExecutionStarted { input, .. } => Some(input.as_str().to_owned()),
                _ => None,
            })
            .expect("every execution was started")
    }

    /// How what was asked for under a number ended, if it has.
    pub(crate) fn result(&self, number: i32) -> Option<Result<Payload, Failure>> {
        self.events().find_map(|event| match &event.kind {
            EventKind::ActivityCompleted { scheduled_id, result }
            | EventKind::SubOrchestrationCompleted { scheduled_id, result }
                if *scheduled_id == number =>
            {
                Some(Ok(result.clone()))
            }
            EventKind::ActivityFailed { scheduled_id, failure }
            | EventKind::SubOrchestrationFailed { scheduled_id, failure }
                if *scheduled_id == number =>
            {
                Some(Err(failure.clone()))
            }
            EventKind::EntityOperationCompleted { scheduled_id, output, .. }
                if *scheduled_id == number =>
            {
                Some(Ok(output.clone().unwrap_or_else(Payload::null)))
            }
            EventKind::EntityOperationFailed { scheduled_id, failure, .. }
                if *scheduled_id == number =>
            {
                Some(Err(failure.clone()))
            }
            EventKind::TimerFired { timer_id: scheduled_id, .. }
            | EventKind::EntityLockGranted { scheduled_id, .. }
                if *scheduled_id == number =>
            {
                Some(Ok(Payload::null()))
            }
            _ => None,
        })
    }

    /// What events of a name carried, in order.
    pub(crate) fn raised(&self, wanted: &str) -> Vec<String> {
        self.events()
            .filter_map(|event| match &event.kind {
                EventKind::EventRaised { name, input } if name == wanted => {
                    Some(input.as_str().to_owned())
                }
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn id(text: &str) -> InstanceId {
    InstanceId::orchestration(text).expect("a valid id")
}

pub(crate) fn activity(name: &str, input: &str) -> Action {
    Action::CallActivity {
        name: FunctionName::new(name).expect("a valid name"),
        input: Payload::from(input),
        tags: Vec::new(),
        first_attempt: None,
        attempt: 1,
    }
}

/// A child under its name as its id.
pub(crate) fn child(name: &str) -> Action {
    Action::CallSubOrchestration {
        name: FunctionName::new(name).expect("a valid name"),
        instance_id: id(name),
        input: Payload::null(),
        tags: Vec::new(),
        start_at: None,
    }
}

pub(crate) fn account(key: &str) -> EntityId {
    EntityId::new("Account", key).expect("a valid id")
}

pub(crate) fn call(key: &str, operation: &str) -> Action {
    Action::CallEntity { entity: account(key), operation: operation.to_owned(), input: None }
}

/// A lock of these accounts; refused if there is no such entity.
pub(crate) fn lock(keys: &[&str], refusal: Option<&str>) -> Action {
    let entities = keys.iter().map(|key| account(key)).collect();
    Action::LockEntities { entities, refusal: refusal.map(str::to_owned) }
}

pub(crate) fn unlock(lock: i32, key: &str) -> Action {
    Action::UnlockEntity { lock, entity: account(key) }
}

pub(crate) fn waits(actions: Vec<Action>) -> OrchestrationOutcome {
    OrchestrationOutcome { actions, ..OrchestrationOutcome::of(OrchestrationResult::Waiting) }
}

pub(crate) fn completes(output: &str) -> OrchestrationOutcome {
    OrchestrationOutcome::of(OrchestrationResult::Completed(Payload::from(output)))
}

pub(crate) fn fails(failure: Failure) -> OrchestrationOutcome {
    OrchestrationOutcome::of(OrchestrationResult::Failed(failure))
}
