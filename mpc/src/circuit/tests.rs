//! Circuits against the reference crates and the clear-text parser; shares against plain values.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use sha2::Digest;

use super::*;
use crate::bits::{BitWriter, Words, mask};
use crate::decimal::{Excess, Notation, Scaling, parse_decimal};
use crate::fixed;
use crate::statement::Output;

mod notation;
mod text;

const BLINDER: [u8; 16] = *b"0123456789abcdef";

fn digest(alg: HashAlg, preimage: &[u8]) -> [u8; 32] {
    match alg {
        HashAlg::Sha256 => sha2::Sha256::digest(preimage).into(),
        HashAlg::Blake3 => *::blake3::hash(preimage).as_bytes(),
        HashAlg::Keccak256 => sha3::Keccak256::digest(preimage).into(),
    }
}

fn words(bytes: &[u8]) -> Vec<Words<1>> {
    let mut w = BitWriter::with_capacity(8 * bytes.len());
    bytes.iter().for_each(|b| w.push(Words([u64::from(*b)]), 8));
    w.finish()
}

fn statement(
    alg: HashAlg,
    values: &[&[u8]],
    scale: i8,
    bits: u8,
    excess: Excess,
    outputs: Vec<Output>,
) -> Statement {
    let columns = values.iter().map(|value| {
        let commitment = digest(alg, &[value, &BLINDER[..]].concat());
        Column::number(alg, value.len() as u8, scale, bits, excess, commitment)
    });
    Statement::new(columns.collect(), outputs).unwrap()
}

/// The circuit's streams on plain values.
fn run(statement: &Statement, values: &[&[u8]], lanes: &[[u128; 3]]) -> Streams<Words<1>> {
    let inputs: Vec<u8> = values.iter().flat_map(|v| [v, &BLINDER[..]].concat()).collect();
    let inputs = words(&inputs);
    let mut plain = Plain::new(&inputs, lanes, &Counter::default());
    evaluate(&mut plain, statement);
    plain.finish()
}

fn satisfied(streams: &Streams<Words<1>>) -> bool {
    streams.zeros.iter().all(|w| w.0 == [0])
}

/// Shares of a lane value.
fn split(value: u128) -> [u128; 3] {
    let (a, b) = (0x1234_5678_9abc_def0_0fed_cba9_8765_4321, u128::MAX / 3);
    [a, b, value.wrapping_sub(a).wrapping_sub(b)]
}

/// True if the circuit accepts this text with this value and no other.
fn accepts(text: &[u8], scale: i8, bits: u8, excess: Excess, value: i64) -> bool {
    let s = statement(HashAlg::Blake3, &[text], scale, bits, excess, vec![Output::Value(0)]);
    satisfied(&run(&s, &[text], &[split(i128::from(value) as u128)]))
}

#[test]
fn every_length_of_every_hash() {
    for alg in [HashAlg::Sha256, HashAlg::Blake3, HashAlg::Keccak256] {
        for length in 1..=64 {
            let mut text = vec![b'0'; length];
            text[length - 1] = b'7';
            let s = statement(alg, &[&text], 0, 40, Excess::Reject, vec![Output::Value(0)]);
            assert!(satisfied(&run(&s, &[&text], &[split(7)])), "{alg:?} {length}");
            // One bit off in each byte of the digest.
            for byte in 0..32 {
                let mut column = s.columns()[0].clone();
                let mut commitment = digest(alg, &[&text[..], &BLINDER].concat());
                commitment[byte] ^= 1 << (byte % 8);
                column.rebind(commitment);
                let wrong = Statement::new(vec![column], s.outputs().to_vec()).unwrap();
                assert!(!satisfied(&run(&wrong, &[&text], &[split(7)])), "{alg:?} {length} {byte}");
                if alg == HashAlg::Keccak256 || length % 16 != 0 {
                    break;
                }
            }
        }
    }
}

#[test]
fn gate_counts() {
    let count = |alg, text: &[u8], outputs| statement(alg, &[text], 8, 48, Excess::Reject, outputs).layout();
    let text = b"12.34567890";
    let sha = count(HashAlg::Sha256, text, vec![Output::Value(0), Output::Square(0)]);
    assert_eq!((sha.gates, sha.log_rows, sha.columns), (26_379, 8, 104));
    let base = |alg| count(alg, text, vec![Output::Value(0)]).gates;
    assert_eq!(base(HashAlg::Sha256) - base(HashAlg::Blake3), 22_696 - 10_416);
    assert_eq!(base(HashAlg::Keccak256) - base(HashAlg::Blake3), 38_400 - 10_416);
}

