//! `everstate build`: a project compiled to a component, by the cargo that is there. It installs nothing;
//! what is missing is named with how to get it.
//!
//! A rustup toolchain with the target is taken first; else Debian's compiler, which has the parts of the
//! target but not its standard library, so that is compiled along. scripts/build-guests.sh does the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::component;
use super::output::{Output, bytes, note};
use super::sdk;

/// What components are compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The profile for components, if the project has it.
const PROFILE: &str = "guest";

/// Where Debian has its compiler.
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Set by a cargo that runs this for its own build, and wrong for the one that this starts.
const VARIABLES_OF_CARGO: [&str; 12] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
];

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The folder of the project
    #[arg(long, default_value = ".", value_name = "DIR")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A component that was built.
#[derive(Debug)]
pub(crate) struct BuiltComponent {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// How many bytes it has.
    pub(crate) bytes: u64,
}

/// The compiler that makes components.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// The one that cargo takes has the target.
    Rustup,
    /// Debian's, with the standard library compiled along.
    Debian,
}

pub(crate) fn run(args: &BuildArgs) -> anyhow::Result<()> {
    let out = Output::new(args.json);
    let built = build(&args.path)?;
    if out.json {
        let list: Vec<Value> = built
            .iter()
            .map(|component| json!({ "path": component.path, "bytes": component.bytes }))
            .collect();
        return out.value(&json!({ "components": list }));
    }
    for component in &built {
        out.line(&format!("Built {} ({}).", component.path.display(), bytes(component.bytes)))?;
    }
    Ok(())
}

/// Compiles the project in the folder; gives its components.
pub(crate) fn build(folder: &Path) -> anyhow::Result<Vec<BuiltComponent>> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        bail!(
            "there is no project in {}: `everstate new NAME` makes one, --path names another folder",
            folder.display()
        );
    }
    if let Some(advice) = sdk::advice(folder) {
        note(&advice);
    }
    let compiler = compiler(folder)?;
    let mut command = cargo();
    command.current_dir(folder).args(["build", "--target", TARGET, "--profile"]);
    command.arg(profile(folder)?).arg("--message-format=json-render-diagnostics");
    if compiler == Compiler::Debian {
        command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
        command.arg("-Zbuild-std=std,panic_abort");
    }
    // What cargo has to say goes to the user as it is; its messages for programs come here.
    let output = command.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("{} does not compile: the reasons are above", folder.display());
    }
    let built = components(&String::from_utf8_lossy(&output.stdout))?;
    if built.is_empty() {
        bail!(
            "{} makes no component: it needs `crate-type = [\"cdylib\"]` in the section [lib] of \
             its Cargo.toml",
            folder.display()
        );
    }
    Ok(built)
}

/// The compiler to take in a folder, or what is missing.
pub(crate) fn compiler(folder: &Path) -> anyhow::Result<Compiler> {
    let Some(sysroot) = sysroot("rustc", folder) else {
        bail!("cargo and rustc are not on the PATH: install Rust, see https://rustup.rs");
    };
    let library = |sysroot: &str, file: &str| {
        Path::new(sysroot).join("lib/rustlib").join(TARGET).join("lib").join(file)
    };
    if library(&sysroot, "").is_dir() {
        return Ok(Compiler::Rustup);
    }
    if self::sysroot(DEBIAN_RUSTC, folder)
        .is_some_and(|sysroot| library(&sysroot, "self-contained/libc.a").exists())
    {
        return Ok(Compiler::Debian);
    }
    let how = if answers("rustup") {
        format!("rustup target add {TARGET}")
    } else {
        "install Rust by rustup (https://rustup.rs), then run `rustup target add wasm32-wasip2`"
            .to_owned()
    };
    Err(anyhow!("no compiler here makes components for {TARGET}; to get one: {how}"))
}

/// cargo, without what an outer cargo has set for itself.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for name in VARIABLES_OF_CARGO {
        command.env_remove(name);
    }
    command
}

/// The folder of the compiler that is taken in a folder, if it can be started.
pub(crate) fn sysroot(rustc: &str, folder: &Path) -> Option<String> {
    let mut command = Command::new(rustc);
    let output = command.args(["--print", "sysroot"]).current_dir(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn answers(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// `guest` if the project has such a profile, else `release`.
fn profile(folder: &Path) -> anyhow::Result<&'static str> {
    let output = cargo()
        .current_dir(folder)
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .context("cargo cannot be started: install Rust, see https://rustup.rs")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        bail!("the project in {} cannot be read: {reason}", folder.display());
    }
    let manifest = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let text = std::fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let table: toml::Table =
        text.parse().with_context(|| format!("cannot read {}", manifest.display()))?;
    let has_profile = table.get("profile").is_some_and(|profiles| profiles.get(PROFILE).is_some());
    Ok(if has_profile { PROFILE } else { "release" })
}

/// The components among what cargo says that it has made, each of which is looked at.
fn components(messages: &str) -> anyhow::Result<Vec<BuiltComponent>> {
    let mut built = Vec::new();
    for path in wasm_files(messages) {
        let content =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        component::check(&path, &content)?;
        built.push(BuiltComponent { path, bytes: content.len() as u64 });
    }
    Ok(built)
}

/// The `.wasm` files of libraries among cargo's messages.
fn wasm_files(messages: &str) -> Vec<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| {
            let kinds = message["target"]["kind"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
        })
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::wasm_files;

    #[test]
    fn components_are_found_in_the_messages_of_cargo() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["proc-macro"]},"filenames":["/t/libmacros.so"]}
{"reason":"compiler-artifact","target":{"kind":["lib"]},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","target":{"kind":["cdylib"]},"filenames":["/t/shop.wasm","/t/shop.d"]}
{"reason":"build-finished","success":true}
not JSON"#;
        assert_eq!(wasm_files(messages), [PathBuf::from("/t/shop.wasm")]);
    }
}
