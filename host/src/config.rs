//! [`HostConfig`]: what an operator may set, and where.
//!
//! Flags win over the environment, the environment over the file, the file over the defaults. A key that
//! nobody knows is an error that names it, wherever it stands.

mod problem;
mod ranges;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use everstate_engine::EngineConfig;
use everstate_http::{CorsConfig, HttpConfig, TlsConfig};
use everstate_runtime::{ActivitiesConfig, OutgoingHttpConfig, RuntimeConfig};
use everstate_storage::StorageConfig;
use serde::Deserialize;
use toml::{Table, Value};

use problem::Problem;

use crate::deployments::DeploymentsConfig;
use crate::observe::TelemetryConfig;
use crate::retention::{RetentionConfig, lower_names};
use crate::telemetry::LogFormat;

/// Environment variables with this prefix are settings: `EVERSTATE_LISTEN`, and
/// `EVERSTATE_ENGINE__LANES` for `lanes` in the section `[engine]`.
const ENVIRONMENT_PREFIX: &str = "EVERSTATE_";

/// Names the configuration file; no key of the file itself.
const CONFIG_VARIABLE: &str = "EVERSTATE_CONFIG";

/// Variables of the commands that talk to a host; no settings of one.
const COMMAND_VARIABLES: [&str; 2] = ["EVERSTATE_HOST_URL", "EVERSTATE_KEY"];

/// The file that is read where none is named, if it is there.
const DEFAULT_FILE: &str = "everstate.toml";

/// All settings of a host. A path is relative to the working folder of the process.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostConfig {
    /// The folder with the components. Default: `functions`.
    pub functions: PathBuf,
    /// The folder with the data; made if it is missing. Default: `data`.
    pub data: PathBuf,
    /// Where to listen: address and port; port 0 picks one. Default: `127.0.0.1:7071`.
    pub listen: String,
    /// What is logged, in the syntax of `tracing`: `info`, `warn,everstate_engine=debug`. Default: `info`.
    pub log: String,
    /// How log lines look: `text` or `json`. Default: `text`.
    pub log_format: LogFormat,
    /// The section `[deployments]`.
    pub deployments: DeploymentsConfig,
    /// The section `[engine]`.
    pub engine: EngineConfig,
    /// The section `[runtime]`.
    pub runtime: RuntimeConfig,
    /// The section `[activities]`.
    pub activities: ActivitiesConfig,
    /// The section `[outgoing_http]`.
    pub outgoing_http: OutgoingHttpConfig,
    /// The section `[http]`.
    pub http: HttpConfig,
    /// The section `[retention]`.
    pub retention: RetentionConfig,
    /// The section `[tls]`.
    pub tls: TlsConfig,
    /// The section `[cors]`.
    pub cors: CorsConfig,
    /// The section `[storage]`.
    pub storage: StorageConfig,
    /// The section `[telemetry]`.
    pub telemetry: TelemetryConfig,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            functions: PathBuf::from("functions"),
            data: PathBuf::from("data"),
            listen: "127.0.0.1:7071".to_owned(),
            log: "info".to_owned(),
            deployments: DeploymentsConfig::default(),
            log_format: LogFormat::Text,
            engine: EngineConfig::default(),
            runtime: RuntimeConfig::default(),
            activities: ActivitiesConfig::default(),
            outgoing_http: OutgoingHttpConfig::default(),
            http: HttpConfig::default(),
            retention: RetentionConfig::default(),
            tls: TlsConfig::default(),
            cors: CorsConfig::default(),
            storage: StorageConfig::default(),
            telemetry: TelemetryConfig::default(),
        }
    }
}

/// What the flags say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) functions: Option<PathBuf>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) listen: Option<String>,
}

impl HostConfig {
    /// Reads the file, the environment and the flags.
    pub(crate) fn load(
        file: Option<PathBuf>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        overrides: Overrides,
    ) -> anyhow::Result<Self> {
        let mut variables = Vec::new();
        let mut file = file;
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(ENVIRONMENT_PREFIX))
            else {
                continue;
            };
            if COMMAND_VARIABLES.contains(&name) {
                continue;
            }
            if name == CONFIG_VARIABLE {
                file = file.or(Some(PathBuf::from(value)));
                continue;
            }
            let value = value
                .into_string()
                .map_err(|_| anyhow!("the environment variable {name} is not UTF-8 text"))?;
            variables.push((name.to_owned(), value));
        }
        let mut settings = read_file(file.as_deref())?;
        for (name, value) in variables {
            let mut table =
                table_of(&name, &value).map_err(|problem| problem.of_variable(&name))?;
            lower_names(&mut table);
            merge(&mut settings, table);
        }
        let mut config: Self =
            settings.try_into().map_err(|error| Problem::from(error).of_all())?;
        config.functions = overrides.functions.unwrap_or(config.functions);
        config.data = overrides.data.unwrap_or(config.data);
        config.listen = overrides.listen.unwrap_or(config.listen);
        ranges::check(&config).map_err(|problem| problem.of_all())?;
        Ok(config)
    }
}

