//! AES-128 in counter mode (FIPS 197; NIST SP 800-38D), four blocks at a time, with inversions as byte gates.
//!
//! Bytes lie in bit planes: bit 16 k + i of plane j is bit j of byte i (column by column) of block k.

use alloc::vec::Vec;

use super::keys::Keys;
use crate::bits::{Bits, mask};
use crate::circuit::Backend;

/// Bytes of a block.
pub const BLOCK: usize = 16;

type Planes<W> = [W; 8];

fn planes<W: Bits>(bytes: &[W]) -> Planes<W> {
    core::array::from_fn(|k| {
        let lane = |(i, byte): (usize, &W)| ((*byte >> k as u32) & 1) << i as u32;
        bytes.iter().enumerate().map(lane).fold(W::ZERO, |plane, bit| plane ^ bit)
    })
}

/// The S-box on `width` bytes: the inverse and an affine map (FIPS 197, 5.1.1).
fn substitute<B: Backend>(b: &mut B, x: Planes<B::W>, width: u32) -> Planes<B::W> {
    let y = b.invert(x, width);
    let ones = b.constant(mask(width));
    core::array::from_fn(|i| {
        let sum = [0, 4, 5, 6, 7].into_iter().fold(B::W::ZERO, |sum, by| sum ^ y[(i + by) % 8]);
        if 0x63 >> i & 1 == 1 { sum ^ ones } else { sum }
    })
}

/// The cipher of one direction's records.
pub struct Aes<W> {
    round_keys: Vec<Planes<W>>,
    iv: Planes<W>,
}

impl<W: Bits> Aes<W> {
    /// Expands the key: 40 inversions.
    pub fn new<B: Backend<W = W>>(b: &mut B, keys: &Keys<W>) -> Self {
        let mut key = planes(&keys.key);
        let mut round_keys = alloc::vec![key];
        let mut constant = 1u16;
        for _ in 0..10 {
            // The last column, its bytes moved up by one.
            let rotated = key.map(|plane| {
                let column = (plane >> 12) & 0xf;
                (column >> 1) ^ ((column & 1) << 3)
            });
            let mut changed = substitute(b, rotated, 4);
            for (i, plane) in changed.iter_mut().enumerate() {
                *plane ^= b.constant((constant >> i & 1).into());
            }
            constant = constant << 1 ^ if constant & 0x80 == 0 { 0 } else { 0x11b };
            for (plane, t) in key.iter_mut().zip(changed) {
                // A column is the one before it XOR the same column of the last key.
                let prefix = *plane ^ (*plane << 4) ^ (*plane << 8) ^ (*plane << 12);
                *plane = (prefix ^ t ^ (t << 4) ^ (t << 8) ^ (t << 12)) & 0xffff;
            }
            round_keys.push(key);
        }
        Self { round_keys, iv: planes(&keys.iv) }
    }

    /// The keystream of up to four blocks of a record's text from block `first` on, in planes: 160 inversions a block.
    pub fn keystream<B: Backend<W = W>>(
        &self,
        b: &mut B,
        sequence: u64,
        first: u32,
        blocks: u32,
    ) -> Planes<W> {
        let width = 16 * blocks;
        let keep = mask(width);
        let each = |plane: W| (plane ^ (plane << 16) ^ (plane << 32) ^ (plane << 48)) & keep;
        let mut public = [0u64; 8];
        for block in 0..blocks {
            // Counter 1 is the tag's.
            let counter = first.wrapping_add(block).wrapping_add(2);
            let bytes = sequence.to_be_bytes().into_iter().chain(counter.to_be_bytes());
            for (i, byte) in bytes.enumerate() {
                for (k, plane) in public.iter_mut().enumerate() {
                    *plane |= u64::from(byte >> k & 1) << (16 * block as usize + 4 + i);
                }
            }
        }
        let mut s: Planes<W> = core::array::from_fn(|k| {
            let known = b.constant(public[k]);
            each(self.iv[k] ^ self.round_keys[0][k]) ^ known
        });
        for (round, key) in self.round_keys.iter().enumerate().skip(1) {
            s = substitute(b, s, width).map(shift_rows);
            if round < 10 {
                s = mix_columns(s);
            }
            s = core::array::from_fn(|k| s[k] ^ each(key[k]));
        }
        s
    }
}

/// Row r moves r columns to the left.
fn shift_rows<W: Bits>(plane: W) -> W {
    const ROW: u64 = 0x1111_1111_1111_1111;
    let mut out = plane & ROW;
    for r in 1..4u32 {
        let row = plane & (ROW << r);
        let low = 0x0001_0001_0001_0001 * ((1u64 << (16 - 4 * r)) - 1);
        out ^= ((row >> (4 * r)) & low) ^ ((row << (16 - 4 * r)) & !low);
    }
    out
}

fn mix_columns<W: Bits>(s: Planes<W>) -> Planes<W> {
    // The byte below in the same column, and two further down.
    let next = s.map(|p| ((p >> 1) & 0x7777_7777_7777_7777) ^ ((p << 3) & 0x8888_8888_8888_8888));
    let pair: Planes<W> = core::array::from_fn(|i| s[i] ^ next[i]);
    let after = pair.map(|p| ((p >> 2) & 0x3333_3333_3333_3333) ^ ((p << 2) & 0xcccc_cccc_cccc_cccc));
    // 2 (a0 + a1) + a1 + a2 + a3
    core::array::from_fn(|i| {
        let mut double = if i > 0 { pair[i - 1] } else { W::ZERO };
        if matches!(i, 0 | 1 | 3 | 4) {
            double ^= pair[7];
        }
        double ^ next[i] ^ after[i]
    })
}
