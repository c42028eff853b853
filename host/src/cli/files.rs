//! Files that commands write: as a whole or not at all.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::output::{Output, bytes};

/// Writes what a command gives to a file, or to standard output if there is none.
pub(crate) fn write(out: Output, file: Option<&Path>, content: &[u8]) -> anyhow::Result<()> {
    let Some(path) = file else { return out.bytes(content) };
    replace(path, content)?;
    let text = format!("Wrote {} ({}).", path.display(), bytes(content.len() as u64));
    out.line_or(&json!({ "file": path, "bytes": content.len() }), &text)
}

/// Puts a file in its place in one step: whoever reads it sees the old one or the new one, and after a
/// crash too.
pub(crate) fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut staged_name = OsString::from(".");
    staged_name.push(path.file_name().with_context(failed)?);
    staged_name.push(format!(".{}.new", std::process::id()));
    let staged = path.with_file_name(staged_name);
    let written = std::fs::File::create(&staged)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&staged, path));
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed either adds nothing.
        drop(std::fs::remove_file(&staged));
    }
    written.with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        replace(&path, b"one").expect("written");
        replace(&path, b"two").expect("written again");
        assert_eq!(std::fs::read(&path).expect("there"), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = replace(&folder.path().join("no/a.wasm"), b"").expect_err("no folder");
        assert!(error.to_string().contains("no/a.wasm"), "{error:#}");
    }
}
