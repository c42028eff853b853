//! Whether critical sections were what they are for: who locks several ledgers sees all of what another
//! one did to them, or nothing; and what one sender told one ledger stands there in its order.

use std::collections::{BTreeMap, HashSet};

use super::{ChangeKind, Model, Noted, Operation, Told, position};
use crate::entities::tokens;

impl Model {
    pub(super) fn check_sections(
        &self,
        lists: &BTreeMap<usize, Vec<String>>,
        disturbed: &HashSet<&str>,
        broken: &HashSet<String>,
    ) {
        let rewound = self.targets_of(ChangeKind::Rewind);
        let is_whole = |noted: &&Noted| {
            let token = &*noted.token;
            !disturbed.contains(token) && !rewound.contains(token) && !broken.contains(token)
        };
        let transfers: Vec<_> = self
            .noted
            .values()
            .filter_map(|noted| match noted.operation {
                Operation::Start { name: "Transfer", ledger, .. } => Some((noted, ledger)),
                _ => None,
            })
            .filter(|(noted, _)| is_whole(noted))
            .collect();
        for (noted, ledger) in &transfers {
            self.check_transfer(noted, *ledger, lists);
        }
        for sender in self.noted.values().filter(is_whole) {
            match sender.operation {
                Operation::Start { name: "Transfer", .. } => {
                    check_sender(sender, &["-o0", "-xw", "-xd", "-o1", "-o2"], lists);
                }
                Operation::Start { name: "Sender", .. } => {
                    check_sender(sender, &["-o0", "-o1", "-o2", "-x1", "-o3"], lists);
                }
                _ => {}
            }
        }
        for auditor in self.noted.values().filter(is_whole) {
            let Operation::Start { name: "Auditor", .. } = auditor.operation else { continue };
            for (_, told) in &auditor.told {
                let Told::Result(seen) = told else { continue };
                let seen: Vec<_> = seen.split(';').map(tokens).collect();
                self.check_audit(auditor, &seen, &transfers, lists);
            }
        }
    }

    /// Nobody came between, and nothing of it is missing.
    fn check_transfer(&self, noted: &Noted, ledger: usize, lists: &BTreeMap<usize, Vec<String>>) {
        let is_there = |ledger: usize, suffix: &str| {
            position(lists, ledger % self.ledgers, &format!("{}{suffix}", noted.token)).is_some()
        };
        for (_, told) in &noted.told {
            assert!(*told != Told::Failed, "somebody came between the steps of {noted:?}");
            let Told::Result(result) = told else { continue };
            let is_late = result == "late";
            let has_moved = [is_there(ledger, "-xw"), is_there(ledger + 1, "-xd")];
            assert_eq!(has_moved, [!is_late; 2], "{noted:?}");
            if !is_late {
                let place =
                    position(lists, (ledger + 1) % self.ledgers, &format!("{}-xd", noted.token));
                let told = result.parse::<usize>().expect("a number");
                assert_eq!(place, told.checked_sub(1), "{noted:?} stands elsewhere");
            }
        }
    }

    fn check_audit(
        &self,
        auditor: &Noted,
        seen: &[Vec<String>],
        transfers: &[(&Noted, usize)],
        lists: &BTreeMap<usize, Vec<String>>,
    ) {
        assert_eq!(seen.len(), self.ledgers, "{auditor:?} saw another number of ledgers");
        for (ledger, seen) in seen.iter().enumerate() {
            let list = lists.get(&ledger).map_or(&[][..], Vec::as_slice);
            assert!(list.starts_with(seen), "{auditor:?} saw what never was in {ledger}");
        }
        for (transfer, ledger) in transfers {
            let has = |ledger: usize, suffix: &str| {
                seen[ledger % self.ledgers].contains(&format!("{}{suffix}", transfer.token))
            };
            let (paid, got) = (has(*ledger, "-xw"), has(*ledger + 1, "-xd"));
            assert_eq!(paid, got, "{auditor:?} saw half of {transfer:?}");
        }
    }
}

/// What one sender has told one ledger stands there in the order of `suffixes`.
fn check_sender(noted: &Noted, suffixes: &[&str], lists: &BTreeMap<usize, Vec<String>>) {
    for (ledger, list) in lists {
        let place = |token: &String| {
            let suffix = token.strip_prefix(&*noted.token)?;
            suffixes.iter().position(|other| *other == suffix)
        };
        let is_ordered = list.iter().filter_map(place).is_sorted();
        assert!(is_ordered, "what {noted:?} has told {ledger}: {list:?}");
    }
}
