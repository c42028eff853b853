//! Orchestrations that start, await and fail one another.
//!
//! - `Parent` has a `Child` tell who its parent is, and gives that,
//! - `Selfish` wants a child that has its own id, which cannot be,
//! - `Household` has children count themselves in the entity `Births`, side by side, and gives
//!   the sum of what they say,
//! - `FireAndForget` starts a `Herald` that nobody waits for and gives its id; a `Herald` greets a
//!   name when the event `speak` comes,
//! - `TreeRoot` awaits a `TreeBranch`, which awaits several `TreeLeaf`s, each of which
//!   calls the activity `Mark` when the event `go` comes,
//! - `ThrowOrchestrator` does not catch the failure of `ThrowActivity`, `CallOrchestrator`
//!   not that of `ThrowOrchestrator`; `Causes` catches it and gives what it knows of it,
//! - `Heir` awaits a `Countdown`, which starts over until it has come to zero,
//! - `Tagged` gives its tags and those that a child and an activity of it see.

mod failures;
mod relatives;
mod tags;
