//! Honest proofs, cheating provers, and the secrecy of openings.

use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use sha2::Digest;
use zeroize::Zeroizing;

mod binding;
mod secrecy;

use super::gates::prove_gates;
use super::prover::{evaluate, explicit_witness, lane_value};
use super::share::{Explicit, Share};
use super::transcript::{commitments, element, gamma, outside_subspace};

use super::*;

use crate::PartyId;
use crate::bits::{BitWriter, Words};
use crate::circuit::{self, Shares, Streams};
use crate::decimal::{Excess, Notation};
use crate::field::Gf128;
use crate::fixed;
use crate::statement::{Column, Condition, Format, HashAlg, Layout, Number, Output, Said, Statement, Term};

mod linear;
mod openings;
mod session;

const BLINDER: [u8; 16] = [0x5a; 16];
const CTX: [u8; 32] = [3; 32];

pub(crate) fn digest(alg: HashAlg, preimage: &[u8]) -> [u8; 32] {
    match alg {
        HashAlg::Sha256 => sha2::Sha256::digest(preimage).into(),
        HashAlg::Blake3 => *::blake3::hash(preimage).as_bytes(),
        HashAlg::Keccak256 => sha3::Keccak256::digest(preimage).into(),
    }
}

const SCALING: crate::decimal::Scaling =
    crate::decimal::Scaling { scale: 2, bits: 40, excess: Excess::Reject };

fn number(column: &mut Column) -> &mut Number {
    match &mut column.format {
        Format::Number(number) => number,
        Format::Category(_) => panic!("a category"),
    }
}

fn column(alg: HashAlg, text: &[u8]) -> Column {
    let commitment = digest(alg, &[text, &BLINDER[..]].concat());
    Column::number(alg, text.len() as u8, 2, 40, Excess::Reject, commitment)
}

fn statement(alg: HashAlg, text: &[u8]) -> Statement {
    Statement::new(vec![column(alg, text)], vec![Output::Value(0), Output::Square(0)]).unwrap()
}

fn witness(text: &[u8]) -> ColumnWitness {
    ColumnWitness { bytes: Zeroizing::new(text.to_vec()), blinder: Zeroizing::new(BLINDER) }
}

fn proven(statement: &Statement, text: &[u8], seed: u8) -> Proven {
    prove(statement, &[witness(text)], &CTX, &[seed; 32], &mut |_| {}).unwrap()
}

/// The three shares that the private parts hold.
fn shares(proven: &Proven, layout: &Layout) -> [Share; 3] {
    let of = |p: PartyId| PrivatePart::decode(p, layout, &proven.private[p.index()]).unwrap();
    let [first, second] = of(PartyId::P0).committed(layout, &proven.public).unwrap();
    let [_, third] = of(PartyId::P1).committed(layout, &proven.public).unwrap();
    [first, second, third]
}

/// Private parts with the binding of another submission, as a lying provider sends them.
pub(crate) fn rebound(
    private: &[Zeroizing<Vec<u8>>; 3],
    statement: &Statement,
    ctx: &[u8; 32],
    hashes: &ShareHashes,
) -> [Zeroizing<Vec<u8>>; 3] {
    let mut private = private.clone();
    let binding = commitments::binding(statement, ctx, hashes);
    private.iter_mut().for_each(|part| part[2..34].copy_from_slice(&binding));
    private
}

fn open_all(statement: &Statement, hashes: &ShareHashes, shares: &[Share; 3]) -> Result<(), Reject> {
    let layout = statement.layout();
    let c = challenges(statement, &CTX, hashes, layout.log_rows);
    let [a, b, d] = open(statement, &layout, &c, shares.each_ref());
    check(&layout, &c, [&a, &b, &d])
}

