//! Bulk products in K, which a host can compute with carry-less multiplication.

use alloc::vec::Vec;

use crate::field::Gf128;

/// Pure functions on slices of K. The bodies here are the definition, portable and slow; a host with carry-less
/// multiplication overrides them. Whoever does must give equal results: a wrong one makes honest proofs fail.
pub trait FieldKernels {
    /// Multiplies every element by one.
    fn scale(&mut self, values: &[Gf128], by: Gf128) -> Vec<Gf128> {
        portable::scale(values, by)
    }

    /// Products element by element; as many as the shorter slice has.
    fn multiply(&mut self, a: &[Gf128], b: &[Gf128]) -> Vec<Gf128> {
        portable::multiply(a, b)
    }

    /// For halves (v0, v1) of a slice of even length: `v0 + point * (v0 + v1)`.
    fn fold(&mut self, values: &[Gf128], point: Gf128) -> Vec<Gf128> {
        portable::fold(values, point)
    }

    /// For halves of two slices of one even length: the inner products `<a0, b0>` and `<a0 + a1, b0 + b1>`.
    fn halves(&mut self, a: &[Gf128], b: &[Gf128]) -> [Gf128; 2] {
        portable::halves(a, b)
    }
}

/// The kernels without any help from a processor.
pub mod portable {
    use super::*;

    /// See [`FieldKernels::scale`].
    pub fn scale(values: &[Gf128], by: Gf128) -> Vec<Gf128> {
        values.iter().map(|v| *v * by).collect()
    }

    /// See [`FieldKernels::multiply`].
    pub fn multiply(a: &[Gf128], b: &[Gf128]) -> Vec<Gf128> {
        a.iter().zip(b).map(|(a, b)| *a * *b).collect()
    }

    /// See [`FieldKernels::fold`].
    pub fn fold(values: &[Gf128], point: Gf128) -> Vec<Gf128> {
        let (v0, v1) = values.split_at(values.len() / 2);
        v0.iter().zip(v1).map(|(a, b)| *a + point * (*a + *b)).collect()
    }

    /// See [`FieldKernels::halves`].
    pub fn halves(a: &[Gf128], b: &[Gf128]) -> [Gf128; 2] {
        let (a0, a1) = a.split_at(a.len() / 2);
        let (b0, b1) = b.split_at(b.len() / 2);
        let (mut low, mut top) = (Gf128::ZERO, Gf128::ZERO);
        for ((a0, a1), (b0, b1)) in a0.iter().zip(a1).zip(b0.iter().zip(b1)) {
            low += *a0 * *b0;
            top += (*a0 + *a1) * (*b0 + *b1);
        }
        [low, top]
    }
}
