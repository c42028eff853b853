//! Manifests that stand by themselves: what they inherit from the workspace of this repository is put in.

use std::fmt::Write as _;

use toml::{Table, Value};

/// The manifest of this repository.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// Where the SDK is in a project.
const SDK_PATH: &str = "sdk/guest-sdk";

/// The section `[workspace]` and the profiles of this repository.
pub(super) fn workspace() -> Table {
    parse(WORKSPACE)
}

/// The manifest of a package of the SDK, without what only its own tests need. `paths` says where the
/// packages are that it depends on by path.
pub(super) fn of_package(manifest: &str, workspace: &Table, paths: &[(&str, &str)]) -> String {
    let mut manifest = parse(manifest);
    let shared = &workspace["workspace"];
    manifest.remove("dev-dependencies");
    manifest.insert("lints".to_owned(), shared["lints"].clone());
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        for (name, value) in package.iter_mut() {
            if inherits(value) {
                *value = shared["package"][name.as_str()].clone();
            }
        }
    }
    if let Some(Value::Table(dependencies)) = manifest.get_mut("dependencies") {
        for (name, value) in dependencies.iter_mut() {
            *value = dependency(name, value, shared, paths);
        }
    }
    let text = toml::to_string(&manifest).expect("what was read can be written");
    format!("# Made by `everstate new` from the SDK that the binary carries.\n\n{text}")
}

/// The manifest of a project called `name` that needs what the guest needs.
pub(super) fn of_project(name: &str, guest: &str, workspace: &Table) -> String {
    let shared = &workspace["workspace"];
    let (edition, rust_version) =
        (&shared["package"]["edition"], &shared["package"]["rust-version"]);
    let mut text = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = {edition}\nrust-version = \
         {rust_version}\npublish = false\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n[dependencies]\n"
    );
    let guest = parse(guest);
    let paths = [("everstate-sdk", SDK_PATH)];
    for (name, value) in guest["dependencies"].as_table().into_iter().flatten() {
        let value = dependency(name, value, shared, &paths);
        writeln!(text, "{name} = {value}").expect("a String takes all");
    }
    text.push_str("\n# Small, and a trap is how a component fails.\n[profile.guest]\n");
    for (name, value) in workspace["profile"]["guest"].as_table().into_iter().flatten() {
        writeln!(text, "{name} = {value}").expect("a String takes all");
    }
    text.push_str(
        "\n# A workspace of its own, wherever this folder is.\n[workspace]\nexclude = [\"sdk\"]\n",
    );
    text
}

fn dependency(name: &str, value: &Value, shared: &Value, paths: &[(&str, &str)]) -> Value {
    if let Some((_, path)) = paths.iter().find(|(package, _)| *package == name) {
        return Value::Table(Table::from_iter([("path".to_owned(), Value::from(*path))]));
    }
    if inherits(value) { shared["dependencies"][name].clone() } else { value.clone() }
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn parse(manifest: &str) -> Table {
    manifest.parse().expect("cargo has read this manifest when it built the binary")
}
