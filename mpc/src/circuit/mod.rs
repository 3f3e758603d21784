//! The statement as a Boolean circuit, written once and evaluated by several [`Backend`]s.
//!
//! XOR, shifts and masks are free; an AND gate costs one bit of witness. A gate's two inputs and every checked
//! wire are affine in the witness (inputs and AND outputs), so a holder of one XOR share evaluates them on its
//! share alone ([`Shares`]); the prover evaluates plain values ([`Plain`]); sizes come from [`Counter`].

mod arith;
mod backends;
mod decimal;
mod fixed;
mod hash;
#[cfg(test)]
mod tests;

pub use backends::{Counter, Plain, Shares, Streams};

use alloc::vec::Vec;

use crate::bits::Bits;
use crate::statement::{BLINDER_BYTES, Column, HashAlg, MAX_ROWS_LOG2, Output, Statement};

/// A 128-bit number, low word first.
pub type Wide<W> = [W; 2];

/// How gates, inputs and checks of a circuit are carried out. Words are zero above their width.
pub trait Backend {
    /// Wires.
    type W: Bits;

    /// A public constant (it counts on one share only).
    fn constant(&mut self, value: u64) -> Self::W;

    /// The next `width` input bits.
    fn input(&mut self, width: u32) -> Self::W;

    /// The three arithmetic shares of the next lane.
    fn lane(&mut self) -> [Wide<Self::W>; 3];

    /// `width` AND gates.
    fn and(&mut self, a: Self::W, b: Self::W, width: u32) -> Self::W;

    /// The carries of `a + b + carry_in` (`carry_in` in bit 0), with one gate for each of the `gates` lowest bits
    /// (1 to 64): `c' = c ^ (a ^ c)(b ^ c)`. Returns the carry into each bit (bits above `gates` are
    /// unspecified) and the carry out of the `gates` lowest bits.
    fn carry(&mut self, a: Self::W, b: Self::W, carry_in: Self::W, gates: u32) -> (Self::W, Self::W);

    /// Claims that the `width` lowest bits are zero; the others are.
    fn zero(&mut self, word: Self::W, width: u32);
}

/// A column's number as the circuit has it.
#[derive(Clone, Copy)]
struct Number<W> {
    magnitude: W,
    /// In bit 0.
    negative: W,
    bits: u32,
}

/// The whole statement: commitments, formats, ranges, arithmetic shares.
pub fn evaluate<B: Backend>(b: &mut B, statement: &Statement) {
    let numbers: Vec<_> = statement.columns().iter().map(|c| column(b, c)).collect();
    let number = |c: u8| numbers[usize::from(c)];
    for output in statement.outputs() {
        match *output {
            Output::Value(c) => {
                let x = number(c);
                let value = arith::negate_if(b, [x.magnitude, B::W::ZERO], x.negative, x.bits);
                arith::check_sharing(b, value);
            }
            Output::Square(c) => {
                let x = number(c);
                let square = arith::square(b, x.magnitude, x.bits);
                if 2 * x.bits + MAX_ROWS_LOG2 > 128 {
                    for half in square {
                        arith::check_sharing(b, [half, B::W::ZERO]);
                    }
                } else {
                    arith::check_sharing(b, square);
                }
            }
            Output::Product(c, d) => {
                let (x, y) = (number(c), number(d));
                let magnitude = arith::product(b, x.magnitude, x.bits, y.magnitude, y.bits);
                let negative = x.negative ^ y.negative;
                let product = arith::negate_if(b, magnitude, negative, x.bits + y.bits);
                if x.bits + y.bits + 1 + MAX_ROWS_LOG2 > 128 {
                    let [low, high] = product;
                    arith::check_sharing(b, [low, B::W::ZERO]);
                    arith::check_sharing(b, [high, (high >> 63).splat()]);
                } else {
                    arith::check_sharing(b, product);
                }
            }
            Output::Log(c) => {
                let log = fixed::log2(b, &number(c));
                arith::check_sharing(b, [log, B::W::ZERO]);
            }
            Output::Reciprocal(c) => {
                let reciprocal = fixed::reciprocal(b, &number(c));
                arith::check_sharing(b, reciprocal);
            }
        }
    }
}

fn column<B: Backend>(b: &mut B, column: &Column) -> Number<B::W> {
    let length = usize::from(column.length);
    let preimage: Vec<_> = (0..length + BLINDER_BYTES).map(|_| b.input(8)).collect();
    match column.alg {
        HashAlg::Sha256 => {
            let digest = hash::sha256(b, &preimage);
            check_digest(b, &digest, &column.commitment, u32::from_be_bytes);
        }
        HashAlg::Blake3 => {
            let digest = hash::blake3(b, &preimage);
            check_digest(b, &digest, &column.commitment, u32::from_le_bytes);
        }
        HashAlg::Keccak256 => {
            let digest = hash::keccak256(b, &preimage);
            for (word, bytes) in digest.into_iter().zip(column.commitment.as_chunks::<8>().0) {
                let expected = b.constant(u64::from_le_bytes(*bytes));
                b.zero(word ^ expected, 64);
            }
        }
    }
    decimal::decimal(b, &preimage[..length], column)
}

fn check_digest<B: Backend>(b: &mut B, digest: &[B::W; 8], expected: &[u8; 32], read: fn([u8; 4]) -> u32) {
    for (word, bytes) in digest.iter().zip(expected.as_chunks::<4>().0) {
        let expected = b.constant(read(*bytes).into());
        b.zero(*word ^ expected, 32);
    }
}
