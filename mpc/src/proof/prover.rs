//! The provider's side: witness, shares, proof.

use alloc::vec::Vec;
use core::fmt;
use zeroize::Zeroizing;

use super::gates::{OneCore, Workers, prove_gates, steps};
use super::hashes::ShareHashes;
use super::share::{Explicit, PrivatePart, Share};
use super::transcript::{commitments, element, gamma};
use crate::bits::{BitWriter, Words};
use crate::circuit::{self, Counter, Plain, Streams};
use crate::decimal::DecimalError;
use crate::field::Gf128;
use crate::fixed;
use crate::statement::session::{HANDSHAKE_SECRET_BYTES, Session};
use crate::statement::{
    BLINDER_BYTES, Binding, Column, Condition, Lane, Layout, Part, Said, Statement, Term, TextError,
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

/// The work that the prover is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Evaluating the circuit and sharing its witness.
    Circuit,
    /// Making the proof.
    Proof,
}

/// The progress of a prover.
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
        /// The decimal's fault.
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
    /// The secret is not the session's, or the session's bytes do not have the roles that the statement gives them.
    #[error(
        "the session does not have the claimed content: check that its files belong together, and that its shown, hidden and inert bytes are those of the response"
    )]
    Session,
    /// The statement is about a session, or is not.
    #[error("this evidence is proven from other secrets: {expected}")]
    Kind {
        /// The secrets that prove it.
        expected: &'static str,
    },
}

/// The handshake secret of a recorded TLS 1.3 session.
#[derive(Clone)]
pub struct HandshakeSecret(pub Zeroizing<[u8; HANDSHAKE_SECRET_BYTES]>);

impl fmt::Debug for HandshakeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeSecret(..)")
    }
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

/// Proves a statement about attested hashes, on one core.
///
/// `witness`: one for each column; `ctx`: 32 bytes, the caller's hash of everything else to which the proof is bound
/// (survey and evidence); `seed`: 32 bytes of randomness. The same arguments give the same bytes; a seed that is used
/// again with anything else changed gives unrelated shares.
pub fn prove(
    statement: &Statement,
    witness: &[ColumnWitness],
    ctx: &[u8; 32],
    seed: &[u8; 32],
    progress: &mut dyn FnMut(Progress),
) -> Result<Proven, ProveError> {
    prove_on(&OneCore, statement, witness, ctx, seed, progress)
}

/// The same, on the cores that the workers have.
pub fn prove_on(
    workers: &(impl Workers + ?Sized),
    statement: &Statement,
    witness: &[ColumnWitness],
    ctx: &[u8; 32],
    seed: &[u8; 32],
    progress: &mut dyn FnMut(Progress),
) -> Result<Proven, ProveError> {
    if statement.session().is_some() {
        return Err(ProveError::Kind { expected: "a session's handshake secret" });
    }
    check_witness(statement, witness)?;
    let texts = witness.iter().map(|w| &w.bytes[..]);
    let values = values(statement, texts)?;
    let mut inputs = Zeroizing::new(Vec::with_capacity(statement.layout().input_bytes));
    let hashed = statement.columns().iter().zip(witness).filter(|(c, _)| c.binding != Binding::Absent);
    hashed.for_each(|(_, w)| inputs.extend(w.bytes.iter().chain(&w.blinder[..])));
    prove_inputs(workers, statement, &inputs, &values, ctx, seed, progress)
}

/// Proves a statement about a recorded session. Its handshake secret is all that it takes; otherwise as [`prove_on`].
pub fn prove_session(
    workers: &(impl Workers + ?Sized),
    statement: &Statement,
    secret: &HandshakeSecret,
    ctx: &[u8; 32],
    seed: &[u8; 32],
    progress: &mut dyn FnMut(Progress),
) -> Result<Proven, ProveError> {
    let Some(session) = statement.session() else {
        return Err(ProveError::Kind { expected: "a presentation's values and blinders" });
    };
    let texts = decrypt(session, statement.columns().len(), &secret.0)?;
    let values = values(statement, texts.iter().map(|text| &text[..]))?;
    prove_inputs(workers, statement, &secret.0[..], &values, ctx, seed, progress)
}

/// The columns' texts in a session, if all of it is as it says.
fn decrypt(
    session: &Session,
    columns: usize,
    secret: &[u8; HANDSHAKE_SECRET_BYTES],
) -> Result<Vec<Zeroizing<Vec<u8>>>, ProveError> {
    let bits = bits(secret);
    let mut plain = Plain::new(&bits, &[], &Counter::default());
    let texts = circuit::texts(&mut plain, session, columns);
    let streams = Zeroizing::new(plain.finish());
    if streams.zeros.iter().any(|w| w.0 != [0]) {
        return Err(ProveError::Session);
    }
    // A byte has eight bits.
    let bytes = |text: &Vec<Words<1>>| Zeroizing::new(text.iter().map(|byte| byte.0[0] as u8).collect());
    Ok(Zeroizing::new(texts).iter().map(bytes).collect())
}

/// Bytes as words of bits.
fn bits(bytes: &[u8]) -> Zeroizing<Vec<Words<1>>> {
    let mut bits = BitWriter::with_capacity(8 * bytes.len());
    bytes.iter().for_each(|b| bits.push(Words([u64::from(*b)]), 8));
    Zeroizing::new(bits.finish())
}

