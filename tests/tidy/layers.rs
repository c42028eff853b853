//! Who may depend on whom.

use std::fs;
use std::path::Path;

use crate::files::{no_complaints, root};

/// A package, and the packages of this repository that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("host/crates/types", &[]),
    ("host/crates/engine", &["everstate-types"]),
    ("host/crates/storage", &["everstate-types", "everstate-engine"]),
    ("host/crates/runtime", &["everstate-types", "everstate-engine"]),
    ("host/crates/http", &["everstate-types", "everstate-engine"]),
    (
        "host",
        &[
            "everstate-types",
            "everstate-engine",
            "everstate-storage",
            "everstate-runtime",
            "everstate-http",
        ],
    ),
    ("guest-sdk", &["everstate-sdk-macros"]),
    // The examples in its documentation use the SDK.
    ("guest-sdk/macros", &["everstate-sdk"]),
];

/// How a dependency begins, and the only packages that may have it.
const RESERVED: &[(&str, &[&str])] = &[
    ("rocksdb", &["host/crates/storage", "tests"]),
    ("wasmtime", &["host/crates/runtime"]),
    ("axum", &["host/crates/http", "tests"]),
    ("wit-bindgen", &["guest-sdk", "guests/missing-import"]),
];

#[test]
fn packages_name_only_the_layers_below_them() {
    let mut complaints = Vec::new();
    for (package, allowed) in LAYERS {
        for name in dependencies(package) {
            if name.starts_with("everstate") && !allowed.contains(&name.as_str()) {
                complaints.push(format!("{package} depends on {name}"));
            }
        }
    }
    no_complaints("types <- engine <- {storage, runtime, http} <- host", &complaints);
}

#[test]
fn every_package_of_the_host_is_in_the_table() {
    for package in folders("host/crates") {
        assert!(LAYERS.iter().any(|(name, _)| *name == package), "{package} is in no layer");
    }
}

#[test]
fn guests_know_the_sdk_and_nothing_of_the_host() {
    let mut complaints = Vec::new();
    for guest in folders("guests") {
        for name in dependencies(&guest) {
            if name.starts_with("everstate") && name != "everstate-sdk" {
                complaints.push(format!("{guest} depends on {name}"));
            }
        }
    }
    no_complaints("the WIT files are the contract between guests and host", &complaints);
}

#[test]
fn rocksdb_wasmtime_and_axum_are_named_by_one_layer_each() {
    let mut complaints = Vec::new();
    let packages = LAYERS.iter().map(|(package, _)| (*package).to_owned());
    for package in packages.chain(folders("guests")).chain(["tests".to_owned()]) {
        for name in dependencies(&package) {
            for (reserved, owners) in RESERVED {
                if name.starts_with(reserved) && !owners.contains(&package.as_str()) {
                    complaints.push(format!("{package} depends on {name}"));
                }
            }
        }
    }
    no_complaints("only storage names RocksDB, only runtime wasmtime, only http axum", &complaints);
}

/// The names of all dependencies, those of tests and build scripts included.
fn dependencies(package: &str) -> Vec<String> {
    let path = root().join(package).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let manifest: toml::Table = text.parse().expect("cargo reads it as well");
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// The packages directly in a folder.
fn folders(parent: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(parent)).expect("a folder of the repository");
    let mut folders: Vec<String> = entries
        .map(|entry| entry.expect("a folder that can be read"))
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| Path::new(parent).join(entry.file_name()).to_string_lossy().into_owned())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "{parent} has packages");
    folders
}
