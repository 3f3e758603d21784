//! Bulk products in K = GF(2^128) with the processor's carry-less multiplication.
//!
//! Owns the fast twins of `tercet_mpc::compute::kernels::portable`, and the project's only `unsafe`: the call into
//! functions that are compiled for an instruction set, after asking the processor whether it has it. Where it has
//! not, the portable functions serve. Must never compute anything else.

use tercet_mpc::compute::FieldKernels;
use tercet_mpc::compute::kernels::portable;
use tercet_mpc::field::Gf128;

/// The kernels at the processor's best.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accelerated;

impl FieldKernels for Accelerated {
    fn scale(&mut self, values: &[Gf128], by: Gf128) -> Vec<Gf128> {
        accelerated(Call::Scale(values, by)).unwrap_or_else(|| portable::scale(values, by))
    }

    fn multiply(&mut self, a: &[Gf128], b: &[Gf128]) -> Vec<Gf128> {
        accelerated(Call::Multiply(a, b)).unwrap_or_else(|| portable::multiply(a, b))
    }

    fn fold(&mut self, values: &[Gf128], point: Gf128) -> Vec<Gf128> {
        accelerated(Call::Fold(values, point)).unwrap_or_else(|| portable::fold(values, point))
    }

    fn halves(&mut self, a: &[Gf128], b: &[Gf128]) -> [Gf128; 2] {
        match accelerated(Call::Halves(a, b)).as_deref() {
            Some([low, top]) => [*low, *top],
            _ => portable::halves(a, b),
        }
    }
}

/// One call, so that there is one place where the processor is asked.
#[derive(Clone, Copy)]
enum Call<'a> {
    Scale(&'a [Gf128], Gf128),
    Multiply(&'a [Gf128], &'a [Gf128]),
    Fold(&'a [Gf128], Gf128),
    Halves(&'a [Gf128], &'a [Gf128]),
}

/// The call's result, if the processor has the instructions.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the instruction set is checked in the line before")]
fn accelerated(call: Call<'_>) -> Option<Vec<Gf128>> {
    let there =
        std::arch::is_x86_feature_detected!("pclmulqdq") && std::arch::is_x86_feature_detected!("sse4.1");
    // Safety: the processor has what `run` is compiled for.
    there.then(|| unsafe { run(call) })
}

/// The call's result, if the processor has the instructions.
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "the instruction set is checked in the line before")]
fn accelerated(call: Call<'_>) -> Option<Vec<Gf128>> {
    let there =
        std::arch::is_aarch64_feature_detected!("neon") && std::arch::is_aarch64_feature_detected!("aes");
    // Safety: the processor has what `run` is compiled for.
    there.then(|| unsafe { run(call) })
}

/// No such instructions are known here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn accelerated(_: Call<'_>) -> Option<Vec<Gf128>> {
    None
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq,sse4.1")]
#[inline]
fn clmul(a: u64, b: u64) -> u128 {
    use std::arch::x86_64::{_mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_extract_epi64};
    let product =
        _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(a.cast_signed()), _mm_cvtsi64_si128(b.cast_signed()));
    let low = _mm_cvtsi128_si64(product).cast_unsigned();
    let high = _mm_extract_epi64::<1>(product).cast_unsigned();
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,aes")]
#[inline]
fn clmul(a: u64, b: u64) -> u128 {
    std::arch::aarch64::vmull_p64(a, b)
}

/// A product before reduction: low and high half. Sums of these are reduced once.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "pclmulqdq,sse4.1"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,aes"))]
#[inline]
fn wide(a: Gf128, b: Gf128) -> (u128, u128) {
    let (a0, a1, b0, b1) = (a.0 as u64, (a.0 >> 64) as u64, b.0 as u64, (b.0 >> 64) as u64);
    let (low, high) = (clmul(a0, b0), clmul(a1, b1));
    let middle = clmul(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    (low ^ middle << 64, high ^ middle >> 64)
}

/// Modulo x^128 + x^7 + x^2 + x + 1.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline]
fn reduce((low, high): (u128, u128)) -> Gf128 {
    let over = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    let high = high ^ over;
    Gf128(low ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "pclmulqdq,sse4.1"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,aes"))]
fn run(call: Call<'_>) -> Vec<Gf128> {
    // Loops, not iterators with closures: a closure would not be compiled for the instruction set.
    let mut out = Vec::new();
    match call {
        Call::Scale(values, by) => {
            out.reserve_exact(values.len());
            for value in values {
                out.push(reduce(wide(*value, by)));
            }
        }
        Call::Multiply(a, b) => {
            out.reserve_exact(a.len().min(b.len()));
            for (a, b) in a.iter().zip(b) {
                out.push(reduce(wide(*a, *b)));
            }
        }
        Call::Fold(values, point) => {
            let (v0, v1) = values.split_at(values.len() / 2);
            out.reserve_exact(v0.len());
            for (a, b) in v0.iter().zip(v1) {
                out.push(*a + reduce(wide(point, *a + *b)));
            }
        }
        Call::Halves(a, b) => {
            let (a0, a1) = a.split_at(a.len() / 2);
            let (b0, b1) = b.split_at(b.len() / 2);
            let (mut low, mut top) = ((0, 0), (0, 0));
            for ((a0, a1), (b0, b1)) in a0.iter().zip(a1).zip(b0.iter().zip(b1)) {
                let (l, t) = (wide(*a0, *b0), wide(*a0 + *a1, *b0 + *b1));
                low = (low.0 ^ l.0, low.1 ^ l.1);
                top = (top.0 ^ t.0, top.1 ^ t.1);
            }
            out.extend([reduce(low), reduce(top)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(values: &[u128]) -> Vec<Gf128> {
        values.iter().copied().map(Gf128).collect()
    }

    proptest! {
        /// Equal to the definition, on every processor.
        #[test]
        fn kernels_are_the_portable_ones(a in prop::collection::vec(any::<u128>(), 0..40), b in prop::collection::vec(any::<u128>(), 0..40), by: u128) {
            let (a, b, by) = (field(&a), field(&b), Gf128(by));
            let mut fast = Accelerated;
            prop_assert_eq!(fast.scale(&a, by), portable::scale(&a, by));
            prop_assert_eq!(fast.multiply(&a, &b), portable::multiply(&a, &b));
            let even = a.len().min(b.len()) / 2 * 2;
            prop_assert_eq!(fast.fold(&a[..even], by), portable::fold(&a[..even], by));
            prop_assert_eq!(fast.halves(&a[..even], &b[..even]), portable::halves(&a[..even], &b[..even]));
        }
    }

    #[test]
    fn extremes() {
        for a in [0, 1, 1 << 127, u128::MAX, 0x87] {
            for b in [0, 1, 1 << 127, u128::MAX] {
                assert_eq!(Accelerated.scale(&[Gf128(a)], Gf128(b)), [Gf128(a) * Gf128(b)]);
            }
        }
    }
}
