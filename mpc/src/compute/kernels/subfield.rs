//! GF(256) inside K, bit-sliced: the points at which columns of bits become polynomials.
//!
//! The subfield is GF(2)[x]/(x^8 + x^4 + x^3 + x + 1); [`THETA`] is the image of x in K. The points of rows are the
//! 32 bytes below 32 (a subspace), those of further values the 32 bytes of the coset 32..64.

use crate::field::Gf128;

/// Rows of a column: bits that become one polynomial of degree below 32.
pub const ROWS: usize = 32;
/// Words of 64 columns that are computed with side by side.
pub const LANES: usize = 4;
/// Columns of a block.
pub const COLUMNS: usize = 64 * LANES;
/// Bits of an element of the subfield.
pub const BITS: usize = 8;
/// Bit planes of a block's values on the coset.
pub const PLANES: usize = ROWS * BITS;

/// One bit of each of a block's columns.
pub type Plane = [u64; LANES];

/// x of the subfield in K: a root of x^8 + x^4 + x^3 + x + 1.
pub const THETA: Gf128 = Gf128(0x053d_8555_a997_9a1c_a13f_e8ac_5560_ce0d);

const fn times(a: u8, b: u8) -> u8 {
    let (mut a, mut r, mut i) = (a, 0, 0);
    while i < 8 {
        if b >> i & 1 == 1 {
            r ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1b };
        i += 1;
    }
    r
}

const fn inverse(a: u8) -> u8 {
    // a^254
    let (mut power, mut result, mut i) = (a, 1, 1);
    while i < 8 {
        power = times(power, power);
        result = times(result, power);
        i += 1;
    }
    result
}

/// Entry 8 s + b: which rows' bits add up to bit b of the value at point 32 + s.
///
/// The polynomial Z that vanishes on the rows' points is linearized, so Z is the same all over the coset and its
/// derivative the same everywhere: Lagrange's coefficient of row v at s is `Z(s) / (Z' (s + v))`.
pub const EXTENSION: [u32; PLANES] = {
    let (mut factor, mut v) = (ROWS as u8, 1);
    let mut inverses = [0; 2 * ROWS];
    while v < 2 * ROWS as u8 {
        inverses[v as usize] = inverse(v);
        if v < ROWS as u8 {
            factor = times(factor, times(ROWS as u8 ^ v, inverse(v)));
        }
        v += 1;
    }
    let mut masks = [0; PLANES];
    let mut s = 0;
    while s < ROWS {
        let mut row = 0;
        while row < ROWS {
            let basis = times(factor, inverses[(ROWS + s) ^ row]);
            let mut b = 0;
            while b < BITS {
                masks[s * BITS + b] |= ((basis >> b & 1) as u32) << row;
                b += 1;
            }
            row += 1;
        }
        s += 1;
    }
    masks
};

#[inline(always)]
fn xor(a: Plane, b: Plane) -> Plane {
    core::array::from_fn(|i| a[i] ^ b[i])
}

/// The values of a block's columns on the coset, from their rows.
#[inline(always)]
pub fn extend(rows: &[Plane; ROWS], out: &mut [Plane; PLANES]) {
    // The method of the four Russians: all sums of eight rows, then one lookup for each output; two such groups at a
    // time.
    let mut tables = [[[0; LANES]; 256]; 2];
    for (half, rows) in rows.as_chunks::<16>().0.iter().enumerate() {
        for (table, rows) in tables.iter_mut().zip(rows.as_chunks::<8>().0) {
            for (i, row) in rows.iter().enumerate() {
                let (known, new) = table.split_at_mut(1 << i);
                for (sum, below) in new.iter_mut().zip(known) {
                    *sum = xor(*below, *row);
                }
            }
        }
        let groups = out.as_chunks_mut::<4>().0.iter_mut().zip(EXTENSION.as_chunks::<4>().0);
        for (planes, masks) in groups {
            for (plane, mask) in planes.iter_mut().zip(masks) {
                let [low, high] = ((mask >> (16 * half)) as u16).to_le_bytes().map(usize::from);
                let sum = xor(tables[0][low], tables[1][high]);
                *plane = if half == 0 { sum } else { xor(*plane, sum) };
            }
        }
    }
}

