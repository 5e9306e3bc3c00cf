//! Proxies that are believed about for whom they forward requests.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use crate::source::Peer;

/// Machines that are believed when they say for whom they forward a request: an address, or a
/// network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy(IpNet);

/// Why a text is not a [`TrustedProxy`], with what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrustedProxy {
    /// It is neither an address nor a network.
    #[error("give an address or a network, such as 127.0.0.1 or 10.0.0.0/8")]
    Malformed,
    /// It is every machine there is.
    #[error(
        "this trusts every machine: give the addresses of your own proxies, such as 10.0.0.0/8"
    )]
    EveryMachine,
}

impl FromStr for TrustedProxy {
    type Err = InvalidTrustedProxy;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedProxy> {
        let network: IpNet = text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| InvalidTrustedProxy::Malformed)?;
        let network = canonical(network);
        if network.prefix_len() == 0 {
            return Err(InvalidTrustedProxy::EveryMachine);
        }
        Ok(Self(network))
    }
}

impl TrustedProxy {
    /// Whether a machine at this address is meant. An IPv4 address must not be written as an IPv6 one.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// Whether a peer is a trusted proxy. Whatever connects to a Unix socket is one, since the file says who can.
pub fn is_proxy(peer: Peer, trusted: &[TrustedProxy]) -> bool {
    match peer {
        Peer::Machine(_) => trusted.iter().any(|proxy| proxy.contains(peer.address())),
        Peer::UnixSocket => true,
    }
}

/// IPv4 networks that are written as IPv6 ones (`::ffff:10.0.0.0/104`) are the IPv4 networks.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let bits = mapped.prefix_len().checked_sub(MAPPED_BITS);
    let ipv4 = mapped.addr().to_ipv4_mapped().zip(bits);
    ipv4.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok())
        .map_or(network, IpNet::V4)
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        for (text, shown) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("::1", "::1/128"),
            ("10.1.2.3/8", "10.1.2.3/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(text.parse::<TrustedProxy>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.1:80",
            " 10.0.0.1",
        ] {
            let refused = text.parse::<TrustedProxy>();
            assert_eq!(refused, Err(InvalidTrustedProxy::Malformed), "{text:?}");
        }
        for text in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
            let refused = text.parse::<TrustedProxy>();
            assert_eq!(refused, Err(InvalidTrustedProxy::EveryMachine), "{text}");
        }
    }
}
