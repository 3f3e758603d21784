//! The levels below: an inner product over K, halved until one product is left.
//!
//! The claim: `<a, b> = c`, where one verifier knows a, the other b, and c is the sum of a part of each. With
//! `f(t) = a0 + t (a0 + a1)` and g alike, `P(t) = <f(t), g(t)>` has `P(0) + P(1) = c`; the prover gives P(0) and the
//! coefficient of t^2 (each shared between the verifiers), and the claim becomes `<f(r), g(r)> = P(r)`. An odd length has a
//! zero at the end of its second half.

use crate::field::Gf128;

/// Elements that the prover gives at each level.
pub const LEVEL: usize = 2;

/// Levels for vectors of this length, without the last one that masks.
pub fn levels(length: usize) -> usize {
    length.next_power_of_two().trailing_zeros() as usize
}

/// P(r) from the claim and a level's elements; linear in them, so each verifier does it on its own part.
pub fn claim(claim: Gf128, [low, top]: [Gf128; LEVEL], r: Gf128) -> Gf128 {
    low + r * (claim + top) + r.square() * top
}

/// The same at the last level, where P(0) is the claim and the elements are P(1) and the coefficient of t^2.
pub fn last_claim(claim: Gf128, [one, top]: [Gf128; LEVEL], r: Gf128) -> Gf128 {
    claim + r * (claim + one + top) + r.square() * top
}

/// The elements of the last level: `a` and `b` are the rest of the vectors, hidden by the masks.
pub fn last(a: Gf128, mask_a: Gf128, b: Gf128, mask_b: Gf128) -> [Gf128; LEVEL] {
    [mask_a * mask_b, (a + mask_a) * (b + mask_b)]
}

/// The value that a verifier shows: its point on the line from `value` to its mask.
pub fn masked(value: Gf128, mask: Gf128, r: Gf128) -> Gf128 {
    value + r * (value + mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::kernels::FieldVector as _;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn claims_stay_true(a: [u128; 8], b: [u128; 8], length in 1usize..=8, r: [u128; 4], masks: [u128; 2]) {
            let (mut a, mut b) = (a.map(Gf128)[..length].to_vec(), b.map(Gf128)[..length].to_vec());
            let mut c: Gf128 = a.iter().zip(&b).map(|(a, b)| *a * *b).sum();
            for level in 0..levels(length) {
                let r = Gf128(r[level]);
                c = claim(c, a.halves(&b), r);
                a.fold(r);
                b.fold(r);
                prop_assert_eq!(c, a.iter().zip(&b).map(|(a, b)| *a * *b).sum());
            }
            let (r, [ma, mb]) = (Gf128(r[3]), masks.map(Gf128));
            let c = last_claim(c, last(a[0], ma, b[0], mb), r);
            prop_assert_eq!(c, masked(a[0], ma, r) * masked(b[0], mb, r));
        }
    }
}
