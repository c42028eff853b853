//! The SDK that the binary carries: its sources, those of its macros, and the contract they are built from,
//! laid out as in this repository.

use include_dir::{Dir, include_dir};
use toml::Table;

use super::manifest;

static SOURCES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/src");
static MACROS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/macros/src");
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");

const MANIFEST: &str = include_str!("../../../../guest-sdk/Cargo.toml");
const MACROS_MANIFEST: &str = include_str!("../../../../guest-sdk/macros/Cargo.toml");

/// All files: paths and texts.
pub(super) fn files(workspace: &Table) -> Vec<(String, String)> {
    let macros = [("everstate-sdk-macros", "macros")];
    let mut files = vec![
        ("guest-sdk/Cargo.toml".to_owned(), manifest::of_package(MANIFEST, workspace, &macros)),
        (
            "guest-sdk/macros/Cargo.toml".to_owned(),
            manifest::of_package(MACROS_MANIFEST, workspace, &[]),
        ),
    ];
    collect("guest-sdk/src", &SOURCES, &mut files);
    collect("guest-sdk/macros/src", &MACROS, &mut files);
    collect("wit", &CONTRACT, &mut files);
    files
}

fn collect(base: &str, folder: &Dir<'_>, files: &mut Vec<(String, String)>) {
    for file in folder.files() {
        let text = file.contents_utf8().expect("sources are UTF-8");
        files.push((format!("{base}/{}", file.path().display()), text.to_owned()));
    }
    for inner in folder.dirs() {
        collect(base, inner, files);
    }
}
