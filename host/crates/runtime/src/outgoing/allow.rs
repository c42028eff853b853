//! [`AllowList`]: where guests may send HTTP requests, by name and by address.
//!
//! A name on the list opens what it resolves to, except the addresses of the host itself and of its
//! network's inside (loopback, link-local, metadata services): those must be on the list
//! themselves, so that nobody reaches them through a name that is made to point there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::is_inside;

/// The hosts of `outgoing_http.allow`.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowList {
    entries: Vec<Entry>,
}

/// An entry that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "outgoing_http.allow: `{0}` is no host; use `api.example.com`, `*.example.com`, \
     `localhost:8080` or an address"
)]
pub(crate) struct BadEntry(String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// Absent: any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    Address(IpAddr),
    /// In lower case.
    Name(String),
    /// All names that end in this: a dot and a name.
    Below(String),
}

impl AllowList {
    pub(crate) fn parse(entries: &[String]) -> Result<Self, BadEntry> {
        let parsed = entries.iter().map(|text| {
            Entry::parse(&text.trim().to_ascii_lowercase()).ok_or_else(|| BadEntry(text.clone()))
        });
        Ok(Self { entries: parsed.collect::<Result<_, _>>()? })
    }

    /// Whether a request may go to this host of a URL: a name, or an address without brackets.
    pub(crate) fn has_host(&self, host: &str, port: u16) -> bool {
        let host = normal(host);
        let address: Option<IpAddr> = host.parse().ok();
        self.of_port(port).any(|entry| match &entry.hosts {
            Hosts::Address(allowed) => address.is_some_and(|a| a.to_canonical() == *allowed),
            Hosts::Name(name) => *name == host,
            Hosts::Below(suffix) => address.is_none() && host.ends_with(suffix.as_str()),
        })
    }

    /// Whether a request for a host that is on the list may go to this address.
    pub(crate) fn has_address(&self, host: &str, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        let host = normal(host);
        let is_local_name = host == "localhost" || host.ends_with(".localhost");
        !is_inside(address)
            || (is_local_name && is_loopback(address))
            || self.of_port(port).any(|entry| entry.hosts == Hosts::Address(address))
    }

    fn of_port(&self, port: u16) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.port.is_none_or(|allowed| allowed == port))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self { hosts: Hosts::Address(address.to_canonical()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let hosts = if let Some(address) = in_brackets {
            Hosts::Address(IpAddr::V6(address.parse().ok()?).to_canonical())
        } else if let Ok(address) = host.parse::<Ipv4Addr>() {
            Hosts::Address(IpAddr::V4(address))
        } else if let Some(parent) = host.strip_prefix("*.") {
            Hosts::Below(format!(".{}", name(parent)?))
        } else {
            Hosts::Name(name(host)?)
        };
        Some(Self { hosts, port })
    }
}

fn name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.split('.').all(is_label).then(|| text.to_owned())
}

/// A host as it stands on the list: in lower case, without the dot of the root.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use super::AllowList;

    fn list(entries: &[&str]) -> AllowList {
        let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
        AllowList::parse(&entries).expect("a good list")
    }

    fn allows(list: &AllowList, host: &str, address: &str, port: u16) -> bool {
        let address = address.parse().expect("an address");
        list.has_host(host, port) && list.has_address(host, address, port)
    }

    #[test]
    fn empty_list_allows_nothing() {
        let list = list(&[]);
        assert!(!list.has_host("example.com", 443));
        assert!(!list.has_host("127.0.0.1", 80));
    }

    #[test]
    fn name_is_matched_whole_in_any_case_and_with_the_dot_of_the_root() {
        let list = list(&["API.example.com"]);
        for host in ["api.example.com", "API.EXAMPLE.COM", "api.example.com."] {
            assert!(allows(&list, host, "93.184.216.34", 8443), "{host}");
        }
        for host in ["example.com", "x.api.example.com", "api.example.com.evil.org", ""] {
            assert!(!list.has_host(host, 443), "{host}");
        }
    }

    #[test]
    fn star_stands_for_any_subdomain_and_not_for_the_domain() {
        let list = list(&["*.example.org"]);
        assert!(list.has_host("a.example.org", 1) && list.has_host("b.a.example.org", 2));
        assert!(!list.has_host("example.org", 1) && !list.has_host("notexample.org", 1));
    }

    #[test]
    fn port_limits_an_entry() {
        let list = list(&["example.com:8080", "[2001:db8::1]:443", "192.0.2.1:80"]);
        assert!(list.has_host("example.com", 8080) && !list.has_host("example.com", 80));
        assert!(list.has_host("2001:db8::1", 443) && !list.has_host("2001:db8::1", 80));
        assert!(list.has_host("192.0.2.1", 80) && !list.has_host("192.0.2.1", 81));
    }

    #[test]
    fn name_that_points_inside_is_refused_unless_the_address_is_on_the_list() {
        let inside = [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "64:ff9b::7f00:1",
        ];
        for address in inside {
            assert!(!allows(&list(&["example.com"]), "example.com", address, 80), "{address}");
        }
        let list = list(&["example.com", "127.0.0.1:80"]);
        assert!(allows(&list, "example.com", "127.0.0.1", 80));
        assert!(allows(&list, "example.com", "::ffff:127.0.0.1", 80));
        assert!(!allows(&list, "example.com", "127.0.0.1", 81));
    }

    #[test]
    fn localhost_opens_the_loopback_and_nothing_else() {
        let list = list(&["localhost", "*.localhost"]);
        for host in ["localhost", "app.localhost"] {
            assert!(allows(&list, host, "127.0.0.1", 80) && allows(&list, host, "::1", 80));
            assert!(!allows(&list, host, "169.254.169.254", 80));
        }
        assert!(!list.has_host("127.0.0.1", 80));
    }

    #[test]
    fn entry_that_is_no_host_is_named() {
        for bad in
            ["", "*", "http://example.com", "a b", "example.com:x", "*.", "[::1", "a/b", "*.*.x"]
        {
            let error = AllowList::parse(&[bad.to_owned()]).expect_err(bad);
            assert!(error.to_string().contains(&format!("`{bad}`")), "{error}");
        }
    }
}
