//! The checker is checked: known histories, and many small random ones against a plain register.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::register::RegisterOperation as Plain;
use todc_utils::specifications::register::RegisterSpecification;

use super::{Kind, Operation, Recorder, RegisterOperation, actions, check_key};

#[test]
fn check_reads_of_acknowledged_writes_passes() {
    let recorder = Recorder::default();
    let write = recorder.write("k", "a");
    recorder.written(write);
    let read = recorder.read("k");
    recorder.was_read(read, Some("a".into()));
    recorder.check().expect("linearizable");
}

#[test]
fn check_lost_acknowledged_write_fails() {
    let recorder = Recorder::default();
    let write = recorder.write("k", "a");
    recorder.written(write);
    let read = recorder.read("k");
    recorder.was_read(read, None);
    recorder.check().expect_err("an acknowledged write is lost");
}

#[test]
fn check_value_that_nobody_wrote_fails() {
    let recorder = Recorder::default();
    let read = recorder.read("k");
    recorder.was_read(read, Some("a".into()));
    let error = recorder.check().expect_err("nobody wrote it");
    assert!(format!("{error:#}").contains("nobody wrote it"));
}

#[test]
fn check_unanswered_write_may_happen_late_but_not_come_and_go() {
    for (reads, linearizable) in [
        (vec![None, None], true),
        (vec![None, Some("a")], true),
        (vec![Some("a"), Some("a")], true),
        (vec![Some("a"), None], false),
    ] {
        let recorder = Recorder::default();
        let _unanswered = recorder.write("k", "a");
        for value in &reads {
            let read = recorder.read("k");
            recorder.was_read(read, value.map(str::to_owned));
        }
        assert_eq!(recorder.check().is_ok(), linearizable, "{reads:?}");
    }
}

/// As from a server that takes one of 64 clients' requests at a time, in an order of its own.
#[test]
fn check_many_clients_on_one_key_is_quick() {
    let random = &mut SmallRng::seed_from_u64(1);
    let recorder = Recorder::default();
    let mut waiting = Vec::new();
    let mut current = None;
    for number in 0..1_000 {
        let value = number.to_string();
        let is_write = random.random_bool(0.5);
        let called = if is_write { recorder.write("k", &value) } else { recorder.read("k") };
        waiting.push((called, is_write.then_some(value)));
        if waiting.len() == 64 {
            let (called, written) = waiting.swap_remove(random.random_range(0..64));
            match written {
                Some(value) => {
                    recorder.written(called);
                    current = Some(value);
                }
                None => recorder.was_read(called, current.clone()),
            }
        }
    }
    recorder.check().expect("linearizable");
}

/// The register that knows what is owed accepts what a plain register accepts, and nothing else.
#[test]
fn owing_register_random_histories_agrees_with_plain_register() {
    let mut verdicts = [0, 0];
    for seed in 0..3000 {
        let operations = random_history(&mut SmallRng::seed_from_u64(seed));
        let operations: Vec<&Operation> = operations.iter().collect();
        let Ok(history) = actions(&operations) else { continue };
        let plain =
            history.into_iter().map(|(process, action)| (process, plain(&action))).collect();
        let expected =
            WGLChecker::<RegisterSpecification<u64>>::is_linearizable(History::from_actions(plain));
        assert_eq!(check_key(&operations).is_ok(), expected, "seed {seed}: {operations:?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|&count| count > 100), "both verdicts occur: {verdicts:?}");
}

fn plain(action: &Action<RegisterOperation>) -> Action<Plain<u64>> {
    let convert = |operation| match operation {
        RegisterOperation::Write { value, .. } | RegisterOperation::WriteUnread { value, .. } => {
            Plain::Write(value)
        }
        RegisterOperation::Read { value, .. } => Plain::Read(Some(value)),
    };
    match action {
        Action::Call(operation) => Action::Call(convert(*operation)),
        Action::Response(operation) => Action::Response(convert(*operation)),
    }
}

/// Up to seven operations that overlap at random, some without an answer.
fn random_history(random: &mut SmallRng) -> Vec<Operation> {
    let writes = random.random_range(1..4_usize);
    let reads = random.random_range(1..5_usize);
    let mut operations = Vec::new();
    for number in 0..writes + reads {
        let called = random.random_range(0..20) * 2;
        let returned = random.random_bool(0.85).then(|| called + 1 + random.random_range(0..8) * 2);
        let kind = if number < writes {
            Kind::Write(number.to_string())
        } else {
            let value = random.random_range(0..=writes);
            Kind::Read((value > 0).then(|| (value - 1).to_string()))
        };
        operations.push(Operation { key: "k".into(), kind, called, returned });
    }
    operations
}
