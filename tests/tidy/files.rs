//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file.
pub(crate) struct File {
    /// From the root of the repository.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// Names of folders that hold no sources of this repository.
const SKIPPED_FOLDERS: &[&str] = &["target", ".git", "node_modules", "data", "functions"];

/// Text that people write and that has one of these endings, or is named so.
const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".wit", ".sh", "Makefile", ".ci/run", ".yml"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ is in the repository").to_owned()
}

/// Every text file, in the order of the paths.
pub(crate) fn all() -> Vec<File> {
    let root = root();
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let mut files: Vec<File> = paths
        .into_iter()
        .map(|path| File {
            text: fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")),
            path: path.strip_prefix(&root).expect("found below it").to_string_lossy().into_owned(),
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.iter().any(|file| file.path == "Cargo.toml"), "this is the repository");
    files
}

/// The Rust files, without those whose purpose is to be wrong (the SDK's tests of misuse).
pub(crate) fn rust() -> Vec<File> {
    let mut files = all();
    files.retain(|file| file.path.ends_with(".rs") && !file.path.contains("/ui/"));
    files
}

/// Fails with all complaints, one a line.
pub(crate) fn no_complaints(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}\n  {}", complaints.join("\n  "));
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
        let path = entry.expect("a folder that can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if !SKIPPED_FOLDERS.contains(&name.as_str()) || path.join("Cargo.toml").exists() {
                collect(&path, paths);
            }
        } else if ENDINGS.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            paths.push(path);
        }
    }
}