/// Proves a statement whose columns have these values, from the circuit's inputs.
fn prove_inputs(
    workers: &(impl Workers + ?Sized),
    statement: &Statement,
    inputs: &[u8],
    values: &[Said],
    ctx: &[u8; 32],
    seed: &[u8; 32],
    progress: &mut dyn FnMut(Progress),
) -> Result<Proven, ProveError> {
    let layout = statement.layout();
    let total = 2 + steps(&layout);
    progress(Progress { phase: Phase::Circuit, done: 0, total });

    // Everything that the proof depends on: two statements about one secret, two layouts of one session, share no mask.
    let mut parts: Vec<&[u8]> = alloc::vec![&seed[..], &ctx[..]];
    let encoded = statement.encode();
    if !mutant!("prover-without-statement") {
        parts.push(&encoded);
    }
    if !mutant!("prover-without-witness") {
        parts.push(inputs);
    }
    let mut random = commitments::prover(&parts).stream();
    let mut fresh = || {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut bytes[..]);
        bytes
    };
    let (seeds, blind) = ([fresh(), fresh()], fresh());
    let shares = [0, 1].map(|i| Share::expand(i, &seeds[i], &layout));

    let lanes: Zeroizing<Vec<[u128; 3]>> = Zeroizing::new(
        statement
            .lanes()
            .iter()
            .zip(shares[0].lanes(&layout).zip(shares[1].lanes(&layout)))
            .map(|(lane, (x0, x1))| {
                [x0, x1, lane_value(statement, lane, values).wrapping_sub(x0).wrapping_sub(x1)]
            })
            .collect(),
    );
    let streams = Zeroizing::new(evaluate(statement, &layout, inputs, &lanes));
    if streams.zeros.iter().any(|w| w.0 != [0]) {
        // Formats, ranges and sums hold by construction, and a session was decrypted; what is left is the commitment.
        return Err(ProveError::Commitment);
    }
    progress(Progress { phase: Phase::Circuit, done: 1, total });

    let witness = explicit_witness(&layout, inputs, &lanes, &streams, &shares);
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
    // With room for the whole proof: a growing vector would leave secrets behind in freed memory.
    let mut masks = Vec::with_capacity(layout.proof_elements());
    masks.extend((0..2 * layout.columns).map(|_| element(&mut random)));
    let elements = Zeroizing::new(prove_gates(&layout, gamma, &streams, masks, workers, &mut |done| {
        progress(Progress { phase: Phase::Proof, done: 2 + done, total });
    }));
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

/// One witness for each column, of its length.
fn check_witness(statement: &Statement, witness: &[ColumnWitness]) -> Result<(), ProveError> {
    let columns = statement.columns();
    if witness.len() != columns.len() {
        return Err(ProveError::Columns { expected: columns.len(), got: witness.len() });
    }
    for (column, (c, w)) in columns.iter().zip(witness).enumerate() {
        let (expected, got) = (usize::from(c.length), w.bytes.len());
        if expected != got {
            return Err(ProveError::Length { column, expected, got });
        }
    }
    Ok(())
}

/// Reads the columns' texts.
fn values<'a>(statement: &Statement, texts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Said>, ProveError> {
    let value = |(column, (c, text)): (usize, (&Column, &[u8]))| match c.binding {
        Binding::Absent => Ok(Said::Number((!c.format.may_be_missing()).then_some(0))),
        Binding::Hash { .. } | Binding::Keystream => c.format.read(text).map_err(|error| match error {
            TextError::Decimal(error) => ProveError::Decimal { column, error },
            TextError::Category => ProveError::Category { column },
        }),
    };
    let values: Vec<Said> =
        statement.columns().iter().zip(texts).enumerate().map(value).collect::<Result<_, _>>()?;
    let positive = statement.outputs().iter().filter_map(|o| o.positive()).map(usize::from);
    match positive.filter(|c| matches!(values[*c], Said::Number(Some(..=0)))).min() {
        Some(column) => Err(ProveError::NotPositive { column }),
        None => Ok(values),
    }
}

/// The value that the three shares of a lane add up to.
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
        Some(Condition::Below(c, edge)) => number(c).is_some_and(|value| value < edge),
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
    let bits = bits(inputs);
    let Layout { gates, inversions, zeros, .. } = *layout;
    let mut plain = Plain::new(&bits, lanes, &Counter { gates, inversions, zeros });
    circuit::evaluate(&mut plain, statement);
    plain.finish()
}

/// Share 2 of the witness: inputs and gates less the other shares, and its own part of the lanes.
pub(super) fn explicit_witness(
    layout: &Layout,
    inputs: &[u8],
    lanes: &[[u128; 3]],
    streams: &Streams<Words<1>>,
    shares: &[Share; 2],
) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(layout.witness_bytes()));
    let less = |x: u8, (a, b): (&u8, &u8)| x ^ a ^ b;
    let [a, b] = [0, 1].map(|i| shares[i].inputs(layout));
    out.extend(inputs.iter().zip(a.iter().zip(b)).map(|(x, ab)| less(*x, ab)));
    lanes.iter().for_each(|x| out.extend(x[2].to_le_bytes()));
    let mut extend = |bits: &[Words<1>], [a, b]: [&[u8]; 2]| {
        let bytes = bits.iter().flat_map(|w| w.0[0].to_le_bytes());
        out.extend(bytes.zip(a.iter().zip(b)).map(|(x, ab)| less(x, ab)));
    };
    extend(&streams.out, [0, 1].map(|i| shares[i].gates(layout)));
    for (k, bits) in streams.inverses.iter().enumerate() {
        extend(bits, [0, 1].map(|i| shares[i].inverses(layout, k)));
    }
    out
}
