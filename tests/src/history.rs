//! Histories of what clients did to keys, and whether they are linearizable.
//!
//! The checker is the one of `todc-utils` (Wing, Gong and Lowe's algorithm). The specification that
//! it is given is a register that knows for each value how many reads of it are still owed. Since
//! no value is written twice, no write can come while one is, which spares the checker most of its
//! search; a history is linearizable for this register exactly if it is for a plain one.

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
    let owed = |number| reads.get(&number).copied().unwrap_or_default();
    let initial = RegisterOperation::Write { value: 0, owed: owed(0) };
    let mut timed = Vec::new();
    for (operation, process) in operations.iter().zip(1..) {
        let what = match &operation.kind {
            Kind::Write(value) => {
                let value = numbers[value.as_str()];
                if operation.returned.is_none() && owed(value) == 0 {
                    continue;
                }
                RegisterOperation::Write { value, owed: owed(value) }
            }
            Kind::Read(_) if operation.returned.is_none() => continue,
            Kind::Read(value) => {
                RegisterOperation::Read { value: number_of(value.as_deref(), &numbers)? }
            }
        };
        timed.push((operation.called, process, Action::Call(what)));
        let returned = operation.returned.unwrap_or(u64::MAX);
        timed.push((returned, process, Action::Response(what)));
    }
    timed.sort_by_key(|&(when, process, _)| (when, process));
    let begin = [(0, Action::Call(initial)), (0, Action::Response(initial))];
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
    /// Reads and finds this value.
    Read { value: u64 },
}

/// A register that refuses to be written while a read of its value is owed.
struct OwingRegister;

impl Specification for OwingRegister {
    type State = (u64, u32);
    type Operation = RegisterOperation;

    fn init() -> Self::State {
        (0, 0)
    }

    fn apply(operation: &Self::Operation, &(current, owed): &Self::State) -> (bool, Self::State) {
        match *operation {
            RegisterOperation::Write { value, owed: new } => (owed == 0, (value, new)),
            RegisterOperation::Read { value } => {
                (value == current && owed > 0, (current, owed.saturating_sub(1)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