/// The settings of the file; none where none is named and the default one is not there.
fn read_file(file: Option<&Path>) -> anyhow::Result<Table> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Table::new());
        }
        Err(error) => bail!("cannot read the configuration {}: {error}", path.display()),
    };
    let mut table: Table = text.parse().map_err(|error| problem::syntax(path, &text, &error))?;
    check(&table).map_err(|problem| problem.of_file(path, &text))?;
    lower_names(&mut table);
    Ok(table)
}

/// A table with one setting, from `EVERSTATE_SECTION__KEY=value`: a number, a truth value, a list, a table or a
/// text in quotes if it reads as one and the setting takes that, else text.
fn table_of(name: &str, value: &str) -> Result<Table, Problem> {
    let text = table_with(name, Value::String(value.to_owned()));
    let read = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .filter(|value| !value.is_float() && !value.is_datetime());
    let Some(read) = read else { return check(&text).map(|()| text) };
    let table = table_with(name, read);
    match check(&table) {
        Ok(()) => Ok(table),
        Err(problem) if check(&text).is_err() => Err(problem),
        Err(_) => Ok(text),
    }
}

/// A table with one setting at the place that the variable names.
fn table_with(name: &str, value: Value) -> Table {
    let path = name[ENVIRONMENT_PREFIX.len()..].to_lowercase();
    let mut keys: Vec<&str> = path.split("__").collect();
    let last = keys.pop().unwrap_or_default();
    let mut table = Table::from_iter([(last.to_owned(), value)]);
    for key in keys.into_iter().rev() {
        table = Table::from_iter([(key.to_owned(), Value::Table(table))]);
    }
    table
}

/// Whether a table by itself is a configuration.
fn check(table: &Table) -> Result<(), Problem> {
    let config: HostConfig = table.clone().try_into()?;
    ranges::check(&config)
}

