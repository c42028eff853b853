//! What clients ask for, and what they are told. What they choose to ask for is in
//! `clients/pick.rs`.

mod pick;

use std::rc::Rc;

use everstate_engine::partition::{
    LifecycleChange, OperationCall, Reply, Request, StartRequest, Transfer, WaitFor,
};
use everstate_types::{
    ExecutionId, ExecutionStart, FunctionName, InstanceId, OrchestrationRecord, Payload, RequestId,
    RuntimeStatus, Timestamp,
};
use rand::RngExt as _;

use crate::entities::{due_input, lease, ledger, tokens};
use crate::model::{ChangeKind, LeaseAct, Operation, TICKS, Told};
use crate::world::{ReplyId, World};

impl World {
    /// Takes note that a client asks for this now.
    pub(crate) fn note(&mut self, operation: &Operation) -> Request<ReplyId> {
        let client = self.next_client;
        let reply_to = self.note_client(operation);
        self.request_of(client, operation, &token_of(client), reply_to)
    }

    /// Takes note that there is a client, which asks for this now.
    fn note_client(&mut self, operation: &Operation) -> ReplyId {
        let client = self.next_client;
        self.next_client += 1;
        self.model.begin(self.step, client, operation.clone(), token_of(client));
        let reply_to = ReplyId { client: Some(client), is_gone: Rc::default() };
        self.awaiting.insert(client, reply_to.clone());
        reply_to
    }

    fn request_of(
        &mut self,
        client: u64,
        operation: &Operation,
        token: &str,
        reply_to: ReplyId,
    ) -> Request<ReplyId> {
        match operation {
            Operation::Start { .. } => self.start_request(client, operation, token, reply_to),
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
                let instance_id = orchestration(id);
                // An export is a look at everything.
                match self.rng.random_bool(0.3) {
                    true => Request::Transfer(Box::new(Transfer::Export { instance_id, reply_to })),
                    false => Request::GetStatus { instance_id, reply_to },
                }
            }
            Operation::Query { .. } => panic!("a query asks no instance"),
            Operation::Append { .. } | Operation::List { .. } | Operation::Lease { .. } => {
                call_request(client, operation, token, reply_to)
            }
            _ => entity_request(client, operation, token, reply_to),
        }
    }

    fn start_request(
        &mut self,
        client: u64,
        operation: &Operation,
        token: &str,
        reply_to: ReplyId,
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
                is_recorded: true,
                trace: None,
            },
            on_conflict: *policy,
            reply_to,
        }))
    }

    pub(crate) fn tell(&mut self, client: u64, reply: Reply) {
        if self.awaiting.remove(&client).is_none() {
            // It went away.
            return;
        }
        let told = match reply {
            Reply::Started(instance_id) => {
                // Told that it runs, the client waits for its end.
                let wait_for = WaitFor::Completion;
                let reply_to = ReplyId { client: Some(client), is_gone: Rc::default() };
                self.awaiting.insert(client, reply_to.clone());
                self.request(Request::Wait { instance_id, wait_for, reply_to });
                Told::Accepted
            }
            Reply::Accepted => Told::Accepted,
            Reply::Operation(Ok(result)) => self.model.noted[&client].operation.told(text(result)),
            Reply::Operation(Err(_)) => Told::Failed,
            Reply::Entity(status) => {
                let value = status.and_then(|status| status.record.state.value);
                Told::Tokens(value.map(|value| tokens(value.as_str())).unwrap_or_default())
            }
            Reply::LockBroken(_) | Reply::EntityPurged(_) => Told::Accepted,
            Reply::Explained(_) => panic!("nobody asks for that"),
            Reply::Status(None) | Reply::Exported(None) => Told::Absent,
            Reply::Status(Some(status)) => told_of(&status.record),
            Reply::Exported(Some(exported)) => {
                // What one host exports, another one takes for an export.
                assert_eq!(exported.check(), Ok(()), "{exported:#?}");
                told_of(&exported.record)
            }
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
        if self.rng.random_bool(0.2) {
            let change = ChangeKind::Purge { recurse: true };
            let request = self.note(&Operation::Change { id, change });
            self.request(request);
        }
    }
}

fn told_of(record: &OrchestrationRecord) -> Told {
    match record.status {
        RuntimeStatus::Completed => Told::Result(text(record.output.clone())),
        RuntimeStatus::Failed => Told::Failed,
        RuntimeStatus::Terminated => Told::Terminated,
        status => Told::Alive(status),
    }
}

/// A client that waits for the result of an operation.
fn call_request(
    client: u64,
    operation: &Operation,
    token: &str,
    reply_to: ReplyId,
) -> Request<ReplyId> {
    if let Operation::Lease { lease: number, act: LeaseAct::Purge } = operation {
        return Request::PurgeEntity { instance_id: lease(*number).instance_id(), reply_to };
    }
    let (entity, name, input, is_read) = match operation {
        Operation::Append { ledger: number } => (ledger(*number), "append", token, false),
        Operation::List { ledger: number } => (ledger(*number), "list", "", true),
        Operation::Lease { lease: number, act } => {
            let (name, input, is_read) = match act {
                LeaseAct::Touch => ("touch", token, false),
                LeaseAct::Drop => ("drop", "", false),
                LeaseAct::Look => ("look", "", false),
                LeaseAct::List => ("list", "", true),
                LeaseAct::Purge => panic!("a purge calls nothing"),
            };
            (lease(*number), name, input, is_read)
        }
        other => panic!("{other:?} calls nothing"),
    };
    let (instance_id, call) = (entity.instance_id(), operation_call(client, name, input));
    match is_read {
        true => Request::ReadEntity { instance_id, call, reply_to },
        false => Request::CallEntity { instance_id, call, reply_to },
    }
}

/// A client that signals a ledger, looks at it, or breaks its lock.
fn entity_request(
    client: u64,
    operation: &Operation,
    token: &str,
    reply_to: ReplyId,
) -> Request<ReplyId> {
    let signal = |number: usize, name: &str, input: &str, at: Option<Timestamp>| {
        let instance_id = ledger(number).instance_id();
        let call = operation_call(client, name, input);
        Request::SignalEntity { instance_id, call, at, reply_to: reply_to.clone() }
    };
    match operation {
        Operation::Signal { ledger } => signal(*ledger, "append", token, None),
        Operation::SignalLater { ledger, due } => {
            let at = Timestamp::from_millis(*due);
            signal(*ledger, "append", &due_input(token, at), Some(at))
        }
        Operation::Tick { ledger } => signal(*ledger, "tick", &format!("{token}-k{TICKS}"), None),
        Operation::Once { ledger: number, key } => Request::SignalOnce {
            receipt: InstanceId::receipt(&ledger(*number), &key.to_string()),
            target: ledger(*number).instance_id(),
            call: operation_call(client, "append", &token_of(*key)),
            at: None,
            reply_to,
        },
        Operation::Read { ledger: number } => {
            Request::GetEntity { instance_id: ledger(*number).instance_id(), reply_to }
        }
        Operation::BreakLock { ledger: number } => {
            Request::BreakLock { instance_id: ledger(*number).instance_id(), reply_to }
        }
        other => panic!("{other:?} asks no entity"),
    }
}

fn operation_call(client: u64, operation: &str, input: &str) -> OperationCall {
    OperationCall {
        request_id: RequestId::from_u128(u128::from(client) << 64 | 1),
        operation: operation.to_owned(),
        input: Some(Payload::from(input)),
        trace: None,
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
