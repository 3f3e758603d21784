//! SHA-256 (FIPS 180-4), BLAKE3 (its specification, one chunk) and Keccak-256 as circuits over byte inputs.
//!
//! Inputs are words of eight bits; constants are derived from their definitions and checked by the tests.

use alloc::vec::Vec;

use super::Backend;
use super::arith::add;
use crate::bits::{Bits, mask};

const PRIMES: [u128; 64] = {
    let mut primes = [0; 64];
    let (mut n, mut candidate) = (0, 2);
    while n < 64 {
        let mut i = 0;
        while i < n && candidate % primes[i] != 0 {
            i += 1;
        }
        if i == n {
            primes[n] = candidate;
            n += 1;
        }
        candidate += 1;
    }
    primes
};

/// The first 32 bits of the fractional part of `p^(1/degree)`.
const fn root_fraction(p: u128, degree: u32) -> u32 {
    let target = p << (32 * degree);
    let mut root = 0u128;
    let mut bit = 1 << 36;
    while bit > 0 {
        if (root | bit).pow(degree) <= target {
            root |= bit;
        }
        bit >>= 1;
    }
    root as u32
}

/// The initial state of SHA-256 and of BLAKE3.
pub const IV: [u32; 8] = {
    let mut iv = [0; 8];
    let mut i = 0;
    while i < 8 {
        iv[i] = root_fraction(PRIMES[i], 2);
        i += 1;
    }
    iv
};

const SHA256_K: [u32; 64] = {
    let mut k = [0; 64];
    let mut i = 0;
    while i < 64 {
        k[i] = root_fraction(PRIMES[i], 3);
        i += 1;
    }
    k
};

fn add32<B: Backend>(b: &mut B, x: B::W, y: B::W) -> B::W {
    add(b, x, y, B::W::ZERO, 32)
}

/// The word twice, so that rotations of 32 bits are shifts.
fn twice<W: Bits>(x: W) -> W {
    x ^ (x << 32)
}

/// The digest of `message` (one byte a word, at most 119 bytes) as eight big-endian words. 22.7k gates a block.
pub fn sha256<B: Backend>(b: &mut B, message: &[B::W]) -> [B::W; 8] {
    let blocks = (message.len() + 9).div_ceil(64);
    let mut bytes = message.to_vec();
    bytes.push(b.constant(0x80));
    bytes.resize(64 * blocks - 8, B::W::ZERO);
    for byte in (message.len() as u64 * 8).to_be_bytes() {
        bytes.push(b.constant(byte.into()));
    }
    let mut state = IV.map(|x| b.constant(x.into()));
    for block in bytes.as_chunks::<64>().0 {
        sha256_block(b, &mut state, block);
    }
    state
}

fn sha256_block<B: Backend>(b: &mut B, state: &mut [B::W; 8], block: &[B::W; 64]) {
    let word = |i: usize| {
        (block[4 * i] << 24) ^ (block[4 * i + 1] << 16) ^ (block[4 * i + 2] << 8) ^ block[4 * i + 3]
    };
    sha256_words(b, state, core::array::from_fn(word));
}

/// The compression function on a block of 16 words.
pub fn sha256_words<B: Backend>(b: &mut B, state: &mut [B::W; 8], block: [B::W; 16]) {
    let mut schedule = [B::W::ZERO; 64];
    schedule[..16].copy_from_slice(&block);
    for t in 16..64 {
        let (x, y) = (schedule[t - 15], schedule[t - 2]);
        let small0 = ((twice(x) >> 7) ^ (twice(x) >> 18) ^ (x >> 3)) & mask(32);
        let small1 = ((twice(y) >> 17) ^ (twice(y) >> 19) ^ (y >> 10)) & mask(32);
        let sum = add32(b, small1, schedule[t - 7]);
        let sum = add32(b, sum, small0);
        schedule[t] = add32(b, sum, schedule[t - 16]);
    }
    let mut v = *state;
    for (word, k) in schedule.into_iter().zip(SHA256_K) {
        let k = b.constant(k.into());
        sha256_round(b, &mut v, |b, t1| {
            let t1 = add32(b, t1, k);
            add32(b, t1, word)
        });
    }
    for (s, v) in state.iter_mut().zip(v) {
        *s = add32(b, *s, v);
    }
}

