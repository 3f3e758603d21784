//! The provider's side: witness, shares, proof.

use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

use super::points::Subspace;
use super::share::{Explicit, PrivatePart, Share, ShareHashes};
use super::transcript::{commitments, element, gamma};
use crate::bits::{BitWriter, Words};
use crate::circuit::{self, Plain, Streams};
use crate::decimal::DecimalError;
use crate::field::Gf128;
use crate::fixed;
use crate::statement::{
    BLINDER_BYTES, Column, Condition, Lane, Layout, Part, Said, Statement, Term, TextError,
};
use crate::{PartyId, mutant, rows};

/// The secret behind one column's commitment.
#[derive(Clone)]
pub struct ColumnWitness {
    /// The value's bytes as committed.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The blinder that follows them under the hash.
    pub blinder: Zeroizing<[u8; BLINDER_BYTES]>,
}

impl fmt::Debug for ColumnWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ColumnWitness(..)")
    }
}

/// What the prover is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Evaluating the circuit and sharing its witness.
    Circuit,
    /// Making the proof.
    Proof,
}

/// How far the prover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// Steps done, of all phases together.
    pub done: usize,
    /// Steps in all; the same in every call.
    pub total: usize,
}

/// Why there is no proof. The texts hold nothing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// Not one witness for each column.
    #[error("the statement has {expected} columns, {got} values were given")]
    Columns {
        /// Columns of the statement.
        expected: usize,
        /// Witnesses given.
        got: usize,
    },
    /// A value does not have its column's length.
    #[error("column {column}: the committed range has {expected} bytes, the value has {got}")]
    Length {
        /// The column.
        column: usize,
        /// Bytes of the column.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// A value is not a number that the column admits.
    #[error("column {column}: {error}")]
    Decimal {
        /// The column.
        column: usize,
        /// What is wrong.
        error: DecimalError,
    },
    /// A text is none of the category's values.
    #[error("column {column}: the text is none of the values that the survey admits")]
    Category {
        /// The column.
        column: usize,
    },
    /// A value is not above zero, and its logarithm or reciprocal is asked for.
    #[error(
        "column {column}: the value must be above zero, since the survey asks for a geometric or harmonic mean"
    )]
    NotPositive {
        /// The column.
        column: usize,
    },
    /// A commitment is not that of the value and blinder.
    #[error(
        "the attested commitments are not those of these values and blinders: check that presentation and secrets belong together"
    )]
    Commitment,
}

/// A finished proof. The private parts are secret from everybody but their party: seal them.
pub struct Proven {
    /// The public part.
    pub public: ShareHashes,
    /// The private part of each party, encoded.
    pub private: [Zeroizing<Vec<u8>>; 3],
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proven").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Proves a statement.
///
/// `witness`: one for each column; `ctx`: what else the proof is bound to (survey and presentation, 32 bytes hashed by
/// the caller); `seed`: 32 bytes of randomness. The same arguments give the same bytes; a seed that is used again
/// with anything else changed gives unrelated shares.
pub fn prove(
    statement: &Statement,
    witness: &[ColumnWitness],
    ctx: &[u8; 32],
    seed: &[u8; 32],
    progress: &mut dyn FnMut(Progress),
) -> Result<Proven, ProveError> {
    let values = values(statement, witness)?;
    let layout = statement.layout();
    let total = 2 + 2 * layout.columns;
    progress(Progress { phase: Phase::Circuit, done: 0, total });

    let mut parts: Vec<&[u8]> = alloc::vec![&seed[..], &ctx[..]];
    let encoded = statement.encode();
    if !mutant!("prover-without-statement") {
        parts.push(&encoded);
    }
    if !mutant!("prover-without-witness") {
        witness.iter().for_each(|w| parts.extend([&w.bytes[..], &w.blinder[..]]));
    }
    let mut random = commitments::prover(&parts).stream();
    let mut fresh = || {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut bytes[..]);
        bytes
    };
    let (seeds, blind) = ([fresh(), fresh()], fresh());
    let shares = [0, 1].map(|i| Share::expand(i, &seeds[i], &layout));

    let mut inputs = Zeroizing::new(Vec::with_capacity(layout.input_bytes));
    witness.iter().for_each(|w| inputs.extend(w.bytes.iter().chain(&w.blinder[..])));
    let lanes: Vec<[u128; 3]> = statement
        .lanes()
        .iter()
        .zip(shares[0].lanes(&layout).zip(shares[1].lanes(&layout)))
        .map(|(lane, (x0, x1))| {
            [x0, x1, lane_value(statement, lane, &values).wrapping_sub(x0).wrapping_sub(x1)]
        })
        .collect();
    let streams = evaluate(statement, &layout, &inputs, &lanes);
    if streams.zeros.iter().any(|w| w.0 != [0]) {
        // Formats, ranges and sums hold by construction; what is left is the commitment.
        return Err(ProveError::Commitment);
    }
    progress(Progress { phase: Phase::Circuit, done: 1, total });

