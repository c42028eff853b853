//! `everstate new` and `everstate build`, as far as no compiler is needed; strangers_path.rs has the rest.

use std::fs;

use anyhow::Result;

use super::run_in;

#[tokio::test]
async fn project_is_made_where_nothing_is_in_its_way() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = run_in(folder.path(), &["new", "shop"]).await?.ok()?;
    assert!(made.contains("cd shop") && made.contains("everstate deploy"), "{made}");
    for path in
        ["Cargo.toml", "Cargo.lock", "src/lib.rs", "README.md", ".gitignore", "sdk/wit/world.wit"]
    {
        assert!(folder.path().join("shop").join(path).is_file(), "{path}");
    }
    let readme = fs::read_to_string(folder.path().join("shop/README.md"))?;
    for command in ["everstate build", "everstate deploy", "curl "] {
        assert!(readme.contains(&format!("\n{command}")), "{command}");
    }
    let line = run_in(folder.path(), &["new", "shop"]).await?.failure()?;
    assert!(line.contains("shop is not empty"), "{line}");
    let made = run_in(folder.path(), &["new", "other", "--template", "hello", "--json"]).await?;
    assert_eq!(made.json()?["template"], "hello");
    Ok(())
}

#[tokio::test]
async fn name_that_cannot_be_is_refused_and_nothing_is_made() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["2shop", "test", "my shop", "match"] {
        let line = run_in(folder.path(), &["new", name]).await?.failure()?;
        assert!(line.contains(&format!("`{name}`")), "{line}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn build_without_a_project_says_how_to_make_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let line = run_in(folder.path(), &["build"]).await?.failure()?;
    assert!(line.contains("everstate new"), "{line}");
    Ok(())
}
