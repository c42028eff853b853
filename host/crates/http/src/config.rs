//! [`HttpConfig`]: what an operator may change about the HTTP server. Embedded by the host in its
//! own configuration; nothing here reads files or the environment.

use std::time::Duration;

use serde::Deserialize;

/// Limits and timeouts of the HTTP server.
///
/// ```toml
/// request_bytes_max = 16777216
/// header_timeout_ms = 10000
/// drain_timeout_ms = 30000
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Whether the management API, the routes of the host and the metrics ask for a key. Default:
    /// unless the host listens on a loopback address.
    pub require_keys: RequireKeys,
    /// Names of this host beside `localhost` and loopback addresses: where no key is asked for, the
    /// management answers no request for another one. Default: none.
    pub hosts: Vec<String>,
    /// How clients name this host, where a proxy stands before it: links begin with it. Default: as the
    /// request names it.
    pub public_url: Option<String>,
    /// Whether `X-Forwarded-Host` and `X-Forwarded-Proto` say how clients name this host: for one that
    /// only a proxy reaches, because anybody can send them. Default: no.
    pub use_forwarded_host: bool,
    /// Largest body of a request to import instances, in bytes; a larger one is answered with 413.
    /// Default: 256 MiB. It is held in memory several times.
    pub import_bytes_max: usize,
    /// Largest body of a request, in bytes; a larger one is answered with 413. Default: 16 MiB.
    ///
    /// A body is held in memory while its function runs.
    pub request_bytes_max: usize,
    /// Longest request target (path and query), in bytes; a longer one is answered with 414.
    /// Default: 32 KiB.
    pub target_bytes_max: usize,
    /// Most headers of a request (HTTP/1.1). Default: 100.
    pub headers_max: usize,
    /// Largest buffer of a connection (HTTP/1.1), in bytes: all headers together fit into it, and a
    /// client that does not read makes no more of a response be kept. At least 8 KiB. Default:
    /// 128 KiB.
    pub connection_buffer_bytes_max: usize,
    /// Largest list of headers (HTTP/2), in bytes. Default: 16 KiB.
    pub http2_header_list_bytes_max: u32,
    /// Most requests at a time on one connection (HTTP/2). Default: 128.
    pub http2_streams_max: u32,
    /// Most streams that a client may reset before they were accepted (HTTP/2); more end the
    /// connection. Default: 20.
    pub http2_pending_resets_max: usize,
    /// How long a client may take for the headers of a request, in milliseconds. Default: 10,000.
    ///
    /// The time runs from the end of the request before, so that this is also how long an idle
    /// HTTP/1.1 connection is kept.
    pub header_timeout_ms: u64,
    /// Longest silence within the body of a request, in milliseconds. Default: 15,000.
    pub body_idle_timeout_ms: u64,
    /// How long a client may take for the whole body of a request, in milliseconds. Default:
    /// 60,000.
    pub body_timeout_ms: u64,
    /// How long a client may take nothing of a response that is there, in milliseconds; then its
    /// connection ends. Default: 30,000.
    pub write_idle_timeout_ms: u64,
    /// After how much silence an HTTP/2 client is asked whether it is still there, and how long it
    /// may take to say so, in milliseconds. Default: 20,000.
    pub http2_ping_ms: u64,
    /// Most connections at a time; further ones wait in the backlog of the operating system.
    /// Default: 4,096.
    ///
    /// Each needs a file descriptor: keep this below 80% of the process's limit.
    pub connections_max: usize,
    /// Longest wait of a request for a result or for the end of an orchestration, in milliseconds,
    /// and the wait for the result of an entity if the request names none. Default: 230,000, which
    /// is as long as functions wait, and shorter than proxies do in general.
    pub wait_max_ms: u64,
    /// How long a shutdown waits for requests under way, in milliseconds. Default: 30,000.
    pub drain_timeout_ms: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            require_keys: RequireKeys::Auto,
            hosts: Vec::new(),
            public_url: None,
            use_forwarded_host: false,
            import_bytes_max: 256 * 1024 * 1024,
            request_bytes_max: 16 * 1024 * 1024,
            target_bytes_max: 32 * 1024,
            headers_max: 100,
            connection_buffer_bytes_max: 128 * 1024,
            http2_header_list_bytes_max: 16 * 1024,
            http2_streams_max: 128,
            http2_pending_resets_max: 20,
            header_timeout_ms: 10_000,
            body_idle_timeout_ms: 15_000,
            body_timeout_ms: 60_000,
            write_idle_timeout_ms: 30_000,
            http2_ping_ms: 20_000,
            connections_max: 4_096,
            wait_max_ms: 230_000,
            drain_timeout_ms: 30_000,
        }
    }
}