    let witness = explicit_witness(&layout, &inputs, &lanes, &streams.out, &shares);
    let mut public = ShareHashes {
        seeds: [0, 1].map(|i| commitments::seed(i, &seeds[i])),
        witness: commitments::witness(&blind, &witness),
        proof: [0; 32],
        rows: [0, 1, 2].map(|i| {
            let secret = if i < 2 { &seeds[i] } else { &blind };
            rows::commitment(&rows::key(secret), lanes.iter().map(|lane| lane[i]))
        }),
    };
    let gamma = gamma(statement, ctx, &public);
    if mutant!("prover-masks-public") {
        random = commitments::prover(&[]).stream();
    }
    let masks: Vec<_> = (0..2 * layout.columns).map(|_| element(&mut random)).collect();
    let elements = prove_gates(&layout, gamma, &streams, masks, &mut |done| {
        progress(Progress { phase: Phase::Proof, done: 2 + done, total });
    });
    let mut proof = Zeroizing::new(Vec::with_capacity(16 * elements.len()));
    for (x, (a, b)) in elements.iter().zip(shares[0].elements().iter().zip(shares[1].elements())) {
        proof.extend((*x + Gf128::from_bytes(*a) + Gf128::from_bytes(*b)).to_bytes());
    }
    public.proof = commitments::proof(&blind, &proof);

    let explicit = Explicit { blind, share: Share { index: 2, witness, proof } };
    let binding = commitments::binding(statement, ctx, &public);
    let private = PartyId::ALL.map(|party| PrivatePart::new(party, binding, &seeds, &explicit).encode());
    Ok(Proven { public, private })
}

/// What the columns say.
fn values(statement: &Statement, witness: &[ColumnWitness]) -> Result<Vec<Said>, ProveError> {
    let columns = statement.columns();
    if witness.len() != columns.len() {
        return Err(ProveError::Columns { expected: columns.len(), got: witness.len() });
    }
    let value = |(column, (c, w)): (usize, (&Column, &ColumnWitness))| {
        let (expected, got) = (usize::from(c.length), w.bytes.len());
        if expected != got {
            return Err(ProveError::Length { column, expected, got });
        }
        c.format.read(&w.bytes).map_err(|error| match error {
            TextError::Decimal(error) => ProveError::Decimal { column, error },
            TextError::Category => ProveError::Category { column },
        })
    };
    let values: Vec<Said> = columns.iter().zip(witness).enumerate().map(value).collect::<Result<_, _>>()?;
    let positive = statement.outputs().iter().filter_map(|o| o.positive()).map(usize::from);
    match positive.filter(|c| matches!(values[*c], Said::Number(Some(..=0)))).min() {
        Some(column) => Err(ProveError::NotPositive { column }),
        None => Ok(values),
    }
}

/// What the three shares of a lane add up to.
pub(super) fn lane_value(statement: &Statement, lane: &Lane, values: &[Said]) -> u128 {
    let number = |c: u8| match values[usize::from(c)] {
        Said::Number(value) => value,
        Said::Category(_) => None,
    };
    let value = |c: u8| i128::from(number(c).unwrap_or(0));
    let of = |c: u8, f: &dyn Fn(u64) -> u128| number(c).map_or(0, |v| f(v.unsigned_abs()) as i128);
    let holds = match lane.output.condition() {
        None => true,
        Some(Condition::Present(c)) => number(c).is_some(),
        Some(Condition::Is(c, value)) => values[usize::from(c)] == Said::Category(value),
    };
    let full = match lane.output.term() {
        _ if !holds => 0,
        Term::One => 1,
        Term::Present(c) => i128::from(number(c).is_some()),
        Term::Value(c) => value(c),
        Term::Square(c) => value(c) * value(c),
        Term::Product(a, b) => value(a) * value(b),
        Term::Log(c) => of(c, &|v| fixed::log2(v).into()),
        // Below 2^88.
        Term::Reciprocal(c) => of(c, &|v| fixed::reciprocal(v, statement.bits(c))),
    };
    match lane.part {
        Part::Whole => full as u128,
        Part::Low => full as u128 & u128::from(u64::MAX),
        Part::High => (full >> 64) as u128,
    }
}

