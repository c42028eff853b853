//! What clients choose to ask for.

use everstate_engine::client::ConflictPolicy;
use everstate_engine::partition::WaitFor;
use everstate_types::RuntimeStatus;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

use crate::entities::LEASES;
use crate::model::{ChangeKind, LeaseAct, Operation, root};
use crate::world::{Kinds, World};

/// What only calls entities.
const SIMPLE: [&str; 4] = ["Append", "Both", "Relay", "Fails"];

/// What has critical sections, and what signals.
const SECTIONS: [&str; 10] = [
    "Transfer", "Transfer", "Transfer", "Auditor", "Lender", "Lender", "Renewer", "Swerver",
    "Warden", "Sender",
];

/// What does everything else.
const OTHER: [&str; 8] =
    ["Work", "Work", "Approval", "Sleeper", "Counter", "Parent", "Guardian", "Shifty"];

impl World {
    pub(crate) fn begin_operation(&mut self) {
        let token = super::token_of(self.next_client);
        let ledger = self.rng.random_range(0..self.ledgers);
        let operation = match self.rng.random_range(0..100) {
            0..40 => self.pick_start(ledger, &token),
            40..48 => Operation::Append { ledger },
            48..56 => self.pick_signal(ledger),
            56..59 => Operation::Read { ledger },
            59..63 => Operation::List { ledger },
            63..65 => return self.query(ledger),
            65..70 => self.pick_lease(),
            70..80 => self.pick_event(),
            80..83 if self.scope.breaks_locks => Operation::BreakLock { ledger },
            80..95 => self.pick_change(),
            _ => self.pick_look(),
        };
        let request = self.note(&operation);
        self.request(request);
    }

    /// Asks how many tokens a ledger has by what it is found by.
    fn query(&mut self, ledger: usize) {
        let seq = self.commits_seq();
        let reply_to = self.note_client(&Operation::Query { ledger });
        self.queries.push((seq, reply_to, ledger));
    }

    fn pick_signal(&mut self, ledger: usize) -> Operation {
        match self.rng.random_range(0..6) {
            0 => Operation::SignalLater { ledger, due: self.now + self.rng.random_range(0..1_500) },
            1 => Operation::Tick { ledger },
            2..5 => self.pick_once(ledger),
            _ => Operation::Signal { ledger },
        }
    }

    /// A signal with a new key, or one that somebody has sent before and may not be sure of.
    fn pick_once(&mut self, ledger: usize) -> Operation {
        let known = self.model.noted.values().filter_map(|noted| match noted.operation {
            Operation::Once { ledger, key } => Some((ledger, key)),
            _ => None,
        });
        let known: Vec<_> = known.collect();
        match known.choose(&mut self.rng) {
            Some(&(ledger, key)) if self.rng.random_bool(0.7) => Operation::Once { ledger, key },
            _ => Operation::Once { ledger, key: self.next_client },
        }
    }

    fn pick_lease(&mut self) -> Operation {
        let act = match self.rng.random_range(0..11) {
            0..4 => LeaseAct::Touch,
            4..6 => LeaseAct::List,
            6..8 => LeaseAct::Look,
            8..10 => LeaseAct::Drop,
            _ => LeaseAct::Purge,
        };
        Operation::Lease { lease: self.rng.random_range(0..LEASES), act }
    }

    fn pick_start(&mut self, ledger: usize, token: &str) -> Operation {
        let names = match (self.scope.kinds, self.rng.random_range(0..10)) {
            (Kinds::Simple, _) | (_, 0..3) => &SIMPLE[..],
            (Kinds::Sections, _) | (_, 3..6) => &SECTIONS[..],
            (Kinds::All, _) => &OTHER[..],
        };
        let name = names[self.rng.random_range(0..names.len())];
        let known = self.model.ids();
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
            Some("Warden") => &["-p"][..],
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
        let id = self.pick_target(change);
        if change == ChangeKind::Rewind && self.rng.random_bool(0.6) {
            self.repaired.insert(root(&id).to_owned());
        }
        Operation::Change { id, change }
    }

    /// An orchestration for which the change makes sense, most of the time.
    fn pick_target(&mut self, change: ChangeKind) -> String {
        let is_apt = |status: RuntimeStatus| match change {
            ChangeKind::Suspend => status == RuntimeStatus::Running,
            ChangeKind::Resume => status == RuntimeStatus::Suspended,
            ChangeKind::Terminate { .. } => !status.is_finished(),
            ChangeKind::Rewind => status == RuntimeStatus::Failed,
            ChangeKind::Purge { .. } => status.is_finished(),
        };
        let is_purge = matches!(change, ChangeKind::Purge { .. });
        let mut apt: Vec<_> = self
            .storage
            .orchestrations()
            .filter(|(_, record, _)| is_apt(record.status))
            .map(|(id, ..)| id.as_str().to_owned())
            .collect();
        if is_purge && apt.iter().any(|id| self.model.name_of(id) == Some("Parent")) {
            apt.retain(|id| self.model.name_of(id) == Some("Parent"));
        }
        match apt.len() {
            count if count > 0 && self.rng.random_bool(0.8) => {
                apt[self.rng.random_range(0..count)].clone()
            }
            _ => self.pick_id(),
        }
    }

    fn pick_look(&mut self) -> Operation {
        let id = self.pick_id();
        match self.rng.random_range(0..3) {
            0 => Operation::Await { id, wait_for: WaitFor::Start },
            1 => Operation::Await { id, wait_for: WaitFor::Completion },
            _ => Operation::Look { id },
        }
    }
}
