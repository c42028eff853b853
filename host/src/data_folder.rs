//! What a host takes for its data folder, looked at before anything in it is opened.

use std::fs;
use std::path::Path;

use anyhow::ensure;

use crate::backup::{COMPONENTS, MANIFEST, STATE, check_complete};

/// The record of deployments.
pub(crate) const DEPLOYMENTS: &str = "deployments.jsonl";

/// Refuses a backup, which a host would change, and a folder whose state is gone: a host would begin anew
/// beside what is left.
///
/// # Errors
/// If it is refused.
pub(crate) fn check(data: &Path) -> anyhow::Result<()> {
    ensure!(
        !data.join(MANIFEST).exists(),
        "{} is a backup, and a host would change it: bring it back with `everstate restore --from {0} \
         --data DIR`, and run with that folder",
        data.display()
    );
    check_complete(data)?;
    check_state(data)
}

/// Refuses a folder in which a host has been and whose state is gone.
///
/// # Errors
/// If it is refused.
pub(crate) fn check_state(data: &Path) -> anyhow::Result<()> {
    let state = data.join(STATE);
    let has_state = fs::read_dir(&state).is_ok_and(|mut entries| entries.next().is_some());
    let left = || {
        let has_components = fs::read_dir(data.join(COMPONENTS))
            .is_ok_and(|entries| entries.flatten().any(|entry| is_component(&entry.path())));
        let has_deployments = data.join(DEPLOYMENTS).exists();
        has_components.then_some(COMPONENTS).or_else(|| has_deployments.then_some(DEPLOYMENTS))
    };
    if has_state || !state.is_dir() && state.exists() {
        return Ok(());
    }
    let Some(left) = left() else { return Ok(()) };
    anyhow::bail!(
        "{} is missing or empty, though there is {}: put it back, or restore a backup; to begin with \
         nothing, name a new data folder, or remove `{COMPONENTS}` and `{DEPLOYMENTS}` as well",
        state.display(),
        data.join(left).display()
    )
}

fn is_component(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::check;

    #[test]
    fn backup_is_no_data_folder() {
        let data = tempfile::tempdir().expect("a folder");
        fs::create_dir(data.path().join("state")).expect("a writable folder");
        fs::write(data.path().join("state/CURRENT"), "").expect("a writable folder");
        check(data.path()).expect("a data folder");
        fs::write(data.path().join("backup.json"), "{}").expect("a writable folder");
        let refused = check(data.path()).expect_err("a backup").to_string();
        assert!(refused.contains("is a backup, and a host would change it"), "{refused}");
    }

    #[test]
    fn state_that_is_gone_is_missed_where_a_host_has_been() {
        let data = tempfile::tempdir().expect("a folder");
        let at = |name: &str| data.path().join(name);
        check(&at("new")).expect("a new folder");
        // Keys may be made before the first start.
        fs::write(at("keys.json"), "{}").expect("a writable folder");
        fs::create_dir(at("components")).expect("a writable folder");
        check(data.path()).expect("no host has been here");
        for left in ["components/00.wasm", "deployments.jsonl"] {
            fs::write(at(left), "").expect("a writable folder");
            for make_empty in [false, true] {
                if make_empty {
                    fs::create_dir(at("state")).expect("a writable folder");
                }
                let refused = check(data.path()).expect_err("it is gone").to_string();
                assert!(refused.contains("is missing or empty, though there is"), "{refused}");
                assert!(refused.contains(left.split('/').next().expect("a name")), "{refused}");
            }
            fs::write(at("state/CURRENT"), "").expect("a writable folder");
            check(data.path()).expect("its state is there");
            fs::remove_dir_all(at("state")).expect("a writable folder");
            fs::remove_file(at(left)).expect("it is there");
        }
    }
}
