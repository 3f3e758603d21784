//! TLS 1.3's key schedule (RFC 8446, 7.1 and 7.3) from the handshake secret to the keys of the application's records.

use alloc::vec::Vec;

use crate::bits::Bits;
use crate::circuit::Backend;
use crate::circuit::hash::{IV, sha256_public, sha256_words};
use crate::mutant;

/// A digest, or a key of that length: eight big-endian words.
pub type Digest<W> = [W; 8];

/// SHA-256 of nothing.
const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// HMAC-SHA256 (RFC 2104) with a secret key of 32 bytes: the states after the key's two blocks. Two compressions.
pub struct Hmac<W> {
    inner: Digest<W>,
    outer: Digest<W>,
}

impl<W: Bits> Hmac<W> {
    pub fn new<B: Backend<W = W>>(b: &mut B, key: &Digest<W>) -> Self {
        let mut half = |pad: u64| {
            let pad = b.constant(pad);
            let block = core::array::from_fn(|i| key.get(i).map_or(pad, |word| *word ^ pad));
            let mut state = IV.map(|x| b.constant(x.into()));
            sha256_words(b, &mut state, block);
            state
        };
        Self { inner: half(0x3636_3636), outer: half(0x5c5c_5c5c) }
    }

    /// The signature of a public message of at most 55 bytes: two compressions, one of them with a public block.
    fn sign<B: Backend<W = W>>(&self, b: &mut B, message: &[u8]) -> Digest<W> {
        // The key's block stands before it.
        let bits = 8 * (64 + message.len() as u64);
        let mut block = [0; 64];
        block[..message.len()].copy_from_slice(message);
        block[message.len()] = 0x80;
        block[56..].copy_from_slice(&bits.to_be_bytes());
        let mut digest = self.inner;
        sha256_public(b, &mut digest, &block);

        let mut block = [W::ZERO; 16];
        block[..8].copy_from_slice(&digest);
        block[8] = b.constant(0x8000_0000);
        block[15] = b.constant(8 * (64 + 32));
        let mut state = self.outer;
        sha256_words(b, &mut state, block);
        state
    }

    /// HKDF-Expand-Label with this secret, of one block of output (RFC 8446, 7.1).
    pub fn expand<B: Backend<W = W>>(
        &self,
        b: &mut B,
        label: &str,
        context: &[u8],
        length: u16,
    ) -> Digest<W> {
        let mut info = length.to_be_bytes().to_vec();
        info.push(6 + label.len() as u8);
        info.extend(b"tls13 ");
        info.extend(label.as_bytes());
        info.push(context.len() as u8);
        info.extend(context);
        info.push(1);
        self.sign(b, &info)
    }
}

/// A direction's key and nonce as bytes, one a word.
pub struct Keys<W> {
    pub key: Vec<W>,
    pub iv: Vec<W>,
}

/// Both directions' keys, the client's first, of the handshake secret (32 bytes, one a word), checked to be that of
/// the session: it gives the server's handshake traffic secret. `t1`, `t2`: hashes of the transcript to ServerHello
/// and to the server's Finished. 28 compressions, nine of them with public blocks.
pub fn schedule<B: Backend>(
    b: &mut B,
    secret: &[B::W],
    [t1, t2, server_secret]: [&[u8; 32]; 3],
    key_bytes: usize,
) -> [Keys<B::W>; 2] {
    let word = |i: usize| {
        (secret[4 * i] << 24) ^ (secret[4 * i + 1] << 16) ^ (secret[4 * i + 2] << 8) ^ secret[4 * i + 3]
    };
    let handshake = Hmac::new(b, &core::array::from_fn(word));
    let traffic = handshake.expand(b, "s hs traffic", t1, 32);
    for (word, bytes) in traffic.iter().zip(server_secret.as_chunks::<4>().0) {
        let expected = b.constant(u32::from_be_bytes(*bytes).into());
        if !mutant!("session-secret-not-checked") {
            b.zero(*word ^ expected, 32);
        }
    }
    let derived = handshake.expand(b, "derived", &EMPTY, 32);
    let master = Hmac::new(b, &derived).sign(b, &[0; 32]);
    let master = Hmac::new(b, &master);
    ["c ap traffic", "s ap traffic"].map(|label| {
        let traffic = master.expand(b, label, t2, 32);
        let traffic = Hmac::new(b, &traffic);
        let mut part = |label, length: usize| {
            let words = traffic.expand(b, label, b"", length as u16);
            let bytes = words.iter().flat_map(|w| [24, 16, 8, 0].map(|s| (*w >> s) & 0xff));
            bytes.take(length).collect()
        };
        Keys { key: part("key", key_bytes), iv: part("iv", 12) }
    })
}
