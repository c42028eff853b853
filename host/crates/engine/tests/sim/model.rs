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
//! - What a sender told a ledger stands there in the order of the sender.
//! - Signals with the same key count once. What leases told is one order, see `model/leases.rs`.
//! - Nobody saw half of what was done in a critical section, see `model/sections.rs`.
//! - What the histories at the end say that was asked for stands in a ledger, once; what stands in a
//!   ledger is in a history, or belongs to one that is gone.
//! - An event that was accepted was taken up, in the order of its sender.
//! - What clients were told of an orchestration is what became of it. What was terminated stays so, what
//!   was purged is gone, what was suspended stays so until somebody lets it go on.
//!
//! Clients disturb each other: of an orchestration that was terminated, replaced or purged only the
//! rules of `audit.rs` hold, and those of this page that say so.

mod leases;
mod operation;
mod sections;

use std::collections::{BTreeMap, HashMap, HashSet};

pub(crate) use self::operation::{ChangeKind, LeaseAct, Operation, TICKS, Told};
use crate::audit::Left;

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

    pub(crate) fn name_of(&self, id: &str) -> Option<&'static str> {
        self.names.get(id).copied()
    }

    /// Counters and their ledgers.
    pub(crate) fn counters(&self) -> &[(String, usize)] {
        &self.counters
    }

    /// Checks everything against the ledgers, and what is left of orchestrations, when nothing is left
    /// to do. `broken`: whose locks may have been broken.
    pub(crate) fn check(
        &self,
        lists: &BTreeMap<usize, Vec<String>>,
        left: &Left,
        broken: &HashSet<String>,
    ) {
        let disturbed = self.disturbed();
        for noted in self.noted.values() {
            self.check_effects(noted, lists, &disturbed);
        }
        self.check_ledgers(lists, left, &disturbed);
        self.check_order(lists, &disturbed);
        self.check_sections(lists, &disturbed, broken);
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
        let is_acknowledged = noted.told.iter().any(|(_, told)| !matches!(told, Told::Refused));
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
            | Operation::Signal { ledger }
            | Operation::SignalLater { ledger, .. } => vec![(ledger, token(""))],
            Operation::Once { ledger, key } => vec![(ledger, self.noted[&key].token.clone())],
            Operation::Tick { ledger } => {
                (0..=TICKS).map(|left| (ledger, token(&format!("-k{left}")))).collect()
            }
            Operation::Start { name: "Sender", ledger, .. } => {
                let suffixes = ["-o0", "-o1", "-o2", "-o3", "-l0", "-l1", "-x1"];
                suffixes.iter().map(|suffix| (ledger, token(suffix))).collect()
            }
            Operation::Start { name: "Renewer", ledger, .. } => {
                ["-x0", "-x1", "-x2"].iter().map(|suffix| (ledger, token(suffix))).collect()
            }
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
                    Operation::Append { .. }
                    | Operation::Signal { .. }
                    | Operation::SignalLater { .. }
                    | Operation::Tick { .. }
                    | Operation::Once { .. } => true,
                    Operation::Count { id, .. } => {
                        disturbed.contains(root(id)) || left.counted.contains(token)
                    }
                    // The histories of the generations before are gone.
                    Operation::Start { name: "Renewer", .. } => true,
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
                    (
                        Operation::Read { ledger } | Operation::List { ledger },
                        Told::Tokens(tokens),
                    ) => {
                        let list = lists.get(ledger).map_or(&[][..], Vec::as_slice);
                        assert!(list.starts_with(tokens), "{noted:?} read what never was");
                        known.push((*step, *ledger, tokens.len()));
                    }
                    (Operation::Query { ledger }, Told::Count(count)) => {
                        let count_max = lists.get(ledger).map_or(0, Vec::len);
                        assert!(*count <= count_max, "{noted:?} found what never was");
                        known.push((*step, *ledger, *count));
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
                                | "Shifty" | "Auditor" | "Renewer" | "Swerver" | "Warden" | "Sender",
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
        let (ledger, count) = match (&noted.operation, noted.told.first()) {
            (
                Operation::Read { ledger } | Operation::List { ledger },
                Some((_, Told::Tokens(tokens))),
            ) => (ledger, tokens.len()),
            (Operation::Query { ledger }, Some((_, Told::Count(count)))) => (ledger, *count),
            _ => return,
        };
        assert!(count >= reached(*ledger), "{noted:?} read the past");
    }
}

/// The token of the operation that a token, or the id of a child, comes from.
pub(crate) fn root(token: &str) -> &str {
    token.get(..Model::ROOT_LENGTH).unwrap_or(token)
}

fn position(lists: &BTreeMap<usize, Vec<String>>, ledger: usize, token: &str) -> Option<usize> {
    lists.get(&ledger)?.iter().position(|other| other == token)
}
