//! The harness of the whole-system tests.
//!
//! - [`process`]: any server as a child process; [`http`]: a client that changes nothing.
//! - [`wait`]: waiting for conditions.

pub mod http;
pub mod process;
pub mod wait;
