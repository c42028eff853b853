//! Whether what clients were told of orchestrations is what became of them.

use std::collections::HashSet;

use everstate_engine::partition::WaitFor;
use everstate_types::RuntimeStatus;

use crate::audit::{Ended, Left};
use crate::model::{ChangeKind, Model, Noted, Operation, Told, root};

pub(crate) fn check(model: &Model, left: &Left, disturbed: &HashSet<&str>) {
    for noted in model.noted.values() {
        match &noted.operation {
            Operation::Start { id, .. } if !disturbed.contains(&*noted.token) => {
                check_start(noted, id, left);
            }
            Operation::Change { id, change: ChangeKind::Terminate { .. } } => {
                check_terminated(model, noted, id, left);
            }
            Operation::Change { id, change: ChangeKind::Purge { recurse } } => {
                check_purged(model, noted, (id, *recurse), left);
            }
            Operation::Change { id, change: ChangeKind::Suspend } => {
                check_suspended(model, noted, id);
            }
            Operation::Await { wait_for, .. } => {
                for (_, told) in &noted.told {
                    let has_come = match (wait_for, told) {
                        (WaitFor::Start, Told::Alive(status)) => *status != RuntimeStatus::Pending,
                        (WaitFor::Completion, Told::Alive(_)) => false,
                        _ => true,
                    };
                    assert!(has_come, "{noted:?} was told too early");
                }
            }
            _ => {}
        }
    }
    check_counted(model, left, disturbed);
}

/// What was started is there, has ended, and as its client was told.
fn check_start(noted: &Noted, id: &str, left: &Left) {
    let end = left.ends.get(id).filter(|end| root(&end.token) == noted.token);
    for (_, told) in &noted.told {
        let fits = match (told, end) {
            (Told::Refused, None) => true,
            (Told::Accepted, Some(_)) => true,
            (Told::Result(output), Some(end)) => end.output.as_ref() == Some(output),
            // It may have been rewound.
            (Told::Failed, Some(end)) => end.rewinds > 0 || end.status == RuntimeStatus::Failed,
            _ => false,
        };
        assert!(fits, "{noted:?} was told {told:?}, and it is {end:?}");
    }
    let Operation::Start { name: "Parent", .. } = noted.operation else { return };
    if let Some(output) = end.and_then(|end| end.output.as_ref()) {
        let fates = "c1 ok,c2 Scripted,c4 InstanceAlreadyExists,c5 FunctionNotFound,c7 ok";
        assert_eq!(output, fates, "the children of {id} ended otherwise");
    }
}

/// The end of an orchestration, unless it is the child of a parent's own id: that one may begin when
/// the parent has ended.
fn end_of<'a>(id: &str, left: &'a Left) -> Option<&'a Ended> {
    left.ends.get(id).filter(|end| !end.token.ends_with("-c4"))
}

fn is_accepted(noted: &Noted) -> bool {
    noted.told.iter().any(|(_, told)| *told == Told::Accepted)
}

/// Whether somebody began something like that at the operation's orchestration or its relatives.
fn has_begun_after(
    model: &Model,
    id: &str,
    from: u64,
    to: u64,
    is_meant: impl Fn(&Operation) -> bool,
) -> bool {
    // A child's id has the token of its parent, whose own id may be another one.
    let parent = model.noted.values().find_map(|noted| match &noted.operation {
        Operation::Start { id: started, .. } if noted.token == root(id) => Some(root(started)),
        _ => None,
    });
    model.noted.values().any(|other| {
        let (Operation::Start { id: target, .. } | Operation::Change { id: target, .. }) =
            &other.operation
        else {
            return false;
        };
        (root(target) == root(id) || Some(root(target)) == parent)
            && (from..=to).contains(&other.began)
            && is_meant(&other.operation)
    })
}

fn check_terminated(model: &Model, noted: &Noted, id: &str, left: &Left) {
    let is_undone = |operation: &Operation| match operation {
        Operation::Start { .. } => true,
        Operation::Change { change, .. } => {
            matches!(change, ChangeKind::Purge { .. } | ChangeKind::Rewind)
        }
        _ => false,
    };
    if !is_accepted(noted)
        || has_begun_after(model, id, 0, u64::MAX, |operation| {
            matches!(operation, Operation::Change { .. }) && is_undone(operation)
        })
        || has_begun_after(model, id, noted.began, u64::MAX, is_undone)
    {
        return;
    }
    let status = end_of(id, left).map(|end| end.status);
    if left.ends.contains_key(id) && status.is_none() {
        return;
    }
    assert_eq!(status, Some(RuntimeStatus::Terminated), "{noted:?} was accepted");
}

