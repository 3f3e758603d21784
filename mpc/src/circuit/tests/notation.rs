//! All notations against the clear parser: every short text, and long ones.

use super::*;
use crate::statement;

const NOTATIONS: [Notation; 6] = [
    Notation { exponents: false, grouping: None, point: b'.' },
    Notation { exponents: true, grouping: None, point: b'.' },
    Notation { exponents: true, grouping: None, point: b',' },
    Notation { exponents: false, grouping: Some(b','), point: b'.' },
    Notation { exponents: false, grouping: Some(b'.'), point: b',' },
    Notation { exponents: false, grouping: Some(b' '), point: b',' },
];

/// The integer that the circuit makes of a text, if it takes it.
fn circuit(text: &[u8], scaling: Scaling, notation: Notation) -> Option<i128> {
    let Scaling { scale, bits, excess } = scaling;
    let number = statement::Number { scale, bits, excess, notation, missing: None };
    let inputs = words(text);
    let mut plain = Plain::new(&inputs, &[], &Counter::default());
    let bytes: Vec<_> = text.iter().map(|_| plain.input(8)).collect();
    let read = decimal::decimal(&mut plain, &bytes, &number);
    let magnitude = i128::from(read.magnitude.0[0]);
    let value = if read.negative.0[0] & 1 == 1 { -magnitude } else { magnitude };
    satisfied(&plain.finish()).then_some(value)
}

fn agree(text: &[u8], scaling: Scaling, notation: Notation) -> Result<(), String> {
    let clear = parse_decimal(text, scaling, notation);
    let proven = circuit(text, scaling, notation);
    if clear.ok().map(i128::from) == proven {
        return Ok(());
    }
    let text = String::from_utf8_lossy(text);
    Err(std::format!("{text:?} {scaling:?} {notation:?}: {clear:?}, in the circuit {proven:?}"))
}

fn scalings() -> Vec<Scaling> {
    let mut all = Vec::new();
    for (scale, bits) in [(0, 20), (2, 63), (-2, 7), (18, 63), (-18, 63), (1, 4)] {
        for excess in [Excess::Reject, Excess::Truncate] {
            all.push(Scaling { scale, bits, excess });
        }
    }
    all
}

#[test]
fn every_short_text() {
    // All characters that mean something, and one that never does.
    let characters = *b"019.,-+eE x";
    let scalings = scalings();
    let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
    for length in 1..=4 {
        texts = texts
            .iter()
            .flat_map(|t| characters.iter().map(|c| [&t[..], &[*c]].concat()).collect::<Vec<_>>())
            .collect();
        for (i, text) in texts.iter().enumerate() {
            for notation in NOTATIONS {
                // Long ones with one scaling each, in turn.
                let all = if length < 3 {
                    &scalings[..]
                } else {
                    std::slice::from_ref(&scalings[i % scalings.len()])
                };
                for scaling in all {
                    agree(text, *scaling, notation).unwrap();
                }
            }
        }
    }
}

#[test]
fn every_byte_in_every_place() {
    let scaling = Scaling { scale: 2, bits: 40, excess: Excess::Reject };
    for notation in NOTATIONS {
        for template in [&b"1,234.5"[..], b"-1.5e-1", b"1.234,5", b"12E+3", b"1 234,5"] {
            for at in 0..template.len() {
                for byte in 0..=255 {
                    let mut text = template.to_vec();
                    text[at] = byte;
                    agree(&text, scaling, notation).unwrap();
                }
            }
        }
    }
}

#[test]
fn the_longest_texts() {
    for length in 60..=64usize {
        for notation in NOTATIONS {
            let (point, mark) = (char::from(notation.point), char::from(notation.grouping.unwrap_or(b'0')));
            let tails = ["7", "e5", "e-05", "E+3", "e-999", "e999", "e-62", "e1234", "-", "e", "+1"];
            let tails = tails.iter().map(|t| alloc::string::String::from(*t)).chain([
                std::format!("{point}5"),
                std::format!("{mark}001"),
                std::format!("{mark}001{point}25"),
                std::format!("{mark}000{mark}001"),
            ]);
            for tail in tails {
                for head in [
                    "0",
                    "-0",
                    "1",
                    "-",
                    "9",
                    &std::format!("0{point}"),
                    &std::format!("{point}"),
                    &std::format!("0{mark}000{mark}"),
                ] {
                    let zeros = "0".repeat(length.saturating_sub(head.len() + tail.len()));
                    let text = std::format!("{head}{zeros}{tail}");
                    for scaling in scalings() {
                        agree(text.as_bytes(), scaling, notation).unwrap();
                    }
                }
            }
            // Groups all the way.
            let grouped: String =
                (0..length).map(|i| if (length - i) % 4 == 0 { mark } else { '0' }).collect();
            for text in [
                grouped.clone(),
                std::format!("{}7", &grouped[..length - 1]),
                std::format!("-{}", &grouped[1..]),
            ] {
                agree(text.as_bytes(), Scaling { scale: 0, bits: 20, excess: Excess::Reject }, notation)
                    .unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn texts_of_any_length(
        text in prop_oneof![
            "-?[0-9]{1,20}[.,]?[0-9]{0,20}([eE][+-]?[0-9]{1,4})?",
            "-?[0-9]{1,3}([,. ][0-9]{3}){0,12}([.,][0-9]{0,6})?",
            "-?0{0,30}[0-9]{1,9}[.,]?0{0,9}[eE]-?0?[0-9]{1,2}",
            "[0-9.,eE+ -]{1,64}",
        ],
        scale in -18i8..=18,
        bits in 1u8..=63,
        truncate: bool,
        notation in prop::sample::select(NOTATIONS.to_vec()),
    ) {
        prop_assume!((1..=64).contains(&text.len()));
        let excess = if truncate { Excess::Truncate } else { Excess::Reject };
        agree(text.as_bytes(), Scaling { scale, bits, excess }, notation).unwrap();
    }
}
