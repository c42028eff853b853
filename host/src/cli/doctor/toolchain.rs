//! What building components needs. A host runs without all of it.

use std::path::{Path, PathBuf};

use super::super::build::{self, Compiler};
use super::Finding;

const ABOUT: &str = "toolchain";

/// Turns what the linker makes into a component; rustc calls it.
const COMPONENT_LINKER: &str = "wasm-component-ld";

pub(super) fn examine() -> Vec<Finding> {
    let here = Path::new(".");
    let compiler = match build::compiler(here) {
        Ok(compiler) => compiler,
        Err(error) => {
            return vec![Finding::warning(
                ABOUT,
                error.to_string(),
                "needed to build components only; a host runs without",
            )];
        }
    };
    let target = build::TARGET;
    let (text, rustc) = match compiler {
        Compiler::Rustup => (format!("rustc has the target {target}"), "rustc"),
        Compiler::Debian => {
            (format!("Debian's rustc has the target {target}"), build::DEBIAN_RUSTC)
        }
    };
    let mut findings = vec![Finding::ok(ABOUT, text)];
    findings.extend(linker(rustc, here));
    findings
}

fn linker(rustc: &str, folder: &Path) -> Option<Finding> {
    let libraries = PathBuf::from(build::sysroot(rustc, folder)?).join("lib/rustlib");
    let in_sysroot = std::fs::read_dir(libraries).ok()?.flatten().any(|entry| {
        let programs = entry.path().join("bin");
        programs.join(COMPONENT_LINKER).exists()
            || programs.join("self-contained").join(COMPONENT_LINKER).exists()
    });
    Some(if in_sysroot || on_path(COMPONENT_LINKER) {
        Finding::ok(ABOUT, format!("the linker {COMPONENT_LINKER} is there"))
    } else {
        Finding::warning(
            ABOUT,
            format!("the linker {COMPONENT_LINKER} is missing"),
            format!("`cargo install {COMPONENT_LINKER}` brings it; without it nothing links"),
        )
    })
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
