//! [`KeyScope`]: what a key opens.

use std::fmt;
use std::str::FromStr;

use everstate_types::FunctionName;
use serde::{Deserialize, Serialize};

/// What a key opens. Written `management`, `host` or `function/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum KeyScope {
    /// The management API, the host's own routes, and every function.
    Management,
    /// All functions of level `function`.
    Host,
    /// One function of that level; its name in lower case.
    Function(String),
}

/// A text that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope of a key: there are management, host and function/NAME")]
pub struct KeyScopeError(String);

impl KeyScope {
    /// The scope of one function. It does not have to be loaded.
    pub(crate) fn function(name: &FunctionName) -> Self {
        Self::Function(name.as_str().to_ascii_lowercase())
    }

    /// Whether its keys open that function, if it is of level `function`.
    pub(crate) fn opens_function(&self, name: &FunctionName) -> bool {
        match self {
            Self::Management | Self::Host => true,
            Self::Function(own) => own.eq_ignore_ascii_case(name.as_str()),
        }
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Management => f.write_str("management"),
            Self::Host => f.write_str("host"),
            Self::Function(name) => write!(f, "function/{name}"),
        }
    }
}

impl FromStr for KeyScope {
    type Err = KeyScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            None if text == "management" => Ok(Self::Management),
            None if text == "host" => Ok(Self::Host),
            Some(("function", name)) => FunctionName::new(name)
                .map(|name| Self::function(&name))
                .map_err(|_| KeyScopeError(text.to_owned())),
            _ => Err(KeyScopeError(text.to_owned())),
        }
    }
}

impl From<KeyScope> for String {
    fn from(scope: KeyScope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for KeyScope {
    type Error = KeyScopeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
