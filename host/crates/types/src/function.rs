//! Names and kinds of functions, who may start them, and the content hash that pins an orchestration to its code.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::FUNCTION_NAME_CHARS_MAX;

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FunctionKind {
    /// The code of an orchestration; replayed.
    Orchestrator,
    /// Keyed state with operations one at a time.
    Entity,
    /// Code with side effects; runs at least once.
    Activity,
    /// Answers HTTP requests.
    Http,
}

impl fmt::Display for FunctionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orchestrator => "orchestrator",
            Self::Entity => "entity",
            Self::Activity => "activity",
            Self::Http => "HTTP",
        })
    }
}

/// Which key a request must bring to start an HTTP function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthorizationLevel {
    /// None.
    #[default]
    Anonymous,
    /// One of the function, of the host or of the management.
    Function,
    /// One of the management.
    Admin,
}

/// As the original writes it, in lower case.
impl fmt::Display for AuthorizationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "anonymous",
            Self::Function => "function",
            Self::Admin => "admin",
        })
    }
}

/// As the original calls it.
const HTTP_ACTIVITY: &str = "BuiltIn::HttpActivity";

/// The name of a function as its author wrote it. Looked up without regard to ASCII case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionName(Arc<str>);

/// Why a text is no function name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{name}` is no function name: use 1 to {FUNCTION_NAME_CHARS_MAX} letters, digits, `_`, `-` and `.`"
)]
pub struct FunctionNameError {
    name: String,
}

impl FunctionName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// If it is empty, too long, or has other characters than letters, digits, `_`, `-` and `.`.
    pub fn new(name: &str) -> Result<Self, FunctionNameError> {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty()
            || name.chars().count() > FUNCTION_NAME_CHARS_MAX
            || !name.chars().all(allowed)
        {
            return Err(FunctionNameError { name: name.chars().take(80).collect() });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The activity of the host that makes durable HTTP requests. No guest can have this name.
    #[must_use]
    pub fn http_activity() -> Self {
        Self(Arc::from(HTTP_ACTIVITY))
    }

    /// Whether this is [`FunctionName::http_activity`].
    #[must_use]
    pub fn is_http_activity(&self) -> bool {
        &*self.0 == HTTP_ACTIVITY
    }

    /// The name as its author wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a component's bytes: names a version of code for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ComponentHash(pub [u8; 32]);

impl ComponentHash {
    /// Reads what is shown; `None`: it is no hash.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// In lower-case hexadecimal.
impl fmt::Display for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
