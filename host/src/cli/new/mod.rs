//! `everstate new`: a project that builds with nothing but this binary and a compiler. What is in it comes
//! from the guests and the SDK of this repository; see docs/decisions/0015.

mod manifest;
pub(crate) mod sdk;
mod templates;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use self::sdk::SdkCopy;
use super::output::{Output, word};
use super::sdk::FOLDER;
use templates::Template;

/// The lock file of this repository: with it a project gets the versions that the SDK is tested with.
const LOCK_FILE: &str = include_str!("../../../../Cargo.lock");

/// What git is to leave alone: what is compiled, and what a host in this folder keeps.
const GITIGNORE: &str = "/target\n/functions\n/data\n";

/// Names of crates that mean something else to cargo or rustc.
const RESERVED_NAMES: [&str; 17] = [
    "alloc",
    "build",
    "core",
    "crate",
    "deps",
    "everstate-sdk",
    "everstate-sdk-macros",
    "examples",
    "incremental",
    "proc-macro",
    "self",
    "serde",
    "serde_json",
    "std",
    "super",
    "test",
    "wit-bindgen",
];

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The folder to make; its name is the name of the project
    folder: PathBuf,
    /// What the project is to show
    #[arg(long, value_enum, default_value_t = Template::Database)]
    template: Template,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let out = Output::new(args.json);
    let folder = &args.folder;
    // `.` has the name of the folder that it is.
    let absolute = std::path::absolute(folder).context("this is no name of a folder")?;
    let absolute = absolute.canonicalize().unwrap_or(absolute);
    let name = absolute.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name)?;
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty: choose another name, or remove it first", folder.display());
    }
    create(folder, name, args.template)?;
    let is_here = std::env::current_dir().is_ok_and(|here| here == absolute);
    let entry =
        if is_here { String::new() } else { format!("        cd {}\n", word(folder.display())) };
    let text = format!(
        "Made {name} from the template {}. Next:\n\n{entry}        everstate run            \
         # in another terminal\n        everstate deploy\n        {}",
        args.template.name(),
        args.template.first_request(),
    );
    out.line_or(&json!({ "folder": folder, "name": name, "template": args.template.name() }), &text)
}

/// Writes all files of the project.
fn create(folder: &Path, name: &str, template: Template) -> anyhow::Result<()> {
    let workspace = manifest::workspace();
    write(folder, "Cargo.toml", &manifest::of_project(name, template.manifest(), &workspace))?;
    write(folder, "Cargo.lock", LOCK_FILE)?;
    write(folder, "src/lib.rs", &template.source())?;
    write(folder, "README.md", &template.readme(name))?;
    write(folder, ".gitignore", GITIGNORE)?;
    SdkCopy::of_this_binary().write(&folder.join(FOLDER))
}

fn write(folder: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(path);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&path, text))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether cargo takes it as the name of a package, and says why not otherwise.
fn check_name(name: &str) -> anyhow::Result<()> {
    let first_fits = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let all_fit =
        name.chars().all(|other| other.is_ascii_alphanumeric() || matches!(other, '-' | '_'));
    if !first_fits || !all_fit || name.len() > 64 {
        bail!(
            "`{name}` is no name for a project: begin with a letter, go on with letters, digits, - \
             and _, at most 64"
        );
    }
    if RESERVED_NAMES.contains(&name.to_ascii_lowercase().as_str())
        || syntax::is_keyword(&name.to_ascii_lowercase())
    {
        bail!("`{name}` means something to the compiler: choose another name, like `my-{name}`");
    }
    Ok(())
}

/// What Rust keeps for itself.
mod syntax {
    const KEYWORDS: [&str; 50] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "union", "unsafe",
        "unsized", "use", "virtual", "where", "while", "yield", "raw",
    ];

    pub(super) fn is_keyword(name: &str) -> bool {
        KEYWORDS.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Template, check_name, create};

    #[test]
    fn names_that_cargo_refuses_are_refused_with_a_reason() {
        for name in ["shop", "my-shop_2", "Shop"] {
            check_name(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for name in ["", "2shop", "my shop", "späti", "a/b", "-x", &"x".repeat(65)] {
            assert!(check_name(name).expect_err(name).to_string().contains("no name"), "{name}");
        }
        for name in ["test", "match", "everstate-sdk", "Core"] {
            assert!(check_name(name).expect_err(name).to_string().contains("choose"), "{name}");
        }
    }

    #[test]
    fn project_has_the_sdk_and_depends_on_nothing_outside_it() {
        for template in [Template::Database, Template::Hello] {
            let folder = tempfile::tempdir().expect("a folder");
            create(folder.path(), "shop", template).expect("made");
            for path in
                ["Cargo.toml", "sdk/guest-sdk/Cargo.toml", "sdk/guest-sdk/macros/Cargo.toml"]
            {
                let text = std::fs::read_to_string(folder.path().join(path)).expect(path);
                let manifest: toml::Table = text.parse().expect(path);
                assert!(!text.contains("workspace = true"), "{path}:\n{text}");
                for (name, value) in manifest["dependencies"].as_table().expect("a table") {
                    let is_ours = name.starts_with("everstate");
                    assert_eq!(value.get("path").is_some(), is_ours, "{path}: {name}");
                }
            }
            for path in [
                "sdk/wit/world.wit",
                "sdk/guest-sdk/src/lib.rs",
                "sdk/guest-sdk/src/testing/host.rs",
            ] {
                assert!(folder.path().join(path).is_file(), "{path}");
            }
        }
    }
}
