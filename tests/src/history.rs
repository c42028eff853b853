//! Histories of what clients did to keys, and whether they are linearizable.
//!
//! The checker is the one of `todc-utils` (Wing, Gong and Lowe's algorithm). What it is given is a
//! register that accepts less than a plain one, so that the search is short with many clients on a
//! key: since no value is written twice,
//!
//! - no write can come while a read of the current value is still to come,
//! - reads of one value may as well come in the order of their calls,
//! - and so may the writes that nobody read, each as early as it can.
//!
//! A history is linearizable for this register exactly if it is for a plain one (tested).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History as Actions};
use todc_utils::specifications::Specification;

/// What a client did to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// It wrote this value, which nobody else writes.
    Write(String),
    /// It read; this is what came back, once it came back.
    Read(Option<String>),
}

/// An operation of a client.
#[derive(Clone, Debug)]
struct Operation {
    key: String,
    kind: Kind,
    /// When it was asked for, on the recorder's clock.
    called: u64,
    /// When the answer was there; `None` if no answer came, and it may or may not have happened.
    returned: Option<u64>,
}

/// Writes down what clients do. All values that are written must differ.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Counts calls and answers: their order is all that matters.
    clock: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

/// Names an operation that was called.
#[derive(Clone, Copy, Debug)]
pub struct Called(usize);

impl Recorder {
    /// A client is about to write.
    pub fn write(&self, key: &str, value: &str) -> Called {
        self.call(key, Kind::Write(value.into()))
    }

    /// The write was acknowledged.
    pub fn written(&self, called: Called) {
        let now = self.tick();
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)[called.0].returned =
            Some(now);
    }

    /// A client is about to read.
    pub fn read(&self, key: &str) -> Called {
        self.call(key, Kind::Read(None))
    }

    /// This is what it read; `None` if there was no value.
    pub fn was_read(&self, called: Called, value: Option<String>) {
        let now = self.tick();
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations[called.0].returned = Some(now);
        operations[called.0].kind = Kind::Read(value);
    }

    fn call(&self, key: &str, kind: Kind) -> Called {
        let called = self.tick();
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.push(Operation { key: key.into(), kind, called, returned: None });
        Called(operations.len() - 1)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// How many operations were answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.iter().filter(|operation| operation.returned.is_some()).count()
    }

    /// Checks every key by itself.
    ///
    /// # Errors
    /// Says which key has a value that nobody wrote, or no order of its operations that explains
    /// all answers.
    pub fn check(&self) -> Result<()> {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: HashMap<&str, Vec<&Operation>> = HashMap::new();
        for operation in operations.iter() {
            keys.entry(&operation.key).or_default().push(operation);
        }
        for (key, operations) in keys {
            check_key(&operations).with_context(|| {
                let mut text = format!("key {key:?} of {} operations:", operations.len());
                for operation in operations {
                    text.push_str(&format!("\n  {operation:?}"));
                }
                text
            })?;
        }
        Ok(())
    }
}

fn check_key(operations: &[&Operation]) -> Result<()> {
    let actions = actions(operations)?;
    ensure!(
        WGLChecker::<OwingRegister>::is_linearizable(Actions::from_actions(actions)),
        "no order of the operations explains all answers"
    );
    Ok(())
}

/// The history of one key for the checker, each operation as a process of its own.
///
/// A write without an answer that nobody read is left out: whether it happened makes no difference.
/// One that somebody read has happened, at the latest at the end.
fn actions(operations: &[&Operation]) -> Result<Vec<(usize, Action<RegisterOperation>)>> {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    for (operation, number) in operations.iter().zip(1..) {
        if let Kind::Write(value) = &operation.kind
            && numbers.insert(value, number).is_some()
        {
            bail!("the value {value:?} is written twice, which this check cannot judge");
        }
    }
    // Number 0 stands for "no value", with which every key begins.
    let mut reads: HashMap<u64, u32> = HashMap::new();
    for operation in operations {
        if let (Kind::Read(value), Some(_)) = (&operation.kind, operation.returned) {
            *reads.entry(number_of(value.as_deref(), &numbers)?).or_default() += 1;
        }
    }
    let write = |value| match reads.get(&value) {
        Some(&owed) => RegisterOperation::Write { value, owed },
        None => RegisterOperation::WriteUnread { value, before: 0 },
    };
    let mut ordered: Vec<_> = operations.iter().zip(1..).collect();
    ordered.sort_by_key(|&(operation, process)| (operation.called, process));
    let mut owed = reads.clone();
    let mut unread = u32::from(!reads.contains_key(&0));
    let mut timed = Vec::new();
    for (operation, process) in ordered {
        let mut what = match &operation.kind {
            Kind::Write(value) => write(numbers[value.as_str()]),
            Kind::Read(_) if operation.returned.is_none() => continue,
            Kind::Read(value) => {
                let value = number_of(value.as_deref(), &numbers)?;
                let owed = owed.get_mut(&value).context("every read was counted")?;
                *owed -= 1;
                RegisterOperation::Read { value, owed_after: *owed }
            }
        };
        if let RegisterOperation::WriteUnread { before, .. } = &mut what {
            if operation.returned.is_none() {
                continue;
            }
            *before = unread;
            unread += 1;
        }
        timed.push((operation.called, process, Action::Call(what)));
        let returned = operation.returned.unwrap_or(u64::MAX);
        timed.push((returned, process, Action::Response(what)));
    }
    timed.sort_by_key(|&(when, process, _)| (when, process));
    let begin = [(0, Action::Call(write(0))), (0, Action::Response(write(0)))];
    Ok(begin
        .into_iter()
        .chain(timed.into_iter().map(|(_, process, what)| (process, what)))
        .collect())
}

fn number_of(value: Option<&str>, numbers: &HashMap<&str, u64>) -> Result<u64> {
    match value {
        None => Ok(0),
        Some(value) => match numbers.get(value) {
            Some(&number) => Ok(number),
            None => bail!("the value {value:?} was read, but nobody wrote it"),
        },
    }
}

/// An operation on a register whose values are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RegisterOperation {
    /// Writes a value that so many reads in the history return.
    Write { value: u64, owed: u32 },
    /// Writes a value that no read returns, when so many of these came before it.
    WriteUnread { value: u64, before: u32 },
    /// Reads and finds this value, which so many reads after it return.
    Read { value: u64, owed_after: u32 },
}

/// The register that the head of this file describes.
struct OwingRegister;

/// Its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Owing {
    value: u64,
    /// Reads of the value that are still to come.
    owed: u32,
    /// Writes so far that nobody read.
    unread: u32,
}

impl Specification for OwingRegister {
    type State = Owing;
    type Operation = RegisterOperation;

    fn init() -> Owing {
        Owing::default()
    }

    fn apply(operation: &RegisterOperation, state: &Owing) -> (bool, Owing) {
        match *operation {
            RegisterOperation::Write { value, owed } => {
                (state.owed == 0, Owing { value, owed, ..*state })
            }
            RegisterOperation::WriteUnread { value, before } => (
                state.owed == 0 && state.unread == before,
                Owing { value, owed: 0, unread: before + 1 },
            ),
            RegisterOperation::Read { value, owed_after } => (
                state.value == value && state.owed == owed_after + 1,
                Owing { owed: owed_after, ..*state },
            ),
        }
    }
}

#[cfg(test)]
mod tests;
