//! [`Payload`]: JSON text that the host forwards and never looks into.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// JSON text. Cheap to clone; clones share the text.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Payload(Arc<str>);

impl Payload {
    /// The JSON value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::from("null")
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text has no bytes. (A well-formed payload has some: `null` at least.)
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the JSON value `null`, white space aside.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.trim_ascii() == "null"
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
