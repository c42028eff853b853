//! [`write_certificate`]: what a server needs to be spoken to by HTTPS.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Writes a certificate for `localhost` and its key, `cert.pem` and `key.pem`, each in one step; gives the
/// certificate.
///
/// # Errors
/// If they cannot be made or written.
pub fn write_certificate(folder: &Path) -> Result<CertificateDer<'static>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    for (name, text) in
        [("key.pem", made.signing_key.serialize_pem()), ("cert.pem", made.cert.pem())]
    {
        let staged = folder.join("staged");
        fs::write(&staged, text)?;
        fs::rename(staged, folder.join(name))?;
    }
    Ok(CertificateDer::from_pem_file(folder.join("cert.pem"))?)
}
