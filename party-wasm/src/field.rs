//! Vectors of K and columns of bits, at the host.

use alloc::vec::Vec;

use tercet_mpc::compute::kernels::ROWS;
use tercet_mpc::compute::{BitColumns, FieldVector};
use tercet_mpc::field::Gf128;

use crate::bindings::tercet::engine::field::{Columns, Element, Vector};

/// A vector at the host. One that answers wrongly or short only spoils its own party's proofs.
pub struct Remote(Vector);

/// Columns at the host.
pub struct RemoteColumns(Columns);

fn element(e: Gf128) -> Element {
    (e.0 as u64, (e.0 >> 64) as u64)
}

fn value((low, high): Element) -> Gf128 {
    Gf128(u128::from(high) << 64 | u128::from(low))
}

fn words(elements: &[Gf128]) -> Vec<u64> {
    let mut words = Vec::with_capacity(2 * elements.len());
    words.extend(elements.iter().flat_map(|e| <[u64; 2]>::from(element(*e))));
    words
}

fn elements(words: &[u64]) -> impl Iterator<Item = Gf128> + '_ {
    words.as_chunks().0.iter().map(|[low, high]| value((*low, *high)))
}

/// One for each row.
fn rows(words: &[u64]) -> [Gf128; ROWS] {
    let mut rows = [Gf128::ZERO; ROWS];
    rows.iter_mut().zip(elements(words)).for_each(|(row, e)| *row = e);
    rows
}

impl BitColumns for RemoteColumns {
    type Vector = Remote;

    fn new(words: Vec<u64>) -> Self {
        Self(Columns::new(&words))
    }

    fn row_sums(&self, weights: &Remote) -> [Gf128; ROWS] {
        rows(&self.0.row_sums(&weights.0))
    }

    fn values([first, second]: [&Self; 2], coefficients: &[Gf128; ROWS]) -> Remote {
        Remote(Columns::values(&first.0, &second.0, &words(coefficients)))
    }

    fn coset_sums([x0, x1]: [&Self; 2], [y0, y1]: [&Self; 2], weights: &Remote) -> [Gf128; ROWS] {
        rows(&Columns::coset_sums(&x0.0, &x1.0, &y0.0, &y1.0, &weights.0))
    }
}

impl FieldVector for Remote {
    fn new(elements: Vec<Gf128>) -> Self {
        Self(Vector::new(&words(&elements)))
    }

    fn powers(base: Gf128, count: usize) -> Self {
        Self(Vector::powers(element(base), count as u32))
    }

    fn elements(&self) -> Vec<Gf128> {
        elements(&self.0.words()).collect()
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
