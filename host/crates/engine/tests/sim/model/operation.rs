//! What clients ask for, and what they can be told.

use everstate_engine::client::ConflictPolicy;
use everstate_engine::partition::WaitFor;
use everstate_types::{EntityId, RuntimeStatus};

use crate::entities::{lease, ledger, tokens};

/// How often an entity signals itself after a tick.
pub(crate) const TICKS: usize = 2;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A start of an orchestration, with its ledger.
    Start { name: &'static str, id: String, ledger: usize, policy: ConflictPolicy },
    /// A direct call of `append`.
    Append { ledger: usize },
    /// A signal of `append`.
    Signal { ledger: usize },
    /// A signal of `append` that is due at some time.
    SignalLater { ledger: usize, due: u64 },
    /// A signal to an entity that then signals itself, again and again.
    Tick { ledger: usize },
    /// A signal of `append` of the token of the client with this number, which counts once.
    Once { ledger: usize, key: u64 },
    /// A direct read of the state.
    Read { ledger: usize },
    /// An operation that changes nothing.
    List { ledger: usize },
    /// A query of what a ledger is found by.
    Query { ledger: usize },
    /// Something with a lease.
    Lease { lease: usize, act: LeaseAct },
    /// Takes the lock of a ledger from its holder.
    BreakLock { ledger: usize },
    /// An event for a counter, which has it appended to its ledger.
    Count { id: String, ledger: usize },
    /// An event for an approval; anybody else has no use for it.
    Approve { id: String },
    /// A change of where an orchestration is in its life.
    Change { id: String, change: ChangeKind },
    /// A wait.
    Await { id: String, wait_for: WaitFor },
    /// A look at the status.
    Look { id: String },
}

/// Something with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseAct {
    /// Adds a token, and gives all of them.
    Touch,
    /// Deletes the state.
    Drop,
    /// Has the entity removed, whatever its code says.
    Purge,
    /// Gives the tokens, in the order of all operations.
    Look,
    /// Gives the tokens, as an operation that is declared to change nothing.
    List,
}

/// A change of where an orchestration is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Suspend,
    Resume,
    Rewind,
    Terminate { recurse: bool },
    Purge { recurse: bool },
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing more than that it will happen.
    Accepted,
    /// The result of a completed operation.
    Result(String),
    /// That it failed.
    Failed,
    /// That it was terminated.
    Terminated,
    /// That it is there and has not ended.
    Alive(RuntimeStatus),
    /// That there is no such thing.
    Absent,
    /// The tokens of a ledger.
    Tokens(Vec<String>),
    /// How many tokens a ledger has.
    Count(usize),
    /// That it was refused.
    Refused,
}

impl Operation {
    /// Whether somebody waits for a result, and may go away.
    pub(crate) fn is_call(&self) -> bool {
        matches!(self, Self::Append { .. } | Self::List { .. } | Self::Lease { .. })
    }

    /// What a result tells.
    pub(crate) fn told(&self, result: String) -> Told {
        match self {
            Self::List { .. } => Told::Tokens(tokens(&result)),
            Self::Query { .. } => Told::Count(result.parse().expect("a number")),
            _ => Told::Result(result),
        }
    }

    /// The entity that has to do it, behind whatever waits there, before anything is told.
    pub(crate) fn awaited(&self) -> Option<EntityId> {
        match self {
            Self::Append { ledger: number } => Some(ledger(*number)),
            Self::Lease { act: LeaseAct::List, .. } => None,
            Self::Lease { lease: number, .. } => Some(lease(*number)),
            _ => None,
        }
    }
}