/// `a b + c d` in the subfield, for each column.
#[inline(always)]
pub fn sum_of_products(
    a: &[Plane; BITS],
    b: &[Plane; BITS],
    c: &[Plane; BITS],
    d: &[Plane; BITS],
) -> [Plane; BITS] {
    let mut product = [[0; LANES]; 2 * BITS - 1];
    for i in 0..BITS {
        for j in 0..BITS {
            let sum = &mut product[i + j];
            *sum = core::array::from_fn(|l| sum[l] ^ (a[i][l] & b[j][l]) ^ (c[i][l] & d[j][l]));
        }
    }
    // x^8 = x^4 + x^3 + x + 1
    for high in (BITS..2 * BITS - 1).rev() {
        for low in [4, 3, 1, 0] {
            product[high - BITS + low] = xor(product[high - BITS + low], product[high]);
        }
    }
    core::array::from_fn(|i| product[i])
}

/// The points that are used, as elements of K.
pub static POINTS: [Gf128; 2 * ROWS] = {
    let mut points = [Gf128::ZERO; 2 * ROWS];
    let (mut power, mut width) = (Gf128::ONE, 1);
    while width < 2 * ROWS {
        let mut i = 0;
        while i < width {
            points[width + i] = Gf128(points[i].0 ^ power.0);
            i += 1;
        }
        power = power.times(THETA);
        width *= 2;
    }
    points
};

/// The columns of a block, each as a word of its rows: bit r is row r.
#[inline(always)]
pub fn transpose(rows: &[Plane; ROWS]) -> [u32; COLUMNS] {
    let mut columns = [0; COLUMNS];
    for (at, columns) in columns.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
        let (lane, shift) = (at / 2, at % 2 * 32);
        *columns = core::array::from_fn(|r| (rows[r][lane] >> shift) as u32);
        // Swap off-diagonal squares of halving size (Warren, Hacker's Delight, 7-3).
        let (mut width, mut mask) = (16, 0x0000_ffff_u32);
        while width > 0 {
            let mut k = 0;
            while k < ROWS {
                let t = (columns[k] >> width ^ columns[k + width]) & mask;
                columns[k] ^= t << width;
                columns[k + width] ^= t;
                k = (k + width + 1) & !width;
            }
            width /= 2;
            mask ^= mask << width;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn theta_generates_the_subfield() {
        let powers: alloc::vec::Vec<Gf128> = (0..9).map(|k| (0..k).map(|_| THETA).product()).collect();
        assert_eq!(powers[8] + powers[4] + powers[3] + powers[1] + powers[0], Gf128::ZERO);
        for a in [0u8, 1, 2, 3, 0x53, 0xca, 0xff] {
            for b in [0u8, 1, 0x53, 0xca, 0x80] {
                assert_eq!(embed(a) * embed(b), embed(times(a, b)));
                assert_eq!(embed(a) + embed(b), embed(a ^ b));
            }
            assert_eq!(times(a, inverse(a)), u8::from(a != 0));
        }
        for (p, point) in POINTS.iter().enumerate() {
            assert_eq!(*point, embed(p as u8));
        }
    }

    fn embed(point: u8) -> Gf128 {
        let powers = (0..BITS).map(|b| (0..b).map(|_| THETA).product::<Gf128>());
        powers.enumerate().filter(|(b, _)| point >> b & 1 == 1).map(|(_, p)| p).sum()
    }

    fn byte(planes: &[Plane], column: usize) -> u8 {
        (0..BITS).map(|b| ((planes[b][column / 64] >> (column % 64) & 1) as u8) << b).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn extension_is_the_interpolation(rows: [Plane; ROWS]) {
            let mut planes = [[0; LANES]; PLANES];
            extend(&rows, &mut planes);
            let columns = transpose(&rows);
            for c in [0, 63, 64, 255] {
                for (r, row) in rows.iter().enumerate() {
                    prop_assert_eq!(columns[c] >> r & 1, (row[c / 64] >> (c % 64) & 1) as u32);
                }
                // A polynomial of degree below 32 through the rows and one further point: its 32nd divided
                // difference (the coefficient of x^32) is zero.
                for s in [0, 31] {
                    let points: alloc::vec::Vec<u8> = (0..32).chain([32 + s as u8]).collect();
                    let mut sum = 0;
                    for &p in &points {
                        let value = if p < 32 { (columns[c] >> p & 1) as u8 } else { byte(&planes[s * BITS..], c) };
                        let others = points.iter().filter(|q| **q != p).fold(1, |d, q| times(d, p ^ q));
                        sum ^= times(value, inverse(others));
                    }
                    prop_assert_eq!(sum, 0);
                }
            }
        }

        #[test]
        fn products_are_the_definition(x: [[Plane; BITS]; 4]) {
            let z = sum_of_products(&x[0], &x[1], &x[2], &x[3]);
            for c in [0, 77, 255] {
                let v = x.each_ref().map(|p| byte(p, c));
                prop_assert_eq!(byte(&z, c), times(v[0], v[1]) ^ times(v[2], v[3]));
            }
        }
    }
}
