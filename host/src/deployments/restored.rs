//! The functions folder for data that was restored: the components that were served, under the names of their
//! files.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::DeploymentRecord;
use crate::backup::COMPONENTS;
use crate::data_folder::DEPLOYMENTS;
use crate::functions::is_component_name;

/// What became of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is in the folder now.
    New,
    /// It was there already.
    Known,
    /// Another file of that name is there, and stays.
    Other,
}

/// Writes the components into a folder that the host served when its data was backed up. Files that are there stay as
/// they are.
pub(crate) fn write_served(data: &Path, folder: &Path) -> anyhow::Result<Vec<(String, Written)>> {
    let record = data.join(DEPLOYMENTS);
    if !record.exists() {
        return Ok(Vec::new());
    }
    let mut served = DeploymentRecord::open(record)?.all_current();
    served.sort();
    let mut written = Vec::new();
    for (file, component) in served {
        ensure!(is_component_name(&file), "`{file}` is no name of a component");
        let from = data.join(COMPONENTS).join(format!("{component}.wasm"));
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let to = folder.join(&file);
        let became = match fs::read(&to) {
            Ok(known) if known == bytes => Written::Known,
            Ok(_) => Written::Other,
            Err(_) => {
                write(&to, &bytes).with_context(|| format!("cannot write {}", to.display()))?;
                Written::New
            }
        };
        written.push((file, became));
    }
    Ok(written)
}

/// A host may watch the folder: it sees the file as a whole or not at all.
fn write(to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = to.with_extension("wasm.part");
    fs::write(&partial, bytes)?;
    fs::File::open(&partial)?.sync_all()?;
    fs::rename(partial, to)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use everstate_http::DeploymentAction::{Deployed, Removed};
    use everstate_types::ComponentHash;

    use super::{DEPLOYMENTS, DeploymentRecord, Written, write_served};

    #[test]
    fn components_that_were_served_are_written_and_what_is_there_stays() {
        let data = tempfile::tempdir().expect("a folder");
        let record = DeploymentRecord::open(data.path().join(DEPLOYMENTS)).expect("it opens");
        fs::create_dir(data.path().join("components")).expect("writable");
        for (number, file) in [(1, "a.wasm"), (2, "b.wasm"), (3, "c.wasm"), (4, "gone.wasm")] {
            let hash = ComponentHash([number; 32]);
            record.note(file, Some(hash), Deployed, None);
            let kept = data.path().join(format!("components/{hash}.wasm"));
            fs::write(kept, [number]).expect("writable");
        }
        record.note("gone.wasm", None, Removed, None);
        let folder = data.path().join("functions");
        fs::create_dir(&folder).expect("writable");
        fs::write(folder.join("b.wasm"), [2]).expect("writable");
        fs::write(folder.join("c.wasm"), "mine").expect("writable");
        let written = write_served(data.path(), &folder).expect("it is all there");
        let written: Vec<_> =
            written.iter().map(|(file, became)| (file.as_str(), *became)).collect();
        let expected =
            [("a.wasm", Written::New), ("b.wasm", Written::Known), ("c.wasm", Written::Other)];
        assert_eq!(written, expected);
        assert_eq!(fs::read(folder.join("a.wasm")).expect("written"), [1]);
        assert_eq!(fs::read(folder.join("c.wasm")).expect("it stays"), b"mine");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 3);
    }
}
