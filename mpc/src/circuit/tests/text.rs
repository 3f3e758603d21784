//! Missing numbers, categories and conditions: the circuit against the clear text, in both directions.

use super::*;
use crate::statement::{Condition, Number, Output, Said, Term};

const VALUES: [&[u8]; 5] = [b"DE", b"FR", b"FX", b"DEU", b"\xff\0"];

fn optional(scale: i8, bits: u8, excess: Excess, missing: &[u8]) -> Format {
    Format::Number(Number {
        scale,
        bits,
        excess,
        notation: Notation::default(),
        missing: Some(missing.to_vec()),
    })
}

fn category() -> Format {
    Format::Category(VALUES.map(<[u8]>::to_vec).into())
}

fn with(formats: &[Format], texts: &[&[u8]], outputs: Vec<Output>) -> Statement {
    let columns = formats.iter().zip(texts).map(|(format, text)| Column {
        length: text.len() as u8,
        format: format.clone(),
        binding: Binding::Hash {
            alg: HashAlg::Blake3,
            commitment: digest(HashAlg::Blake3, &[text, &BLINDER[..]].concat()),
        },
    });
    Statement::new(columns.collect(), outputs).unwrap()
}

/// True if the circuit accepts these texts with these lanes and no others.
fn accepts(formats: &[Format], texts: &[&[u8]], outputs: &[Output], lanes: &[u128]) -> bool {
    let s = with(formats, texts, outputs.to_vec());
    assert_eq!(s.lanes().len(), lanes.len());
    let split: Vec<_> = lanes.iter().map(|v| split(*v)).collect();
    satisfied(&run(&s, texts, &split))
}

