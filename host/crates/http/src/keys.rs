//! [`KeyStore`]: the keys that functions and the management API are opened with.
//!
//! A key is 256 bits of randomness, so its SHA-256 says nothing about it, and only that is kept; whoever
//! makes a key sees it once. Not here: what a request must bring (`admission.rs`) and the routes that make
//! and delete keys (`api/keys.rs`).

mod file;
mod scope;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use everstate_types::Timestamp;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub(crate) use file::KeyFile;
pub use file::KeysError;
pub use scope::{KeyScope, KeyScopeError};

use file::StoredKey;

/// Longest name of a key, in characters.
pub(crate) const KEY_NAME_CHARS_MAX: usize = 64;

/// The name of the keys that the host makes by itself.
const DEFAULT_NAME: &str = "default";

/// A key that was just made: the only time that its value is seen.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What it opens.
    pub scope: KeyScope,
    /// Its name, unique in its scope.
    pub name: String,
    /// The key itself, 43 characters of base64url.
    pub value: String,
}

/// Without the value: what is printed for debugging ends up in logs.
impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewKey({}/{})", self.scope, self.name)
    }
}

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedKey {
    pub(crate) scope: KeyScope,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// The key opens nothing any more.
    Yes,
    /// There is no such key.
    NotFound,
    /// It is the last one of the management, which has to have one.
    LastOne,
}

/// All keys. Changes are on disk before they count, and count for the next request.
#[derive(Debug)]
pub(crate) struct KeyStore {
    path: PathBuf,
    // A standard lock: it is held for the time of a reference count, and never across an await.
    current: RwLock<Arc<KeyFile>>,
    /// Held by whoever changes the file.
    changing: Mutex<()>,
}

impl KeyStore {
    /// Reads the keys; a file that is missing has none.
    ///
    /// # Errors
    /// If the file cannot be read or is not what this host wrote.
    pub(crate) fn open(path: PathBuf) -> Result<Self, KeysError> {
        let current = RwLock::new(Arc::new(KeyFile::read(&path)?));
        Ok(Self { path, current, changing: Mutex::new(()) })
    }