/// A prover without scruples: commits to any inputs, lanes and gate outputs, and makes the best proof of them.
fn forge(
    statement: &Statement,
    inputs: &[u8],
    lanes: &[[u128; 3]],
    streams: &Streams<Words<1>>,
) -> ([Share; 3], ShareHashes) {
    let layout = statement.layout();
    let seeds = [[1; 32], [2; 32]];
    let pair = [0, 1].map(|i| Share::expand(i, &seeds[i], &layout));
    let lanes: Vec<_> = lanes
        .iter()
        .zip(pair[0].lanes(&layout).zip(pair[1].lanes(&layout)))
        .map(|(x, (a, b))| [a, b, x[0].wrapping_add(x[1]).wrapping_add(x[2]).wrapping_sub(a).wrapping_sub(b)])
        .collect();
    let blind = Zeroizing::new([4; 32]);
    let bytes = explicit_witness(&layout, inputs, &lanes, streams, &pair);
    let mut hashes = ShareHashes {
        seeds: [0, 1].map(|i| commitments::seed(i, &seeds[i])),
        witness: commitments::witness(&blind, &bytes),
        proof: [0; 32],
        rows: [[0; 32]; 3],
    };
    let masks = (0..2 * layout.columns as u128).map(|i| Gf128(i << 77 | 5)).collect();
    let elements =
        prove_gates(&layout, gamma(statement, &CTX, &hashes), streams, masks, &OneCore, &mut |_| {});
    let proof: Vec<u8> = elements
        .iter()
        .zip(pair[0].elements().iter().zip(pair[1].elements()))
        .flat_map(|(x, (a, b))| (*x + Gf128::from_bytes(*a) + Gf128::from_bytes(*b)).to_bytes())
        .collect();
    hashes.proof = commitments::proof(&blind, &proof);
    let third = Share { index: 2, witness: bytes, proof: Zeroizing::new(proof) };
    let [first, second] = pair;
    ([first, second, third], hashes)
}

fn forged_verdict(statement: &Statement, inputs: &[u8], lanes: &[[u128; 3]]) -> Result<(), Reject> {
    let layout = statement.layout();
    // The shares of a lane enter no gate by themselves before they are summed: any split will do for the streams.
    let pair = [0, 1].map(|i| Share::expand(i, &[i as u8 + 1; 32], &layout));
    let lanes: Vec<_> = lanes
        .iter()
        .zip(pair[0].lanes(&layout).zip(pair[1].lanes(&layout)))
        .map(|(x, (a, b))| [a, b, x[0].wrapping_add(x[1]).wrapping_add(x[2]).wrapping_sub(a).wrapping_sub(b)])
        .collect();
    let streams = evaluate(statement, &layout, inputs, &lanes);
    let (shares, hashes) = forge(statement, inputs, &lanes, &streams);
    open_all(statement, &hashes, &shares)
}

#[test]
fn honest_proofs_hold() {
    for alg in [HashAlg::Sha256, HashAlg::Blake3, HashAlg::Keccak256] {
        for text in [&b"-1234.50"[..], b"0", &[b'0'; 64]] {
            let s = statement(alg, text);
            let layout = s.layout();
            let p = proven(&s, text, 9);
            for party in PartyId::ALL {
                assert_eq!(p.private[party.index()].len(), PrivatePart::encoded_bytes(party, &layout));
                assert!(p.private[party.index()].len() <= 25 * 1024);
            }
            let shares = shares(&p, &layout);
            assert_eq!(open_all(&s, &p.public, &shares), Ok(()), "{alg:?}");
            // The lanes add up to the value and its square.
            let value = crate::decimal::parse_decimal(text, SCALING, Notation::default()).unwrap();
            for (i, lane) in s.lanes().iter().enumerate() {
                let sum =
                    shares.iter().fold(0u128, |sum, x| sum.wrapping_add(x.lanes(&layout).nth(i).unwrap()));
                assert_eq!(sum, lane_value(&s, lane, &[Said::Number(Some(value))]));
            }
            assert_eq!(ShareHashes::decode(&p.public.encode()), Some(p.public));
        }
    }
}

#[test]
fn several_columns_and_products() {
    let texts = [&b"-0.07"[..], b"123456789.01", b"5"];
    let algs = [HashAlg::Sha256, HashAlg::Keccak256, HashAlg::Blake3];
    let columns = texts.iter().zip(algs).map(|(t, alg)| column(alg, t)).collect();
    let mut outputs = vec![Output::Product(0, 1), Output::Value(2), Output::Square(1), Output::Product(2, 1)];
    outputs.extend([Output::Log(1), Output::Reciprocal(2)]);
    let s = Statement::new(columns, outputs).unwrap();
    let p = prove(&s, &texts.map(witness), &CTX, &[1; 32], &mut |_| {}).unwrap();
    let shares = shares(&p, &s.layout());
    assert_eq!(open_all(&s, &p.public, &shares), Ok(()));
    let product = shares.iter().fold(0u128, |sum, x| sum.wrapping_add(x.lanes(&s.layout()).next().unwrap()));
    assert_eq!(product as i128, -7 * 12_345_678_901);
    let lane = |i| shares.iter().fold(0u128, |sum, x| sum.wrapping_add(x.lanes(&s.layout()).nth(i).unwrap()));
    assert_eq!(lane(4), fixed::log2(12_345_678_901).into());
    assert_eq!(lane(5), fixed::reciprocal(500, 40));
}

