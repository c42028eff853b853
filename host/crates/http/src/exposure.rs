//! [`Exposure`]: who may reach what of a host, put together from its configuration.
//!
//! A host on a loopback address trusts whoever runs on the machine; anywhere else its management asks for
//! a key, and there is no configuration under which it does not. Not here: how a request is looked
//! at (`admission.rs`), how keys are kept (`keys.rs`).

use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use everstate_types::{AuthorizationLevel, Timestamp};

use crate::admission::{Admission, LinkCodes};
use crate::authority::Authority;
use crate::config::{HttpConfig, RequireKeys};
use crate::cors::{Cors, CorsConfig, CorsError};
use crate::keys::{KeyScope, KeyStore, KeysError, NewKey};
use crate::tls::{Tls, TlsConfig, TlsError};

/// The file in the data folder that has the keys.
pub const KEYS_FILE: &str = "keys.json";

/// Why a host cannot be exposed as its configuration says.
#[derive(Debug, thiserror::Error)]
pub enum ExposureError {
    /// The management would be open to a network.
    #[error(
        "`http.require_keys = false` is for loopback addresses; {0} is not one, so leave it out and \
         use the key that the host prints"
    )]
    OpenToNetwork(SocketAddr),
    /// It is no name of a host.
    #[error("`http.hosts`: `{0}` is no name of a host; write it without scheme and port")]
    Host(String),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The section `[tls]`.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The section `[cors]`.
    #[error(transparent)]
    Cors(#[from] CorsError),
}

/// Looks whether a host could read the keys in a data folder; none are fine.
///
/// # Errors
/// If it could not.
pub fn check_keys(data: &Path) -> Result<(), KeysError> {
    KeyStore::open(data.join(KEYS_FILE)).map(drop)
}

/// Who may reach what. Clones share their keys.
#[derive(Clone, Debug)]
pub struct Exposure {
    pub(crate) admission: Arc<Admission>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) cors: Option<Arc<Cors>>,
}

impl Exposure {
    /// Checks the configuration of a host that listens on `address`, and reads its keys and
    /// certificates.
    ///
    /// # Errors
    /// If the management would be open to a network, or a file cannot be read.
    pub fn new(
        address: SocketAddr,
        data: &Path,
        http: &HttpConfig,
        tls: &TlsConfig,
        cors: &CorsConfig,
    ) -> Result<Self, ExposureError> {
        let is_loopback = address.ip().to_canonical().is_loopback();
        let requires_keys = match http.require_keys {
            RequireKeys::Auto => !is_loopback,
            RequireKeys::Always => true,
            RequireKeys::Never if is_loopback => false,
            RequireKeys::Never => return Err(ExposureError::OpenToNetwork(address)),
        };
        let cors = Cors::new(cors)?;
        let admission = Admission {
            keys: Arc::new(KeyStore::open(data.join(KEYS_FILE))?),
            requires_keys,
            hosts: http.hosts.iter().map(|host| own_host(host)).collect::<Result<_, _>>()?,
            origins: cors.as_ref().map(|cors| cors.origins.clone()).unwrap_or_default(),
        };
        let (tls, cors) = (Tls::load(tls)?.map(Arc::new), cors.map(Arc::new));
        Ok(Self { admission: Arc::new(admission), tls, cors })
    }

    /// Makes the keys that are needed and not there: of the management, if it asks for one or a
    /// function of level `admin` does; of the host, for functions of level `function`. They are
    /// never seen again. The secret behind the codes of links is made as well, if they need one. Blocks
    /// for the disk.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn make_needed_keys(
        &self,
        levels: &[AuthorizationLevel],
        now: Timestamp,
    ) -> Result<Vec<NewKey>, KeysError> {
        let is_needed = |scope: &KeyScope| match scope {
            KeyScope::Management => {
                self.admission.requires_keys || levels.contains(&AuthorizationLevel::Admin)
            }
            KeyScope::Host => levels.contains(&AuthorizationLevel::Function),
            KeyScope::Function(_) => false,
        };
        if self.admission.requires_keys {
            self.admission.keys.ensure_link_secret()?;
        }
        let mut made = Vec::new();
        for scope in [KeyScope::Management, KeyScope::Host].iter().filter(|scope| is_needed(scope))
        {
            made.extend(self.admission.keys.ensure(scope, now)?);
        }
        Ok(made)
    }

    /// What makes links that work without a key.
    #[must_use]
    pub fn link_codes(&self) -> LinkCodes {
        LinkCodes(self.admission.requires_keys.then(|| Arc::clone(&self.admission.keys)))
    }

    /// Whether the management asks for a key.
    #[must_use]
    pub fn requires_keys(&self) -> bool {
        self.admission.requires_keys
    }

    /// When the certificate ends that was read. `None`: there is none, or it does not say so.
    #[must_use]
    pub fn certificate_end(&self) -> Option<Timestamp> {
        self.tls.as_ref()?.ends
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// A name of this host as a request has it.
fn own_host(text: &str) -> Result<String, ExposureError> {
    let is_bare_address = text.parse::<Ipv6Addr>().is_ok();
    match Authority::read(text) {
        Some(Authority { host, port: None }) if !text.ends_with(':') => Ok(host.to_owned()),
        _ if is_bare_address => Ok(text.to_owned()),
        _ => Err(ExposureError::Host(text.to_owned())),
    }
}
