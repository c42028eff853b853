//! `everstate sdk`: the copy of the SDK that a project has, replaced by the one that this binary carries.
//!
//! A copy says of itself which version it came with and what its content was, so that nothing is replaced
//! that somebody has changed by hand.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::new::sdk::{self, SdkCopy};
use super::output::{Output, word};

/// The folder of the SDK in a project.
pub(crate) const FOLDER: &str = "sdk";

#[derive(Debug, Args)]
pub(crate) struct SdkArgs {
    /// The folder of the project
    #[arg(long, default_value = ".", value_name = "DIR")]
    path: PathBuf,
    /// Replace it though it was changed by hand
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &SdkArgs) -> anyhow::Result<()> {
    let out = Output::new(args.json);
    let folder = of_project(&args.path);
    let shown = folder.display();
    let Some(present) = SdkCopy::read(&folder)? else {
        bail!("there is no SDK in {shown}: projects that `everstate new` made have one");
    };
    let ours = SdkCopy::of_this_binary();
    let is_other = !present.is_same(&ours);
    if is_other {
        if !args.force && !present.is_as_made() {
            bail!("{shown} was changed by hand: --force replaces it all the same");
        }
        replace(&folder, &ours)?;
    }
    let (before, now) = (present.version(), sdk::VERSION);
    let text = if is_other {
        format!(
            "Replaced {shown}, which was that of everstate {before}, by that of everstate {now}."
        )
    } else {
        format!("{shown} is that of this everstate, {now}.")
    };
    let result =
        json!({ "folder": folder, "version": now, "before": before, "replaced": is_other });
    out.line_or(&result, &text)
}

/// What to tell somebody who builds a project with the SDK of another version. What was changed by hand is
/// left alone, and so are projects without a copy.
pub(crate) fn advice(project: &Path) -> Option<String> {
    let folder = of_project(project);
    let present = SdkCopy::read(&folder).ok().flatten()?;
    if !present.is_as_made() || present.is_same(&SdkCopy::of_this_binary()) {
        return None;
    }
    Some(format!(
        "note: {} is that of everstate {}, this is {}: `everstate sdk --path {}` replaces it",
        folder.display(),
        present.version(),
        sdk::VERSION,
        word(project.display())
    ))
}

fn of_project(project: &Path) -> PathBuf {
    if project == Path::new(".") { PathBuf::from(FOLDER) } else { project.join(FOLDER) }
}

/// Puts the new copy in the place of the old one when it is complete.
fn replace(folder: &Path, copy: &SdkCopy) -> anyhow::Result<()> {
    let beside =
        |what: &str| folder.with_file_name(format!(".{FOLDER}.{}.{what}", std::process::id()));
    let (staged, old) = (beside("new"), beside("old"));
    copy.write(&staged)?;
    std::fs::rename(folder, &old)
        .and_then(|()| std::fs::rename(&staged, folder))
        .and_then(|()| std::fs::remove_dir_all(&old))
        .with_context(|| format!("cannot replace {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{FOLDER, SdkArgs, SdkCopy, advice, run};

    /// A project with a copy that a binary of an earlier version made.
    fn project() -> tempfile::TempDir {
        let project = tempfile::tempdir().expect("a folder");
        let copy = SdkCopy::made(
            "0.0.9",
            [
                ("guest-sdk/Cargo.toml", "[package]"),
                ("guest-sdk/src/lib.rs", "//! Old."),
                ("guest-sdk/src/gone.rs", "//! Not there any more."),
                ("wit/world.wit", "world app {}"),
            ],
        );
        copy.write(&project.path().join(FOLDER)).expect("written");
        project
    }

    fn update(project: &Path, force: bool) -> anyhow::Result<()> {
        run(&SdkArgs { path: project.to_owned(), force, json: true })
    }

    #[test]
    fn copy_of_another_version_is_named_and_replaced_as_a_whole() {
        let project = project();
        let told = advice(project.path()).expect("it is another one");
        assert!(
            told.contains("everstate 0.0.9") && told.contains("everstate sdk --path"),
            "{told}"
        );
        // What cargo makes there is nobody's change.
        fs::create_dir_all(project.path().join("sdk/guest-sdk/target/debug")).expect("made");
        fs::write(project.path().join("sdk/guest-sdk/target/debug/a.rs"), "").expect("written");
        update(project.path(), false).expect("replaced");
        assert!(!project.path().join("sdk/guest-sdk/src/gone.rs").exists());
        assert!(project.path().join("sdk/guest-sdk/macros/src/lib.rs").is_file());
        assert_eq!(advice(project.path()), None);
        assert_eq!(fs::read_dir(project.path()).expect("there").count(), 1, "nothing else is left");
        update(project.path(), false).expect("it is the newest, which is well");
    }

    #[test]
    fn copy_that_was_changed_by_hand_is_replaced_only_if_that_is_wanted() {
        let project = project();
        fs::write(project.path().join("sdk/guest-sdk/src/lib.rs"), "//! Mine.").expect("written");
        assert_eq!(advice(project.path()), None, "who changed it knows");
        let refused = update(project.path(), false).expect_err("it is somebody's work");
        assert!(refused.to_string().contains("--force"), "{refused}");
        update(project.path(), true).expect("replaced");
    }

    #[test]
    fn project_without_a_copy_is_told_apart() {
        let project = tempfile::tempdir().expect("a folder");
        let refused = update(project.path(), true).expect_err("there is none").to_string();
        assert!(refused.contains("there is no SDK"), "{refused}");
        assert_eq!(advice(project.path()), None);
    }
}