/// A statement about a number that may be missing, another one, and a category.
fn hidden(texts: [&[u8]; 3]) -> Result<(Statement, Proven), ProveError> {
    let missing = Some(b"null".to_vec());
    let number = Format::Number(Number {
        scale: 2,
        bits: 40,
        excess: Excess::Reject,
        notation: Notation::default(),
        missing,
    });
    let category = Format::Category(vec![b"DE".to_vec(), b"FR".to_vec(), b"AUT".to_vec()]);
    let formats = [number.clone(), number, category];
    let columns =
        texts.iter().zip(formats).map(|(t, format)| Column { format, ..column(HashAlg::Blake3, t) });
    let s = Statement::new(columns.collect(), hidden_outputs()).unwrap();
    let p = prove(&s, &texts.map(witness), &CTX, &[1; 32], &mut |_| {})?;
    assert_eq!(open_all(&s, &p.public, &shares(&p, &s.layout())), Ok(()));
    Ok((s, p))
}

fn hidden_outputs() -> Vec<Output> {
    vec![
        Output::Value(0),
        Output::Present(0),
        Output::Log(0),
        Output::Product(0, 1),
        Output::Given(Term::Square(1), Condition::Present(0)),
        Output::Given(Term::One, Condition::Is(2, 1)),
        Output::Given(Term::Value(1), Condition::Is(2, 1)),
        Output::Given(Term::Value(1), Condition::Is(2, 2)),
    ]
}

#[test]
fn missing_values_and_categories_are_proven() {
    let lanes = |texts: [&[u8]; 3]| {
        let (s, p) = hidden(texts).unwrap();
        let layout = s.layout();
        let shares = shares(&p, &layout);
        (0..s.lanes().len())
            .map(|i| {
                shares.iter().fold(0u128, |sum, x| sum.wrapping_add(x.lanes(&layout).nth(i).unwrap())) as i128
            })
            .collect::<Vec<_>>()
    };
    let log = i128::from(fixed::log2(150));
    assert_eq!(lanes([b"1.50", b"-0.02", b"FR"]), [150, 1, log, -300, 4, 1, -2, 0]);
    assert_eq!(lanes([b"null", b"-0.02", b"AUT"]), [0, 0, 0, 0, 0, 0, 0, -2]);
    assert_eq!(lanes([b"1.50", b"null", b"FR"]), [150, 1, log, 0, 0, 1, 0, 0]);
    let refused = |texts| hidden(texts).map(drop).unwrap_err();
    assert_eq!(refused([b"1", b"1", b"IT"]), ProveError::Category { column: 2 });
    assert_eq!(refused([b"1", b"1", b"DEU"]), ProveError::Category { column: 2 });
    assert!(matches!(refused([b"1", b"nul", b"DE"]), ProveError::Decimal { column: 1, .. }));
    assert_eq!(refused([b"0.00", b"1", b"DE"]), ProveError::NotPositive { column: 0 });
}

#[test]
fn only_positive_values_have_logarithms_and_reciprocals() {
    for (output, text) in [(Output::Log(1), &b"0.00"[..]), (Output::Reciprocal(1), b"-1.5")] {
        let columns = vec![column(HashAlg::Blake3, b"1"), column(HashAlg::Blake3, text)];
        let s = Statement::new(columns, vec![Output::Value(0), output]).unwrap();
        let refused = prove(&s, &[witness(b"1"), witness(text)], &CTX, &[1; 32], &mut |_| {}).map(drop);
        assert_eq!(refused, Err(ProveError::NotPositive { column: 1 }));
    }
}

#[test]
fn proving_is_deterministic_and_never_reuses_masks() {
    let s = statement(HashAlg::Blake3, b"1.23");
    let (a, b) = (proven(&s, b"1.23", 1), proven(&s, b"1.23", 1));
    assert_eq!((a.public, &a.private), (b.public, &b.private));
    // One seed, another value under another commitment: everything is fresh.
    let other = statement(HashAlg::Blake3, b"1.24");
    let c = proven(&other, b"1.24", 1);
    let d = prove(&s, &[witness(b"1.23")], &[4; 32], &[1; 32], &mut |_| {}).unwrap();
    for x in [&c, &d, &proven(&s, b"1.23", 2)] {
        assert!((0..2).all(|i| x.public.seeds[i] != a.public.seeds[i]));
        let equal = a.private[1].iter().zip(x.private[1].iter()).filter(|(a, b)| a == b).count();
        assert!(equal < a.private[1].len() / 64, "{equal} equal bytes");
    }
}

