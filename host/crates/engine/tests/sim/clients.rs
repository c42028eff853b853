//! What clients ask for, and what they are told.

use everstate_engine::client::ConflictPolicy;
use everstate_engine::partition::{LifecycleChange, Reply, Request, StartRequest, WaitFor};
use everstate_types::{
    ExecutionId, ExecutionStart, FunctionName, InstanceId, Payload, RequestId, RuntimeStatus,
    Timestamp,
};
use rand::RngExt as _;

use crate::guests;
use crate::model::{ChangeKind, Operation, Told, root};
use crate::world::{ReplyId, World};

/// What only calls entities.
const SIMPLE: [&str; 4] = ["Append", "Both", "Relay", "Fails"];

/// What does everything else.
const ALL: [&str; 8] =
    ["Work", "Work", "Approval", "Sleeper", "Counter", "Parent", "Guardian", "Shifty"];

impl World {
    pub(crate) fn begin_operation(&mut self) {
        let token = token_of(self.next_client);
        let ledger = self.rng.random_range(0..self.ledgers);
        let operation = match self.rng.random_range(0..100) {
            0..40 => self.pick_start(ledger, &token),
            40..52 => Operation::Append { ledger },
            52..56 => Operation::Signal { ledger },
            56..66 => Operation::Read { ledger },
            66..80 => self.pick_event(),
            80..95 => self.pick_change(),
            _ => self.pick_look(),
        };
        let request = self.note(&operation);
        self.request(request);
    }

    /// Takes note that a client asks for this now.
    pub(crate) fn note(&mut self, operation: &Operation) -> Request<ReplyId> {
        let client = self.next_client;
        self.next_client += 1;
        let token = token_of(client);
        self.model.begin(self.step, client, operation.clone(), token.clone());
        self.awaiting.insert(client);
        self.request_of(client, operation, &token)
    }

    fn pick_start(&mut self, ledger: usize, token: &str) -> Operation {
        let is_simple = !self.scope.has_all_kinds || self.rng.random_bool(0.3);
        let names = if is_simple { &SIMPLE[..] } else { &ALL[..] };
        let name = names[self.rng.random_range(0..names.len())];
        // Nobody uses an id again before he was told of the start before.
        let known = self.model.ids_told();
        let is_used = self.scope.reuses_ids && !known.is_empty() && self.rng.random_bool(0.3);
        let id = match is_used {
            true => known[self.rng.random_range(0..known.len())].clone(),
            false => token.to_owned(),
        };
        let policies = [
            ConflictPolicy::Fail,
            ConflictPolicy::UseExisting,
            ConflictPolicy::TerminateAndReplace,
        ];
        let policy = policies[self.rng.random_range(0..policies.len())];
        Operation::Start { name, id, ledger, policy }
    }

    /// An orchestration that exists, or is thought to.
    fn pick_id(&mut self) -> String {
        let known = self.model.ids();
        if known.is_empty() {
            return "nobody".to_owned();
        }
        let id = known[self.rng.random_range(0..known.len())].clone();
        let children = match self.model.name_of(&id) {
            Some("Parent") => &["-c1", "-c3", "-c7"][..],
            Some("Guardian") => &["-g1", "-g2", "-g1-n"][..],
            _ => &[],
        };
        match children.len() {
            count if count > 0 && self.rng.random_bool(0.4) => {
                format!("{id}{}", children[self.rng.random_range(0..count)])
            }
            _ => id,
        }
    }

    fn pick_event(&mut self) -> Operation {
        let counters = self.model.counters();
        if !counters.is_empty() && self.rng.random_bool(0.8) {
            let (id, ledger) = counters[self.rng.random_range(0..counters.len())].clone();
            return Operation::Count { id, ledger };
        }
        Operation::Approve { id: self.pick_id() }
    }

