//! Tests of reading certificates. Handshakes are in `tests/http/tls.rs`.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Tls, TlsConfig};

/// As `openssl pkcs8` and `openssl rsa -aes128` write them.
const ENCRYPTED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
const ENCRYPTED_OLD: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
     DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";

/// A folder with the files of two certificates.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["one", "two"] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let path = |kind: &str| folder.path().join(format!("{name}.{kind}"));
        std::fs::write(path("cert"), made.cert.pem()).expect("written");
        std::fs::write(path("key"), made.signing_key.serialize_pem()).expect("written");
    }
    std::fs::write(folder.path().join("text"), "no PEM at all").expect("written");
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    std::fs::write(folder.path().join("cut"), cut).expect("written");
    for (name, text) in [("encrypted", ENCRYPTED), ("encrypted.old", ENCRYPTED_OLD)] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

#[test]
fn certificate_and_key_that_do_not_do_are_explained_in_one_line() {
    let folder = folder();
    let load = |certificate: Option<&str>, key: Option<&str>| {
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        Tls::load(&TlsConfig { certificate: certificate.map(path), key: key.map(path) })
    };
    assert!(load(None, None).expect("nothing to do").is_none());
    assert!(load(Some("one.cert"), Some("one.key")).expect("a pair").is_some());
    for (certificate, key, words) in [
        (Some("one.cert"), None, vec!["`tls.key` is missing"]),
        (None, Some("one.key"), vec!["`tls.certificate` is missing"]),
        (Some("nowhere"), Some("one.key"), vec!["`tls.certificate`", "nowhere", "No such file"]),
        (Some("one.cert"), Some("nowhere"), vec!["`tls.key`", "nowhere", "No such file"]),
        (Some("text"), Some("one.key"), vec!["text", "no certificate"]),
        (Some("one.key"), Some("one.key"), vec!["one.key", "no certificate"]),
        (Some("one.cert"), Some("one.cert"), vec!["one.cert", "no key"]),
        (Some("cut"), Some("one.key"), vec!["cut"]),
        (Some("one.cert"), Some("encrypted"), vec!["`tls.key`", "it is encrypted", "openssl pkey"]),
        (Some("one.cert"), Some("encrypted.old"), vec!["it is encrypted", "encrypted.old"]),
        (Some("one.cert"), Some("two.key"), vec!["the key is not the one of the certificate"]),
    ] {
        let error = load(certificate, key).expect_err(&words.join(" ")).to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