/// The same with a public block: its schedule is known, and the round's constant is part of it. 15.9k gates.
pub fn sha256_public<B: Backend>(b: &mut B, state: &mut [B::W; 8], block: &[u8; 64]) {
    let mut schedule = [0u32; 64];
    for (word, bytes) in schedule.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for t in 16..64 {
        let (x, y) = (schedule[t - 15], schedule[t - 2]);
        let small0 = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
        let small1 = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
        schedule[t] =
            small1.wrapping_add(schedule[t - 7]).wrapping_add(small0).wrapping_add(schedule[t - 16]);
    }
    let mut v = *state;
    for (word, k) in schedule.into_iter().zip(SHA256_K) {
        let known = b.constant(word.wrapping_add(k).into());
        sha256_round(b, &mut v, |b, t1| add32(b, t1, known));
    }
    for (s, v) in state.iter_mut().zip(v) {
        *s = add32(b, *s, v);
    }
}

/// One round; `word` adds the round's constant and word of the schedule.
#[inline(always)]
fn sha256_round<B: Backend>(b: &mut B, v: &mut [B::W; 8], word: impl FnOnce(&mut B, B::W) -> B::W) {
    let [a, bb, c, d, e, f, g, h] = *v;
    let sigma1 = ((twice(e) >> 6) ^ (twice(e) >> 11) ^ (twice(e) >> 25)) & mask(32);
    let choose = b.and(e, f ^ g, 32) ^ g;
    let t1 = add32(b, h, sigma1);
    let t1 = add32(b, t1, choose);
    let t1 = word(b, t1);
    let sigma0 = ((twice(a) >> 2) ^ (twice(a) >> 13) ^ (twice(a) >> 22)) & mask(32);
    let majority = b.and(a ^ c, bb ^ c, 32) ^ c;
    let t2 = add32(b, sigma0, majority);
    let (next_e, next_a) = (add32(b, d, t1), add32(b, t1, t2));
    *v = [next_a, a, bb, c, next_e, e, f, g];
}

const BLAKE3_PERMUTATION: [usize; 16] = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const CHUNK_START: u64 = 1;
const CHUNK_END: u64 = 2;
const ROOT: u64 = 8;

/// The digest of `message` (one byte a word, 1 to 1024 bytes) as eight little-endian words. 10.4k gates a block.
pub fn blake3<B: Backend>(b: &mut B, message: &[B::W]) -> [B::W; 8] {
    let mut chaining = IV.map(|x| b.constant(x.into()));
    let blocks = message.len().div_ceil(64);
    for (i, block) in message.chunks(64).enumerate() {
        let mut words = [B::W::ZERO; 16];
        for (k, byte) in block.iter().enumerate() {
            words[k / 4] ^= *byte << (8 * (k % 4) as u32);
        }
        let first = if i == 0 { CHUNK_START } else { 0 };
        let last = if i + 1 == blocks { CHUNK_END | ROOT } else { 0 };
        chaining = blake3_block(b, chaining, words, block.len() as u64, first | last);
    }
    chaining
}