    fn pick_change(&mut self) -> Operation {
        if !self.scope.has_lifecycle {
            return self.pick_look();
        }
        let recurse = self.rng.random_bool(0.5);
        let change = match self.rng.random_range(0..18) {
            0..4 => ChangeKind::Suspend,
            4..7 => ChangeKind::Resume,
            7..10 => ChangeKind::Terminate { recurse },
            10..14 => ChangeKind::Rewind,
            _ => ChangeKind::Purge { recurse },
        };
        let Some(id) = self.pick_target(change) else { return self.pick_look() };
        if change == ChangeKind::Rewind && self.rng.random_bool(0.6) {
            self.repaired.insert(root(&id).to_owned());
        }
        Operation::Change { id, change }
    }

    /// An orchestration for which the change makes sense, most of the time.
    fn pick_target(&mut self, change: ChangeKind) -> Option<String> {
        let is_apt = |status: RuntimeStatus| match change {
            ChangeKind::Suspend => status == RuntimeStatus::Running,
            ChangeKind::Resume => status == RuntimeStatus::Suspended,
            ChangeKind::Terminate { .. } => !status.is_finished(),
            ChangeKind::Rewind => status == RuntimeStatus::Failed,
            ChangeKind::Purge { .. } => status.is_finished(),
        };
        // Nobody purges what has not been seen to end.
        let is_purge = matches!(change, ChangeKind::Purge { .. });
        let is_seen = |id: &str| !is_purge || self.model.has_seen_end(id);
        let mut apt: Vec<_> = self
            .storage
            .orchestrations()
            .filter(|(id, record, _)| is_apt(record.status) && is_seen(id.as_str()))
            .map(|(id, ..)| id.as_str().to_owned())
            .collect();
        if is_purge && apt.iter().any(|id| self.model.name_of(id) == Some("Parent")) {
            apt.retain(|id| self.model.name_of(id) == Some("Parent"));
        }
        let id = match apt.len() {
            count if count > 0 && self.rng.random_bool(0.8) => {
                apt[self.rng.random_range(0..count)].clone()
            }
            _ => self.pick_id(),
        };
        (!is_purge || self.model.has_seen_end(&id)).then_some(id)
    }

    fn pick_look(&mut self) -> Operation {
        let id = self.pick_id();
        match self.rng.random_range(0..3) {
            0 => Operation::Await { id, wait_for: WaitFor::Start },
            1 => Operation::Await { id, wait_for: WaitFor::Completion },
            _ => Operation::Look { id },
        }
    }

    fn request_of(&mut self, client: u64, operation: &Operation, token: &str) -> Request<ReplyId> {
        let reply_to = ReplyId(Some(client));
        let request_id = RequestId::from_u128(u128::from(client) << 64 | 1);
        let entity = |ledger: usize| guests::ledger(ledger).instance_id();
        let (append, input) = ("append".to_owned(), Some(Payload::from(token)));
        match operation {
            Operation::Start { .. } => self.start_request(client, operation, token),
            Operation::Append { ledger } => Request::CallEntity {
                instance_id: entity(*ledger),
                request_id,
                operation: append,
                input,
                reply_to,
            },
            Operation::Signal { ledger } => Request::SignalEntity {
                instance_id: entity(*ledger),
                request_id,
                operation: append,
                input,
                reply_to,
            },
            Operation::Read { ledger } => {
                Request::ReadState { instance_id: entity(*ledger), reply_to }
            }
            Operation::Count { id, .. } => Request::RaiseEvent {
                instance_id: orchestration(id),
                name: "Incr".to_owned(),
                input: Payload::from(token),
                reply_to,
            },
            Operation::Approve { id } => Request::RaiseEvent {
                instance_id: orchestration(id),
                name: "approve".to_owned(),
                input: Payload::from(token),
                reply_to,
            },
            Operation::Change { id, change } => Request::Change {
                instance_id: orchestration(id),
                change: lifecycle_change(*change),
                reply_to,
            },
            Operation::Await { id, wait_for } => {
                Request::Wait { instance_id: orchestration(id), wait_for: *wait_for, reply_to }
            }
            Operation::Look { id } => {
                Request::GetStatus { instance_id: orchestration(id), reply_to }
            }
        }
    }

