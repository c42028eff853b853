//! [`AboutHost`]: what the host tells of itself.

use std::path::PathBuf;

use everstate_types::Timestamp;

/// What the host is. It does not change while the host runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AboutHost {
    /// The version of the host.
    pub version: &'static str,
    /// When it was started.
    pub started_at: Timestamp,
    /// The folder with the components.
    pub functions: PathBuf,
    /// The folder with the data.
    pub data: PathBuf,
}