fn blake3_block<B: Backend>(
    b: &mut B,
    chaining: [B::W; 8],
    mut words: [B::W; 16],
    length: u64,
    flags: u64,
) -> [B::W; 8] {
    let mut v = [B::W::ZERO; 16];
    v[..8].copy_from_slice(&chaining);
    let tail = [IV[0].into(), IV[1].into(), IV[2].into(), IV[3].into(), 0, 0, length, flags];
    for (v, x) in v[8..].iter_mut().zip(tail) {
        *v = b.constant(x);
    }
    const QUARTERS: [[usize; 4]; 8] = [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ];
    for round in 0..7 {
        if round > 0 {
            words = BLAKE3_PERMUTATION.map(|i| words[i]);
        }
        for (q, [ia, ib, ic, id]) in QUARTERS.into_iter().enumerate() {
            for (word, rotate_d, rotate_b) in [(words[2 * q], 16, 12), (words[2 * q + 1], 8, 7)] {
                let sum = add32(b, v[ia], v[ib]);
                v[ia] = add32(b, sum, word);
                v[id] = (twice(v[id] ^ v[ia]) >> rotate_d) & mask(32);
                v[ic] = add32(b, v[ic], v[id]);
                v[ib] = (twice(v[ib] ^ v[ic]) >> rotate_b) & mask(32);
            }
        }
    }
    core::array::from_fn(|i| v[i] ^ v[i + 8])
}

/// The rotation of each lane `x + 5y` (FIPS 202, 3.2.2).
const KECCAK_ROTATIONS: [u32; 25] = {
    let mut rotations = [0; 25];
    let (mut x, mut y, mut t) = (1, 0, 0);
    while t < 24 {
        rotations[x + 5 * y] = ((t + 1) * (t + 2) / 2) % 64;
        (x, y) = (y, (2 * x + 3 * y) % 5);
        t += 1;
    }
    rotations
};

/// The round constants: bit 2^j - 1 of round i is output 7i + j of the LFSR x^8 + x^6 + x^5 + x^4 + 1
/// (FIPS 202, 3.2.5).
const KECCAK_ROUNDS: [u64; 24] = {
    let mut constants = [0; 24];
    let (mut round, mut lfsr) = (0, 1u32);
    while round < 24 {
        let mut j = 0;
        while j < 7 {
            constants[round] |= ((lfsr & 1) as u64) << ((1 << j) - 1);
            lfsr = (lfsr << 1) ^ if lfsr & 0x80 != 0 { 0x171 } else { 0 };
            j += 1;
        }
        round += 1;
    }
    constants
};

/// The digest of `message` (one byte a word, at most 135 bytes) as four little-endian lanes. 38.4k gates.
pub fn keccak256<B: Backend>(b: &mut B, message: &[B::W]) -> [B::W; 4] {
    const RATE: usize = 136;
    let mut bytes: Vec<_> = message.to_vec();
    bytes.push(b.constant(0x01));
    bytes.resize(RATE, B::W::ZERO);
    bytes[RATE - 1] ^= b.constant(0x80);
    let mut a = [B::W::ZERO; 25];
    for (i, byte) in bytes.into_iter().enumerate() {
        a[i / 8] ^= byte << (8 * (i % 8) as u32);
    }
    let ones = b.constant(u64::MAX);
    for constant in KECCAK_ROUNDS {
        // theta
        let column: [B::W; 5] = core::array::from_fn(|x| a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
        let change: [B::W; 5] =
            core::array::from_fn(|x| column[(x + 4) % 5] ^ rotate64(column[(x + 1) % 5], 1));
        // rho and pi
        let mut moved = [B::W::ZERO; 25];
        for x in 0..5 {
            for y in 0..5 {
                moved[y + 5 * ((2 * x + 3 * y) % 5)] =
                    rotate64(a[x + 5 * y] ^ change[x], KECCAK_ROTATIONS[x + 5 * y]);
            }
        }
        // chi and iota
        for i in 0..25 {
            let (x, row) = (i % 5, i - i % 5);
            a[i] = moved[i] ^ b.and(moved[row + (x + 1) % 5] ^ ones, moved[row + (x + 2) % 5], 64);
        }
        a[0] ^= b.constant(constant);
    }
    [a[0], a[1], a[2], a[3]]
}

/// Towards higher bits by less than 64.
fn rotate64<W: Bits>(x: W, by: u32) -> W {
    (x << by) ^ (x >> (64 - by))
}