pub(super) fn evaluate(
    statement: &Statement,
    layout: &Layout,
    inputs: &[u8],
    lanes: &[[u128; 3]],
) -> Streams<Words<1>> {
    let mut bits = BitWriter::with_capacity(8 * inputs.len());
    inputs.iter().for_each(|b| bits.push(Words([u64::from(*b)]), 8));
    let bits = bits.finish();
    let mut plain = Plain::new(&bits, lanes, layout.gates);
    circuit::evaluate(&mut plain, statement);
    plain.finish()
}

/// Share 2 of the witness: inputs and gates less the other shares, and its own part of the lanes.
pub(super) fn explicit_witness(
    layout: &Layout,
    inputs: &[u8],
    lanes: &[[u128; 3]],
    gates: &[Words<1>],
    shares: &[Share; 2],
) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(layout.witness_bytes()));
    let less = |x: u8, (a, b): (&u8, &u8)| x ^ a ^ b;
    let [a, b] = [0, 1].map(|i| shares[i].inputs(layout));
    out.extend(inputs.iter().zip(a.iter().zip(b)).map(|(x, ab)| less(*x, ab)));
    lanes.iter().for_each(|x| out.extend(x[2].to_le_bytes()));
    let [a, b] = [0, 1].map(|i| shares[i].gates(layout));
    let gates = gates.iter().flat_map(|w| w.0[0].to_le_bytes());
    out.extend(gates.zip(a.iter().zip(b)).map(|(x, ab)| less(x, ab)));
    out
}

/// The elements of the proof: masks, values of P on the coset, top coefficient.
pub(super) fn prove_gates(
    layout: &Layout,
    gamma: Gf128,
    streams: &Streams<Words<1>>,
    masks: Vec<Gf128>,
    done: &mut dyn FnMut(usize),
) -> Vec<Gf128> {
    let extension = Extension::new(layout);
    let rows = layout.rows();
    let (u, v) = masks.split_at(layout.columns);
    let mut values = alloc::vec![Gf128::ZERO; rows];
    let mut top = Gf128::ZERO;
    let (mut f, mut g) = (values.clone(), values.clone());
    let columns = streams.left.chunks(rows / 64).zip(streams.right.chunks(rows / 64));
    for (l, ((left, right), (u, v))) in columns.zip(u.iter().zip(v)).enumerate() {
        extension.extend(left, *u, &mut f);
        extension.extend(right, *v, &mut g);
        for (value, (f, g)) in values.iter_mut().zip(f.iter().zip(&g)) {
            *value = *value * gamma + *f * *g;
        }
        top = top * gamma + *u * *v;
        done(2 * l + 2);
    }
    let mut elements = masks;
    elements.extend(values);
    elements.push(top);
    elements
}

/// Evaluates a column's polynomial on the coset, given its bits on the rows.
///
/// With Z = 1 on the coset, row j weighs `1 / (s + v_i + v_j)` at point i, which depends on i XOR j only. Bits enter as
/// masks: neither branches nor addresses depend on them.
struct Extension {
    /// For each k below 4: `1 / (s + v_(m XOR k))` for m = 0, 1, ..., in blocks of four.
    inverses: [Vec<[Gf128; 4]>; 4],
}

impl Extension {
    fn new(layout: &Layout) -> Self {
        let rows = Subspace::new(layout.log_rows);
        // Z(s) = 1.
        let inverses = rows.weights(rows.shift(), Gf128::ONE);
        let blocks = inverses.as_chunks::<4>().0;
        let permuted = |k: usize| blocks.iter().map(|b| core::array::from_fn(|m| b[m ^ k])).collect();
        Self { inverses: core::array::from_fn(permuted) }
    }

    fn extend(&self, bits: &[Words<1>], mask: Gf128, out: &mut [Gf128]) {
        out.fill(mask);
        for (w, word) in bits.iter().enumerate() {
            for block in 0..16 {
                // Four rows at once.
                let masks: [u128; 4] = core::array::from_fn(|k| {
                    let bit = u128::from(word.0[0] >> (4 * block + k) & 1);
                    0u128.wrapping_sub(bit)
                });
                let at = 16 * w + block;
                for (i, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    for (k, keep) in masks.into_iter().enumerate() {
                        let inverses = &self.inverses[k][i ^ at];
                        for (to, x) in out.iter_mut().zip(inverses) {
                            to.0 ^= x.0 & keep;
                        }
                    }
                }
            }
        }
    }
}
