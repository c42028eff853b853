//! How this process reaches others over HTTP: a host from the command line, a collector from a host.
//! Whom to trust, and whether a proxy stands between.

mod trust;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::http::Uri;
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};

use trust::Trusting;

/// Where this system may keep the certificates that it trusts, if `SSL_CERT_FILE` does not say.
const SYSTEM_CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// A client for the server at this URL, with what `configure` adds to its configuration. It trusts the
/// certificates of the file `ca`, or those that the system trusts.
///
/// # Errors
/// If that is no URL of a server, or no certificates can be read; `ca_option` is how to name a file.
pub(crate) fn to(
    url: &str,
    ca: Option<&Path>,
    ca_option: &str,
    configure: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
) -> anyhow::Result<Agent> {
    let uri = server(url)?;
    let name = uri.host().unwrap_or_default();
    // What runs on this machine is not behind the proxy that leads out of it.
    let is_local = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    let config = Agent::config_builder()
        .user_agent(concat!("everstate/", env!("CARGO_PKG_VERSION")))
        .proxy(if is_local { None } else { ureq::Proxy::try_from_env() });
    let config = configure(config).build();
    if uri.scheme_str() == Some("http") {
        return Ok(config.into());
    }
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(TcpConnector::default())
            .chain(Trusting::new(trusted(ca, ca_option)?)?);
    Ok(Agent::with_parts(config, connector, DefaultResolver::default()))
}

/// Whether this is the URL of a server.
///
/// # Errors
/// If it is not.
pub(crate) fn check(url: &str) -> anyhow::Result<()> {
    server(url).map(drop)
}

fn server(url: &str) -> anyhow::Result<Uri> {
    let is_of_server =
        |uri: &Uri| matches!((uri.scheme_str(), uri.host()), (Some("http" | "https"), Some(_)));
    let uri = url.parse().ok().filter(is_of_server);
    uri.with_context(|| {
        format!("`{url}` is no URL of a server: one begins with http:// or https:// and a name")
    })
}

/// Why there was no answer, in plain words.
pub(crate) fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            "nothing listens there".to_owned()
        }
        ureq::Error::HostNotFound => "its name has no address".to_owned(),
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        error if is_about_trust(error) => format!("its certificate is not trusted: {error}"),
        error => error.to_string(),
    }
}

/// Whether the other side is not trusted, which does not pass by itself.
pub(crate) fn is_about_trust(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(io) => io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
        error => {
            matches!(error, ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_))
        }
    }
}

fn trusted(file: Option<&Path>, option: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
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
    let trusted: Vec<_> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
    if trusted.is_empty() {
        bail!("{} has no certificates: give a PEM file", file.display());
    }
    Ok(trusted)
}
