//! Keystreams and digests, where a host has instructions for BLAKE3.

pub use blake3::{Hasher, OutputReader};

/// Context of the digests of messages in multiplications (BLAKE3's `derive_key` mode).
pub const MESSAGES: &str = "tercet-mpc v1 multiplication messages";

/// BLAKE3's extendable output of `input` under a key. Another implementation must give equal bytes.
pub trait KeyStream: Sized {
    /// At its beginning.
    fn new(key: &[u8; 32], input: &[u8]) -> Self;

    /// The next bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl KeyStream for blake3::OutputReader {
    fn new(key: &[u8; 32], input: &[u8]) -> Self {
        blake3::Hasher::new_keyed(key).update(input).finalize_xof()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        Self::fill(self, bytes);
    }
}

/// BLAKE3 of everything that it has been given, under the context [`MESSAGES`].
pub trait Digest: Sized {
    /// The digest of nothing yet.
    fn new() -> Self;

    /// Takes more in.
    fn update(&mut self, bytes: &[u8]);

    /// 32 bytes that depend on all of it.
    fn finish(&self) -> [u8; 32];
}

impl Digest for blake3::Hasher {
    fn new() -> Self {
        Self::new_derive_key(MESSAGES)
    }

    fn update(&mut self, bytes: &[u8]) {
        Self::update(self, bytes);
    }

    fn finish(&self) -> [u8; 32] {
        *self.finalize().as_bytes()
    }
}