#[test]
fn progress_runs_to_the_end() {
    let s = statement(HashAlg::Sha256, b"1.23");
    let mut seen = Vec::new();
    prove(&s, &[witness(b"1.23")], &CTX, &[1; 32], &mut |p| seen.push(p)).unwrap();
    assert!(seen.windows(2).all(|w| w[0].done < w[1].done && w[0].total == w[1].total));
    assert_eq!(seen.last().map(|p| p.done), seen.last().map(|p| p.total));
}

#[test]
fn the_prover_says_what_is_wrong() {
    let s = statement(HashAlg::Sha256, b"1.23");
    let prove = |w: &[ColumnWitness]| prove(&s, w, &CTX, &[1; 32], &mut |_| {}).map(|_| ()).unwrap_err();
    assert_eq!(prove(&[]), ProveError::Columns { expected: 1, got: 0 });
    assert_eq!(prove(&[witness(b"1.2")]), ProveError::Length { column: 0, expected: 4, got: 3 });
    assert!(matches!(prove(&[witness(b"1,23")]), ProveError::Decimal { column: 0, .. }));
    assert_eq!(prove(&[witness(b"1.24")]), ProveError::Commitment);
    let mut blinder = witness(b"1.23");
    blinder.blinder[15] ^= 1;
    assert_eq!(prove(&[blinder]), ProveError::Commitment);
}

#[test]
fn a_lying_provider_is_refused() {
    let text = b"1234.50";
    let s = statement(HashAlg::Sha256, text);
    let inputs = [&text[..], &BLINDER].concat();
    let lanes = |v: i128| vec![[v as u128, 0, 0], [(v * v) as u128, 0, 0]];
    assert_eq!(forged_verdict(&s, &inputs, &lanes(123_450)), Ok(()), "the forger tells the truth");

    // Another value than the bytes say; only the square; the scale of another survey.
    for wrong in [lanes(123_451), lanes(-123_450), vec![lanes(123_450)[0], lanes(1)[1]], lanes(1_234_500)] {
        assert_eq!(forged_verdict(&s, &inputs, &wrong), Err(Reject::Unsatisfied));
    }
    // Each digit and each byte of the blinder, with the value that then stands there.
    for i in 0..inputs.len() {
        let mut changed = inputs.clone();
        changed[i] ^= 1;
        let value =
            crate::decimal::parse_decimal(&changed[..7], SCALING, Notation::default()).unwrap_or(123_450);
        assert_eq!(forged_verdict(&s, &changed, &lanes(value.into())), Err(Reject::Unsatisfied), "byte {i}");
    }
    // Bytes that are no number, or out of range, under their own right commitment.
    for text in [&b"1.2.3"[..], b"1e5", b"12.345", b"99999999999.99", b"-", b"+1", b" 1", b"0x11"] {
        let s = statement(HashAlg::Blake3, text);
        let inputs = [text, &BLINDER[..]].concat();
        let layout = s.layout();
        // Whatever number the circuit makes of it: with all-zero lanes the last checks show it.
        let streams = evaluate(&s, &layout, &inputs, &[[0; 3]; 2]);
        let mut bits = crate::bits::BitReader::new(&streams.zeros);
        (0..layout.zeros - 256).for_each(|_| {
            bits.read(1);
        });
        let mut number = || u128::from(bits.read(64).0[0]) | u128::from(bits.read(64).0[0]) << 64;
        let lanes = [[number(), 0, 0], [number(), 0, 0]];
        assert_eq!(forged_verdict(&s, &inputs, &lanes), Err(Reject::Unsatisfied), "{text:?}");
    }
}

/// The checked wires and all gates if a prover claims these gate outputs.
fn claim(s: &Statement, inputs: &[u8], lanes: &[[u128; 3]], out: &[Words<1>]) -> Streams<Words<1>> {
    let mut bits = BitWriter::with_capacity(0);
    inputs.iter().for_each(|b| bits.push(Words([u64::from(*b)]), 8));
    let bits = bits.finish();
    let split = |x: &[u128; 3]| x.map(|x| [Words([x as u64]), Words([(x >> 64) as u64])]);
    let lanes: Vec<_> = lanes.iter().map(split).collect();
    let mut shares = Shares::new([0], &bits, &lanes, out, [&[]; 8], 0);
    circuit::evaluate(&mut shares, s);
    Streams { out: out.to_vec(), ..shares.finish() }
}

