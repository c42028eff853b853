//! [`RetentionConfig`]: how long orchestrations are kept that have ended.

use std::collections::HashMap;
use std::fmt;

use everstate_types::RuntimeStatus;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use toml::{Table, Value};

/// The section `[retention]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// How long one is kept that ended well, in milliseconds since its end. Absent (the default): for
    /// ever.
    pub completed_ms: Option<Age>,
    /// The same for one that failed.
    pub failed_ms: Option<Age>,
    /// The same for one that was terminated.
    pub terminated_ms: Option<Age>,
    /// How many are removed in a second, at most. Default: 200.
    pub purges_per_second: u32,
    /// How often it is looked whether any is old enough, in milliseconds. Default: 10,000.
    pub interval_ms: u64,
    /// Ages for the orchestrations of single functions, by the name of the orchestrator, whose case does not
    /// matter. What one does not say is as above.
    #[serde(deserialize_with = "by_name")]
    pub functions: HashMap<String, FunctionRetention>,
}

/// How long the orchestrations of one function are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunctionRetention {
    /// As [`RetentionConfig::completed_ms`].
    pub completed_ms: Option<Age>,
    /// As [`RetentionConfig::failed_ms`].
    pub failed_ms: Option<Age>,
    /// As [`RetentionConfig::terminated_ms`].
    pub terminated_ms: Option<Age>,
}

/// How long something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "it is a number of milliseconds, or \"forever\"")]
pub enum Age {
    /// So many milliseconds.
    Millis(u64),
    /// As long as nobody removes it.
    Forever(Forever),
}

/// The word that stands for no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Forever {
    /// `"forever"`
    #[serde(rename = "forever")]
    Forever,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            completed_ms: None,
            failed_ms: None,
            terminated_ms: None,
            purges_per_second: 200,
            interval_ms: 10_000,
            functions: HashMap::new(),
        }
    }
}

impl RetentionConfig {
    /// Whether everything is kept for ever.
    pub(crate) fn keeps_all(&self) -> bool {
        let names = self.functions.keys().map(String::as_str).chain([""]);
        names
            .into_iter()
            .all(|name| FINISHED.into_iter().all(|status| self.age_ms(name, status).is_none()))
    }

    /// How long an orchestration of this name is kept that ended so, in milliseconds; `None`: for ever.
    pub(crate) fn age_ms(&self, name: &str, status: RuntimeStatus) -> Option<u64> {
        let own = self.functions.get(&name.to_ascii_lowercase()).copied().unwrap_or_default();
        let age = match status {
            RuntimeStatus::Completed => own.completed_ms.or(self.completed_ms),
            RuntimeStatus::Failed => own.failed_ms.or(self.failed_ms),
            RuntimeStatus::Terminated => own.terminated_ms.or(self.terminated_ms),
            RuntimeStatus::Pending | RuntimeStatus::Running | RuntimeStatus::Suspended => None,
        };
        match age? {
            Age::Millis(millis) => Some(millis),
            Age::Forever(_) => None,
        }
    }
}

/// Reads ages by name, in lower case. A name may stand there once, however it is written.
fn by_name<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<HashMap<String, FunctionRetention>, D::Error> {
    struct ByName;
    impl<'de> Visitor<'de> for ByName {
        type Value = HashMap<String, FunctionRetention>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table by the names of orchestrators")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut functions = HashMap::new();
            while let Some((name, ages)) = map.next_entry::<String, FunctionRetention>()? {
                if functions.insert(name.to_ascii_lowercase(), ages).is_some() {
                    let problem =
                        "the case of a function's name does not matter, and there are two";
                    return Err(A::Error::custom(format!("{problem} entries for `{name}`")));
                }
            }
            Ok(functions)
        }
    }
    from.deserialize_map(ByName)
}

/// Writes the names of functions in lower case, so that what several sources say of one function comes
/// together.
pub(crate) fn lower_names(settings: &mut Table) {
    let section = settings.get_mut("retention").and_then(Value::as_table_mut);
    let functions = section.and_then(|section| section.get_mut("functions"));
    if let Some(functions) = functions.and_then(Value::as_table_mut) {
        let written = std::mem::take(functions);
        functions.extend(written.into_iter().map(|(name, ages)| (name.to_ascii_lowercase(), ages)));
    }
}

/// How an orchestration can have ended.
pub(super) const FINISHED: [RuntimeStatus; 3] =
    [RuntimeStatus::Completed, RuntimeStatus::Failed, RuntimeStatus::Terminated];

#[cfg(test)]
mod tests {
    use everstate_types::RuntimeStatus;

    use super::RetentionConfig;

    fn config(text: &str) -> Result<RetentionConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn function_says_what_is_its_own_and_the_rest_is_as_for_all() {
        let text = "completed_ms = 10\nfailed_ms = 20\n\
                    [functions.Hello]\ncompleted_ms = 1\nfailed_ms = 'forever'";
        let config = config(text).expect("good");
        for (name, status, age) in [
            ("Other", RuntimeStatus::Completed, Some(10)),
            ("Other", RuntimeStatus::Failed, Some(20)),
            ("Other", RuntimeStatus::Terminated, None),
            ("hello", RuntimeStatus::Completed, Some(1)),
            ("hello", RuntimeStatus::Failed, None),
            ("hello", RuntimeStatus::Terminated, None),
            ("Other", RuntimeStatus::Running, None),
        ] {
            assert_eq!(config.age_ms(name, status), age, "{name} {status}");
        }
        assert!(!config.keeps_all());
    }

    #[test]
    fn nothing_is_removed_unless_somebody_says_so() {
        assert!(RetentionConfig::default().keeps_all());
        assert!(config("[functions.Hello]\nfailed_ms = 'forever'").expect("good").keeps_all());
        assert!(!config("[functions.Hello]\nfailed_ms = 0").expect("good").keeps_all());
    }

    #[test]
    fn function_that_is_written_in_two_ways_is_refused() {
        let text = "[functions.Hello]\ncompleted_ms = 1\n[functions.HELLO]\ncompleted_ms = 2";
        let error = config(text).expect_err("two of one").to_string();
        assert!(error.contains("two entries for `H"), "{error}");
    }

    #[test]
    fn age_that_is_none_is_an_error_that_says_what_one_is() {
        let error = config("completed_ms = 'a week'").expect_err("no age").to_string();
        assert!(error.contains("a number of milliseconds, or \"forever\""), "{error}");
    }
}
