//! Logarithms and reciprocals of positive integers in fixed point, as providers prove them: geometric and harmonic
//! means are functions of their sums. [`crate::circuit`] computes the same, bit by bit.

/// Binary places.
pub const FRACTION: u32 = 24;
/// Bits of the table's index: the mantissa's first ones.
pub const INDEX: u32 = 10;
/// Bits between which the table is interpolated.
pub const REST: u32 = FRACTION - INDEX;
/// Entries of the table, but for the last.
pub const ENTRIES: usize = 1 << INDEX;
/// Bits of a difference of neighbouring entries.
pub const SLOPE: u32 = 15;

/// `log2(1 + i / 1024)` in units of 2^-24, rounded to nearest.
pub const TABLE: [u32; ENTRIES + 1] = table();

const fn table() -> [u32; ENTRIES + 1] {
    let mut out = [0; ENTRIES + 1];
    let mut i = 0;
    while i < ENTRIES {
        out[i] = mantissa_log(i as u64);
        i += 1;
    }
    out[ENTRIES] = 1 << FRACTION;
    out
}

/// One binary digit for each squaring of a number in [1, 2), with ten digits to round by.
const fn mantissa_log(i: u64) -> u32 {
    let mut m = (1u64 << 62) + (i << (62 - INDEX));
    let mut digits = 0u64;
    let mut k = 0;
    while k < FRACTION + 10 {
        let square = ((m as u128 * m as u128) >> 62) as u64;
        let two = square >> 63;
        digits = digits << 1 | two;
        m = square >> two;
        k += 1;
    }
    ((digits + (1 << 9)) >> 10) as u32
}

/// `log2(x)` in units of 2^-24, for x > 0 (0 for 0): exact at powers of two, otherwise below the true value by less
/// than 6 units or above it by less than one.
///
/// The table is interpolated linearly: off by at most 2^-20 log2(e) / 8 (3 units); the mantissa's digits beyond the
/// 24th are left out (1.5), the table is rounded (0.5) and so is the product (1).
pub const fn log2(x: u64) -> u64 {
    if x == 0 {
        return 0;
    }
    let exponent = x.ilog2();
    let mantissa = x ^ (1 << exponent);
    let mantissa = if exponent >= FRACTION {
        mantissa >> (exponent - FRACTION)
    } else {
        mantissa << (FRACTION - exponent)
    };
    let (i, rest) = ((mantissa >> REST) as usize, mantissa & ((1 << REST) - 1));
    let slope = (TABLE[i + 1] - TABLE[i]) as u64;
    ((exponent as u64) << FRACTION) + TABLE[i] as u64 + ((slope * rest) >> REST)
}

/// Binary places of a reciprocal of a column of this many bits: 24 digits remain of the smallest one.
pub const fn reciprocal_places(bits: u32) -> u32 {
    bits + FRACTION
}

/// `2^(bits + 24) / x`, rounded down, for 0 < x < 2^bits and `bits` at most 63 (0 for 0).
pub const fn reciprocal(x: u64, bits: u32) -> u128 {
    if x == 0 { 0 } else { (1u128 << reciprocal_places(bits)) / x as u128 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    extern crate std;

    #[test]
    fn the_table_is_the_logarithm() {
        for (i, entry) in TABLE.iter().enumerate() {
            let exact = (1.0 + i as f64 / 1024.0).log2() * f64::from(1u32 << FRACTION);
            assert!((f64::from(*entry) - exact).abs() <= 0.500_001, "{i}: {entry} {exact}");
        }
        assert!(TABLE.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] < 1 << SLOPE));
    }

    #[test]
    fn powers_of_two_are_exact() {
        for k in 0..64 {
            assert_eq!(log2(1 << k), k << FRACTION);
        }
        assert_eq!((reciprocal(1, 48), reciprocal(1 << 47, 48)), (1 << 72, 1 << 25));
    }

    proptest! {
        #[test]
        fn logarithms_are_within_their_bound(x in 1u64..1 << 53, shift in 0u32..11) {
            let exact = (x as f64).log2() + f64::from(shift);
            let off = log2(x << shift) as f64 / f64::from(1u32 << FRACTION) - exact;
            let unit = 1.0 / f64::from(1u32 << FRACTION);
            prop_assert!(off > -6.0 * unit && off < unit, "{}", off / unit);
        }

        #[test]
        fn logarithms_never_fall(x in 1u64..u64::MAX) {
            prop_assert!(log2(x) <= log2(x + 1));
        }
    }
}
