//! The partition engine.

#![forbid(unsafe_code)]

pub mod client;
pub mod clock;
pub mod guest;
pub mod storage;
