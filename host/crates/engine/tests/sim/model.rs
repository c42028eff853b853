//! What clients were told, and whether it can be true.
//!
//! The model knows ledgers as lists of tokens, and nothing of the engine. Every operation adds tokens that
//! nobody else uses, so the lists at the end, together with what each client was told and when, decide
//! whether the history was linearizable: no search is needed.
//!
//! - An operation that was acknowledged has its tokens in the right ledgers, each once.
//! - A simple operation that was not acknowledged has all of them or none.
//! - An append that was told "you are the n-th" is the n-th.
//! - What was acknowledged before another operation began stands before it.
//! - A read saw a prefix of the list, not shorter than anything that was known before it began.
//! - A failed operation left nothing.
//! - What the histories at the end say that was asked for stands in a ledger, once; what stands in a
//!   ledger is in a history, or belongs to one that is gone.
//! - An event that was accepted was taken up, in the order of its sender.
//! - What clients were told of an orchestration is what became of it. What was terminated stays so, what
//!   was purged is gone, what was suspended stays so until somebody lets it go on.
//!
//! Clients disturb each other: of an orchestration that was terminated, replaced or purged only the
//! rules of `audit.rs` hold, and those of this page that say so.

use std::collections::{BTreeMap, HashMap, HashSet};

use everstate_engine::client::ConflictPolicy;
use everstate_engine::partition::WaitFor;
use everstate_types::RuntimeStatus;

use crate::audit::Left;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A start of an orchestration, with its ledger.
    Start { name: &'static str, id: String, ledger: usize, policy: ConflictPolicy },
    /// A direct call of `append`.
    Append { ledger: usize },
    /// A signal of `append`.
    Signal { ledger: usize },
    /// A direct read of the state.
    Read { ledger: usize },
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
    /// That it was refused.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) operation: Operation,
    pub(crate) token: String,
    pub(crate) began: u64,
    pub(crate) told: Vec<(u64, Told)>,
}

#[derive(Debug)]
pub(crate) struct Model {
    ledgers: usize,
    /// By the number of the client.
    pub(crate) noted: BTreeMap<u64, Noted>,
    /// The ids that were started, in order, and by what.
    ids: Vec<String>,
    names: HashMap<String, &'static str>,
    counters: Vec<(String, usize)>,
}

impl Model {
    /// The characters of a token that say to which operation it belongs.
    const ROOT_LENGTH: usize = 4;

    pub(crate) fn new(ledgers: usize) -> Self {
        let (ids, names, counters) = (Vec::new(), HashMap::new(), Vec::new());
        Self { ledgers, noted: BTreeMap::new(), ids, names, counters }
    }

    pub(crate) fn begin(&mut self, step: u64, client: u64, operation: Operation, token: String) {
        if let Operation::Start { name, id, ledger, .. } = &operation {
            if self.names.insert(id.clone(), name).is_none() {
                self.ids.push(id.clone());
            }
            match *name {
                "Counter" => self.counters.push((id.clone(), *ledger)),
                "Guardian" => self.counters.push((format!("{token}-g2"), *ledger)),
                _ => {}
            }
        }
        self.noted.insert(client, Noted { operation, token, began: step, told: Vec::new() });
    }

    pub(crate) fn tell(&mut self, step: u64, client: u64, told: Told) {
        self.noted.get_mut(&client).expect("who is told has asked").told.push((step, told));
    }

    pub(crate) fn ids(&self) -> &[String] {
        &self.ids
    }

    /// What a client has asked for, if it does not wait for an orchestration and was told nothing.
    pub(crate) fn unanswered(&self, client: &u64) -> Option<&Noted> {
        let noted = &self.noted[client];
        let is_waiting = matches!(noted.operation, Operation::Await { .. });
        (noted.told.is_empty() && !is_waiting).then_some(noted)
    }

    /// The ids of which every start was answered.
    pub(crate) fn ids_told(&self) -> Vec<String> {
        self.ids.iter().filter(|id| self.is_told(id)).cloned().collect()
    }

    fn is_told(&self, id: &str) -> bool {
        self.noted.values().all(|noted| {
            !matches!(&noted.operation, Operation::Start { id: started, .. } if started == id)
                || !noted.told.is_empty()
        })
    }

