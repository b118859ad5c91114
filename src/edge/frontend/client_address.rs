//! Who a request comes from: the peer, or the client that a trusted proxy names. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8`; a lone address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` is in this range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                u32::from(network) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                u128::from(network) & mask == u128::from(address) & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is neither an address nor a range such as 10.0.0.0/8");
        let (address, bits) = match text.trim().split_once('/') {
            None => (text.trim(), None),
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(widest);
        if bits > widest {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// Whether the peer is one of `trusted`.
pub(crate) fn is_trusted(peer: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(peer))
}

/// The client behind a trusted proxy: the last address in its X-Forwarded-For fields that is not a trusted proxy itself.
/// Whatever is further left was written by that client and proves nothing.
pub(crate) fn client(peer: IpAddr, trusted: &[Network], fields: &[httparse::Header<'_>]) -> IpAddr {
    let mut client = peer;
    for field in fields.iter().rev().filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for")) {
        for hop in field.value.rsplit(|byte| *byte == b',') {
            let Some(address) = parse_hop(hop.trim_ascii()) else { return client };
            client = address;
            if !is_trusted(client, trusted) {
                return client;
            }
        }
    }
    client
}

/// An address as proxies write it: bare, or with a port.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?;
    let bare = hop.parse::<IpAddr>().ok();
    let bracketed =
        || hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).and_then(|(bare, _)| bare.parse().ok());
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

/// What counts as one address for the limit on connections: the network of 64 bits for IPv6, because a client that has one address
/// there has all of them.
pub(crate) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & (u128::MAX << 64))),
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(u32::from(address))),
    }
}

/// The IPv6 site that an address is part of: what providers give one customer at the most (a /48).
pub(crate) fn site_of(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V6(address) => Some(IpAddr::V6(Ipv6Addr::from(u128::from(address) & (u128::MAX << 80)))),
        IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, trusted: &[&str], fields: &[&str]) -> String {
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().expect("a range")).collect();
        let fields: Vec<_> =
            fields.iter().map(|value| httparse::Header { name: "X-Forwarded-For", value: value.as_bytes() }).collect();
        client(peer.parse().expect("an address"), &trusted, &fields).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        let proxies = ["127.0.0.1", "10.0.0.0/8", "::1"];
        assert_eq!(found("127.0.0.1", &proxies, &[]), "127.0.0.1");
        assert_eq!(found("127.0.0.1", &proxies, &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(found("127.0.0.1", &proxies, &["1.1.1.1, 203.0.113.9, 10.2.3.4"]), "203.0.113.9");
        assert_eq!(found("127.0.0.1", &proxies, &["1.1.1.1", "203.0.113.9", "10.2.3.4"]), "203.0.113.9");
        assert_eq!(found("127.0.0.1", &proxies, &["10.9.9.9,10.2.3.4"]), "10.9.9.9");
        assert_eq!(found("::1", &proxies, &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(found("127.0.0.1", &proxies, &["203.0.113.9:1234"]), "203.0.113.9");
        assert_eq!(found("127.0.0.1", &proxies, &["203.0.113.9, unknown"]), "127.0.0.1");
        assert_eq!(found("::ffff:127.0.0.1", &proxies, &["::ffff:203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn ranges_are_read_and_checked() {
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "host", "10.0.0/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        let everybody: Network = "0.0.0.0/0".parse().expect("a range");
        assert!(everybody.contains("8.8.8.8".parse().expect("an address")));
        assert!(!everybody.contains("::1".parse().expect("an address")));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let counted = |text: &str| counted_as(text.parse().expect("an address"));
        assert_eq!(counted("2001:db8:1:2:3::4"), counted("2001:db8:1:2:ffff::1"));
        assert_ne!(counted("2001:db8:1:2::4"), counted("2001:db8:1:3::4"));
        assert_eq!(counted("::ffff:1.2.3.4"), counted("1.2.3.4"));
    }

    #[test]
    fn a_site_is_what_one_customer_may_have_and_only_ipv6_has_any() {
        let site = |text: &str| site_of(text.parse().expect("an address"));
        assert_eq!(site("192.0.2.1"), None);
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:ffff::1"));
        assert_ne!(site("2001:db8:1::1"), site("2001:db8:2::1"));
    }
}
