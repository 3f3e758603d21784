//! ChaCha20 (RFC 8439).

use super::keys::Keys;
use crate::bits::{Bits, mask};
use crate::circuit::Backend;
use crate::circuit::arith::add;

/// Bytes of a block.
pub const BLOCK: usize = 64;

/// The cipher of one direction's records.
pub struct ChaCha<W> {
    key: [W; 8],
    nonce: [W; 3],
}

impl<W: Bits> ChaCha<W> {
    pub fn new(keys: &Keys<W>) -> Self {
        let word =
            |x: &[W], i: usize| x[4 * i] ^ (x[4 * i + 1] << 8) ^ (x[4 * i + 2] << 16) ^ (x[4 * i + 3] << 24);
        Self {
            key: core::array::from_fn(|i| word(&keys.key, i)),
            nonce: core::array::from_fn(|i| word(&keys.iv, i)),
        }
    }

    /// The keystream of a block of a record's text: bit i of plane k is bit k of byte i. 10,416 gates.
    pub fn keystream<B: Backend<W = W>>(&self, b: &mut B, sequence: u64, block: u32) -> [W; 8] {
        let sequence = sequence.to_be_bytes();
        let (sequence, _) = sequence.as_chunks::<4>();
        // Block 0 is the tag's key.
        let mut input = [W::ZERO; 16];
        for (to, constant) in input.iter_mut().zip([0x6170_7865u64, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]) {
            *to = b.constant(constant);
        }
        input[4..12].copy_from_slice(&self.key);
        input[12] = b.constant((block.wrapping_add(1)).into());
        input[13] = self.nonce[0];
        for i in 0..2 {
            let known = b.constant(u32::from_le_bytes(sequence[i]).into());
            input[14 + i] = self.nonce[1 + i] ^ known;
        }
        let mut v = input;
        for round in 0..20 {
            for q in 0..4 {
                let [ia, ib, ic, id] = if round % 2 == 0 {
                    [q, 4 + q, 8 + q, 12 + q]
                } else {
                    [q, 4 + (q + 1) % 4, 8 + (q + 2) % 4, 12 + (q + 3) % 4]
                };
                for (first, second) in [(16, 12), (8, 7)] {
                    v[ia] = add(b, v[ia], v[ib], W::ZERO, 32);
                    v[id] = rotate(v[id] ^ v[ia], first);
                    v[ic] = add(b, v[ic], v[id], W::ZERO, 32);
                    v[ib] = rotate(v[ib] ^ v[ic], second);
                }
            }
        }
        let mut planes = [W::ZERO; 8];
        for (i, (x, y)) in v.into_iter().zip(input).enumerate() {
            let word = add(b, x, y, W::ZERO, 32);
            for (k, plane) in planes.iter_mut().enumerate() {
                // Bit k of the word's four bytes, side by side.
                let mut bits = (word >> k as u32) & 0x0101_0101;
                bits = (bits ^ (bits >> 7)) & 0x0003_0003;
                bits = (bits ^ (bits >> 14)) & 0xf;
                *plane ^= bits << (4 * i as u32);
            }
        }
        planes
    }
}

fn rotate<W: Bits>(x: W, by: u32) -> W {
    ((x << by) ^ (x >> (32 - by))) & mask(32)
}
