//! What clients were told, and whether it can be true.
//!
//! The model knows ledgers as lists of tokens, and nothing of the engine. Every operation adds tokens that
//! nobody else uses, so the lists at the end, together with what each client was told and when, decide
//! whether the history was linearizable: no search is needed.
//!
//! - An operation that was acknowledged has its tokens in the right ledgers, each once.
//! - An operation that was not acknowledged has all of them or none.
//! - An append that was told "you are the n-th" is the n-th.
//! - What was acknowledged before another operation began stands before it.
//! - A read saw a prefix of the list, not shorter than anything that was known before it began.
//! - A failed operation left nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An orchestration by its name, with its ledger.
    Orchestration { name: &'static str, ledger: usize },
    /// A direct call of `append`.
    Append { ledger: usize },
    /// A signal of `append`.
    Signal { ledger: usize },
    /// A direct read of the state.
    Read { ledger: usize },
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
    /// The tokens of a ledger.
    Tokens(Vec<String>),
    /// That it was refused.
    Refused,
}

#[derive(Debug)]
struct Noted {
    operation: Operation,
    token: String,
    began: u64,
    told: Vec<(u64, Told)>,
}

#[derive(Debug)]
pub(crate) struct Model {
    ledgers: usize,
    noted: HashMap<u64, Noted>,
}

impl Model {
    pub(crate) fn new(ledgers: usize) -> Self {
        Self { ledgers, noted: HashMap::new() }
    }

    pub(crate) fn begin(&mut self, step: u64, client: u64, operation: Operation, token: String) {
        self.noted.insert(client, Noted { operation, token, began: step, told: Vec::new() });
    }

    pub(crate) fn tell(&mut self, step: u64, client: u64, told: Told) {
        self.noted.get_mut(&client).expect("who is told has asked").told.push((step, told));
    }

    /// Checks everything against the ledgers as they are when nothing is left to do.
    pub(crate) fn check(&self, lists: &BTreeMap<usize, Vec<String>>) {
        let mut expected: HashSet<(usize, String)> = HashSet::new();
        for noted in self.noted.values() {
            self.check_effects(noted, lists, &mut expected);
        }
        for (ledger, list) in lists {
            let mut seen = HashSet::new();
            for token in list {
                assert!(seen.insert(token), "{token} stands twice in ledger {ledger}");
                let known = expected.contains(&(*ledger, token.clone()));
                assert!(known, "nobody put {token} into ledger {ledger}");
            }
        }
        self.check_order(lists);
    }

    fn check_effects(
        &self,
        noted: &Noted,
        lists: &BTreeMap<usize, Vec<String>>,
        expected: &mut HashSet<(usize, String)>,
    ) {
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
        if count > 0 {
            expected.extend(effects);
        }
    }

    /// The tokens that an operation leaves, and where.
    fn effects(&self, noted: &Noted) -> Vec<(usize, String)> {
        let token = |suffix: &str| format!("{}{suffix}", noted.token);
        let at = |ledger: usize| ledger % self.ledgers;
        match noted.operation {
            Operation::Orchestration { name: "Append", ledger }
            | Operation::Append { ledger }
            | Operation::Signal { ledger } => vec![(ledger, token(""))],
            Operation::Orchestration { name: "Both", ledger } => vec![
                (ledger, token("")),
                (at(ledger + 1), token("-b")),
                (at(ledger + 2), token("-c")),
            ],
            Operation::Orchestration { name: "Relay", ledger } => vec![
                (ledger, token("")),
                (at(ledger + 1), token("-s")),
                (at(ledger + 1), token("-o")),
            ],
            Operation::Orchestration { .. } | Operation::Read { .. } => Vec::new(),
        }
    }

    fn check_order(&self, lists: &BTreeMap<usize, Vec<String>>) {
        // When it was known to a client, at the latest, that a ledger had so many tokens.
        let mut known: Vec<(u64, usize, usize)> = Vec::new();
        for noted in self.noted.values() {
            for (step, told) in &noted.told {
                match (&noted.operation, told) {
                    (Operation::Read { ledger }, Told::Tokens(tokens)) => {
                        let list = lists.get(ledger).map_or(&[][..], Vec::as_slice);
                        assert!(list.starts_with(tokens), "{noted:?} read what never was");
                        known.push((*step, *ledger, tokens.len()));
                    }
                    (
                        Operation::Append { ledger }
                        | Operation::Orchestration { name: "Append" | "Relay", ledger },
                        Told::Result(count),
                    ) => {
                        let place = position(lists, *ledger, &noted.token).expect("checked above");
                        assert_eq!(count, &(place + 1).to_string(), "{noted:?} stands elsewhere");
                        known.push((*step, *ledger, place + 1));
                    }
                    (Operation::Orchestration { name: "Fails", .. }, told) => {
                        let fits = matches!(told, Told::Failed | Told::Accepted);
                        assert!(fits, "{noted:?} should have failed");
                    }
                    (_, told) => assert!(*told != Told::Failed, "{noted:?} should not have failed"),
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
        for (ledger, token) in self.effects(noted) {
            if let Some(place) = position(lists, ledger, &token) {
                assert!(place >= reached(ledger), "{noted:?} stands before what was known");
            }
        }
        if let (Operation::Read { ledger }, Some((_, Told::Tokens(tokens)))) =
            (&noted.operation, noted.told.first())
        {
            assert!(tokens.len() >= reached(*ledger), "{noted:?} read the past");
        }
    }
}

fn position(lists: &BTreeMap<usize, Vec<String>>, ledger: usize, token: &str) -> Option<usize> {
    lists.get(&ledger)?.iter().position(|other| other == token)
}
