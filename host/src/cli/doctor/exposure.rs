//! Who may reach what, as the configuration says: whether a host would start with that, until when its
//! certificate is good, and at which URL it would be.

use std::net::{SocketAddr, ToSocketAddrs as _};

use everstate_http::{CERTIFICATE_ENDS_SOON_MS, Exposure};
use everstate_types::Timestamp;

use super::Finding;
use crate::config::HostConfig;

pub(super) fn examine(config: &HostConfig, now: Timestamp) -> Vec<Finding> {
    const ABOUT: &str = "exposure";
    // A look at the port tells what is wrong with an address that is none.
    let Some(address) = address(config) else { return Vec::new() };
    let exposure = Exposure::new(address, &config.data, &config.http, &config.tls, &config.cors);
    let exposure = match exposure {
        Ok(exposure) => exposure,
        Err(error) => {
            let advice = "correct it: a host does not start like this";
            return vec![Finding::problem(ABOUT, error.to_string(), advice)];
        }
    };
    let text = if exposure.requires_keys() {
        "the management asks for a key"
    } else {
        "the management trusts everybody on this machine"
    };
    let mut findings = vec![Finding::ok(ABOUT, text)];
    findings.extend(exposure.certificate_end().map(|end| certificate(end, now)));
    findings
}

fn certificate(end: Timestamp, now: Timestamp) -> Finding {
    const ABOUT: &str = "certificate";
    let advice = "renew it: a host that runs takes the new file by itself";
    if end <= now {
        return Finding::problem(ABOUT, format!("it ended at {end}"), advice);
    }
    if end.as_millis() - now.as_millis() < CERTIFICATE_ENDS_SOON_MS {
        return Finding::warning(ABOUT, format!("it ends at {end}"), advice);
    }
    Finding::ok(ABOUT, format!("it is good until {end}"))
}

/// Where a host of this configuration is reached from this machine. `None`: it picks a port.
pub(super) fn url(config: &HostConfig) -> Option<String> {
    let address = address(config).filter(|address| address.port() != 0)?;
    let scheme = if config.tls.certificate.is_some() { "https" } else { "http" };
    let is_here = address.ip().is_unspecified() || address.ip().to_canonical().is_loopback();
    // A certificate has names more often than addresses.
    Some(match (is_here, scheme) {
        (true, "https") => format!("https://localhost:{}", address.port()),
        (true, _) if address.ip().is_unspecified() => {
            format!("http://127.0.0.1:{}", address.port())
        }
        _ => format!("{scheme}://{address}"),
    })
}

fn address(config: &HostConfig) -> Option<SocketAddr> {
    config.listen.to_socket_addrs().ok()?.next()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use everstate_types::Timestamp;

    use super::super::Level;
    use super::{CERTIFICATE_ENDS_SOON_MS, certificate, examine, url};
    use crate::config::HostConfig;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn listening(listen: &str) -> HostConfig {
        let data = PathBuf::from("/nowhere");
        HostConfig { listen: listen.to_owned(), data, ..HostConfig::default() }
    }

    #[test]
    fn configuration_that_a_host_would_refuse_is_a_problem() {
        let mut config = listening("127.0.0.1:7071");
        assert_eq!(examine(&config, NOW)[0].level, Level::Ok);
        config.cors.origins = vec!["nowhere".to_owned()];
        let found = examine(&config, NOW);
        assert_eq!(found[0].level, Level::Problem);
        assert!(found[0].text.contains("cors.origins"), "{found:?}");
        let mut config = listening("127.0.0.1:7071");
        config.tls.certificate = Some(PathBuf::from("cert.pem"));
        assert!(examine(&config, NOW)[0].text.contains("tls.key"));
    }

    #[test]
    fn certificate_that_ends_is_told_in_time() {
        let after = |millis| Timestamp::from_millis(NOW.as_millis() + millis);
        for (end, level) in [
            (NOW, Level::Problem),
            (after(1), Level::Warning),
            (after(CERTIFICATE_ENDS_SOON_MS), Level::Ok),
        ] {
            assert_eq!(certificate(end, NOW).level, level, "{end}");
        }
    }

    #[test]
    fn url_is_where_the_host_of_the_configuration_listens() {
        for (listen, plain, secure) in [
            ("127.0.0.1:80", "http://127.0.0.1:80", "https://localhost:80"),
            ("0.0.0.0:8080", "http://127.0.0.1:8080", "https://localhost:8080"),
            ("10.1.2.3:8080", "http://10.1.2.3:8080", "https://10.1.2.3:8080"),
        ] {
            let mut config = listening(listen);
            assert_eq!(url(&config).as_deref(), Some(plain));
            config.tls.certificate = Some(PathBuf::from("cert.pem"));
            assert_eq!(url(&config).as_deref(), Some(secure));
        }
        assert_eq!(url(&listening("127.0.0.1:0")), None);
    }
}
