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
mod notation;
mod session;
mod terms;
#[cfg(test)]
mod tests;
mod text;

pub use backends::{Counter, Plain, Shares, Streams};
use terms::Terms;

use alloc::vec::Vec;

use crate::bits::Bits;
use crate::statement::{BLINDER_BYTES, Binding, Column, Format, HashAlg, Session, Statement};

/// A 128-bit number, low word first.
pub type Wide<W> = [W; 2];

/// Carries out the gates, inputs and checks of a circuit. Words are zero above their width.
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

    /// The inverses in AES's field, GF(2)[x] / (x^8 + x^4 + x^3 + x + 1), of `width` bytes (zero gives zero), one in
    /// each lane; word k of the argument and of the result holds bit k of each. Eight bits of witness and two gates
    /// over the field a byte: `x^2 y = x` and `x y^2 = y`.
    fn invert(&mut self, x: [Self::W; 8], width: u32) -> [Self::W; 8];

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
    /// In bit 0: whether the text says that there is no value. Magnitude and sign are then zero.
    missing: Option<W>,
}

/// The meaning of a column's text, on wires.
enum Read<W> {
    Number(Number<W>),
    /// For each value, in bit 0, whether it is the column's: exactly one is.
    Category(Vec<W>),
}

/// The texts of the columns that a session has, decrypted, one byte a word; checks all of the session.
pub fn texts<B: Backend>(b: &mut B, session: &Session, columns: usize) -> Vec<Vec<B::W>> {
    session::texts(b, session, columns)
}

/// The whole statement: the bindings of texts to the evidence, formats, ranges, arithmetic shares.
pub fn evaluate<B: Backend>(b: &mut B, statement: &Statement) {
    let columns = statement.columns();
    let texts = match statement.session() {
        Some(session) => texts(b, session, columns.len()),
        None => columns.iter().map(|c| committed(b, c)).collect(),
    };
    let columns: Vec<_> = columns.iter().zip(&texts).map(|(c, text)| read(b, c, text)).collect();
    let mut terms = Terms::new(&columns);
    for output in statement.outputs() {
        let term = output.term();
        let value = terms.term(b, term);
        let width = statement.width(term);
        let value = match output.condition() {
            None => value,
            Some(condition) => {
                let holds = terms.condition(b, condition);
                terms::keep_if(b, value, holds, width)
            }
        };
        if width.is_split() {
            let [low, high] = value;
            arith::check_sharing(b, [low, B::W::ZERO]);
            let sign = if width.signed { (high >> 63).splat() } else { B::W::ZERO };
            arith::check_sharing(b, [high, sign]);
        } else {
            arith::check_sharing(b, value);
        }
    }
}

/// A committed text, one byte a word.
fn committed<B: Backend>(b: &mut B, column: &Column) -> Vec<B::W> {
    let Binding::Hash { alg, commitment } = column.binding else { return Vec::new() };
    let length = usize::from(column.length);
    let mut preimage: Vec<_> = (0..length + BLINDER_BYTES).map(|_| b.input(8)).collect();
    match alg {
        HashAlg::Sha256 => {
            let digest = hash::sha256(b, &preimage);
            check_digest(b, &digest, &commitment, u32::from_be_bytes);
        }
        HashAlg::Blake3 => {
            let digest = hash::blake3(b, &preimage);
            check_digest(b, &digest, &commitment, u32::from_le_bytes);
        }
        HashAlg::Keccak256 => {
            let digest = hash::keccak256(b, &preimage);
            for (word, bytes) in digest.into_iter().zip(commitment.as_chunks::<8>().0) {
                let expected = b.constant(u64::from_le_bytes(*bytes));
                b.zero(word ^ expected, 64);
            }
        }
    }
    preimage.truncate(length);
    preimage
}

/// Reads a column's text.
fn read<B: Backend>(b: &mut B, column: &Column, text: &[B::W]) -> Read<B::W> {
    match &column.format {
        Format::Number(number) if column.binding == Binding::Absent => {
            let missing = column.format.may_be_missing().then(|| b.constant(1));
            Read::Number(Number {
                magnitude: B::W::ZERO,
                negative: B::W::ZERO,
                bits: number.bits.into(),
                missing,
            })
        }
        Format::Number(number) => Read::Number(text::number(b, text, number)),
        Format::Category(values) => Read::Category(text::category(b, text, values)),
    }
}

fn check_digest<B: Backend>(b: &mut B, digest: &[B::W; 8], expected: &[u8; 32], read: fn([u8; 4]) -> u32) {
    for (word, bytes) in digest.iter().zip(expected.as_chunks::<4>().0) {
        let expected = b.constant(read(*bytes).into());
        b.zero(*word ^ expected, 32);
    }
}
