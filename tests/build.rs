//! Builds the guests as components, for the tests to load.
//!
//! `EVERSTATE_GUESTS_DIR` names a directory with components that exist already; nothing is built then.

fn main() {}
