//! [`ActivityEnvironment`]: the variables that activities see, and nobody else. Read once, when the
//! host starts; an operator who changes a secret restarts the host.

use std::{env, fmt, fs};

use crate::config::ActivitiesConfig;
use crate::error::LoadError;

/// The environment of activities.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct ActivityEnvironment {
    variables: Vec<(String, String)>,
}

impl ActivityEnvironment {
    /// # Errors
    /// If a variable is not text, a secret cannot be read, or a name is none or stands twice.
    pub(crate) fn read(config: &ActivitiesConfig) -> Result<Self, LoadError> {
        let mut environment = Self::default();
        for name in &config.environment {
            match env::var(name) {
                Ok(value) => environment.add(name, value)?,
                Err(env::VarError::NotPresent) => {
                    tracing::warn!("activities.environment: the host has no variable `{name}`");
                }
                Err(env::VarError::NotUnicode(_)) => {
                    let problem = format!("activities.environment: `{name}` is not UTF-8 text");
                    return Err(LoadError::Host(problem));
                }
            }
        }
        for (name, path) in &config.secrets {
            let mut value = fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                LoadError::Host(format!(
                    "activities.secrets: `{name}`: cannot read {path}: {error}"
                ))
            })?;
            if value.ends_with('\n') {
                value.pop();
                value.truncate(value.strip_suffix('\r').unwrap_or(&value).len());
            }
            environment.add(name, value)?;
        }
        Ok(environment)
    }

    /// Names and values.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), LoadError> {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(LoadError::Host(format!("activities: `{name}` cannot be a variable")));
        }
        if self.variables.iter().any(|(known, _)| known == name) {
            return Err(LoadError::Host(format!("activities: the variable `{name}` is set twice")));
        }
        self.variables.push((name.to_owned(), value));
        Ok(())
    }
}

/// Without the values: some are secrets.
impl fmt::Debug for ActivityEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.variables.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;

    use super::ActivityEnvironment;
    use crate::config::ActivitiesConfig;

    fn read(
        environment: &[&str],
        secrets: &[(&str, PathBuf)],
    ) -> Result<ActivityEnvironment, String> {
        let config = ActivitiesConfig {
            environment: environment.iter().map(|&name| name.to_owned()).collect(),
            secrets: secrets
                .iter()
                .map(|(n, p)| ((*n).to_owned(), p.clone()))
                .collect::<BTreeMap<_, _>>(),
        };
        ActivityEnvironment::read(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn secret_is_its_file_without_the_line_break_at_the_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("secret");
        for (text, value) in
            [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", "")]
        {
            fs::write(&path, text).expect("writable");
            let read = read(&[], &[("KEY", path.clone())]).expect("readable");
            assert_eq!(read.variables(), [("KEY".to_owned(), value.to_owned())]);
            assert!(!format!("{read:?}").contains("a b"), "{read:?}");
        }
    }

    #[test]
    fn secret_without_a_file_is_named_with_its_path() {
        let error = read(&[], &[("KEY", PathBuf::from("/no/such/file"))]).expect_err("missing");
        assert!(error.contains("`KEY`") && error.contains("/no/such/file"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn variable_that_the_host_does_not_have_is_left_out() {
        let read = read(&["PATH", "EVERSTATE_TEST_NO_SUCH_VARIABLE"], &[]).expect("no error");
        let names: Vec<_> = read.variables().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PATH"]);
    }

    #[test]
    fn name_that_stands_twice_is_refused() {
        let error = read(&["PATH"], &[("PATH", PathBuf::from("/dev/null"))]).expect_err("twice");
        assert!(error.contains("`PATH`"), "{error}");
    }
}
