//! [`Target`]: where spans are sent and how, by the settings and by the variables of OpenTelemetry.
//!
//! A setting wins over a variable, but the variables that turn spans off always do. Of two variables the one
//! with `TRACES` in its name wins. What a variable wants and cannot have is ignored with a warning if the
//! spans arrive all the same, and else ends the start.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TRACES_COMPRESSION,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};
use percent_encoding::percent_decode_str;
use ureq::http::{HeaderName, HeaderValue};

use super::config::{OtlpProtocol, TelemetryConfig};
use crate::web_client;

/// Where the path of a collector's endpoint leads.
const TRACES_PATH: &str = "/v1/traces";

/// How long the collector may take for a batch if nobody says.
const TIMEOUT: Duration = Duration::from_secs(10);

const CERTIFICATE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", OTEL_EXPORTER_OTLP_PROTOCOL];
const HEADERS: [&str; 2] = [OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_HEADERS];
const TIMEOUTS: [&str; 2] = [OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT];
const COMPRESSION: [&str; 2] =
    [OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, OTEL_EXPORTER_OTLP_COMPRESSION];

/// Where spans are sent, and how.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) url: String,
    /// Certificates, PEM, that the collector is trusted by; `None`: those of the system.
    pub(super) ca: Option<PathBuf>,
    pub(super) protocol: OtlpProtocol,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the collector may take for a batch.
    pub(super) timeout: Duration,
    /// Which part of the requests without a trace begins one.
    pub(super) sample_ratio: f64,
    /// As what the host names itself.
    pub(super) service_name: String,
}

