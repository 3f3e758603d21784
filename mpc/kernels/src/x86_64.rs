//! PCLMULQDQ (Intel, "Carry-Less Multiplication Instruction and its Usage for Computing the GCM Mode", 2010).

use std::arch::x86_64::{
    __m128i, _mm_bslli_si128, _mm_bsrli_si128, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_extract_epi64,
    _mm_set_epi64x, _mm_xor_si128,
};

use tercet_mpc::field::Gf128;

/// True if the processor has it.
pub fn there() -> bool {
    std::arch::is_x86_feature_detected!("pclmulqdq") && std::arch::is_x86_feature_detected!("avx2")
}

#[target_feature(enable = "pclmulqdq,sse4.1,avx2")]
#[inline]
fn load(element: Gf128) -> __m128i {
    _mm_set_epi64x((element.0 >> 64) as i64, element.0 as i64)
}

#[target_feature(enable = "pclmulqdq,sse4.1,avx2")]
#[inline]
fn store(v: __m128i) -> Gf128 {
    let low = _mm_cvtsi128_si64(v).cast_unsigned();
    let high = _mm_extract_epi64::<1>(v).cast_unsigned();
    Gf128(u128::from(high) << 64 | u128::from(low))
}

#[target_feature(enable = "pclmulqdq,sse4.1,avx2")]
#[inline]
fn xor(a: __m128i, b: __m128i) -> __m128i {
    _mm_xor_si128(a, b)
}

/// A product before reduction: low and high half. Sums of these are reduced once.
#[target_feature(enable = "pclmulqdq,sse4.1,avx2")]
#[inline]
fn wide(a: __m128i, b: __m128i) -> (__m128i, __m128i) {
    let (low, high) = (_mm_clmulepi64_si128::<0x00>(a, b), _mm_clmulepi64_si128::<0x11>(a, b));
    let middle = xor(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
    (xor(low, _mm_bslli_si128::<8>(middle)), xor(high, _mm_bsrli_si128::<8>(middle)))
}

/// Modulo x^128 + x^7 + x^2 + x + 1: the part above x^128, times the rest of the polynomial; then the part of this
/// that is above, once more.
#[target_feature(enable = "pclmulqdq,sse4.1,avx2")]
#[inline]
fn reduce((low, high): (__m128i, __m128i)) -> __m128i {
    let rest = _mm_set_epi64x(0, 0x87);
    let top = _mm_clmulepi64_si128::<0x01>(high, rest);
    let over = _mm_clmulepi64_si128::<0x01>(top, rest);
    let folded = xor(_mm_clmulepi64_si128::<0x00>(high, rest), _mm_bslli_si128::<8>(top));
    xor(low, xor(folded, over))
}

crate::loops!("pclmulqdq,sse4.1,avx2");
