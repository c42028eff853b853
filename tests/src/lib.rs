//! The harness of the whole-system tests.
//!
//! - [`host`]: the host as a process of its own, on folders of its own; [`process`]: any server.
//! - [`foreign`]: tools in Python and JavaScript that tests run.
//! - [`driver`]: drives orchestrations on a host that may be killed on the way.
//! - [`http`]: a client that sends what it is given, byte for byte.
//! - [`guests`]: where the compiled components are.
//! - [`history`]: what clients saw, and whether it can be.
//! - [`wait`]: waiting for conditions.

pub mod certificate;
pub mod collector;
pub mod driver;
pub mod foreign;
pub mod guests;
pub mod history;
pub mod host;
pub mod http;
pub mod process;
pub mod wait;
