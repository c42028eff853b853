//! The functions folder and the data folder: there, readable, writable, in use by whom, with room to grow.

use std::path::{Path, PathBuf};

use super::super::component;
use super::super::output::bytes;
use super::{Finding, owner};
use crate::config::HostConfig;

/// Less room than that is a warning, in bytes: compactions write files again before they remove the old.
const FREE_BYTES_LOW: u64 = 1 << 30;

/// Less room than that is a problem, in bytes: the log alone may take as much.
const FREE_BYTES_TOO_LOW: u64 = 256 << 20;

pub(super) fn examine(config: &HostConfig) -> Vec<Finding> {
    let mut findings = functions(&config.functions);
    findings.push(data(&config.data));
    findings.extend(lock(&config.data));
    findings.extend(room(&config.data));
    findings
}

fn functions(folder: &Path) -> Vec<Finding> {
    const ABOUT: &str = "functions folder";
    let shown = folder.display();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![Finding::warning(
                ABOUT,
                format!("{shown} is not there"),
                "a host that starts here makes it, empty; --functions names another",
            )];
        }
        Err(error) => {
            return vec![Finding::problem(
                ABOUT,
                format!("{shown} cannot be read: {error}"),
                "change its permissions, or name another with --functions",
            )];
        }
    };
    let mut components: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    components.sort();
    if components.is_empty() {
        return vec![Finding::warning(
            ABOUT,
            format!("{shown} has no components"),
            "`everstate deploy` brings one, `everstate new` makes a project",
        )];
    }
    let broken: Vec<Finding> = components
        .iter()
        .filter_map(|path| {
            let read = std::fs::read(path).map_err(anyhow::Error::from);
            let error = read.and_then(|bytes| component::check(path, &bytes)).err()?;
            let advice = "deploy it again, or remove it";
            Some(Finding::problem(ABOUT, format!("{}: {error}", path.display()), advice))
        })
        .collect();
    if broken.is_empty() {
        let count = components.len();
        return vec![Finding::ok(ABOUT, format!("{shown} has {count} components"))];
    }
    broken
}

/// Whether the folder can be written, or made.
fn data(folder: &Path) -> Finding {
    const ABOUT: &str = "data folder";
    let shown = folder.display();
    let (place, exists) = existing(folder);
    let probe = place.join(format!(".everstate-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    match (written, exists) {
        (Ok(()), true) => Finding::ok(ABOUT, format!("{shown} can be written")),
        (Ok(()), false) => {
            Finding::ok(ABOUT, format!("{shown} is not there; the first start makes it"))
        }
        (Err(error), _) => Finding::problem(
            ABOUT,
            format!("{} cannot be written: {error}", place.display()),
            "change its owner or permissions, or name another with --data",
        ),
    }
}

/// The folder, or the nearest one above it that is there.
fn existing(folder: &Path) -> (PathBuf, bool) {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let exists = absolute.is_dir();
    let place = absolute.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("/"));
    (place.to_owned(), exists)
}

fn lock(folder: &Path) -> Option<Finding> {
    const ABOUT: &str = "data folder";
    let shown = folder.display();
    let holder = owner::of_lock(&folder.join("state/LOCK"))?;
    Some(if holder.is_everstate() {
        Finding::ok(ABOUT, format!("{shown} is in use by {holder}"))
    } else {
        Finding::problem(
            ABOUT,
            format!("{shown} is locked by {holder}"),
            "let it end before a host starts on this folder",
        )
    })
}

fn room(folder: &Path) -> Option<Finding> {
    const ABOUT: &str = "disk";
    let (place, _) = existing(folder);
    let system = rustix::fs::statvfs(&place).ok()?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let text = format!("{} free for {}", bytes(free), folder.display());
    let advice = "make room: a host whose disk is full ends, to lose nothing";
    Some(if free < FREE_BYTES_TOO_LOW {
        Finding::problem(ABOUT, text, advice)
    } else if free < FREE_BYTES_LOW {
        Finding::warning(ABOUT, text, advice)
    } else {
        Finding::ok(ABOUT, text)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::{data, existing, functions};

    #[test]
    fn broken_component_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("half.wasm"), b"\0asm").expect("written");
        let found = functions(folder.path());
        assert_eq!((found.len(), found[0].level), (1, Level::Problem));
        assert!(found[0].text.contains("half.wasm"), "{found:?}");
    }

    #[test]
    fn data_folder_that_is_not_there_can_be_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("a/b");
        assert_eq!(existing(&missing), (folder.path().to_owned(), false));
        assert_eq!(data(&missing).level, Level::Ok);
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0, "nothing is left");
    }

    #[test]
    fn data_folder_below_a_file_is_a_problem() {
        assert_eq!(data(std::path::Path::new("/proc/nowhere")).level, Level::Problem);
    }
}
