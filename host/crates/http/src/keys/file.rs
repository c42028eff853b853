//! [`KeyFile`]: the keys as a file that only its owner can read, replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use everstate_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::KeyScope;

/// What is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeyFile {
    /// In the order in which they were made.
    pub(super) keys: Vec<StoredKey>,
    /// What the codes in links are made with. It is no hash, because it is needed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link_secret: Option<String>,
}

/// One key: all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StoredKey {
    pub(super) scope: KeyScope,
    /// Unique in its scope.
    pub(super) name: String,
    /// SHA-256 of the key's text, in base64url.
    pub(super) hash: String,
    /// When it was made, in milliseconds since 1970.
    #[serde(rename = "createdMs")]
    pub(super) created: Timestamp,
}

/// The keys could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The system says no.
    #[error("the keys {}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says. In the message, so it is not told once more as its source.
        cause: io::Error,
    },
    /// Somebody else wrote it.
    #[error("the keys {} cannot be understood: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl KeyFile {
    /// Reads the file; one that is missing is empty.
    pub(super) fn read(path: &Path) -> Result<Self, KeysError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(cause) => return Err(KeysError::Io { path: path.to_owned(), cause }),
        };
        serde_json::from_slice(&text).map_err(|error| KeysError::Damaged {
            path: path.to_owned(),
            problem: error.to_string(),
        })
    }

    /// Writes a file beside it and renames that, so that a crash leaves the old or the new one.
    pub(super) fn write(&self, path: &Path) -> Result<(), KeysError> {
        let text = serde_json::to_vec_pretty(self).expect("texts and numbers");
        replace(path, &text).map_err(|cause| KeysError::Io { path: path.to_owned(), cause })
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let staged = path.with_extension("json.new");
    // A file that a crash has left there may have other permissions.
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