#[test]
fn squares_and_products() {
    let cases: [(&[u8], &[u8], i128, i128); 5] = [
        (b"-9223372036854775807", b"9223372036854775807", i64::MIN as i128 + 1, i64::MAX as i128),
        (b"-0000000000000000001", b"-000000000000000003", -1, -3),
        (b"-0000000000000000000", b"-000000000000000003", 0, -3),
        (b"00000000000000000000", b"1000000000000000000", 0, 1_000_000_000_000_000_000),
        (b"00000000004294967296", b"4611686018427387904", 1 << 32, 1 << 62),
    ];
    for (x, y, a, b) in cases {
        let low = |v: i128| v as u128 & u128::from(u64::MAX);
        let high = |v: i128| (v >> 64) as u128;
        let (square, product) = (a * a, a * b);
        let outputs = vec![Output::Square(0), Output::Product(0, 1), Output::Value(1)];
        let s = statement(HashAlg::Blake3, &[x, y], 0, 63, Excess::Reject, outputs);
        assert_eq!(s.lanes().len(), 5);
        let values = [low(square), high(square), low(product), high(product), b as u128];
        assert!(satisfied(&run(&s, &[x, y], &values.map(split))), "{a} {b}");
        for wrong in 0..5 {
            let mut lanes = values.map(split);
            lanes[wrong][wrong % 3] ^= 1 << (31 * wrong);
            assert!(!satisfied(&run(&s, &[x, y], &lanes)));
        }
    }
    // Narrow ones have one lane.
    let outputs = vec![Output::Square(0), Output::Product(0, 1)];
    let s = statement(HashAlg::Blake3, &[b"-1.50", b"16.25"], 2, 14, Excess::Reject, outputs);
    assert!(satisfied(&run(
        &s,
        &[b"-1.50", b"16.25"],
        &[split(150 * 150), split((-150i128 * 1625) as u128)]
    )));
}

/// True if the circuit accepts this text, in units of 1, with this lane and no other.
fn derives(text: &str, bits: u8, output: Output, lane: u128) -> bool {
    let s = statement(HashAlg::Blake3, &[text.as_bytes()], 0, bits, Excess::Reject, vec![output]);
    assert_eq!(s.lanes().len(), 1);
    satisfied(&run(&s, &[text.as_bytes()], &[split(lane)]))
}

#[test]
fn logarithms_and_reciprocals_are_of_positive_numbers_only() {
    for bits in [1, 2, 3, 10, 24, 25, 26, 48, 63] {
        let largest = mask(bits.into());
        for value in
            [1, 2, 3, largest / 2 + 1, largest - 1, largest].into_iter().filter(|v| (1..=largest).contains(v))
        {
            let text = value.to_string();
            let (log, reciprocal) = (fixed::log2(value).into(), fixed::reciprocal(value, bits.into()));
            for (output, lane) in [(Output::Log(0), log), (Output::Reciprocal(0), reciprocal)] {
                assert!(derives(&text, bits, output, lane), "{output:?} of {value} in {bits} bits");
                assert!(!derives(&text, bits, output, lane + 1), "{output:?} of {value} in {bits} bits");
            }
        }
        for output in [Output::Log(0), Output::Reciprocal(0)] {
            for refused in ["0", "-0", "-1"] {
                // Zero, all ones, and what the clear function gives.
                let all = (1 << (u32::from(bits) + 25)) - 1;
                let clear = [fixed::log2(1).into(), fixed::reciprocal(1, bits.into())];
                for lane in [0, all, clear[0], clear[1]] {
                    assert!(!derives(refused, bits, output, lane), "{output:?} of {refused} in {bits} bits");
                }
            }
        }
    }
    let gates =
        |output| statement(HashAlg::Blake3, &[b"12"], 0, 48, Excess::Reject, vec![output]).layout().gates;
    let value = gates(Output::Value(0)) - 48;
    assert_eq!(gates(Output::Log(0)) - value, 1_847);
    assert_eq!(gates(Output::Reciprocal(0)) - value, 47 + 73 * 97);
}

#[test]
fn awkward_numbers() {
    for text in [
        "5",
        "0",
        "-1",
        "1.",
        ".5",
        "-.5",
        "5.-",
        "-.",
        ".",
        "-",
        "..",
        ".1.",
        "1-1",
        "--",
        "1e5",
        "+1",
        " 1",
        "1 ",
        "0x1",
        "1,5",
        "\0\0",
        "/1",
        ":1",
        "0.000",
        "000.1",
        "-0",
        "-0.0",
        "00000000000000000000000000000001.5",
        "99999999999999999999",
        "1048575",
        "1048576",
        "10485.75",
        "10485.76",
        "1.005",
        "1.050",
        "\u{661}",
        "1.2-",
        ".00-",
    ] {
        for (scale, bits) in [(0, 20), (2, 20), (2, 1), (18, 63), (3, 4), (-1, 20), (-18, 63)] {
            for excess in [Excess::Reject, Excess::Truncate] {
                let parsed =
                    parse_decimal(text.as_bytes(), Scaling { scale, bits, excess }, Notation::default());
                let claim = parsed.unwrap_or(0);
                let accepted = accepts(text.as_bytes(), scale, bits, excess, claim);
                assert_eq!(accepted, parsed.is_ok(), "{text:?} {scale} {bits} {excess:?} {parsed:?}");
            }
        }
    }
}

