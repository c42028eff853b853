//! From the host of a URL to an address that may be connected to.
//!
//! A name is resolved once and the connection goes to an address that was checked: a second answer
//! of a name server never counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::lookup_host;

use super::SendError;
use super::allow::AllowList;

/// Where clouds tell a machine its secrets, beside the link-local 169.254.169.254.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

/// The first 96 bits of IPv6 addresses that stand for IPv4 ones behind a translator (NAT64).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Addresses of a host that may be connected to, at least one. The host is on the list already.
pub(super) async fn resolve(
    allow: &AllowList,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, SendError> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match lookup_host((host, port)).await {
            Ok(found) => found.collect(),
            Err(error) => return Err(SendError::Unresolved(host.to_owned(), error.to_string())),
        },
    };
    let Some(first) = found.first().copied() else {
        return Err(SendError::Unresolved(host.to_owned(), "no address".to_owned()));
    };
    let allowed: Vec<SocketAddr> =
        found.into_iter().filter(|address| allow.has_address(host, address.ip(), port)).collect();
    if allowed.is_empty() {
        return Err(SendError::AddressRefused(host.to_owned(), first.ip()));
    }
    Ok(allowed)
}

/// Whether an address belongs to this machine or to the inside of its network, or is none that can
/// be connected to. Private networks are outside: a name on the list may point there.
pub(super) fn is_inside(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return true;
    }
    match address {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => {
            let segments = address.segments();
            let [.., a, b, c, d] = address.octets();
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || (segments[..6] == TRANSLATED && is_inside_v4(Ipv4Addr::new(a, b, c, d)))
        }
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        // "This network": Linux takes 0.0.0.0 for the loopback.
        || address.octets()[0] == 0
}
