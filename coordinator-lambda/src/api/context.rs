//! The caller: the address by which rates are counted.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use crate::coordinator::Coordinator;

/// The client's address in the form that rates are counted by: an IPv4 address, or an IPv6 network of 64 bits,
/// because one subscriber has a whole one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress(pub String);

/// The address that API Gateway saw, which every request on Lambda carries; `None` if it told none.
#[cfg(feature = "cloud")]
#[derive(Debug, Clone)]
pub struct GatewayAddress(pub Option<String>);

impl ClientAddress {
    /// From an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(a) => Self(a.to_string()),
            IpAddr::V6(a) => {
                let [x, y, z, w, ..] = a.segments();
                Self(format!("{}/64", Ipv6Addr::new(x, y, z, w, 0, 0, 0, 0)))
            }
        }
    }

    /// Taken from the request: `X-Forwarded-For` if proxies are trusted, else API Gateway's word, else the
    /// connection's peer.
    fn find(parts: &Parts, trusted_proxies: u8) -> Option<Self> {
        if let Some(back) = usize::from(trusted_proxies).checked_sub(1) {
            // Each proxy appends the address it saw: the last `trusted_proxies` entries are believable.
            let values = parts.headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok());
            let entries: Vec<&str> = values.flat_map(|v| v.split(',')).map(str::trim).collect();
            let entry = entries.len().checked_sub(1 + back).and_then(|i| entries.get(i))?;
            return parse(entry).map(Self::of);
        }
        #[cfg(feature = "cloud")]
        if let Some(GatewayAddress(source)) = parts.extensions.get() {
            return source.as_deref().and_then(parse).map(Self::of);
        }
        parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| Self::of(c.0.ip()))
    }
}

fn parse(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
}

impl FromRequestParts<Arc<Coordinator>> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<Coordinator>) -> Result<Self, Infallible> {
        // Without an address everybody shares one bucket: strict, never unlimited.
        Ok(Self::find(parts, state.config.trusted_proxies).unwrap_or_else(|| Self("unknown".into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(forwarded: &[&str], peer: &str) -> Parts {
        let mut request = http::Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        parts
    }

    #[test]
    fn forwarded_headers_count_only_as_far_as_proxies_are_trusted() {
        let p = parts(&["6.6.6.6, 203.0.113.9", "198.51.100.1"], "10.0.0.1:5");
        let find = |n| ClientAddress::find(&p, n).map(|a| a.0);
        assert_eq!(find(0).as_deref(), Some("10.0.0.1"));
        assert_eq!(find(1).as_deref(), Some("198.51.100.1"));
        assert_eq!(find(2).as_deref(), Some("203.0.113.9"));
        assert_eq!(find(4), None);
        assert_eq!(ClientAddress::find(&parts(&["nonsense"], "10.0.0.1:5"), 1), None);
    }

    #[test]
    fn one_ipv6_subscriber_is_one_client() {
        let of = |a: &str| ClientAddress::of(a.parse().unwrap()).0;
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
