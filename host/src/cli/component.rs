//! A component that a command is given: a file, or a project that is built first.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::build;
use super::errors::{self, NotAsHoped};
use super::output::Output;

/// How a component begins: the magic number, and the version and layer of components.
const COMPONENT_HEAD: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// A component in memory.
#[derive(Debug)]
pub(crate) struct Component {
    /// What its file is called in the functions folder.
    pub(crate) file: String,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
}

/// Reads the file, or builds the project in the folder. `file` is what it shall be called.
pub(crate) fn find(path: &Path, file: Option<&str>) -> anyhow::Result<Vec<Component>> {
    let built;
    let paths = if path.is_dir() {
        built = build::build(path)?;
        built.iter().map(|component| component.path.as_path()).collect()
    } else {
        vec![path]
    };
    if file.is_some() && paths.len() > 1 {
        bail!(
            "{} makes {} components, which cannot have one name: name the folder of one of them",
            path.display(),
            paths.len()
        );
    }
    paths.into_iter().map(|path| read(path, file)).collect()
}

fn read(path: &Path, file: Option<&str>) -> anyhow::Result<Component> {
    let bytes = std::fs::read(path).with_context(|| {
        format!("cannot read {}: give a .wasm file or the folder of a project", path.display())
    })?;
    check(path, &bytes)?;
    let own_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = file_name(file.unwrap_or(&own_name));
    if file.contains(['/', '\\']) {
        bail!("`{file}` is no name of a file: leave the folder out");
    }
    Ok(Component { file, bytes })
}

/// A file of the functions folder by its name, with or without its ending.
pub(crate) fn file_name(name: &str) -> String {
    let has_ending = Path::new(name).extension().is_some_and(|extension| extension == "wasm");
    if has_ending { name.to_owned() } else { format!("{name}.wasm") }
}

/// Does something with each component, up to the first one with which it cannot be done. A program is given
/// one value: what came of the one, or a list of what came of each.
pub(crate) fn each(
    out: Output,
    components: &[Component],
    mut act: impl FnMut(&Component) -> anyhow::Result<Value>,
) -> anyhow::Result<()> {
    if let [component] = components {
        let result = act(component)?;
        return if out.json { out.value(&result) } else { Ok(()) };
    }
    let mut results = Vec::new();
    for component in components {
        match act(component) {
            Ok(result) => results.push(result),
            Err(error) => {
                results.push(errors::document(&error));
                let message = errors::one_line(&error);
                return Err(NotAsHoped { message, result: results.into() }.into());
            }
        }
    }
    if out.json { out.value(&results.into()) } else { Ok(()) }
}

/// Whether this looks like a component and is all of one, before it is sent anywhere.
pub(crate) fn check(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(sections) = bytes.strip_prefix(&COMPONENT_HEAD) {
        if is_whole(sections) {
            return Ok(());
        }
        bail!("{} is cut off or damaged: build or copy it again", path.display());
    }
    let what = if bytes.starts_with(&COMPONENT_HEAD[..4]) {
        "is a WebAssembly module and no component: compile it for wasm32-wasip2 (`everstate build`)"
    } else {
        "is no WebAssembly component: give a .wasm file or the folder of a project"
    };
    bail!("{} {what}", path.display())
}

/// Whether the last section ends where the file ends. Each is a byte that names it, its length (LEB128, at
/// most 32 bits) and so many bytes.
fn is_whole(mut sections: &[u8]) -> bool {
    while let Some((_, rest)) = sections.split_first() {
        let Some(end) = rest.iter().take(5).position(|byte| byte & 0x80 == 0) else { return false };
        let (length, content) = rest.split_at(end + 1);
        let length = length.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
        let Some(after) = usize::try_from(length).ok().and_then(|length| content.get(length..))
        else {
            return false;
        };
        sections = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{COMPONENT_HEAD, Component, each, file_name, is_whole, read};
    use crate::cli::errors;
    use crate::cli::output::Output;

    #[test]
    fn component_that_is_cut_off_is_told() {
        // Two sections: 1 byte, and 130 bytes, whose length takes two.
        let whole = [&[0, 1, 7][..], &[4, 0x82, 1], &[9; 130]].concat();
        assert!(is_whole(&[]) && is_whole(&whole));
        for length in 1..whole.len() {
            assert_eq!(is_whole(&whole[..length]), length == 3, "{length}");
        }
        assert!(!is_whole(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), "no length has so many bytes");
    }

    #[test]
    fn results_of_several_components_are_one_value() {
        let named = |file: &str| Component { file: file.to_owned(), bytes: Vec::new() };
        let error = each(Output::new(false), &[named("a"), named("b"), named("c")], |component| {
            anyhow::ensure!(component.file != "b", "no place for b");
            Ok(json!(component.file))
        });
        let error = error.expect_err("b has no place");
        assert_eq!(error.to_string(), "no place for b");
        let expected = json!(["a", {"error": {"message": "no place for b"}}]);
        assert_eq!(errors::document(&error), expected);
    }

    #[test]
    fn file_is_named_with_or_without_its_ending() {
        assert_eq!(
            (file_name("shop"), file_name("shop.wasm")),
            ("shop.wasm".into(), "shop.wasm".into())
        );
        assert_eq!(file_name("shop.v2"), "shop.v2.wasm");
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        for (bytes, expected) in [
            (&b"\0asm\x01\0\0\0"[..], "is a WebAssembly module and no component"),
            (b"#!/bin/sh", "is no WebAssembly component"),
        ] {
            std::fs::write(&path, bytes).expect("written");
            let error = read(&path, None).expect_err("no component").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn file_keeps_its_name_or_gets_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wasm");
        std::fs::write(&path, COMPONENT_HEAD).expect("written");
        assert_eq!(read(&path, None).expect("a component").file, "a.wasm");
        assert_eq!(read(&path, Some("shop")).expect("a component").file, "shop.wasm");
        assert!(read(&path, Some("../shop.wasm")).is_err());
    }
}