impl Target {
    /// `None`: nowhere. `variable` gives what the environment has under a name.
    ///
    /// # Errors
    /// If a setting or a variable makes no sense; the message names it.
    pub(super) fn of(
        config: &TelemetryConfig,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Option<Self>> {
        let variables = Variables(variable);
        let Some((url, named_by)) = variables.url(config) else { return Ok(None) };
        if let Some(reason) = variables.off() {
            tracing::info!("no spans are sent: {reason}");
            return Ok(None);
        }
        web_client::check(&url).context(named_by)?;
        if let Some((name, value)) = variables.first(COMPRESSION)
            && value != "none"
        {
            tracing::warn!("{name}: `{value}` is ignored, spans are sent as they are");
        }
        let ca = variables.first(CERTIFICATE).map(|(_, path)| PathBuf::from(path));
        Ok(Some(Self {
            url,
            ca: config.otlp_ca_file.clone().or(ca),
            protocol: config.otlp_protocol.map_or_else(|| variables.protocol(), Ok)?,
            headers: variables.headers()?,
            timeout: variables.timeout()?,
            sample_ratio: config.sample_ratio.unwrap_or_else(|| variables.sample_ratio()),
            service_name: match config.service_name.as_str() {
                "" => variables.service_name(),
                name => name.to_owned(),
            },
        }))
    }
}

/// The environment.
struct Variables<F>(F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// Empty is as good as absent.
    fn value(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.value(name)?)))
    }

    /// The URL, and who names it.
    fn url(&self, config: &TelemetryConfig) -> Option<(String, &'static str)> {
        let (base, named_by) = match config.otlp_endpoint.as_str() {
            "" => match self.value(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) {
                // It is used as it is.
                Some(url) => return Some((url, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)),
                None => (self.value(OTEL_EXPORTER_OTLP_ENDPOINT)?, OTEL_EXPORTER_OTLP_ENDPOINT),
            },
            endpoint => (endpoint.to_owned(), "the setting `telemetry.otlp_endpoint`"),
        };
        let base = base.trim_end_matches('/');
        let is_whole = base.ends_with(TRACES_PATH);
        let url = if is_whole { base.to_owned() } else { format!("{base}{TRACES_PATH}") };
        Some((url, named_by))
    }

    /// What turns spans off.
    fn off(&self) -> Option<String> {
        if self.value("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Some("OTEL_SDK_DISABLED is set".to_owned());
        }
        let exporters = self.value("OTEL_TRACES_EXPORTER")?;
        let mut names = exporters.split(',').map(str::trim);
        (!names.any(|name| name == "otlp"))
            .then(|| format!("OTEL_TRACES_EXPORTER is `{exporters}`"))
    }

    fn protocol(&self) -> anyhow::Result<OtlpProtocol> {
        match self.first(PROTOCOL) {
            None => Ok(OtlpProtocol::default()),
            Some((_, value)) if value == "http/protobuf" => Ok(OtlpProtocol::Protobuf),
            Some((_, value)) if value == "http/json" => Ok(OtlpProtocol::Json),
            Some((name, value)) => bail!(
                "{name}: spans cannot be sent by `{value}`, only by `http/protobuf` or \
                 `http/json`; the setting `telemetry.otlp_protocol` wins over it"
            ),
        }
    }

    fn headers(&self) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
        let Some((variable, text)) = self.first(HEADERS) else { return Ok(Vec::new()) };
        // Values are secrets.
        let wrong =
            || anyhow!("{variable}: a header is written `name=value`, with `,` between two");
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
                let value = percent_decode_str(value.trim()).collect::<Vec<_>>();
                let name = name.trim().parse::<HeaderName>().map_err(|_| wrong())?;
                Ok((name, HeaderValue::from_bytes(&value).map_err(|_| wrong())?))
            })
            .collect()
    }

    fn timeout(&self) -> anyhow::Result<Duration> {
        let Some((name, value)) = self.first(TIMEOUTS) else { return Ok(TIMEOUT) };
        let millis = value.parse::<u64>().ok().filter(|millis| *millis > 0);
        let millis =
            millis.with_context(|| format!("{name}: `{value}` is no count of milliseconds"));
        Ok(Duration::from_millis(millis?))
    }

    fn sample_ratio(&self) -> f64 {
        let Some(sampler) = self.value("OTEL_TRACES_SAMPLER") else { return 1.0 };
        // The parent of a request decides in any case.
        match sampler.strip_prefix("parentbased_").unwrap_or(&sampler) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => {
                let ratio = self.value("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
                match ratio.parse::<f64>() {
                    Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
                    _ => {
                        tracing::warn!("OTEL_TRACES_SAMPLER_ARG: `{ratio}` is no ratio, 1 is used");
                        1.0
                    }
                }
            }
            _ => {
                tracing::warn!("OTEL_TRACES_SAMPLER: `{sampler}` is ignored, all is sampled");
                1.0
            }
        }
    }

    fn service_name(&self) -> String {
        let of_resource = || {
            let attributes = self.value("OTEL_RESOURCE_ATTRIBUTES")?;
            let mut pairs = attributes.split(',').filter_map(|pair| pair.split_once('='));
            let (_, name) = pairs.find(|(key, _)| key.trim() == "service.name")?;
            let name = percent_decode_str(name.trim()).decode_utf8_lossy().into_owned();
            Some(name).filter(|name| !name.is_empty())
        };
        let name = self.value("OTEL_SERVICE_NAME").or_else(of_resource);
        name.unwrap_or_else(|| "everstate".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{OtlpProtocol, Target, TelemetryConfig};

    fn target(settings: &str, variables: &[(&str, &str)]) -> Result<Option<Target>, String> {
        let config: TelemetryConfig = toml::from_str(settings).expect("good settings");
        let variable = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Target::of(&config, variable).map_err(|error| format!("{error:#}"))
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "HTTP://localhost:4318/");

    fn with(variables: &[(&str, &str)]) -> Target {
        let all = [&[ENDPOINT], variables].concat();
        target("", &all).expect("good variables").expect("a target")
    }

    #[test]
    fn spans_go_where_the_setting_says_or_the_variables() {
        assert_eq!(target("", &[]), Ok(None));
        let url = |found: Target| found.url;
        assert_eq!(url(with(&[])), "HTTP://localhost:4318/v1/traces");
        let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/x");
        assert_eq!(url(with(&[exact])), "http://traces/x");
        let setting = "otlp_endpoint = 'https://mine/otlp/'";
        let found = target(setting, &[exact, ENDPOINT]).expect("a good URL").expect("a target");
        assert_eq!(url(found), "https://mine/otlp/v1/traces");
    }

    #[test]
    fn what_is_no_collector_is_refused_by_the_name_of_who_said_it() {
        for (setting, variable, by) in [
            ("otlp_endpoint = 'collector:4318'", None, "the setting `telemetry.otlp_endpoint`"),
            ("", Some("OTEL_EXPORTER_OTLP_ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT"),
            ("", Some("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ] {
            let variables: Vec<_> =
                variable.map(|name| (name, "collector:4318")).into_iter().collect();
            let error = target(setting, &variables).expect_err("no URL");
            assert!(error.starts_with(by) && error.contains("one begins with http://"), "{error}");
        }
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ] {
            let error = target("", &[ENDPOINT, (name, value)]).expect_err("it makes no sense");
            assert!(error.starts_with(name) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn variables_turn_spans_off_whatever_the_settings_say() {
        let setting = "otlp_endpoint = 'http://collector'";
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(target(setting, &[off]), Ok(None));
        }
        let on = [("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "console, otlp")];
        assert!(target(setting, &on).expect("good variables").is_some());
    }

    #[test]
    fn variable_that_cannot_be_had_is_ignored_if_spans_arrive_all_the_same() {
        let found = with(&[
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", ""),
        ]);
        assert_eq!(found, with(&[]));
    }

    #[test]
    fn setting_wins_over_variable_and_variable_over_default() {
        let variables = [
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=y=z"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=a,service.name=my%20shop"),
        ];
        let found = with(&variables);
        assert_eq!(found.protocol, OtlpProtocol::Json);
        let headers: Vec<_> =
            found.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(headers, [("api-key", &b"a b"[..]), ("x", &b"y=z"[..])]);
        assert_eq!(found.timeout, Duration::from_millis(500));
        assert_eq!(found.ca.expect("a file").to_str(), Some("ca.pem"));
        assert!((found.sample_ratio - 0.25).abs() < 1e-9);
        assert_eq!(found.service_name, "my shop");
        let settings = "otlp_protocol = 'http/protobuf'\nsample_ratio = 0.5\nservice_name = 'mine'\n\
                        otlp_ca_file = 'mine.pem'";
        let found = target(settings, &variables).expect("all is good").expect("a target");
        assert_eq!(found.protocol, OtlpProtocol::Protobuf);
        assert_eq!(found.ca.expect("a file").to_str(), Some("mine.pem"));
        assert!((found.sample_ratio - 0.5).abs() < 1e-9);
        assert_eq!(found.service_name, "mine");
        assert_eq!(with(&[("OTEL_SERVICE_NAME", "shop")]).service_name, "shop");
    }
}
