//! Examines a data folder that no host has open: the storage, and the components that it needs.

use std::fs;
use std::path::Path;

use everstate_storage::Report;
use sha2::{Digest as _, Sha256};

use crate::backup::{COMPONENTS, STATE};

/// Examines all that is in a data folder, and changes nothing.
///
/// # Errors
/// If there is no data, a host has it open, it is of another version, or it cannot be opened at all.
pub fn verify(data: &Path) -> anyhow::Result<Report> {
    let mut report = everstate_storage::verify(&data.join(STATE))?;
    let pinned = report.pinned.clone();
    for (component, pinned) in &pinned {
        let path = data.join(COMPONENTS).join(format!("{component}.wasm"));
        let reason = match fs::read(&path) {
            Ok(bytes) if Sha256::digest(&bytes)[..] == component.0 => continue,
            Ok(_) => "is damaged".to_owned(),
            Err(error) => format!("cannot be read: {error}"),
        };
        report.add_problem(format!(
            "the component {} {reason}; {} orchestrations need it, `{}` for one",
            path.display(),
            pinned.count,
            pinned.example
        ));
    }
    Ok(report)
}
