//! A component that a command is given: a file, or a project that is built first.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::build;

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
    let mut file = file.map_or(own_name, str::to_owned);
    if Path::new(&file).extension().is_none_or(|extension| extension != "wasm") {
        file.push_str(".wasm");
    }
    if file.contains(['/', '\\']) {
        bail!("`{file}` is no name of a file: leave the folder out");
    }
    Ok(Component { file, bytes })
}

/// Whether this looks like a component, before it is sent anywhere.
pub(crate) fn check(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if bytes.starts_with(&COMPONENT_HEAD) {
        return Ok(());
    }
    let what = if bytes.starts_with(&COMPONENT_HEAD[..4]) {
        "is a WebAssembly module and no component: compile it for wasm32-wasip2 (`everstate build`)"
    } else {
        "is no WebAssembly component: give a .wasm file or the folder of a project"
    };
    bail!("{} {what}", path.display())
}

#[cfg(test)]
mod tests {
    use super::{COMPONENT_HEAD, read};

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
