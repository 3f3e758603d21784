//! Limits of the number of sessions, in all and by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bounds of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at a time.
    pub sessions: usize,
    /// Sessions at a time of one address (of version 6: of one /64 network).
    pub by_address: usize,
    /// Seconds of one session, from ticket to statement.
    pub seconds: u64,
    /// Bytes of one direction.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 256, by_address: 4, seconds: 60, bytes: tercet_tls_session::MAX_DIRECTION }
    }
}

/// Why no session may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The notary is busy.
    #[error("the notary has as many sessions as it may: try again in a few seconds")]
    All,
    /// The address has its share.
    #[error("this address has as many sessions as it may: end one, or try again in a minute")]
    Address,
}

/// Counts running sessions.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    running: Mutex<HashMap<IpAddr, usize>>,
}

impl Gate {
    /// A gate with nobody inside.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, running: Mutex::default() })
    }

    /// Lets a session in; it counts until the pass is dropped.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Full> {
        let address = group(address);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.values().sum::<usize>() >= self.limits.sessions {
            return Err(Full::All);
        }
        let own = running.entry(address).or_default();
        if *own >= self.limits.by_address {
            return Err(Full::Address);
        }
        *own += 1;
        Ok(Pass { gate: Arc::clone(self), address })
    }
}

/// The group of addresses that shares a limit: an address, or the smallest network that one subscriber of version 6
/// has.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(a) => Ipv6Addr::from_bits(a.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// A session's place.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut running = self.gate.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = running.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                running.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_count_by_address_and_in_all() {
        let gate = Gate::new(Limits { sessions: 3, by_address: 2, ..Limits::default() });
        let enter = |a: &str| gate.enter(a.parse().unwrap());
        let (first, second) = (enter("1.1.1.1").unwrap(), enter("::ffff:1.1.1.1").unwrap());
        assert_eq!(enter("1.1.1.1").unwrap_err(), Full::Address);
        let third = enter("2001:db8::1").unwrap();
        assert_eq!(enter("9.9.9.9").unwrap_err(), Full::All);
        drop(first);
        let fourth = enter("2001:db8::ffff:2").unwrap();
        assert_eq!(enter("2001:db8::3").unwrap_err(), Full::All);
        drop(second);
        assert_eq!(enter("2001:db8::3").unwrap_err(), Full::Address);
        drop((third, fourth));
        assert!(gate.running.lock().unwrap().is_empty());
    }
}