/// Puts all settings of `over` into `under`.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(table)) => merge(inner, table),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use everstate_types::RuntimeStatus;

    use super::{HostConfig, Overrides};

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        overrides: Overrides,
    ) -> anyhow::Result<HostConfig> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("everstate.toml");
        std::fs::write(&path, file)?;
        let environment =
            environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        HostConfig::load(Some(path), environment, overrides)
    }

    #[test]
    fn flags_win_over_environment_and_environment_over_file() {
        let file = "listen = '1.1.1.1:1'\ndata = 'file'\nfunctions = 'file'\n[engine]\nlanes = 3";
        let environment = [
            ("EVERSTATE_LISTEN", "2.2.2.2:2"),
            ("EVERSTATE_DATA", "environment"),
            ("EVERSTATE_ENGINE__COMMIT_DELAY_MS", "9"),
        ];
        let overrides = Overrides { listen: Some("3.3.3.3:3".to_owned()), ..Overrides::default() };
        let config = load(file, &environment, overrides).expect("a good configuration");
        assert_eq!(config.listen, "3.3.3.3:3");
        assert_eq!(config.data, PathBuf::from("environment"));
        assert_eq!(config.functions, PathBuf::from("file"));
        assert_eq!((config.engine.lanes, config.engine.commit_delay_ms), (3, 9));
    }

    #[test]
    fn variables_of_other_commands_are_no_settings() {
        let environment = [("EVERSTATE_HOST_URL", "http://there:1"), ("EVERSTATE_KEY", "secret")];
        assert!(load("", &environment, Overrides::default()).is_ok());
    }

    #[test]
    fn unknown_key_is_named_with_its_place() {
        for (file, environment, names) in [
            ("colour = 1", vec![], ["colour", "everstate.toml, line 1"]),
            ("[engine]\ncolour = 1", vec![], ["colour", "everstate.toml, line 2"]),
            ("", vec![("EVERSTATE_COLOUR", "1")], ["colour", "EVERSTATE_COLOUR"]),
            ("", vec![("EVERSTATE_ENGINE__COLOUR", "1")], ["colour", "EVERSTATE_ENGINE__COLOUR"]),
        ] {
            let error = load(file, &environment, Overrides::default()).expect_err("unknown");
            let text = format!("{error:#}");
            assert!(names.iter().all(|name| text.contains(name)), "{text}");
            assert!(!text.contains('\n'), "one line: {text}");
        }
    }

    #[test]
    fn value_that_does_not_fit_is_told_with_its_setting_and_place() {
        for (file, environment, expected) in [
            (
                "\n[http]\nconnections_max = \"many\"",
                vec![],
                "everstate.toml, line 3: `http.connections_max`: invalid type: string \"many\", \
                 expected a whole number from 0 on",
            ),
            (
                "[retention]\ncompleted_ms = -1",
                vec![],
                "everstate.toml, line 2: `retention.completed_ms`: it is a number of milliseconds, \
                 or \"forever\"",
            ),
            (
                "data = 'd'\n[retention.functions.Hello]\nfailed_ms = 'x'",
                vec![],
                "everstate.toml, line 3: `retention.functions.Hello.failed_ms`: it is a number",
            ),
            ("a = 1\nb = ", vec![], "everstate.toml, line 2: "),
            (
                "",
                vec![("EVERSTATE_HTTP__HEADERS_MAX", "many")],
                "variable EVERSTATE_HTTP__HEADERS_MAX: `http.headers_max`: invalid type",
            ),
        ] {
            let error = load(file, &environment, Overrides::default()).expect_err("wrong");
            let text = format!("{error:#}");
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains('\n'), "one line: {text}");
        }
    }

    #[test]
    fn value_that_cannot_work_is_told_with_what_it_can_be() {
        for (file, environment, expected) in [
            (
                "[http]\n\nconnections_max = 0",
                vec![],
                "line 3: `http.connections_max`: 0 cannot work; it is from 1 to 10000000",
            ),
            ("http.connections_max = 9223372036854775807", vec![], "`http.connections_max`"),
            ("http.headers_max = 1000000", vec![], "`http.headers_max`"),
            ("http.public_url = 'example.com'", vec![], "`http.public_url`: it is no URL"),
            ("retention.purges_per_second = 0", vec![], "`retention.purges_per_second`"),
            ("runtime.activity_limits.Mail = 0", vec![], "`runtime.activity_limits.Mail`"),
            ("runtime.turns_concurrent_max = 9000000000000000000", vec![], "from 1 to"),
            ("", vec![("EVERSTATE_DATA", "")], "variable EVERSTATE_DATA: `data`: it is empty"),
            ("", vec![("EVERSTATE_RETENTION__INTERVAL_MS", "0")], "`retention.interval_ms`: 0"),
        ] {
            let error = load(file, &environment, Overrides::default()).expect_err("wrong");
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        let unnamed = Overrides { data: Some(PathBuf::new()), ..Overrides::default() };
        assert!(load("", &[], unnamed).is_err());
    }

    #[test]
    fn setting_for_tests_is_not_offered() {
        let error = load("[engine]\ncolour = 1", &[], Overrides::default()).expect_err("unknown");
        assert!(!error.to_string().contains("abort_after_commits"), "{error}");
    }

    /// The settings in docs/operations.md are all there are, with their defaults.
    #[test]
    fn documented_example_is_the_default() {
        let text = include_str!("../../docs/operations.md");
        let example = text.split("```toml").nth(1).and_then(|rest| rest.split("```").next());
        let config = load(example.expect("an example"), &[], Overrides::default());
        let config = config.expect("the example is a good configuration");
        assert_eq!(format!("{config:?}"), format!("{:?}", HostConfig::default()));
    }

    #[test]
    fn lists_and_tables_can_stand_in_the_environment() {
        let environment = [
            ("EVERSTATE_OUTGOING_HTTP__ALLOW", r#"["api.example.com", "localhost:8080"]"#),
            ("EVERSTATE_ACTIVITIES__SECRETS", r#"{ API_KEY = "/run/secrets/key" }"#),
            ("EVERSTATE_RUNTIME__ACTIVITY_LIMITS", "{ SayHello = 2 }"),
        ];
        let config = load("", &environment, Overrides::default()).expect("good");
        assert_eq!(config.outgoing_http.allow, ["api.example.com", "localhost:8080"]);
        assert_eq!(config.activities.secrets["API_KEY"], PathBuf::from("/run/secrets/key"));
        assert_eq!(config.runtime.activity_limits["SayHello"], 2);
    }

    #[test]
    fn environment_and_file_speak_of_the_same_function_however_it_is_written() {
        let file = "[retention.functions.Hello]\ncompleted_ms = 1\nfailed_ms = 2";
        let environment = [
            ("EVERSTATE_RETENTION__FUNCTIONS__HELLO__COMPLETED_MS", "5"),
            ("EVERSTATE_RETENTION__FUNCTIONS", "{ hellO = { terminated_ms = 7 } }"),
        ];
        let config = load(file, &environment, Overrides::default()).expect("good").retention;
        let age = |status| config.age_ms("HELLO", status);
        assert_eq!(age(RuntimeStatus::Completed), Some(5));
        assert_eq!(age(RuntimeStatus::Failed), Some(2));
        assert_eq!(age(RuntimeStatus::Terminated), Some(7));
    }

    #[test]
    fn section_of_its_own_is_no_key_of_the_runtime() {
        for file in ["[runtime.outgoing_http]\nallow = []", "[runtime.activities]\nsecrets = {}"] {
            assert!(load(file, &[], Overrides::default()).is_err(), "{file}");
        }
    }

    #[test]
    fn text_that_looks_like_something_else_stays_text() {
        for (given, data) in
            [("d1", "d1"), ("1", "1"), ("true", "true"), ("[x]", "[x]"), ("\"a b\"", "a b")]
        {
            let config = load("", &[("EVERSTATE_DATA", given)], Overrides::default());
            assert_eq!(config.expect("good").data, PathBuf::from(data));
        }
        let name = [("EVERSTATE_TELEMETRY__SERVICE_NAME", "42")];
        let config = load("", &name, Overrides::default()).expect("good");
        assert_eq!(config.telemetry.service_name, "42");
    }
}