/// Mostly the text of a missing value, or nearly so.
fn nearly(missing: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let text = Just(missing.to_vec());
    let flipped = (0..missing.len(), 0u32..8).prop_map(move |(at, bit)| {
        let mut text = missing.to_vec();
        text[at] ^= 1 << bit;
        text
    });
    prop_oneof![1 => text, 2 => flipped, 3 => nasty()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_missing_number_is_what_the_text_says(
        text in nearly(b"null"),
        scale in -18i8..=18,
        bits in 1u8..=63,
        truncate: bool,
        off in 1u128..9,
    ) {
        let excess = if truncate { Excess::Truncate } else { Excess::Reject };
        let format = optional(scale, bits, excess, b"null");
        let outputs = [Output::Value(0), Output::Present(0)];
        let (value, present, fine) = match format.read(&text) {
            Ok(Said::Number(Some(value))) => (i128::from(value) as u128, 1, true),
            Ok(_) => (0, 0, true),
            Err(_) => (0, 0, false),
        };
        let accepts = |value, present| accepts(core::slice::from_ref(&format), &[&text], &outputs, &[value, present]);
        prop_assert_eq!(accepts(value, present), fine);
        // Another value, and the other validity: neither a number that is called missing nor the reverse.
        prop_assert!(!accepts(value.wrapping_add(off), present));
        prop_assert!(!accepts(value, present ^ 1));
        prop_assert!(!accepts(0, present ^ 1));
    }

    #[test]
    fn a_category_is_one_of_its_values(
        text in prop_oneof![prop::sample::select(VALUES.map(<[u8]>::to_vec).to_vec()), nearly(b"DE"), nearly(b"DEU")],
        wrong in 0usize..5,
    ) {
        let outputs: Vec<_> = (0..5).map(|k| Output::Given(Term::One, Condition::Is(0, k))).collect();
        let is = VALUES.iter().position(|v| *v == text);
        let lanes = |is: Option<usize>| (0..5).map(|k| u128::from(is == Some(k))).collect::<Vec<_>>();
        let accepts = |lanes: &[u128]| accepts(&[category()], &[&text], &outputs, lanes);
        prop_assert_eq!(accepts(&lanes(is)), is.is_some());
        prop_assert!(!accepts(&lanes(None)));
        prop_assert!(is == Some(wrong) || !accepts(&lanes(Some(wrong))));
    }

    #[test]
    fn conditions_keep_or_clear(
        a in prop_oneof![Just(None), any::<i64>().prop_map(Some)],
        b in prop_oneof![Just(None), any::<i64>().prop_map(Some)],
        bits in 1u8..=63,
        is in 0usize..5,
    ) {
        use std::string::ToString as _;
        let limit = mask(bits.into()) as i64;
        let clamp = |v: Option<i64>| v.map(|v| v.clamp(-limit, limit));
        let (a, b) = (clamp(a), clamp(b));
        let text = |v: Option<i64>| v.map_or("?".into(), |v| v.to_string()).into_bytes();
        let (ta, tb) = (text(a), text(b));
        let number = optional(0, bits, Excess::Reject, b"?");
        let formats = [number.clone(), number, category()];
        let texts = [&ta[..], &tb[..], VALUES[is]];
        let condition = [Condition::Present(1), Condition::Is(2, 1), Condition::Is(2, 4)];
        let holds = [b.is_some(), is == 1, is == 4];
        let x = i128::from(a.unwrap_or(0));
        let product = x * i128::from(b.unwrap_or(0));
        let mut outputs = Vec::new();
        let mut lanes = Vec::new();
        let mut add = |output: Output, value: i128, split: bool| {
            outputs.push(output);
            if split {
                lanes.extend([value as u128 & u128::from(u64::MAX), (value >> 64) as u128]);
            } else {
                lanes.push(value as u128);
            }
        };
        for (condition, holds) in condition.into_iter().zip(holds) {
            let kept = |v: i128| if holds { v } else { 0 };
            add(Output::Given(Term::Value(0), condition), kept(x), false);
            add(Output::Given(Term::Square(0), condition), kept(x * x), 2 * u32::from(bits) + 32 > 128);
            add(Output::Given(Term::Present(0), condition), kept(i128::from(a.is_some())), false);
            if matches!(condition, Condition::Is(..)) {
                add(Output::Given(Term::Product(0, 1), condition), kept(product), 2 * u32::from(bits) + 33 > 128);
            }
        }
        prop_assert!(accepts(&formats, &texts, &outputs, &lanes));
        for lane in 0..lanes.len() {
            let mut wrong = lanes.clone();
            wrong[lane] ^= 1 << (7 * lane);
            prop_assert!(!accepts(&formats, &texts, &outputs, &wrong));
        }
    }
}

#[test]
fn logarithms_and_reciprocals_of_missing_numbers_are_zero() {
    for bits in [1, 2, 24, 40, 63] {
        let format = optional(0, bits, Excess::Reject, b"n/a");
        for output in [Output::Log(0), Output::Reciprocal(0)] {
            let accepts =
                |text: &[u8], lane| accepts(core::slice::from_ref(&format), &[text], &[output], &[lane]);
            assert!(accepts(b"n/a", 0), "{output:?} {bits}");
            assert!(!accepts(b"n/a", 1) && !accepts(b"n/a", fixed::reciprocal(1, bits.into())));
            // A zero is no missing value, and has neither.
            assert!(!accepts(b"000", 0) && !accepts(b"-00", 0));
            let one = if output == Output::Log(0) { 0 } else { fixed::reciprocal(1, bits.into()) };
            assert!(accepts(b"001", one));
        }
    }
}

#[test]
fn what_may_be_missing_costs_little() {
    let gates = |format, outputs| with(&[format], &[b"12.5"], outputs).layout().gates;
    let plain = Format::Number(Number {
        scale: 2,
        bits: 40,
        excess: Excess::Reject,
        notation: Notation::default(),
        missing: None,
    });
    let base = gates(plain, vec![Output::Value(0)]);
    let format = |missing| optional(2, 40, Excess::Reject, missing);
    // The comparison of 32 bits; none with another length.
    assert_eq!(gates(format(b"null"), vec![Output::Value(0)]) - base, 32);
    assert_eq!(gates(format(b"none at all"), vec![Output::Value(0)]), base);
    let sharing = 254;
    assert_eq!(gates(format(b"null"), vec![Output::Value(0), Output::Present(0)]) - base, 32 + sharing);
}

#[test]
fn outputs_have_one_form_and_columns_of_their_kind() {
    let number = Format::Number(Number {
        scale: 0,
        bits: 9,
        excess: Excess::Reject,
        notation: Notation::default(),
        missing: None,
    });
    let formats =
        [optional(0, 9, Excess::Reject, b"?"), optional(0, 9, Excess::Reject, b"?"), number, category()];
    let columns: Vec<_> = formats
        .into_iter()
        .map(|format| Column {
            length: 2,
            format,
            binding: Binding::Hash { alg: HashAlg::Blake3, commitment: [0; 32] },
        })
        .collect();
    let fine = |output| {
        let s = Statement::new(columns.clone(), vec![output]).ok()?;
        assert_eq!(Statement::decode(&s.encode()).as_ref(), Ok(&s));
        Some(())
    };
    let given = Output::Given;
    for output in [
        Output::Present(0),
        given(Term::Present(0), Condition::Present(1)),
        given(Term::Value(2), Condition::Present(0)),
        given(Term::One, Condition::Is(3, 4)),
        given(Term::Present(1), Condition::Is(3, 0)),
        given(Term::Product(0, 2), Condition::Is(3, 0)),
        given(Term::Product(0, 2), Condition::Present(1)),
    ] {
        assert!(fine(output).is_some(), "{output:?}");
    }
    for output in [
        Output::Present(2),
        Output::Present(3),
        Output::Value(3),
        Output::Product(0, 3),
        given(Term::One, Condition::Present(0)),
        given(Term::Present(1), Condition::Present(0)),
        given(Term::Present(0), Condition::Present(0)),
        given(Term::Value(0), Condition::Present(0)),
        given(Term::Product(0, 1), Condition::Present(0)),
        given(Term::Value(0), Condition::Present(2)),
        given(Term::One, Condition::Is(3, 5)),
        given(Term::One, Condition::Is(2, 0)),
        given(Term::One, Condition::Is(9, 0)),
    ] {
        assert!(fine(output).is_none(), "{output:?}");
    }
    let column =
        |format| Statement::new(vec![Column { format, ..columns[0].clone() }], vec![Output::Present(0)]);
    for missing in [&b"0"[..], b"-1.5", &[b'x'; 65]] {
        assert!(column(optional(0, 9, Excess::Reject, missing)).is_err());
    }
    let texts = |values: &[&[u8]]| Format::Category(values.iter().map(|v| v.to_vec()).collect());
    for values in [&[&b"a"[..]][..], &[b"a", b"a"], &[b"a", b""], &[&b"x"[..]; 17]] {
        let columns = vec![Column { format: texts(values), ..columns[0].clone() }];
        assert!(Statement::new(columns, vec![given(Term::One, Condition::Is(0, 0))]).is_err());
    }
}

#[test]
fn values_are_compared_with_edges() {
    for (bits, edges) in [
        (5u8, &[-31i64, -30, -1, 0, 1, 17, 30, 31][..]),
        (63, &[i64::MIN + 1, -1, 0, 1, i64::MAX]),
        (1, &[-1, 0, 1]),
    ] {
        let most = mask(bits.into()) as i64;
        let plain = Format::Number(Number {
            scale: 0,
            bits,
            excess: Excess::Reject,
            notation: Notation::default(),
            missing: None,
        });
        let values = edges.iter().flat_map(|e| [e.saturating_sub(1), *e, e.saturating_add(1)]);
        for value in values.filter(|v| (-most..=most).contains(v)) {
            let text = value.to_string();
            for format in [plain.clone(), optional(0, bits, Excess::Reject, b"null")] {
                let outputs: Vec<_> =
                    edges.iter().map(|e| Output::Given(Term::One, Condition::Below(0, *e))).collect();
                let lanes: Vec<u128> = edges.iter().map(|e| u128::from(value < *e)).collect();
                let accepts = |lanes: &[u128]| {
                    accepts(core::slice::from_ref(&format), &[text.as_bytes()], &outputs, lanes)
                };
                assert!(accepts(&lanes), "{value} {bits}");
                let mut wrong = lanes.clone();
                wrong[edges.len() / 2] ^= 1;
                assert!(!accepts(&wrong), "{value} {bits}");
            }
        }
        // Nothing is below an edge where there is no value.
        let format = [optional(0, bits, Excess::Reject, b"null")];
        let below = [Output::Given(Term::One, Condition::Below(0, *edges.last().unwrap()))];
        assert!(accepts(&format, &[b"null"], &below, &[0]));
        assert!(!accepts(&format, &[b"null"], &below, &[1]));
    }
    // Edges that no value could pass, terms other than the number one, and categories have none.
    let statement = |format: Format, output| {
        let binding = Binding::Hash { alg: HashAlg::Blake3, commitment: [0; 32] };
        let s = Statement::new(vec![Column { length: 2, format, binding }], vec![output])?;
        assert_eq!(Statement::decode(&s.encode()).as_ref(), Ok(&s));
        Ok::<_, crate::statement::StatementError>(())
    };
    let number = || {
        Format::Number(Number {
            scale: 0,
            bits: 9,
            excess: Excess::Reject,
            notation: Notation::default(),
            missing: None,
        })
    };
    let below = |edge| Output::Given(Term::One, Condition::Below(0, edge));
    assert!(statement(number(), below(511)).is_ok() && statement(number(), below(-511)).is_ok());
    for output in [below(512), below(-512), Output::Given(Term::Value(0), Condition::Below(0, 1))] {
        assert!(statement(number(), output).is_err(), "{output:?}");
    }
    assert!(statement(category(), below(1)).is_err());
}

#[test]
fn an_absent_number_is_missing_or_zero() {
    let absent = |format| Column { length: 0, format, binding: Binding::Absent };
    let outputs = vec![Output::Value(0), Output::Value(1), Output::Present(1)];
    let zero = Format::Number(Number {
        scale: 2,
        bits: 9,
        excess: Excess::Reject,
        notation: Notation::default(),
        missing: None,
    });
    let missing = optional(2, 9, Excess::Reject, b"null");
    let s = Statement::new(vec![absent(zero.clone()), absent(missing)], outputs).unwrap();
    assert_eq!(Statement::decode(&s.encode()).as_ref(), Ok(&s));
    for lanes in [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]] {
        let split = lanes.map(split);
        let mut plain = Plain::new(&[], &split, &Counter::default());
        evaluate(&mut plain, &s);
        assert_eq!(satisfied(&plain.finish()), lanes == [0; 3]);
    }
    // A text of no bytes otherwise, some bytes of what is absent, a category that is.
    let number = |length, binding| Column { length, format: zero.clone(), binding };
    let hash = Binding::Hash { alg: HashAlg::Blake3, commitment: [0; 32] };
    for column in [number(0, hash), number(1, Binding::Absent), absent(category())] {
        assert!(Statement::new(vec![column], vec![Output::Value(0)]).is_err());
    }
}