fn check_purged(model: &Model, noted: &Noted, (id, recurse): (&str, bool), left: &Left) {
    let is_start = |operation: &Operation| matches!(operation, Operation::Start { .. });
    if !is_accepted(noted) || has_begun_after(model, id, noted.began, u64::MAX, is_start) {
        return;
    }
    // A child that is gone begins anew when its parent is rewound.
    let is_rewind = |operation: &Operation| {
        matches!(operation, Operation::Change { change: ChangeKind::Rewind, .. })
    };
    if root(id) != id && has_begun_after(model, id, 0, u64::MAX, is_rewind) {
        return;
    }
    let end = end_of(id, left);
    assert!(end.is_none(), "{noted:?} was accepted, and {id} is there: {end:?}");
    let starts: Vec<_> = model
        .noted
        .values()
        .filter(|other| matches!(&other.operation, Operation::Start { id: i, .. } if i == id))
        .collect();
    let is_target = |target: &str, is_meant: &dyn Fn(ChangeKind) -> bool| {
        model.noted.values().any(|other| match &other.operation {
            Operation::Change { id, change } => id == target && is_meant(*change),
            _ => false,
        })
    };
    let is_end = |change| matches!(change, ChangeKind::Terminate { .. });
    // Who was terminated may have left children that went on.
    if !recurse || starts.len() > 1 || is_target(id, &is_end) {
        return;
    }
    for suffix in ["-c1", "-c2", "-c3", "-c7", "-g1", "-g2"] {
        let child = format!("{id}{suffix}");
        let is_left = left.ends.contains_key(&*child) && !is_target(&child, &|_| true);
        assert!(!is_left, "{noted:?} was accepted, and {child} is there");
    }
}

/// Nobody saw it run who looked after it was suspended, until somebody let it go on.
fn check_suspended(model: &Model, noted: &Noted, id: &str) {
    let Some((suspended, _)) = noted.told.iter().find(|(_, told)| *told == Told::Accepted) else {
        return;
    };
    for look in model.noted.values() {
        if !matches!(&look.operation, Operation::Look { id: other } if other == id)
            || look.began <= *suspended
        {
            continue;
        }
        let Some((seen, told)) = look.told.first() else { continue };
        let is_suspend = |operation: &Operation| {
            matches!(operation, Operation::Change { change: ChangeKind::Suspend, .. })
        };
        let is_disturbed =
            has_begun_after(model, id, noted.began + 1, *seen, |operation| !is_suspend(operation));
        let fits = is_disturbed || *told == Told::Alive(RuntimeStatus::Suspended);
        assert!(fits, "{noted:?} was accepted, and {look:?}");
    }
}

/// Events that were accepted were counted, in the order of their sender.
fn check_counted(model: &Model, left: &Left, disturbed: &HashSet<&str>) {
    let accepted: Vec<_> = model
        .noted
        .values()
        .filter_map(|noted| match &noted.operation {
            Operation::Count { id, .. } if !disturbed.contains(root(id)) => {
                let told = noted.told.iter().find(|(_, told)| *told == Told::Accepted)?.0;
                Some((noted, id, told))
            }
            _ => None,
        })
        .collect();
    let place = |noted: &Noted, id: &str| {
        let end = left.ends.get(id)?;
        end.output.as_ref()?.split(',').position(|token| token == noted.token)
    };
    for (noted, id, _) in &accepted {
        let end = left.ends.get(&***id);
        assert!(place(noted, id).is_some(), "{noted:?} was accepted and not counted: {end:?}");
    }
    for (before, id, told) in &accepted {
        for (after, other, _) in &accepted {
            if id == other && *told < after.began {
                let is_ordered = place(before, id) < place(after, id);
                assert!(is_ordered, "{before:?} was counted after {after:?}");
            }
        }
    }
}