    fn start_request(
        &mut self,
        client: u64,
        operation: &Operation,
        token: &str,
    ) -> Request<ReplyId> {
        let Operation::Start { name, id, ledger, policy } = operation else {
            panic!("{operation:?} is no start")
        };
        let is_scheduled = self.rng.random_bool(0.2);
        let start_at = is_scheduled
            .then(|| Timestamp::from_millis(self.now + self.rng.random_range(0..2_000)));
        Request::Start(Box::new(StartRequest {
            instance_id: orchestration(id),
            is_new_id: id == token && self.rng.random_bool(0.5),
            start: ExecutionStart {
                name: FunctionName::new(name).expect("a valid name"),
                execution_id: ExecutionId::new(RequestId::from_u128(u128::from(client) << 64 | 2)),
                component: Some(self.newest),
                input: Payload::from(format!("{ledger}:{token}")),
                tags: Vec::new(),
                parent: None,
                start_at,
                events: Vec::new(),
            },
            on_conflict: *policy,
            reply_to: ReplyId(Some(client)),
        }))
    }

    pub(crate) fn tell(&mut self, client: u64, reply: Reply) {
        self.awaiting.remove(&client);
        let told = match reply {
            Reply::Started(instance_id) => {
                // Told that it runs, the client waits for its end.
                let (wait_for, reply_to) = (WaitFor::Completion, ReplyId(Some(client)));
                self.awaiting.insert(client);
                self.request(Request::Wait { instance_id, wait_for, reply_to });
                Told::Accepted
            }
            Reply::Accepted => Told::Accepted,
            Reply::Operation(Ok(result)) => Told::Result(text(result)),
            Reply::Operation(Err(_)) => Told::Failed,
            Reply::State(state) => {
                Told::Tokens(state.map(|state| tokens(state.as_str())).unwrap_or_default())
            }
            Reply::Status(None) => Told::Absent,
            Reply::Status(Some(status)) => match status.record.status {
                RuntimeStatus::Completed => Told::Result(text(status.record.output.clone())),
                RuntimeStatus::Failed => Told::Failed,
                RuntimeStatus::Terminated => Told::Terminated,
                status => Told::Alive(status),
            },
            Reply::Refused(_) => Told::Refused,
        };
        for byte in format!("{client}{told:?}").bytes() {
            self.report.fingerprint =
                (self.report.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let has_ended = matches!(told, Told::Result(_) | Told::Failed);
        self.model.tell(self.step, client, told);
        if has_ended && self.scope.has_lifecycle {
            self.clean_up(client);
        }
    }

    /// Now and then somebody who saw the end of a parent removes it with its children.
    fn clean_up(&mut self, client: u64) {
        let Operation::Start { name: "Parent", id, .. } = &self.model.noted[&client].operation
        else {
            return;
        };
        let id = id.clone();
        if self.model.has_seen_end(&id) && self.rng.random_bool(0.2) {
            let change = ChangeKind::Purge { recurse: true };
            let request = self.note(&Operation::Change { id, change });
            self.request(request);
        }
    }
}

fn token_of(client: u64) -> String {
    format!("t{client:03}")
}

fn orchestration(id: &str) -> InstanceId {
    InstanceId::orchestration(id).expect("a valid id")
}

fn lifecycle_change(change: ChangeKind) -> LifecycleChange {
    let reason = None;
    match change {
        ChangeKind::Suspend => LifecycleChange::Suspend { reason },
        ChangeKind::Resume => LifecycleChange::Resume { reason },
        ChangeKind::Rewind => LifecycleChange::Rewind { reason },
        ChangeKind::Terminate { recurse } => {
            LifecycleChange::Terminate { reason: Some(Payload::from("enough")), recurse }
        }
        ChangeKind::Purge { recurse } => LifecycleChange::Purge { recurse },
    }
}

fn text(payload: Option<Payload>) -> String {
    payload.map(|payload| payload.as_str().to_owned()).unwrap_or_default()
}

/// The tokens of a list.
pub(crate) fn tokens(state: &str) -> Vec<String> {
    state.split(',').filter(|token| !token.is_empty()).map(str::to_owned).collect()
}
