//! Comparison of bit-sliced numbers.

use alloc::vec::Vec;

use super::lockstep::Gates;
use super::planes::Numbers;
use super::{Bits, Compute, Host, Then, Tuning};
use crate::net::Abort;

/// A run of bits, compared: whether a < b in it, and whether they are equal (where anybody needs that).
struct Run {
    less: Bits,
    equal: Option<Bits>,
}

/// Exchanges and gates a row of a comparison of `width` bits in blocks of `block`.
pub(super) fn price(width: u64, block: u64) -> (u64, u64) {
    let blocks = width.div_ceil(block);
    let levels = u64::from(blocks.next_power_of_two().trailing_zeros());
    let equalities = width - width.min(block) - (blocks - 1);
    (block.min(width) + levels, width + equalities + 2 * (blocks - 1))
}

/// Sizes of blocks that are considered.
const BLOCKS: [u64; 7] = [1, 2, 4, 8, 16, 32, 128];

impl Tuning {
    /// The cheapest block for comparing this many words of rows.
    pub(super) fn block(&self, width: u64, words: u64) -> u64 {
        let price = |block: &u64| {
            let (rounds, gates) = price(width, *block);
            self.cost(rounds, gates * words)
        };
        BLOCKS.into_iter().min_by_key(price).unwrap_or(1)
    }
}

impl<H: Host> Compute<'_, H> {
    /// One bit for each row: a < b, as unsigned numbers of equally many planes.
    pub(super) fn less(&mut self, a: &Numbers, b: &Numbers) -> Result<Bits, Abort> {
        self.lockstep(async |gates| gates.less(a, b, Then::More).await)
    }

    /// The same, opened.
    pub(super) fn open_less(&mut self, a: &Numbers, b: &Numbers) -> Result<Vec<u64>, Abort> {
        let less = self.lockstep(async |gates| gates.less(a, b, Then::Open).await)?;
        self.open(&less)
    }
}

impl Gates {
    /// One bit for each row: a < b, as unsigned numbers of equally many planes.
    pub async fn less(&self, a: &Numbers, b: &Numbers, then: Then) -> Bits {
        let words = a.planes.first().map_or(0, Bits::words) as u64;
        let block = self.tuning.block(a.planes.len() as u64, words);
        self.less_in_blocks(a, b, block as usize, then).await
    }

    /// Borrows ripple within blocks of bits, all blocks at once; a tree joins the blocks.
    pub async fn less_in_blocks(&self, a: &Numbers, b: &Numbers, block: usize, then: Then) -> Bits {
        let party = self.party;
        let words = a.planes.first().map_or(0, Bits::words);
        let not_a: Vec<Bits> = a.planes.iter().map(|a| a.not(party)).collect();
        let equal: Vec<Bits> = not_a.iter().zip(&b.planes).map(|(a, b)| a.xor(b)).collect();
        let pairs: Vec<(&[Bits], &[Bits])> = not_a.chunks(block).zip(b.planes.chunks(block)).collect();
        // The lowest block's equality would decide nothing.
        let mut runs: Vec<Run> = equal
            .chunks(block)
            .enumerate()
            .map(|(i, e)| Run { less: Bits::zero(words), equal: e.first().filter(|_| i > 0).cloned() })
            .collect();
        let depth = block.min(a.planes.len());
        for bit in 0..depth {
            // borrow' = borrow + (not a + borrow)(b + borrow)
            let (mut left, mut right) = (Bits::default(), Bits::default());
            for (run, (a, b)) in runs.iter().zip(&pairs) {
                if let (Some(a), Some(b)) = (a.get(bit), b.get(bit)) {
                    left.extend(&a.xor(&run.less));
                    right.extend(&b.xor(&run.less));
                }
            }
            for (run, e) in runs.iter().zip(equal.chunks(block)) {
                if let (Some(so_far), Some(e)) = (&run.equal, e.get(bit).filter(|_| bit > 0)) {
                    left.extend(so_far);
                    right.extend(e);
                }
            }
            let after = if bit + 1 == depth && runs.len() == 1 { then } else { Then::More };
            let mut products = self.and(left, right, after).await.split(words).into_iter();
            for (run, (a, _)) in runs.iter_mut().zip(&pairs) {
                if let Some(product) = a.get(bit).and_then(|_| products.next()) {
                    run.less.xor_assign(&product);
                }
            }
            for (run, (a, _)) in runs.iter_mut().zip(&pairs) {
                if let (Some(so_far), Some(_)) = (&mut run.equal, a.get(bit).filter(|_| bit > 0))
                    && let Some(product) = products.next()
                {
                    *so_far = product;
                }
            }
        }
        while runs.len() > 1 {
            let after = if runs.len() == 2 { then } else { Then::More };
            runs = self.join(runs, words, after).await;
        }
        runs.pop().map(|run| run.less).unwrap_or_default()
    }

    /// One level of the tree: neighbours become one; the lower comes first.
    async fn join(&self, runs: Vec<Run>, words: usize, then: Then) -> Vec<Run> {
        let (mut left, mut right) = (Bits::default(), Bits::default());
        for pair in runs.chunks(2) {
            if let [low, Run { equal: Some(equal), .. }] = pair {
                left.extend(equal);
                right.extend(&low.less);
                if let Some(both) = &low.equal {
                    left.extend(equal);
                    right.extend(both);
                }
            }
        }
        let mut products = self.and(left, right, then).await.split(words).into_iter();
        let mut joined = Vec::with_capacity(runs.len().div_ceil(2));
        let mut runs = runs.into_iter();
        while let Some(low) = runs.next() {
            let Some(high) = runs.next() else {
                joined.push(low);
                break;
            };
            let mut less = high.less;
            if let Some(product) = products.next() {
                less.xor_assign(&product);
            }
            let equal = low.equal.and_then(|_| products.next());
            joined.push(Run { less, equal });
        }
        joined
    }
}
