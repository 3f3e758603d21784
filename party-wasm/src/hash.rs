//! Keystreams and digests, at the host.

use tercet_mpc::hash::{Digest, KeyStream};

use crate::bindings::tercet::engine::hash;

/// A keystream at the host. One that answers wrongly or short only spoils its own party's shares.
pub struct RemoteStream(hash::Keystream);

impl KeyStream for RemoteStream {
    fn new(key: &[u8; 32], input: &[u8]) -> Self {
        Self(hash::Keystream::new(key, input))
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        let read = self.0.read(bytes.len() as u32);
        bytes.iter_mut().zip(read).for_each(|(to, from)| *to = from);
    }
}

/// A digest at the host.
pub struct RemoteDigest(hash::Digest);

impl Digest for RemoteDigest {
    fn new() -> Self {
        Self(hash::Digest::new())
    }

    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> [u8; 32] {
        self.0.finish().try_into().unwrap_or_default()
    }
}