/// Whether the management asks for a key. Written `"auto"`, `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BoolOrText")]
pub enum RequireKeys {
    /// Unless the host listens on a loopback address.
    Auto,
    /// On every address.
    Always,
    /// Not; this is refused on other addresses than loopback.
    Never,
}

/// What can stand for [`RequireKeys`] in a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum BoolOrText {
    Bool(bool),
    Text(String),
}

impl TryFrom<BoolOrText> for RequireKeys {
    type Error = String;

    fn try_from(value: BoolOrText) -> Result<Self, Self::Error> {
        match value {
            BoolOrText::Bool(true) => Ok(Self::Always),
            BoolOrText::Bool(false) => Ok(Self::Never),
            BoolOrText::Text(text) if text == "auto" => Ok(Self::Auto),
            BoolOrText::Text(text) => {
                Err(format!("`require_keys` is \"auto\", true or false, not \"{text}\""))
            }
        }
    }
}

impl HttpConfig {
    /// [`HttpConfig::header_timeout_ms`] as a duration.
    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    /// [`HttpConfig::body_idle_timeout_ms`] as a duration.
    pub(crate) fn body_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.body_idle_timeout_ms)
    }

    /// [`HttpConfig::body_timeout_ms`] as a duration.
    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    /// [`HttpConfig::write_idle_timeout_ms`] as a duration.
    pub(crate) fn write_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.write_idle_timeout_ms)
    }

    /// [`HttpConfig::http2_ping_ms`] as a duration.
    pub(crate) fn http2_ping(&self) -> Duration {
        Duration::from_millis(self.http2_ping_ms)
    }

    /// [`HttpConfig::wait_max_ms`] as a duration.
    pub(crate) fn wait_max(&self) -> Duration {
        Duration::from_millis(self.wait_max_ms)
    }

    /// [`HttpConfig::drain_timeout_ms`] as a duration.
    pub(crate) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::{HttpConfig, RequireKeys};

    #[test]
    fn empty_config_has_the_documented_defaults() {
        let config: HttpConfig = toml::from_str("").expect("an empty table");
        assert_eq!(config, HttpConfig::default());
        assert_eq!(config.header_timeout_ms, 10_000);
        assert_eq!(config.request_bytes_max, 16 * 1024 * 1024);
    }

    #[test]
    fn config_with_an_unknown_key_is_refused_by_name() {
        let error = toml::from_str::<HttpConfig>("request_bytes = 1").expect_err("unknown");
        assert!(error.to_string().contains("request_bytes"), "{error}");
    }

    #[test]
    fn keys_are_required_by_a_truth_value_or_by_themselves() {
        let read = |text: &str| toml::from_str::<HttpConfig>(&format!("require_keys = {text}"));
        for (text, expected) in [
            ("\"auto\"", RequireKeys::Auto),
            ("true", RequireKeys::Always),
            ("false", RequireKeys::Never),
        ] {
            assert_eq!(read(text).map(|config| config.require_keys), Ok(expected));
        }
        let error = read("\"yes\"").expect_err("no such value").to_string();
        assert!(error.contains("require_keys"), "{error}");
    }

    #[test]
    fn config_example_of_the_docs_is_read() {
        let example =
            "request_bytes_max = 16777216\nheader_timeout_ms = 10000\ndrain_timeout_ms = 30000";
        assert_eq!(toml::from_str::<HttpConfig>(example), Ok(HttpConfig::default()));
    }
}
