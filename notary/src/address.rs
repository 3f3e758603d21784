//! The addresses that belong to servers of the public Internet.

use std::net::IpAddr;
use std::sync::LazyLock;

use tercet_tls_session::Network;

/// Networks whose addresses are not global, or lead to addresses that are not seen here (IANA's special-purpose
/// registries, RFC 6890).
const SPECIAL: [&str; 26] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    // Multicast, reserved, broadcast.
    "224.0.0.0/4",
    "240.0.0.0/4",
    // Of version 6, all but global unicast. Addresses that hold one of version 4 are in these as well.
    "::/3",
    "4000::/2",
    "8000::/1",
    // Protocol assignments with Teredo and ORCHID, documentation, 6to4, direct delegation of AS112.
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
];

static SPECIAL_NETWORKS: LazyLock<Vec<Network>> =
    LazyLock::new(|| SPECIAL.iter().filter_map(|n| n.parse().ok()).collect());

/// True for an address of the public Internet.
pub fn is_global(address: IpAddr) -> bool {
    !SPECIAL_NETWORKS.iter().any(|n| n.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_written_correctly() {
        assert_eq!(SPECIAL_NETWORKS.len(), SPECIAL.len());
    }

    #[test]
    fn only_public_addresses_are_global() {
        let global = |a: &str| is_global(a.parse().unwrap());
        for yes in
            ["1.1.1.1", "9.9.9.9", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::65"]
        {
            assert!(global(yes), "{yes}");
        }
        for no in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.19.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            // Addresses of version 4 within version 6: mapped, compatible, NAT64, 6to4.
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!global(no), "{no}");
        }
    }
}
