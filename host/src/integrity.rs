//! Examines a data folder that no host has open: the storage, the components that it needs, and the files
//! beside them.

use std::fs;
use std::path::Path;

use everstate_storage::Report;
use sha2::{Digest as _, Sha256};

use crate::backup::{COMPONENTS, STATE};
use crate::data_folder::{self, DEPLOYMENTS};
use crate::deployments::unreadable_lines;

/// Examines all that is in a data folder, and changes nothing.
///
/// # Errors
/// If there is no data, a host has it open, it is of another version, or it cannot be opened at all.
pub fn verify(data: &Path) -> anyhow::Result<Report> {
    data_folder::check_state(data)?;
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
    if let Err(error) = everstate_http::check_keys(data) {
        report.add_problem(format!("{error}; no host starts with them"));
    }
    look_at_deployments(&data.join(DEPLOYMENTS), &mut report);
    Ok(report)
}

fn look_at_deployments(path: &Path, report: &mut Report) {
    match unreadable_lines(path) {
        Ok(lines) => {
            for line in lines {
                let path = path.display();
                report.add_problem(format!("{path} is damaged: line {line} is no deployment"));
            }
        }
        Err(error) => report.add_problem(format!("{} cannot be read: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use everstate_storage::{RocksStorage, StorageConfig};

    use super::verify;

    #[test]
    fn files_beside_the_state_are_examined() {
        let data = tempfile::tempdir().expect("a folder");
        let state = data.path().join("state");
        drop(RocksStorage::open(state, &StorageConfig::default()).expect("a writable folder"));
        let problems = || verify(data.path()).expect("a data folder").problems;
        assert_eq!(problems(), [""; 0]);
        let deployment = r#"{"id":1,"time":5,"file":"a.wasm","action":"deployed"}"#;
        // A last line that a crash has cut off is none.
        let lines = format!("{deployment}\n{deployment}\n{{\"id\":");
        fs::write(data.path().join("deployments.jsonl"), &lines).expect("a writable folder");
        assert_eq!(problems(), [""; 0]);
        let lines = format!("{deployment}\nhi\n{deployment}\n");
        fs::write(data.path().join("deployments.jsonl"), &lines).expect("a writable folder");
        fs::write(data.path().join("keys.json"), "hi").expect("a writable folder");
        let found = problems();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("keys.json cannot be understood"), "{found:?}");
        assert!(found[1].ends_with("is damaged: line 2 is no deployment"), "{found:?}");
    }
}
