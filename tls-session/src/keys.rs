//! The key schedule of TLS 1.3 for suites with SHA-256 (RFC 8446, 7.1 to 7.3), from the handshake secret on.

use alloc::vec::Vec;
use core::fmt;

use ring::{aead, digest, hmac};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of an AEAD's tag.
pub const TAG: usize = 16;

/// The cipher suites that can be verified and proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `TLS_AES_128_GCM_SHA256`, 0x1301.
    Aes128Gcm,
    /// `TLS_CHACHA20_POLY1305_SHA256`, 0x1303.
    ChaCha20Poly1305,
}

impl Suite {
    /// The suite of a code point, if it is one of these.
    pub fn from_code(code: u16) -> Option<Self> {
        match code {
            0x1301 => Some(Self::Aes128Gcm),
            0x1303 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// Its code point.
    pub fn code(self) -> u16 {
        match self {
            Self::Aes128Gcm => 0x1301,
            Self::ChaCha20Poly1305 => 0x1303,
        }
    }

    /// Its name in the registry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "TLS_AES_128_GCM_SHA256",
            Self::ChaCha20Poly1305 => "TLS_CHACHA20_POLY1305_SHA256",
        }
    }

    /// Bytes of its key.
    pub fn key_length(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::ChaCha20Poly1305 => 32,
        }
    }

    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }
}

/// SHA-256 of the parts in a row.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|p| context.update(p));
    array(context.finish().as_ref())
}

/// HMAC-SHA256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    array(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref())
}

fn array(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(bytes);
    out
}

/// HKDF-Expand-Label for `N` bytes, at most 32: one HMAC.
pub fn expand_label<const N: usize>(secret: &[u8; 32], label: &str, context: &[u8]) -> [u8; N] {
    const { assert!(N <= 32, "one block of HKDF-Expand") };
    // Labels and contexts are this crate's own and short.
    let length = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
    let mut info = Vec::with_capacity(64);
    info.extend_from_slice(&[0, length(N), length(6 + label.len())]);
    info.extend_from_slice(b"tls13 ");
    info.extend_from_slice(label.as_bytes());
    info.push(length(context.len()));
    info.extend_from_slice(context);
    info.push(1);
    let mut block = hmac_sha256(secret, &info);
    let mut out = [0; N];
    out.copy_from_slice(&block[..N]);
    block.zeroize();
    out
}

/// The verify_data of a Finished message under a handshake traffic secret, over a transcript hash.
pub fn finished(secret: &[u8; 32], transcript: &[u8; 32]) -> [u8; 32] {
    hmac_sha256(&expand_label::<32>(secret, "finished", &[]), transcript)
}

/// A session's handshake secret: all traffic keys follow from it. It is wiped when dropped; `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct HandshakeSecret(pub [u8; 32]);

impl fmt::Debug for HandshakeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeSecret(secret)")
    }
}

impl HandshakeSecret {
    /// The handshake traffic secrets of client and server, given the hash of both hellos.
    pub fn handshake_traffic(&self, t1: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
        (expand_label(&self.0, "c hs traffic", t1), expand_label(&self.0, "s hs traffic", t1))
    }

    /// The application traffic secrets, given the hash up to the server's Finished.
    pub fn application(&self, t2: &[u8; 32]) -> ApplicationSecrets {
        let mut derived = expand_label::<32>(&self.0, "derived", &sha256(&[]));
        let master = hmac_sha256(&derived, &[0; 32]);
        derived.zeroize();
        ApplicationSecrets {
            client: expand_label(&master, "c ap traffic", t2),
            server: expand_label(&master, "s ap traffic", t2),
            master,
        }
    }
}

/// Master secret and first application traffic secrets. They are wiped when dropped; `Debug` hides them.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ApplicationSecrets {
    /// The master secret.
    pub master: [u8; 32],
    /// Protects the client's records.
    pub client: [u8; 32],
    /// Protects the server's records.
    pub server: [u8; 32],
}

impl fmt::Debug for ApplicationSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApplicationSecrets(secret)")
    }
}

/// The key and IV of one direction. They are wiped when dropped; `Debug` shows the suite only.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct TrafficKeys {
    #[zeroize(skip)]
    suite: Suite,
    key: [u8; 32],
    iv: [u8; 12],
}

impl fmt::Debug for TrafficKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrafficKeys").field(&self.suite).finish()
    }
}

impl TrafficKeys {
    /// Derives them from a traffic secret.
    pub fn derive(suite: Suite, secret: &[u8; 32]) -> Self {
        let mut key = [0; 32];
        // The length is part of HKDF's input: a key of 16 bytes is not the front of one of 32.
        match suite {
            Suite::Aes128Gcm => key[..16].copy_from_slice(&expand_label::<16>(secret, "key", &[])),
            Suite::ChaCha20Poly1305 => key = expand_label::<32>(secret, "key", &[]),
        }
        Self { suite, key, iv: expand_label(secret, "iv", &[]) }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key[..self.suite.key_length()]
    }

    /// The IV.
    pub fn iv(&self) -> &[u8; 12] {
        &self.iv
    }

    fn aead(&self, sequence: usize) -> Option<(aead::LessSafeKey, aead::Nonce)> {
        let key = aead::UnboundKey::new(self.suite.algorithm(), self.key()).ok()?;
        let mut nonce = self.iv;
        for (n, s) in nonce[4..].iter_mut().zip((sequence as u64).to_be_bytes()) {
            *n ^= s;
        }
        Some((aead::LessSafeKey::new(key), aead::Nonce::assume_unique_for_key(nonce)))
    }

    /// Opens a record's body in place; the plaintext's length, or none if the tag is wrong.
    pub fn open(&self, sequence: usize, header: &[u8], body: &mut [u8]) -> Option<usize> {
        let (key, nonce) = self.aead(sequence)?;
        key.open_in_place(nonce, aead::Aad::from(header), body).ok().map(|plain| plain.len())
    }

    /// Seals a plaintext and appends the tag.
    #[cfg(feature = "test-util")]
    pub(crate) fn seal(&self, sequence: usize, header: &[u8], body: &mut Vec<u8>) -> Option<()> {
        let (key, nonce) = self.aead(sequence)?;
        key.seal_in_place_append_tag(nonce, aead::Aad::from(header), body).ok()
    }
}

/// The keystream XORed onto byte `place` of a record's plaintext lies in block `place / Suite::block` of the cipher,
/// whose counter begins at [`Suite::first_counter`].
impl Suite {
    /// Bytes of one block of keystream.
    pub fn block(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::ChaCha20Poly1305 => 64,
        }
    }

    /// The counter of the first block that covers plaintext.
    pub fn first_counter(self) -> u32 {
        match self {
            Self::Aes128Gcm => 2,
            Self::ChaCha20Poly1305 => 1,
        }
    }
}
