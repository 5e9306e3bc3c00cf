//! Where a request comes from, as far as it counts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network that one client has to itself: an IPv4 address, or the first 64 bits of an IPv6
/// address.
///
/// A single IPv6 client is given 2^64 addresses (RFC 4291, 2.5.1; RFC 7421), and would never come from
/// the same one twice if that helped it. An IPv4 address that is written as an IPv6 one
/// (`::ffff:192.0.2.1`) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl Source {
    /// What is stored: the four bytes of an IPv4 address, or the first eight of an IPv6 address.
    pub fn to_bytes(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(prefix) => prefix.octets()[..8].to_vec(),
        }
    }

    /// The source that was stored as these bytes; `None` if none is.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
            return Some(IpAddr::from(octets).into());
        }
        let prefix: [u8; 8] = bytes.try_into().ok()?;
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&prefix);
        // Not taken for an IPv4 address, whatever the bytes are.
        Some(Self(IpAddr::V6(octets.into())))
    }

    /// The wider network that this source is in.
    pub fn network(self) -> Network {
        Network(match self.0 {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
            }
            IpAddr::V6(prefix) => {
                let [a, b, c, ..] = prefix.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(formatter),
            IpAddr::V6(prefix) => write!(formatter, "{prefix}/64"),
        }
    }
}

/// What is connected to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A machine at this address, over TCP.
    Machine(IpAddr),
    /// A process of this machine, over a Unix socket: a proxy, since the file of the socket says who can
    /// connect.
    UnixSocket,
}

impl Peer {
    /// The address of the machine that it runs on; over a Unix socket this machine's own, `127.0.0.1`.
    pub fn address(self) -> IpAddr {
        match self {
            Self::Machine(address) => address.to_canonical(),
            Self::UnixSocket => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// The network of many sources that one customer of a provider commonly has to itself: the first 24
/// bits of an IPv4 address, or the first 48 bits of an IPv6 address (RFC 6177, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = match self.0 {
            IpAddr::V4(_) => 24,
            IpAddr::V6(_) => 48,
        };
        write!(formatter, "{}/{bits}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for text in [
            "192.0.2.7",
            "0.0.0.0",
            "2001:db8:1:2::1",
            "::1",
            "::ffff:192.0.2.1",
        ] {
            let source = source(text);
            assert_eq!(
                Source::from_bytes(&source.to_bytes()),
                Some(source),
                "{text}"
            );
        }
        for length in [0, 1, 5, 7, 9, 16] {
            assert_eq!(Source::from_bytes(&vec![1; length]), None);
        }
    }

    #[test]
    fn ipv6_counts_by_its_first_64_bits() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn ipv4_counts_whole_however_it_is_written() {
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("::ffff:192.0.2.1"), source("::ffff:192.0.2.2"));
        assert_eq!(source("::ffff:192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn a_network_is_24_bits_of_ipv4_and_48_of_ipv6() {
        for (text, same, other, shown) in [
            ("192.0.2.1", "192.0.2.255", "192.0.3.1", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.9", "0.0.2.1", "192.0.2.0/24"),
            (
                "2001:db8:1:2::1",
                "2001:db8:1:ffff::9",
                "2001:db8:2:2::1",
                "2001:db8:1::/48",
            ),
        ] {
            let network = source(text).network();
            assert_eq!(network, source(same).network());
            assert_ne!(network, source(other).network());
            assert_eq!(network.to_string(), shown);
        }
    }
}
