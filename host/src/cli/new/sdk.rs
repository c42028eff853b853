//! The SDK that the binary carries: its sources, those of its macros, and the contract they are built from,
//! laid out as in this repository; and the copy of it that a project has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use toml::Table;

use super::manifest;

static SOURCES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/src");
static MACROS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/macros/src");
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");

const MANIFEST: &str = include_str!("../../../../guest-sdk/Cargo.toml");
const MACROS_MANIFEST: &str = include_str!("../../../../guest-sdk/macros/Cargo.toml");

/// The version that a copy gets which this binary makes.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The file in which a copy says what it is.
const MARK: &str = "everstate.json";

/// The folders that a copy consists of.
const PARTS: [&str; 2] = ["guest-sdk", "wit"];

/// What belongs to a copy; the rest is what tools leave there.
const KINDS: [&str; 4] = ["md", "rs", "toml", "wit"];

/// What a copy says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Mark {
    /// The version of the binary that made it.
    version: String,
    /// Of all its files as they were made (SHA-256).
    hash: String,
}

/// A copy of the SDK.
#[derive(Clone, Debug)]
pub(crate) struct SdkCopy {
    /// Texts by their paths.
    files: BTreeMap<String, String>,
    /// Missing in one that was made before copies had it.
    mark: Option<Mark>,
}

impl SdkCopy {
    /// The one that this binary carries.
    pub(crate) fn of_this_binary() -> Self {
        Self::made(VERSION, files(&manifest::workspace()))
    }

    /// One of a version, as it is made.
    pub(crate) fn made<T: Into<String>>(
        version: &str,
        files: impl IntoIterator<Item = (T, T)>,
    ) -> Self {
        let files = files.into_iter().map(|(path, text)| (path.into(), text.into())).collect();
        let mark = Mark { version: version.to_owned(), hash: hash(&files) };
        Self { files, mark: Some(mark) }
    }

    /// The one in a folder, if there is one.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        if !folder.join("guest-sdk/Cargo.toml").is_file() {
            return Ok(None);
        }
        let mut files = BTreeMap::new();
        for part in PARTS {
            read_folder(&folder.join(part), part, &mut files)?;
        }
        let mark = fs::read(folder.join(MARK)).ok();
        let mark = mark.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Some(Self { files, mark }))
    }

    /// Writes all of it into a folder.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (path, text) in &self.files {
            super::write(folder, path, text)?;
        }
        let mark = serde_json::to_string_pretty(&self.mark).expect("two texts are JSON");
        super::write(folder, MARK, &format!("{mark}\n"))
    }

    /// Whether both have the same files.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// Whether nobody has changed it since it was made.
    pub(crate) fn is_as_made(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.hash == hash(&self.files))
    }

    /// The version of the binary that made it.
    pub(crate) fn version(&self) -> &str {
        self.mark.as_ref().map_or("an unknown version", |mark| &mark.version)
    }
}

fn hash(files: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for text in files.iter().flat_map(|(path, text)| [path, text]) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files: paths and texts.
fn files(workspace: &Table) -> Vec<(String, String)> {
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

/// The files of a folder that belong to a copy.
fn read_folder(
    folder: &Path,
    base: &str,
    files: &mut BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let failed = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let inner = format!("{base}/{name}");
        let is_of_it = path.extension().is_some_and(|kind| KINDS.iter().any(|it| kind == *it));
        if path.is_dir() && name != "target" {
            read_folder(&path, &inner, files)?;
        } else if is_of_it && path.is_file() {
            let text = fs::read(&path).with_context(failed)?;
            files.insert(inner, String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(())
}
