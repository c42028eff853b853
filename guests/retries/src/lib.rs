//! Activities that fail, and what is done about it: policies, catching, repairing and rewinding.
//!
//! `Flaky` fails until a given attempt, and counts its attempts in the entity `Attempts` whose key is
//! the idempotency key: it is the same for all attempts at the same piece of work.
//!
//! - `Persistent` tries `Flaky` as its policy says (the input) and gives what it says at last,
//! - `Patient` does the same and gives how long that took,
//! - `PersistentChild` has a child do that, and tries the child again,
//! - `CatchLoop` catches so many failures and gives how many there were,
//! - `Repair`, `RepairMany` and `RepairNested` fail as long as the entity `Repaired` is not
//!   set, and can be rewound then: what succeeded is not done again, and `Runs` counts it.

mod policies;
mod repair;
