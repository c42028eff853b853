//! Builds the guests as components and names each of them in a constant.
//!
//! `GUESTS_DIR` names a directory with components that are there already; then nothing is
//! built. Otherwise `scripts/build-guests.sh` builds them; its last line of output is the directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

fn main() {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
    println!("cargo::rerun-if-env-changed=GUESTS_DIR");
    for path in ["guests", "guest-sdk", "wit", "scripts/build-guests.sh"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let built = match env::var_os("GUESTS_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => build(&root),
    };
    let constants = constants(&root.join("guests"), &built);
    let file = Path::new(&variable("OUT_DIR")).join("guests.rs");
    fs::write(file, constants).expect("the output directory can be written");
}

/// Runs the script and gives the directory that it names.
fn build(root: &Path) -> PathBuf {
    let mut script = Command::new(root.join("scripts/build-guests.sh"));
    // It keeps what this cargo has set for itself out of the inner one.
    let output = script.current_dir(root).stderr(Stdio::inherit()).output();
    let output = output.expect("scripts/build-guests.sh can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "scripts/build-guests.sh failed:\n{text}");
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    PathBuf::from(last.expect("scripts/build-guests.sh names a directory").trim())
}

/// A constant per folder in `guests`, so that a test of a guest that is not there does not compile.
fn constants(guests: &Path, built: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(guests)
        .expect("guests/ can be read")
        .map(|entry| entry.expect("guests/ can be read").path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut text = String::new();
    for name in names {
        let name = name.replace('-', "_");
        let path = built.join(format!("guest_{name}.wasm"));
        writeln!(
            text,
            "/// The component of `guests/{name}`.\npub const {}: &str = {:?};",
            name.to_uppercase(),
            path.display().to_string(),
        )
        .expect("writing to a string does not fail");
    }
    text
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets it for build scripts")
}
