//! Bulk products in K, by the host.

use alloc::vec::Vec;

use tercet_mpc::compute::FieldKernels;
use tercet_mpc::field::Gf128;

use crate::Frames;
use crate::bindings::tercet::engine::field;

fn bytes(values: &[Gf128]) -> Vec<u8> {
    let mut bytes = alloc::vec![0; 16 * values.len()];
    for (to, value) in bytes.as_chunks_mut::<16>().0.iter_mut().zip(values) {
        *to = value.to_bytes();
    }
    bytes
}

fn values(bytes: &[u8]) -> Vec<Gf128> {
    bytes.as_chunks::<16>().0.iter().map(|b| Gf128::from_bytes(*b)).collect()
}

/// A host that answers wrongly or short only spoils its own party's proofs.
impl FieldKernels for Frames {
    fn scale(&mut self, v: &[Gf128], by: Gf128) -> Vec<Gf128> {
        values(&field::scale(&bytes(v), &by.to_bytes()))
    }

    fn multiply(&mut self, a: &[Gf128], b: &[Gf128]) -> Vec<Gf128> {
        values(&field::multiply(&bytes(a), &bytes(b)))
    }

    fn fold(&mut self, v: &[Gf128], point: Gf128) -> Vec<Gf128> {
        values(&field::fold(&bytes(v), &point.to_bytes()))
    }

    fn halves(&mut self, a: &[Gf128], b: &[Gf128]) -> [Gf128; 2] {
        match values(&field::halves(&bytes(a), &bytes(b)))[..] {
            [low, top] => [low, top],
            _ => [Gf128::ZERO; 2],
        }
    }
}
