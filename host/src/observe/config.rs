//! [`TelemetryConfig`]: what an operator may set about seeing inside.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

/// The section `[telemetry]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector that spans are sent to: `http://localhost:4318`. Empty: what
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says, or nowhere. Default: empty.
    pub otlp_endpoint: String,
    /// The certificates, PEM, that a collector behind `https://` is to be trusted by. Default: what
    /// `OTEL_EXPORTER_OTLP_CERTIFICATE` says, or those that the system trusts.
    pub otlp_ca_file: Option<PathBuf>,
    /// `http/protobuf` or `http/json`. Default: what `OTEL_EXPORTER_OTLP_PROTOCOL` says, or
    /// `http/protobuf`.
    pub otlp_protocol: Option<OtlpProtocol>,
    /// Which part of the requests without a trace begins one, 0 to 1. Default: what
    /// `OTEL_TRACES_SAMPLER` says, or 1.
    #[serde(deserialize_with = "ratio")]
    pub sample_ratio: Option<f64>,
    /// As what the host names itself. Empty: what `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says,
    /// or `everstate`. Default: empty.
    pub service_name: String,
    /// Bytes of what guests logged for their instances that are kept. 0: nothing. Default: 64 MiB.
    pub guest_logs_bytes_max: u64,
}

/// How spans are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum OtlpProtocol {
    /// Protocol buffers over HTTP.
    #[default]
    #[serde(rename = "http/protobuf")]
    Protobuf,
    /// JSON over HTTP.
    #[serde(rename = "http/json")]
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            otlp_ca_file: None,
            otlp_protocol: None,
            sample_ratio: None,
            service_name: String::new(),
            guest_logs_bytes_max: 64 << 20,
        }
    }
}

/// A number from 0 to 1; as text where it comes from the environment.
fn ratio<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(f64),
        Whole(i64),
        Text(String),
    }
    let wrong = || serde::de::Error::custom("`sample_ratio` is a number from 0 to 1");
    let given = Given::deserialize(from).map_err(|_| wrong())?;
    let number = match given {
        Given::Number(number) => number,
        Given::Whole(0) => 0.0,
        Given::Whole(1) => 1.0,
        Given::Whole(_) => return Err(wrong()),
        Given::Text(text) => text.parse().map_err(|_| wrong())?,
    };
    if (0.0..=1.0).contains(&number) { Ok(Some(number)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::{OtlpProtocol, TelemetryConfig};

    fn read(text: &str) -> Result<TelemetryConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn ratio_is_a_number_from_0_to_1_however_it_is_written() {
        for (text, ratio) in [("0.25", 0.25), ("1", 1.0), ("0", 0.0), ("'0.5'", 0.5)] {
            let config = read(&format!("sample_ratio = {text}")).expect("a ratio");
            let given = config.sample_ratio.expect("one is given");
            assert!((given - ratio).abs() < 1e-9, "{text}");
        }
        for text in ["2", "-0.1", "'much'", "true"] {
            let error = read(&format!("sample_ratio = {text}")).expect_err("no ratio");
            assert!(error.contains("`sample_ratio` is a number from 0 to 1"), "{error}");
        }
    }

    #[test]
    fn protocol_is_one_of_those_over_http() {
        let config = read("otlp_protocol = 'http/json'").expect("a protocol");
        assert_eq!(config.otlp_protocol, Some(OtlpProtocol::Json));
        assert!(read("otlp_protocol = 'grpc'").expect_err("none").contains("http/protobuf"));
    }
}