/// Mostly numbers, mostly in range, with some noise.
fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let noisy = prop::collection::vec(
        prop::sample::select(b"0000123456789999..--+eE ,/:\0\x7f\xff\xb5".to_vec()),
        1..=12,
    );
    let number =
        prop::string::string_regex("-?[0-9]{0,12}\\.?[0-9]{0,12}").unwrap().prop_map(String::into_bytes);
    let long = prop::string::string_regex("-?0{0,40}[0-9]{1,9}(\\.[0-9]{0,12})?")
        .unwrap()
        .prop_map(String::into_bytes);
    prop_oneof![2 => noisy, 4 => number, 2 => long].prop_filter("length", |v| (1..=64).contains(&v.len()))
}

extern crate std;
use std::string::String;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn logarithms_and_reciprocals_are_the_clear_ones(value in 1u64..1 << 63, shift in 0u32..62, bits in 1u8..=63) {
        let value = (value >> shift).clamp(1, mask(bits.into()));
        let text = value.to_string();
        let (log, reciprocal) = (fixed::log2(value).into(), fixed::reciprocal(value, bits.into()));
        prop_assert!(derives(&text, bits, Output::Log(0), log));
        prop_assert!(derives(&text, bits, Output::Reciprocal(0), reciprocal));
        prop_assert!(!derives(&text, bits, Output::Log(0), log ^ 1));
        prop_assert!(!derives(&text, bits, Output::Reciprocal(0), reciprocal ^ 1));
    }

    #[test]
    fn decimal_is_the_clear_parser(text in nasty(), scale in -18i8..=18, bits in 1u8..=63, truncate: bool, off in 1i64..9) {
        let excess = if truncate { Excess::Truncate } else { Excess::Reject };
        let parsed = parse_decimal(&text, Scaling { scale, bits, excess }, Notation::default());
        prop_assert_eq!(accepts(&text, scale, bits, excess, parsed.unwrap_or(0)), parsed.is_ok());
        // A value that the bytes do not say.
        prop_assert!(!accepts(&text, scale, bits, excess, parsed.unwrap_or(0).wrapping_add(off)));
    }
}

#[test]
fn shares_add_up_to_plain() {
    let text = b"-123.456";
    for alg in [HashAlg::Sha256, HashAlg::Blake3, HashAlg::Keccak256] {
        let outputs = vec![Output::Value(0), Output::Square(0)];
        let s = statement(alg, &[text], 2, 50, Excess::Truncate, outputs);
        let value = 12345u128;
        let lanes = [split(value.wrapping_neg()), split(value * value), split(0)];
        let plain = run(&s, &[text], &lanes);
        assert!(satisfied(&plain));

        let secret = words(&[&text[..], &BLINDER].concat());
        let mut state = 99u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state ^ (state >> 29)
        };
        // Three shares as pairs (0, 1) and (2, 0).
        let mut share = |target: &[Words<1>]| -> Vec<[u64; 3]> {
            target
                .iter()
                .map(|w| {
                    let (a, b) = (random(), random());
                    [a, b, w.0[0] ^ a ^ b]
                })
                .collect()
        };
        let (inputs, out) = (share(&secret), share(&plain.out));
        let evaluate_pair = |i: usize, j: usize| {
            let pick = |v: &[[u64; 3]]| v.iter().map(|w| Words([w[i], w[j]])).collect::<Vec<_>>();
            let lanes: Vec<[Wide<Words<2>>; 3]> = lanes
                .iter()
                .map(|x| {
                    core::array::from_fn(|k| {
                        let only = |share: usize, word: u64| if share == k { word } else { 0 };
                        [0, 64].map(|s| {
                            let w = (x[k] >> s) as u64;
                            Words([only(i, w), only(j, w)])
                        })
                    })
                })
                .collect();
            let (inputs, out) = (pick(&inputs), pick(&out));
            let mut shares = Shares::new([i, j], &inputs, &lanes, &out, [&[]; 8], 0);
            evaluate(&mut shares, &s);
            shares.finish()
        };
        let (first, second) = (evaluate_pair(0, 1), evaluate_pair(2, 0));
        let check = |plain: &[Words<1>], first: &[Words<2>], second: &[Words<2>]| {
            assert_eq!((plain.len(), plain.len()), (first.len(), second.len()));
            for ((p, a), b) in plain.iter().zip(first).zip(second) {
                assert_eq!(p.0[0], a.0[0] ^ a.0[1] ^ b.0[0]);
                assert_eq!(a.0[0], b.0[1]);
            }
        };
        check(&plain.left, &first.left, &second.left);
        check(&plain.right, &first.right, &second.right);
        check(&plain.zeros, &first.zeros, &second.zeros);
    }
}