    /// Makes a key named `default` for a scope that has none. Blocks for the disk.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn ensure(
        &self,
        scope: &KeyScope,
        now: Timestamp,
    ) -> Result<Option<NewKey>, KeysError> {
        self.change(|file| {
            let is_there = file.keys.iter().any(|key| key.scope == *scope);
            if is_there { None } else { Some(file.set(scope, DEFAULT_NAME, now)) }
        })
    }

    /// Makes a key; one of that scope and name opens nothing any more. Blocks for the disk.
    pub(crate) fn set(
        &self,
        scope: &KeyScope,
        name: &str,
        now: Timestamp,
    ) -> Result<NewKey, KeysError> {
        self.change(|file| file.set(scope, name, now))
    }

    /// The same if there is such a key already, or if there is none, as `is_there` says. `None`: it is not
    /// so, and nothing has changed. Blocks for the disk.
    pub(crate) fn set_if(
        &self,
        is_there: bool,
        scope: &KeyScope,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<NewKey>, KeysError> {
        self.change(|file| {
            let known = file.keys.iter().any(|key| key.scope == *scope && key.name == name);
            (known == is_there).then(|| file.set(scope, name, now))
        })
    }

    /// Deletes a key; with `keeps_last` not the last one of the management. Blocks for the disk.
    pub(crate) fn delete(
        &self,
        scope: &KeyScope,
        name: &str,
        keeps_last: bool,
    ) -> Result<Deleted, KeysError> {
        self.change(|file| {
            let in_scope = file.keys.iter().filter(|key| key.scope == *scope).count();
            let is_meant = |key: &StoredKey| key.scope == *scope && key.name == name;
            if !file.keys.iter().any(is_meant) {
                return Deleted::NotFound;
            }
            if keeps_last && *scope == KeyScope::Management && in_scope == 1 {
                return Deleted::LastOne;
            }
            file.keys.retain(|key| !is_meant(key));
            Deleted::Yes
        })
    }

    /// All keys by scope and name, without their values, which nobody knows.
    pub(crate) fn list(&self) -> Vec<ListedKey> {
        let mut keys: Vec<_> = self
            .load()
            .keys
            .iter()
            .map(|key| ListedKey {
                scope: key.scope.clone(),
                name: key.name.clone(),
                created: key.created,
            })
            .collect();
        keys.sort_by_key(|key| (key.scope.to_string(), key.name.clone()));
        keys
    }

    /// Whether this is a key of a scope that `opens`. How long that takes depends on the number of
    /// keys only: all are compared, and each whole.
    pub(crate) fn admits(&self, presented: &str, opens: impl Fn(&KeyScope) -> bool) -> bool {
        let hash = hash(presented);
        let mut is_known = Choice::from(0);
        for key in &self.load().keys {
            is_known |= key.hash.as_bytes().ct_eq(hash.as_bytes())
                & Choice::from(u8::from(opens(&key.scope)));
        }
        is_known.into()
    }

    /// Makes the secret behind the codes of links, unless it is there. Blocks for the disk.
    pub(crate) fn ensure_link_secret(&self) -> Result<String, KeysError> {
        self.change(|file| file.link_secret.get_or_insert_with(random).clone())
    }

    /// The code that stands in links to one orchestration and opens the routes of that one only. Its
    /// secret is made in advance; before that the first code makes it, which blocks for the disk.
    pub(crate) fn link_code(&self, instance_id: &str) -> Result<String, KeysError> {
        let secret = match self.load().link_secret.clone() {
            Some(secret) => secret,
            None => self.ensure_link_secret()?,
        };
        Ok(link_code(&secret, instance_id))
    }

    /// Makes the codes of all links anew: those that were given so far open nothing any more. Blocks for
    /// the disk.
    pub(crate) fn rotate_links(&self) -> Result<(), KeysError> {
        self.change(|file| file.link_secret = Some(random()))
    }

    /// Whether this is the code of links to that orchestration.
    pub(crate) fn admits_link(&self, presented: &str, instance_id: &str) -> bool {
        self.load().link_secret.as_ref().is_some_and(|secret| {
            let code = link_code(secret, instance_id);
            presented.as_bytes().ct_eq(code.as_bytes()).into()
        })
    }

    fn load(&self) -> Arc<KeyFile> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes a copy of the keys, writes it, and puts it in the place of what was.
    fn change<T>(&self, change: impl FnOnce(&mut KeyFile) -> T) -> Result<T, KeysError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.load();
        let mut file = KeyFile::clone(&before);
        let result = change(&mut file);
        if file != *before {
            file.write(&self.path)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
        }
        Ok(result)
    }
}

impl KeyFile {
    fn set(&mut self, scope: &KeyScope, name: &str, now: Timestamp) -> NewKey {
        let value = random();
        self.keys.retain(|key| !(key.scope == *scope && key.name == name));
        self.keys.push(StoredKey {
            scope: scope.clone(),
            name: name.to_owned(),
            hash: hash(&value),
            created: now,
        });
        NewKey { scope: scope.clone(), name: name.to_owned(), value }
    }
}

/// Whether a key can have this name: 1 to [`KEY_NAME_CHARS_MAX`] letters, digits, `_`, `-` and `.`, except
/// `.` and `..`, which clients take out of paths.
pub(crate) fn is_key_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (1..=KEY_NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(is_allowed)
        && !matches!(name, "." | "..")
}

/// 256 bits of randomness.
fn random() -> String {
    base64url(&rand::random::<[u8; 32]>())
}

fn hash(key: &str) -> String {
    base64url(&Sha256::digest(key.as_bytes()))
}

/// HMAC-SHA-256 (RFC 2104), for a secret that is shorter than a block.
fn link_code(secret: &str, instance_id: &str) -> String {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(secret.as_bytes()).for_each(|(byte, secret)| *byte ^= secret);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(instance_id).finalize();
    base64url(&Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize())
}

/// RFC 4648 section 5, without padding: fits into a URL as it is.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            let sextet = group >> (18 - 6 * at) & 0x3f;
            text.push(char::from(ALPHABET[sextet as usize]));
        }
    }
    text
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
