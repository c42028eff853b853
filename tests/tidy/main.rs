//! Rules of this repository that no compiler checks: layers, headers, sizes, words, debris.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails the test that calls it"
)]

mod files;
mod layers;
mod mutants;
mod text;