    pub(crate) fn name_of(&self, id: &str) -> Option<&'static str> {
        self.names.get(id).copied()
    }

    /// Whether a client was told of the end of what was started with this id, and nothing was since.
    pub(crate) fn has_seen_end(&self, id: &str) -> bool {
        let is_end =
            |told: &Told| matches!(told, Told::Result(_) | Told::Failed | Told::Terminated);
        let has_ended = self.noted.values().any(|noted| {
            matches!(&noted.operation, Operation::Start { id: started, .. } if started == id)
                && noted.told.iter().any(|(_, told)| is_end(told))
        });
        has_ended && self.is_told(id)
    }

    /// Counters and their ledgers.
    pub(crate) fn counters(&self) -> &[(String, usize)] {
        &self.counters
    }

    /// Checks everything against the ledgers, and what is left of orchestrations, when nothing is left
    /// to do.
    pub(crate) fn check(&self, lists: &BTreeMap<usize, Vec<String>>, left: &Left) {
        let disturbed = self.disturbed();
        for noted in self.noted.values() {
            self.check_effects(noted, lists, &disturbed);
        }
        self.check_ledgers(lists, left, &disturbed);
        self.check_order(lists, &disturbed);
        crate::fates::check(self, left, &disturbed);
    }

    /// The operations whose orchestrations may have been terminated, replaced or purged: their tokens.
    fn disturbed(&self) -> HashSet<&str> {
        let mut roots_of: HashMap<&str, Vec<&str>> = HashMap::new();
        for noted in self.noted.values() {
            if let Operation::Start { id, .. } = &noted.operation {
                roots_of.entry(root(id)).or_default().push(&noted.token);
            }
        }
        let mut disturbed = HashSet::new();
        for noted in self.noted.values() {
            if let Operation::Change {
                id,
                change: ChangeKind::Terminate { .. } | ChangeKind::Purge { .. },
            } = &noted.operation
            {
                disturbed.extend(roots_of.get(root(id)).into_iter().flatten());
            }
        }
        disturbed.extend(roots_of.values().filter(|roots| roots.len() > 1).flatten());
        disturbed
    }

    fn check_effects(
        &self,
        noted: &Noted,
        lists: &BTreeMap<usize, Vec<String>>,
        disturbed: &HashSet<&str>,
    ) {
        if disturbed.contains(&*noted.token) {
            return;
        }
        let effects = self.effects(noted);
        let present =
            effects.iter().filter(|(ledger, token)| position(lists, *ledger, token).is_some());
        let count = present.count();
        let is_acknowledged =
            noted.told.iter().any(|(_, told)| !matches!(told, Told::Refused | Told::Tokens(_)));
        assert!(
            count == effects.len() || (count == 0 && !is_acknowledged),
            "{noted:?} has {count} of its {} effects",
            effects.len()
        );
    }

    /// The tokens that a simple operation leaves, and where.
    fn effects(&self, noted: &Noted) -> Vec<(usize, String)> {
        let token = |suffix: &str| format!("{}{suffix}", noted.token);
        let at = |ledger: usize| ledger % self.ledgers;
        match noted.operation {
            Operation::Start { name: "Append", ledger, .. }
            | Operation::Append { ledger }
            | Operation::Signal { ledger } => vec![(ledger, token(""))],
            Operation::Start { name: "Both", ledger, .. } => vec![
                (ledger, token("")),
                (at(ledger + 1), token("-b")),
                (at(ledger + 2), token("-c")),
            ],
            Operation::Start { name: "Relay", ledger, .. } => vec![
                (ledger, token("")),
                (at(ledger + 1), token("-s")),
                (at(ledger + 1), token("-o")),
            ],
            _ => Vec::new(),
        }
    }

    /// Compares the ledgers with the histories that are left.
    fn check_ledgers(
        &self,
        lists: &BTreeMap<usize, Vec<String>>,
        left: &Left,
        disturbed: &HashSet<&str>,
    ) {
        let by_token: HashMap<&str, &Noted> =
            self.noted.values().map(|noted| (&*noted.token, noted)).collect();
        let rewound = self.targets_of(ChangeKind::Rewind);
        let mut seen = HashSet::new();
        for (ledger, list) in lists {
            for token in list {
                // A child that was terminated begins anew when its parent is rewound.
                let origin = root(token);
                let may_repeat = rewound.contains(origin) && disturbed.contains(origin);
                let is_new = seen.insert((*ledger, &**token));
                assert!(is_new || may_repeat, "{token} stands twice in ledger {ledger}");
                let noted = by_token.get(origin);
                let noted = noted.unwrap_or_else(|| panic!("nobody put {token} into {ledger}"));
                let is_accounted_for = match &noted.operation {
                    Operation::Append { .. } | Operation::Signal { .. } => true,
                    Operation::Count { id, .. } => {
                        disturbed.contains(root(id)) || left.counted.contains(token)
                    }
                    Operation::Start { .. } => {
                        disturbed.contains(&*noted.token)
                            || rewound.contains(origin)
                            || left.asked.contains(&(*ledger, token.clone()))
                            || left.counted.contains(token)
                            || token.ends_with("-s")
                    }
                    _ => false,
                };
                assert!(is_accounted_for, "no history knows of {token} in ledger {ledger}");
            }
        }
        for (ledger, token) in &left.asked {
            let is_there = seen.contains(&(*ledger, &**token));
            assert!(is_there, "a history has {token}, ledger {ledger} has not");
        }
    }

    /// The tokens of operations whose orchestrations were the target of such a change.
    pub(crate) fn targets_of(&self, kind: ChangeKind) -> HashSet<&str> {
        let target = |noted: &'_ Noted| match &noted.operation {
            Operation::Change { id, change } if *change == kind => Some(id.clone()),
            _ => None,
        };
        let ids: HashSet<String> = self.noted.values().filter_map(target).collect();
        let started_as = |noted: &&Noted| match &noted.operation {
            Operation::Start { id, .. } => ids.iter().any(|target| root(target) == root(id)),
            _ => false,
        };
        self.noted.values().filter(started_as).map(|noted| &*noted.token).collect()
    }

    fn check_order(&self, lists: &BTreeMap<usize, Vec<String>>, disturbed: &HashSet<&str>) {
        // When it was known to a client, at the latest, that a ledger had so many tokens.
        let mut known: Vec<(u64, usize, usize)> = Vec::new();
        for noted in self.noted.values().filter(|noted| !disturbed.contains(&*noted.token)) {
            for (step, told) in &noted.told {
                match (&noted.operation, told) {
                    (Operation::Read { ledger }, Told::Tokens(tokens)) => {
                        let list = lists.get(ledger).map_or(&[][..], Vec::as_slice);
                        assert!(list.starts_with(tokens), "{noted:?} read what never was");
                        known.push((*step, *ledger, tokens.len()));
                    }
                    (
                        Operation::Append { ledger }
                        | Operation::Start { name: "Append" | "Relay", ledger, .. },
                        Told::Result(count),
                    ) => {
                        let place = position(lists, *ledger, &noted.token).expect("checked above");
                        assert_eq!(count, &(place + 1).to_string(), "{noted:?} stands elsewhere");
                        known.push((*step, *ledger, place + 1));
                    }
                    (Operation::Start { name: "Fails", .. }, told) => {
                        let fits = matches!(told, Told::Failed | Told::Accepted | Told::Refused);
                        assert!(fits, "{noted:?} should have failed");
                    }
                    (
                        Operation::Append { .. }
                        | Operation::Start {
                            name:
                                "Append" | "Both" | "Relay" | "Approval" | "Sleeper" | "Counter"
                                | "Shifty",
                            ..
                        },
                        told,
                    ) => assert!(*told != Told::Failed, "{noted:?} should not have failed"),
                    _ => {}
                }
            }
        }
        for noted in self.noted.values() {
            self.check_behind(noted, lists, &known);
        }
    }

    /// Nothing that was known before an operation began stands behind it.
    fn check_behind(
        &self,
        noted: &Noted,
        lists: &BTreeMap<usize, Vec<String>>,
        known: &[(u64, usize, usize)],
    ) {
        let reached = |ledger: usize| {
            known
                .iter()
                .filter(|(step, at, _)| *at == ledger && *step < noted.began)
                .map(|(_, _, count)| *count)
                .max()
                .unwrap_or(0)
        };
        for (ledger, list) in lists {
            let first = list.iter().position(|token| root(token) == noted.token);
            let is_behind = first.is_none_or(|place| place >= reached(*ledger));
            assert!(is_behind, "{noted:?} stands before what was known");
        }
        if let (Operation::Read { ledger }, Some((_, Told::Tokens(tokens)))) =
            (&noted.operation, noted.told.first())
        {
            assert!(tokens.len() >= reached(*ledger), "{noted:?} read the past");
        }
    }
}

/// The token of the operation that a token, or the id of a child, comes from.
pub(crate) fn root(token: &str) -> &str {
    token.get(..Model::ROOT_LENGTH).unwrap_or(token)
}

fn position(lists: &BTreeMap<usize, Vec<String>>, ledger: usize, token: &str) -> Option<usize> {
    lists.get(&ledger)?.iter().position(|other| other == token)
}
