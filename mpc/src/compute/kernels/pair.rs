//! Elements of K that are only added: as a vector register where compilers would not make one of a 128-bit integer.

use crate::field::Gf128;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use core::arch::wasm32 as machine;

/// The other machines: two words, which compilers do add as one.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod machine {
    #![allow(non_camel_case_types, reason = "the names of WebAssembly's")]

    pub type v128 = [u64; 2];

    #[inline(always)]
    pub const fn u64x2(low: u64, high: u64) -> v128 {
        [low, high]
    }

    #[inline(always)]
    pub fn v128_xor(a: v128, b: v128) -> v128 {
        [a[0] ^ b[0], a[1] ^ b[1]]
    }

    #[inline(always)]
    pub fn u64x2_extract_lane<const LANE: usize>(v: v128) -> u64 {
        v[LANE]
    }
}

/// An element.
#[derive(Clone, Copy)]
pub struct Pair(machine::v128);

impl Pair {
    pub const ZERO: Self = Self(machine::u64x2(0, 0));

    #[inline(always)]
    pub fn new(element: Gf128) -> Self {
        Self(machine::u64x2(element.0 as u64, (element.0 >> 64) as u64))
    }

    #[inline(always)]
    pub fn element(self) -> Gf128 {
        let (low, high) =
            (machine::u64x2_extract_lane::<0>(self.0), machine::u64x2_extract_lane::<1>(self.0));
        Gf128(u128::from(high) << 64 | u128::from(low))
    }

    #[inline(always)]
    pub fn plus(self, other: Self) -> Self {
        Self(machine::v128_xor(self.0, other.0))
    }
}

/// Steps of a loop that are written out: in the sandbox every turn of a loop also asks whether time is up.
pub const UNROLLED: usize = 8;

/// All sums of some elements: entry m is that of the elements whose bit is set in m.
#[inline(always)]
pub fn combine<const N: usize>(elements: &[Gf128], sums: &mut [Pair; N]) {
    sums[0] = Pair::ZERO;
    for (i, new) in elements.iter().enumerate() {
        let new = Pair::new(*new);
        let (known, others) = sums.split_at_mut(1 << i);
        for (sums, below) in others.chunks_mut(UNROLLED).zip(known.chunks(UNROLLED)) {
            match (sums.first_chunk_mut::<UNROLLED>(), below.first_chunk::<UNROLLED>()) {
                (Some(sums), Some(below)) => *sums = below.map(|b| b.plus(new)),
                _ => sums.iter_mut().zip(below).for_each(|(sum, b)| *sum = b.plus(new)),
            }
        }
    }
}

/// The sum of each table's entry at its byte of `index`.
#[inline(always)]
pub fn look_up(tables: &[[Pair; 256]; 4], index: u32) -> Pair {
    let [a, b, c, d] = index.to_le_bytes().map(usize::from);
    tables[0][a].plus(tables[1][b]).plus(tables[2][c].plus(tables[3][d]))
}
