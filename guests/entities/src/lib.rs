//! Entities of every kind, and orchestrators that do with them what they are told.
//!
//! - `script.rs`: the orchestrator `Script` does what its input says, step by step,
//! - `increments.rs`: the orchestrator `LockedIncrement`,
//! - `stores.rs`: `StringStore`, `StringStoreWithCreateDelete`, `Number`,
//! - `faulty.rs`: `FaultyEntity`, whose operations fail after they did something,
//! - `messages.rs`: `Sequence`, `Relay`, `Clocked`, `Batches`: what arrives, when, and in which order,
//! - `lifetimes.rs`: `Fleeting`, `Lasting`,
//! - `people.rs`: `Person`, which is found by fields of its state,
//! - `readers.rs`: `Napper`, whose operations take their time, and `Liar`, whose read-only operation writes,
//! - `big.rs`: `Big`, whose state is as large as asked,
//! - `contacts.rs`: the orchestrator `Rename`, which calls an entity of another component.
//!
//! What is called and signalled from outside goes through the routes of `guests/lifecycle`.

mod big;
mod contacts;
mod faulty;
mod increments;
mod lifetimes;
mod messages;
mod people;
mod readers;
mod script;
mod stores;
