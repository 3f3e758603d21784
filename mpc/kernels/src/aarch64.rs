//! PMULL.

use std::arch::aarch64::vmull_p64;

use tercet_mpc::field::Gf128;

/// True if the processor has it.
pub fn there() -> bool {
    std::arch::is_aarch64_feature_detected!("neon") && std::arch::is_aarch64_feature_detected!("aes")
}

fn load(element: Gf128) -> u128 {
    element.0
}

fn store(v: u128) -> Gf128 {
    Gf128(v)
}

fn xor(a: u128, b: u128) -> u128 {
    a ^ b
}

/// A product before reduction: low and high half. Sums of these are reduced once.
#[target_feature(enable = "neon,aes")]
#[inline]
fn wide(a: u128, b: u128) -> (u128, u128) {
    let (a0, a1, b0, b1) = (a as u64, (a >> 64) as u64, b as u64, (b >> 64) as u64);
    let (low, high) = (vmull_p64(a0, b0), vmull_p64(a1, b1));
    let middle = vmull_p64(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    (low ^ middle << 64, high ^ middle >> 64)
}

/// Modulo x^128 + x^7 + x^2 + x + 1.
fn reduce((low, high): (u128, u128)) -> u128 {
    let over = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    let high = high ^ over;
    low ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7)
}

crate::loops!("neon,aes");
