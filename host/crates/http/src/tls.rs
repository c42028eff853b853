//! [`Tls`]: the certificate of the host, read from files and read again when they have changed.
//!
//! Nothing watches the files: a connection that comes looks whether they are other ones than before, at
//! most once a second. So a renewed certificate is used without a restart, whatever renewed it and
//! however the files were put there. What cannot be used is logged, and the one before goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use everstate_engine::clock::{Clock as _, SystemClock};
use everstate_types::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::{CERTIFICATE_ENDS_SOON_MS, end_of};

/// What keys can be.
const KINDS: &str = "keys are of RSA (2048 to 4096 bits), ECDSA (P-256 or P-384) or Ed25519";

/// How long the files are believed to be what they were.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The certificate of the host. Without one it speaks plain HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file with the certificate, then those that it was signed with. Default: none.
    pub certificate: Option<PathBuf>,
    /// A PEM file with its private key (PKCS #8, PKCS #1 or SEC 1). Default: none.
    pub key: Option<PathBuf>,
}

/// What is wrong with a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the two settings is missing.
    #[error("`tls.certificate` and `tls.key` belong together; `tls.{0}` is missing")]
    Half(&'static str),
    /// A file cannot be read.
    #[error("`tls.{setting}`: {}: {cause}", path.display())]
    Io {
        /// Which of the two.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says. In the message, so it is not told once more as its source.
        cause: io::Error,
    },
    /// A file has not what it should have.
    #[error("`tls.{setting}`: {}: {problem}", path.display())]
    Content {
        /// Which of the two.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// They do not fit, or cannot be used.
    #[error("`tls`: {} and {} cannot be used together: {problem}", certificate.display(), key.display())]
    Pair {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// A certificate that is in use.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// When the first certificate ends.
    pub(crate) ends: Option<Timestamp>,
    // Standard locks: held for moments, never across an await.
    acceptor: RwLock<TlsAcceptor>,
    seen: Mutex<Seen>,
}

/// What the files looked like when somebody looked.
struct Seen {
    at: Instant,
    stamps: [Option<Stamp>; 2],
}

/// Tells two versions of a file apart without reading them.
type Stamp = (u64, SystemTime);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. `None`: there is to be no TLS.
    pub(crate) fn load(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        let (certificate, key) = match (&config.certificate, &config.key) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(TlsError::Half("key")),
            (None, Some(_)) => return Err(TlsError::Half("certificate")),
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        };
        let stamps = [stamp(&certificate), stamp(&key)];
        let (acceptor, ends) = acceptor(&certificate, &key)?;
        warn_of_end(&certificate, ends);
        let (acceptor, seen) =
            (RwLock::new(acceptor), Mutex::new(Seen { at: Instant::now(), stamps }));
        Ok(Some(Self { certificate, key, ends, acceptor, seen }))
    }

    /// Does the handshake. It may never end if the client says nothing.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        if self.is_time_to_look() {
            let tls = Arc::clone(self);
            tokio::task::spawn_blocking(move || tls.look()).await.map_err(io::Error::other)?;
        }
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone();
        acceptor.accept(stream).await
    }

    /// Whether nobody has looked for a while; then it is this caller's turn.
    fn is_time_to_look(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = seen.at.elapsed() >= LOOK_INTERVAL;
        if is_time {
            seen.at = Instant::now();
        }
        is_time
    }

    /// Takes other files into use. Blocks for the disk.
    fn look(&self) {
        let stamps = [stamp(&self.certificate), stamp(&self.key)];
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut seen.stamps, stamps) == stamps {
                return;
            }
        }
        match acceptor(&self.certificate, &self.key) {
            Ok((acceptor, ends)) => {
                *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
                let certificate = self.certificate.display();
                tracing::info!(%certificate, "a new certificate is used from now on");
                warn_of_end(&self.certificate, ends);
            }
            // Of the two files one came first; the next look finds both.
            Err(error) => tracing::error!("the certificate before stays in use: {error}"),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Says it where somebody has to act.
fn warn_of_end(certificate: &Path, ends: Option<Timestamp>) {
    let (now, path) = (SystemClock.now(), certificate.display());
    match ends {
        Some(end) if end <= now => {
            tracing::warn!("the certificate {path} ended at {end}: clients refuse it; renew it");
        }
        Some(end) if end.as_millis() - now.as_millis() < CERTIFICATE_ENDS_SOON_MS => {
            tracing::warn!("the certificate {path} ends at {end}: renew it");
        }
        _ => {}
    }
}

/// What connections are accepted with, and when its certificate ends.
fn acceptor(certificate: &Path, key: &Path) -> Result<(TlsAcceptor, Option<Timestamp>), TlsError> {
    let wrong = |setting, path: &Path, error| match error {
        pem::Error::Io(cause) => TlsError::Io { setting, path: path.to_owned(), cause },
        pem::Error::NoItemsFound => {
            let problem = format!("there is no {setting} in PEM form in it");
            TlsError::Content { setting, path: path.to_owned(), problem }
        }
        error => TlsError::Content { setting, path: path.to_owned(), problem: error.to_string() },
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .and_then(
            |all: Vec<_>| if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) },
        )
        .map_err(|error| wrong("certificate", certificate, error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        if is_encrypted(key) { encrypted(key) } else { wrong("key", key, error) }
    })?;
    let ends = certificates.first().and_then(|certificate| end_of(certificate));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private));
    let mut config = config.map_err(|error| {
        let problem = match error {
            rustls::Error::InconsistentKeys(_) => {
                "the key is not the one of the certificate".to_owned()
            }
            rustls::Error::InvalidCertificate(error) => format!(
                "the certificate cannot be read ({error:?}); it has to be of X.509 version 3"
            ),
            rustls::Error::General(error) => format!("{error}; {KINDS}"),
            error => error.to_string(),
        };
        TlsError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), problem }
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), ends))
}

/// Whether a key is there that is not to be read without a passphrase: of PKCS #8, or of the older form.
fn is_encrypted(key: &Path) -> bool {
    std::fs::read_to_string(key).is_ok_and(|text| {
        text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || text.contains("ENCRYPTED\nDEK-Info")
    })
}

fn encrypted(key: &Path) -> TlsError {
    let path = key.display();
    let problem = format!(
        "it is encrypted; decrypt it with `openssl pkey -in {path} -out PLAIN.pem` and name that file"
    );
    TlsError::Content { setting: "key", path: key.to_owned(), problem }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
