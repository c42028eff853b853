//! Counting, in three ways:
//!
//! - `count.rs`: the entity `Counter`, a struct whose methods are its operations, and the HTTP functions
//!   that call it; read this one first,
//! - `ticker.rs`: the entity `Ticker`, which counts by itself,
//! - `eternal.rs`: orchestrations that start over instead of growing.

mod count;
mod eternal;
mod ticker;
