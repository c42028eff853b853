//! How much a log line matters.

use crate::bindings::imports::types as wit;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For finding mistakes.
    Debug,
    /// What a person wants to know in ordinary times.
    Info,
    /// Something is odd, the work goes on.
    Warning,
    /// Something failed.
    Error,
}

impl From<LogLevel> for wit::LogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
        }
    }
}

/// The methods `info`, `warn` and `error` beside a method `log`.
macro_rules! log_methods {
    () => {
        /// Writes a log line of [`LogLevel::Info`](crate::LogLevel::Info).
        pub fn info(&self, message: &str) {
            self.log(crate::LogLevel::Info, message);
        }

        /// Writes a log line of [`LogLevel::Warning`](crate::LogLevel::Warning).
        pub fn warn(&self, message: &str) {
            self.log(crate::LogLevel::Warning, message);
        }

        /// Writes a log line of [`LogLevel::Error`](crate::LogLevel::Error).
        pub fn error(&self, message: &str) {
            self.log(crate::LogLevel::Error, message);
        }
    };
}

pub(crate) use log_methods;
