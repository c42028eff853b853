//! How this process reaches others over HTTP: a host from the command line, a collector from a host.
//! Whom to trust, and whether a proxy stands between.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;

/// Where this system may keep the certificates that it trusts, if `SSL_CERT_FILE` does not say.
const SYSTEM_CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Begins the configuration of a client for the server at this URL. It trusts the certificates of the
/// file `ca`, or those that the system trusts.
///
/// # Errors
/// If that is no URL of a server, or no certificates can be read; `ca_option` is how to name a file.
pub(crate) fn to(
    url: &str,
    ca: Option<&Path>,
    ca_option: &str,
) -> anyhow::Result<ConfigBuilder<AgentScope>> {
    let uri: Uri = url.parse().map_err(|error| anyhow!("`{url}` is no URL: {error}"))?;
    let (Some(scheme @ ("http" | "https")), Some(name)) = (uri.scheme_str(), uri.host()) else {
        bail!("`{url}` is no URL of a server: it begins with http:// or https:// and a name");
    };
    // What runs on this machine is not behind the proxy that leads out of it.
    let is_local = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    let config = Agent::config_builder()
        .user_agent(concat!("everstate/", env!("CARGO_PKG_VERSION")))
        .proxy(if is_local { None } else { ureq::Proxy::try_from_env() });
    Ok(if scheme == "https" { config.tls_config(tls(ca, ca_option)?) } else { config })
}

fn tls(file: Option<&Path>, option: &str) -> anyhow::Result<TlsConfig> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => std::env::var_os("SSL_CERT_FILE")
            .map(PathBuf::from)
            .or_else(|| SYSTEM_CERTIFICATES.iter().map(PathBuf::from).find(|path| path.is_file()))
            .with_context(|| {
                format!("no trusted certificates are on this system: name a PEM file with {option}")
            })?,
    };
    let pem = std::fs::read(&file)
        .with_context(|| format!("cannot read the certificates {}", file.display()))?;
    let trusted: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if trusted.is_empty() {
        bail!("{} has no certificates: give a PEM file", file.display());
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}
