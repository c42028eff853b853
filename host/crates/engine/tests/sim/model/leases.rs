//! Whether what clients were told of leases is one order. All that leases ever did is known, see
//! `world/watch.rs`, so each answer that names tokens has exactly one place in it.

use std::collections::{BTreeMap, HashSet};

use super::{LeaseAct, Model, Operation, Told, root};
use crate::entities::number;
use crate::world::LeaseChange;

impl Model {
    /// `changes`: what leases did, in the order of each.
    pub(crate) fn check_leases<'a>(
        &self,
        changes: impl Iterator<Item = &'a LeaseChange>,
        repeated: &HashSet<&str>,
    ) {
        // The tokens of a lease after each change, and which state it is that an added token led to.
        let mut states: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut added: BTreeMap<(usize, String), usize> = BTreeMap::new();
        for change in changes {
            let (LeaseChange::Added(entity, _) | LeaseChange::Emptied(entity)) = change;
            let states = states.entry(number(entity)).or_insert_with(|| vec![String::new()]);
            let last = states.last().expect("the first one at least");
            match change {
                LeaseChange::Emptied(_) => states.push(String::new()),
                LeaseChange::Added(entity, token) => {
                    let text = match last.is_empty() {
                        true => token.clone(),
                        false => format!("{last},{token}"),
                    };
                    states.push(text);
                    let before = added.insert((number(entity), token.clone()), states.len() - 1);
                    let may_repeat = repeated.contains(root(token));
                    assert!(before.is_none() || may_repeat, "{entity} took {token} twice");
                }
            }
        }
        let first = vec![String::new()];
        // When a client knew, at the latest, that a lease had come so far.
        let mut known: Vec<(u64, usize, usize)> = Vec::new();
        for noted in self.noted.values() {
            let Operation::Lease { lease, act: LeaseAct::Touch } = noted.operation else {
                continue;
            };
            let Some((step, Told::Result(text))) = noted.told.first() else { continue };
            let place = added.get(&(lease, noted.token.clone()));
            let place = *place.unwrap_or_else(|| panic!("{noted:?} was told of what is not there"));
            assert_eq!(&states[&lease][place], text, "{noted:?} was told something else");
            known.push((*step, lease, place));
        }
        for noted in self.noted.values() {
            let Operation::Lease { lease, act: LeaseAct::Look | LeaseAct::List } = noted.operation
            else {
                continue;
            };
            let Some((step, Told::Result(text))) = noted.told.first() else { continue };
            let last = text.rsplit(',').next().unwrap_or_default();
            let place = added.get(&(lease, last.to_owned()));
            known.extend(place.map(|place| (*step, lease, *place)));
        }
        for noted in self.noted.values() {
            let Operation::Lease { lease, act } = noted.operation else { continue };
            let reached = known.iter().filter(|(step, at, _)| *at == lease && *step < noted.began);
            let reached = reached.map(|(.., place)| *place).max().unwrap_or(0);
            let all = states.get(&lease).unwrap_or(&first);
            match (act, noted.told.first()) {
                (LeaseAct::Touch, _) => {
                    let place = added.get(&(lease, noted.token.clone()));
                    let is_behind = place.is_none_or(|place| *place > reached);
                    assert!(is_behind, "{noted:?} stands before what was known");
                }
                (LeaseAct::Look | LeaseAct::List, Some((_, Told::Result(text)))) => {
                    let is_seen = all[reached..].contains(text);
                    assert!(is_seen, "{noted:?} read the past, or what never was: {all:?}");
                }
                _ => {}
            }
        }
    }
}