#[test]
fn a_wrong_gate_is_an_invalid_proof() {
    // Two points: one checked wire is 1. The prover claims that the gate in front of it gives 0.
    let text = b"1.2.3";
    let mut column = column(HashAlg::Blake3, text);
    number(&mut column).excess = Excess::Truncate;
    let s = Statement::new(vec![column], vec![Output::Value(0)]).unwrap();
    let layout = s.layout();
    let inputs = [&text[..], &BLINDER].concat();
    let shown = evaluate(&s, &layout, &inputs, &[[0; 3]]);
    let mut reader = crate::bits::BitReader::new(&shown.zeros);
    (0..layout.zeros - 128).for_each(|_| {
        reader.read(1);
    });
    let value = u128::from(reader.read(64).0[0]) | u128::from(reader.read(64).0[0]) << 64;
    // The split that the forger's seeds will give.
    let pair = [0, 1].map(|i| Share::expand(i, &[i as u8 + 1; 32], &layout));
    let [a, b] = pair.each_ref().map(|p| p.lanes(&layout).next().unwrap());
    let lanes = [[a, b, value.wrapping_sub(a).wrapping_sub(b)]];
    let honest = evaluate(&s, &layout, &inputs, &lanes);
    let failing: u32 = honest.zeros.iter().map(|w| w.0[0].count_ones()).sum();
    assert_eq!(failing, 1);
    let lie = (0..layout.gates).rev().find_map(|gate| {
        let mut out = honest.out.clone();
        out[gate / 64] ^= Words([1 << (gate % 64)]);
        let streams = claim(&s, &inputs, &lanes, &out);
        streams.zeros.iter().all(|w| w.0 == [0]).then_some(streams)
    });
    let (shares, hashes) = forge(&s, &inputs, &lanes, &lie.expect("one gate decides"));
    assert_eq!(open_all(&s, &hashes, &shares), Err(Reject::InvalidProof));
}

#[test]
fn any_byte_of_the_explicit_share_counts() {
    let s = statement(HashAlg::Blake3, b"12.5");
    let layout = s.layout();
    let p = proven(&s, b"12.5", 7);
    let part = &p.private[PartyId::P1.index()];
    let explicit = 66..part.len();
    let blind = 66..98;
    // Without new hashes: the party that holds it refuses by itself.
    for at in (0..part.len()).step_by(37).chain([0, 1, 2, 33, 34, 65, 66, 97, 98, part.len() - 1]) {
        let mut bytes = part.to_vec();
        bytes[at] ^= 0x40;
        let verdict = PrivatePart::decode(PartyId::P1, &layout, &bytes)
            .ok_or(Reject::MalformedPrivate)
            .and_then(|part| part.shares(&s, &layout, &CTX, &p.public).map(|_| ()));
        let proof = part.len() - 16 * layout.proof_elements();
        let expected = match at {
            0..2 => Reject::MalformedPrivate,
            2..34 => Reject::Binding,
            34..66 => Reject::SeedHash,
            _ if at >= proof => Reject::ProofHash,
            _ => Reject::WitnessHash,
        };
        assert_eq!(verdict, Err(expected), "byte {at}");
    }
    // With new hashes: the joint check refuses (the blind has no meaning beyond the hash).
    let honest = shares(&p, &layout);
    let blind: [u8; 32] = part[blind].try_into().unwrap();
    for at in (explicit.start + 32..explicit.end).step_by(23).chain([explicit.end - 1]) {
        let mut tampered = honest.clone();
        let at = at - explicit.start - 32;
        match at.checked_sub(layout.witness_bytes()) {
            None => tampered[2].witness[at] ^= 1,
            Some(at) => tampered[2].proof[at] ^= 1,
        }
        let mut hashes = p.public;
        hashes.witness = commitments::witness(&blind, &tampered[2].witness);
        hashes.proof = commitments::proof(&blind, &tampered[2].proof);
        assert!(open_all(&s, &hashes, &tampered).is_err(), "byte {at}");
    }
    // A proof of another statement or context.
    let other = statement(HashAlg::Blake3, b"12.6");
    assert!(open_all(&other, &p.public, &honest).is_err());
}
