//! From the bytes of a component to compiled code. The folder `compiled` is a cache of what the
//! compiler made and may be deleted at any time; what was deployed is kept by `kept.rs`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use everstate_types::ComponentHash;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::component::one_line;
use crate::error::LoadError;
use crate::kept::{KeptComponents, io_error, write_atomically};

/// The version of `everstate:functions` that this host speaks. Before 1.0 a minor version is what
/// a major version is later.
const CONTRACT_VERSION: &str = "0.1";

/// Where the version is told in the names of imports and exports.
pub(crate) const CONTRACT_PREFIX: &str = "everstate:functions/";

/// The system interfaces that guests may import.
const WASI_PREFIX: &str = "wasi:";

/// What a file with a core module begins with.
const CORE_MODULE_HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// Compiles components and remembers the result on disk.
#[derive(Debug)]
pub(crate) struct Compiler {
    engine: Engine,
    /// What was deployed.
    pub(crate) kept: KeptComponents,
    compiled: PathBuf,
    /// Names the compiler and its settings in the names of cached files.
    compatibility: u64,
}

impl Compiler {
    /// # Errors
    /// If the folders cannot be made.
    pub(crate) fn new(engine: &Engine, data_dir: &Path) -> Result<Self, LoadError> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compiler = Self {
            engine: engine.clone(),
            kept: KeptComponents::open(data_dir.join("components"))?,
            compiled: data_dir.join("compiled"),
            compatibility: hasher.finish(),
        };
        let folder = &compiler.compiled;
        fs::create_dir_all(folder).map_err(|error| io_error(folder, error))?;
        Ok(compiler)
    }

    /// Compiles what somebody deployed, and keeps its bytes.
    pub(crate) fn deploy(&self, bytes: &[u8]) -> Result<(ComponentHash, Component), LoadError> {
        let (hash, component) = self.candidate(bytes)?;
        // Orchestrations will depend on it, so it has to be as durable as they are.
        self.kept.keep(hash, bytes)?;
        Ok((hash, component))
    }

    /// Compiles what may be deployed later.
    pub(crate) fn candidate(&self, bytes: &[u8]) -> Result<(ComponentHash, Component), LoadError> {
        let hash = ComponentHash(Sha256::digest(bytes).into());
        let component = self.compile(hash, bytes)?;
        check_names(&component)?;
        Ok((hash, component))
    }

    /// Compiles what was deployed earlier.
    pub(crate) fn reload(&self, hash: ComponentHash) -> Result<Component, LoadError> {
        let bytes = self.kept.read(hash)?;
        self.compile(hash, &bytes)
    }

    fn compile(&self, hash: ComponentHash, bytes: &[u8]) -> Result<Component, LoadError> {
        let path = self.compiled.join(format!("{hash}-{:016x}.cwasm", self.compatibility));
        if let Some(component) = self.read_compiled(&path) {
            return Ok(component);
        }
        if bytes.starts_with(CORE_MODULE_HEADER) {
            return Err(LoadError::CoreModule);
        }
        let invalid = |error: wasmtime::Error| LoadError::Invalid(one_line(&error));
        let component = Component::from_binary(&self.engine, bytes).map_err(invalid)?;
        let code = component.serialize().map_err(invalid)?;
        let checksum = Sha256::digest(&code);
        if let Err(error) = write_atomically(&path, &[&checksum, &code], false) {
            tracing::warn!(path = %path.display(), %error, "compiled code is not cached");
        }
        Ok(component)
    }

    /// Compiled code of an earlier run; `None` if there is none that can be trusted.
    #[expect(unsafe_code, reason = "wasmtime cannot prove that a file is its own work")]
    fn read_compiled(&self, path: &Path) -> Option<Component> {
        let file = fs::read(path).ok()?;
        let (checksum, code) = file.split_at_checked(Sha256::output_size())?;
        if Sha256::digest(code)[..] != *checksum {
            tracing::warn!(path = %path.display(), "compiled code is damaged and made anew");
            return None;
        }
        // SAFETY: the file is what `compile` wrote: it lies in the host's own data folder, which
        // nobody else may write to, and its checksum shows that it is neither cut off nor damaged.
        // Code of another version or configuration of the compiler is refused by wasmtime itself.
        match unsafe { Component::deserialize(&self.engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code is made anew");
                None
            }
        }
    }

    /// Removes what was made of a component.
    pub(crate) fn remove_compiled(&self, hash: ComponentHash) -> std::io::Result<()> {
        let prefix = format!("{hash}-");
        for file in fs::read_dir(&self.compiled)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

/// Whether the component imports only from packages that this host offers, and shares the host's
/// version of the contract. Whether the types fit is found when the imports are resolved.
fn check_names(component: &Component) -> Result<(), LoadError> {
    let ty = component.component_type();
    let engine = component.engine();
    for (import, _) in ty.imports(engine) {
        if !import.starts_with(WASI_PREFIX) && !import.starts_with(CONTRACT_PREFIX) {
            return Err(LoadError::Import(format!("`{import}`")));
        }
        check_version(import)?;
    }
    for (export, item) in ty.exports(engine) {
        if matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            check_version(export)?;
        }
    }
    Ok(())
}

/// Whether an interface, if it is one of the contract, has the host's version.
fn check_version(name: &str) -> Result<(), LoadError> {
    let Some(interface) = name.strip_prefix(CONTRACT_PREFIX) else { return Ok(()) };
    let version = interface.split_once('@').map_or("", |(_, version)| version);
    match version.strip_prefix(CONTRACT_VERSION) {
        Some(patch) if patch.is_empty() || patch.starts_with('.') => Ok(()),
        _ => {
            let found = version.to_owned();
            Err(LoadError::ContractVersion { found, expected: CONTRACT_VERSION })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_version;
    use crate::error::LoadError;

    #[test]
    fn contract_of_another_minor_version_is_refused_before_version_one() {
        for name in ["wasi:io/poll@0.2.3", "everstate:functions/http@0.1.0"] {
            assert!(check_version(name).is_ok(), "{name}");
        }
        assert!(check_version("everstate:functions/http@0.1.7").is_ok());
        for version in ["0.2.0", "1.1.0", "0.10.0", ""] {
            let error = check_version(&format!("everstate:functions/http@{version}"));
            assert!(matches!(error, Err(LoadError::ContractVersion { .. })), "{version}");
        }
    }
}
