//! [`Authority`]: a host with a port, as `Host` and `Origin` have one, read strictly.
//!
//! What is answered without a key, and what is written into links, depends on it; so nothing is taken that
//! another reader could take for something else, like `localhost:80@example.com`.

use std::net::Ipv6Addr;

/// A host, and a port if one is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// A name or an address; one of IPv6 without its brackets.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `HOST` or `HOST:PORT`. `None`: it is neither.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                // A zone, which only means something on one machine, may follow.
                address.split('%').next()?.parse::<Ipv6Addr>().ok()?;
                (address, port)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port {
            "" | ":" => None,
            port => Some(read_port(port.strip_prefix(':')?)?),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~%:".contains(&byte);
        (!host.is_empty() && host.bytes().all(is_host)).then_some(Self { host, port })
    }
}

/// Digits only: a sign is none of a port.
fn read_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn host_and_port_are_read() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("localhost:7071", "localhost", Some(7071)),
            ("localhost:", "localhost", None),
            ("[::1]", "::1", None),
            ("[::1]:80", "::1", Some(80)),
            ("[fe80::1%25eth0]:80", "fe80::1%25eth0", Some(80)),
        ] {
            assert_eq!(Authority::read(text), Some(Authority { host, port }), "{text}");
        }
    }

    #[test]
    fn what_another_reader_could_take_for_something_else_is_none() {
        for text in [
            "",
            ":80",
            "localhost:80@evil.com",
            "localhost:80:81",
            "localhost:99999",
            "localhost:+80",
            "[::1].evil.com",
            "[::1",
            "[evil.com]",
            "::1",
            "a b",
            "a/b",
            "käse",
        ] {
            assert_eq!(Authority::read(text), None, "{text}");
        }
    }
}
