//! Vectors of K, at the host.

use alloc::vec::Vec;

use tercet_mpc::compute::{FieldVector, Host};
use tercet_mpc::field::Gf128;

use crate::Frames;
use crate::bindings::tercet::engine::field::{Element, Vector};

/// A vector at the host. One that answers wrongly or short only spoils its own party's proofs.
pub struct Remote(Vector);

impl Host for Frames {
    type Vector = Remote;
}

fn element(e: Gf128) -> Element {
    (e.0 as u64, (e.0 >> 64) as u64)
}

fn value((low, high): Element) -> Gf128 {
    Gf128(u128::from(high) << 64 | u128::from(low))
}

impl FieldVector for Remote {
    fn new(elements: Vec<Gf128>) -> Self {
        let mut words = Vec::with_capacity(2 * elements.len());
        words.extend(elements.iter().flat_map(|e| <[u64; 2]>::from(element(*e))));
        Self(Vector::new(&words))
    }

    fn powers(base: Gf128, count: usize) -> Self {
        Self(Vector::powers(element(base), count as u32))
    }

    fn elements(&self) -> Vec<Gf128> {
        self.0.words().as_chunks().0.iter().map(|[low, high]| value((*low, *high))).collect()
    }

    fn scale(&mut self, by: Gf128) {
        self.0.scale(element(by));
    }

    fn weigh(&mut self, weights: &Self) {
        self.0.weigh(&weights.0);
    }

    fn fold(&mut self, point: Gf128) {
        self.0.fold(element(point));
    }

    fn halves(&self, other: &Self) -> [Gf128; 2] {
        let (low, top) = self.0.halves(&other.0);
        [value(low), value(top)]
    }

    fn dot(&self, other: &Self) -> Gf128 {
        value(self.0.dot(&other.0))
    }
}
