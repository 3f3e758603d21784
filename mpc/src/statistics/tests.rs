//! Evaluation against numpy and scipy (a table made by `tests/fixtures/statistics/make.py`) and plain definitions.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use num_bigint::BigInt;
use proptest::collection::vec as list;
use proptest::prelude::*;

use super::*;
use crate::fixed;
use crate::statement::{Lane, Output, Part};

/// Bits of the columns.
const BITS: u8 = 63;

/// The numbers that the parties would open about two columns of one scale.
struct Opened {
    count: u64,
    scales: [i8; 2],
    lanes: Vec<Lane>,
    sums: Vec<u128>,
    orders: Vec<Ordered>,
}

impl Opened {
    fn new(measure: &Measure, target: Target, columns: [&[i64]; 2], scale: i8) -> Self {
        let rows = || columns[0].iter().zip(columns[1]).map(|(a, b)| (i128::from(*a), i128::from(*b)));
        let count = columns[0].len() as u64;
        let mut this =
            Self { count, scales: [scale; 2], lanes: Vec::new(), sums: Vec::new(), orders: Vec::new() };
        for output in measure.family().outputs(target, &[]) {
            let sum: i128 = match output {
                Output::Value(c) => rows().map(|(a, b)| if c == 0 { a } else { b }).sum(),
                Output::Square(c) => rows().map(|(a, b)| if c == 0 { a * a } else { b * b }).sum(),
                Output::Product(..) => rows().map(|(a, b)| a * b).sum(),
                Output::Log(c) => {
                    columns[usize::from(c)].iter().map(|v| i128::from(fixed::log2(v.unsigned_abs()))).sum()
                }
                Output::Reciprocal(c) => {
                    let of = |v: &i64| fixed::reciprocal(v.unsigned_abs(), BITS.into()) as i128;
                    columns[usize::from(c)].iter().map(of).sum()
                }
                Output::Present(_) | Output::Given(..) => panic!("columns that may not be missing"),
            };
            this.lanes.push(Lane { output, part: Part::Whole, signed: true });
            this.sums.push(sum as u128);
        }
        if let Target::One(c) = target {
            let request = measure.order(count, scale);
            if measure.family() != Family::Histogram {
                assert_eq!(request.check(count), Ok(()));
            }
            let answer = request.answer(columns[usize::from(c)]);
            this.orders.push(Ordered { column: c, values: count, request, answer });
        }
        this
    }

    fn facts(&self) -> Facts<'_> {
        let Self { count, scales, lanes, sums, orders } = self;
        Facts { count: *count, optional: &[], scales, bits: &[BITS; 2], lanes, sums, orders }
    }
}

fn target(family: Family) -> Target {
    match family.arity() {
        0 => Target::Rows,
        1 => Target::One(0),
        _ => Target::Two(0, 1),
    }
}

fn compute(name: &str, columns: [&[i64]; 2], scale: i8) -> Result<Value, Undefined> {
    let statistic: Statistic = name.parse().unwrap();
    let target = target(statistic.family());
    let opened = Opened::new(&statistic.measure, target, columns, scale);
    evaluate(&statistic.measure, target, &opened.facts())
}

fn one(name: &str, values: &[i64], scale: i8) -> Result<Exact, Undefined> {
    match compute(name, [values, values], scale)? {
        Value::One(exact) => Ok(exact),
        Value::Parts(_) => panic!("{name} has parts"),
    }
}

fn text(name: &str, values: &[i64], scale: i8) -> String {
    one(name, values, scale).unwrap().to_string()
}

#[test]
fn numpy_and_scipy_agree() {
    let table: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/statistics/table.json")).unwrap();
    let mut compared = 0;
    for case in table["cases"].as_array().unwrap() {
        let ints = |key: &str| -> Vec<i64> {
            case[key].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
        };
        let (values, others, scale) = (ints("values"), ints("others"), case["scale"].as_i64().unwrap() as i8);
        // What cancels in floating point is as exact as the largest number in it.
        let largest = values.iter().chain(&others).map(|v| v.unsigned_abs()).max().unwrap() as f64;
        let largest = largest / 10f64.powi(scale.into());
        for (name, expected) in case["statistics"].as_object().unwrap() {
            let what = format!("{}: {name}", case["name"]);
            let squared = name.starts_with("covariance") || name.starts_with("variance");
            let slack = if squared { largest * largest } else { largest };
            let close = |got: &Exact, want: &serde_json::Value| {
                let (got, want): (f64, f64) = (got.to_string().parse().unwrap(), want.as_f64().unwrap());
                let unitless =
                    ["gini", "lorenz", "top_share", "correlation"].iter().any(|u| name.starts_with(u));
                // In fixed point: the last of seven digits may be off by three.
                let fixed = name.starts_with("geometric") || name.starts_with("harmonic");
                let tolerance = if fixed { 4e-7 } else { 1e-9 } * want.abs()
                    + 1e-12 * if unitless { 100.0 } else { slack };
                assert!((got - want).abs() <= tolerance, "{what}: {got} is not {want}");
            };
            match compute(name, [&values, &others], scale) {
                Ok(Value::One(got)) => close(&got, expected),
                Ok(Value::Parts(parts)) => {
                    let expected = expected.as_array().unwrap();
                    assert_eq!(parts.len(), expected.len(), "{what}");
                    parts.iter().zip(expected).for_each(|(p, want)| close(&p.value, want));
                }
                Err(e) => {
                    let undefined = expected.is_null()
                        || expected.as_array().is_some_and(|a| a.iter().all(|v| v.is_null()));
                    assert!(undefined, "{what}: {e}");
                }
            }
            compared += 1;
        }
    }
    assert!(compared > 600, "{compared}");
}

#[test]
fn known_values() {
    // numpy: [2, 4, 4, 4, 5, 5, 7, 9], ddof 0 and 1.
    let v = [2, 4, 4, 4, 5, 5, 7, 9];
    for (name, scale, value) in [
        ("count", 0, "8"),
        ("sum", 1, "4"),
        ("mean", 0, "5"),
        ("variance_population", 0, "4"),
        ("stddev_population", 0, "2"),
        ("variance", 0, "4.5714285714"),
        ("stddev", 0, "2.1380899353"),
        ("median", 0, "4.5"),
        ("mode", 1, "0.4"),
        ("quantile_nearest:0.5", 0, "4"),
        ("quantile:0.9", 0, "7.6"),
        ("iqr", 0, "1.5"),
        ("trimmed_mean:0.25", 0, "4.5"),
        ("top_share:0.01", 0, "0.225"),
        ("geometric_mean", 0, "4.603216"),
        ("harmonic_mean", 0, "4.201751"),
    ] {
        assert_eq!(text(name, &v, scale), value, "{name}");
    }
    assert_eq!(text("mean", &[-1, 0, 0], 2), "-0.003333333333");
    assert_eq!(text("sum", &[-1], 18), "-0.000000000000000001");
    assert_eq!(text("variance", &[i64::MAX, -i64::MAX], 0), "170141183460469231694793815568465002498");
    let exact = |name, v: &[i64]| one(name, v, 0).unwrap().exact_text();
    assert_eq!(exact("mean", &[1, 2, 4]), "7/3");
    assert_eq!(exact("stddev", &[1, 2, 4]), "sqrt(7/3)");
    assert_eq!(exact("sum", &[]), "0");
    assert_eq!(exact("quantile:0.3", &[1, 2]), "13/10");
    assert_eq!(exact("gini", &[1, 1, 2]), "1/6");
}

/// Statistics of a column with a scale below zero are in the column's unit like all others, not in that of the
/// integers.
#[test]
fn low_digits_that_are_left_out_are_zeros_of_the_result() {
    let v = [2, 4, 4, 4, 5, 5, 7, 9];
    for (name, value) in [
        ("count", "8"),
        ("sum", "40000000000"),
        ("mean", "5000000000"),
        ("variance", "4571428571428571428.5714285714"),
        ("stddev", "2138089935.2993950775"),
        ("median", "4500000000"),
        ("mode", "4000000000"),
        ("max", "9000000000"),
        ("iqr", "1500000000"),
        ("trimmed_mean:0.25", "4500000000"),
        ("top_share:0.01", "0.225"),
        ("geometric_mean", "4603216000"),
        ("harmonic_mean", "4201751000"),
        ("covariance", "4571428571428571428.5714285714"),
        ("correlation", "1"),
    ] {
        let plain = text(name, &v, 0);
        let unitless = matches!(name, "count" | "top_share:0.01" | "correlation");
        assert_eq!((text(name, &v, -9).as_str(), value == plain), (value, unitless), "{name}");
    }
    let parts = |name: &str, scale| match compute(name, [&v, &v], scale).unwrap() {
        Value::Parts(parts) => parts.iter().map(|p| p.value.to_string()).collect::<Vec<_>>(),
        Value::One(_) => panic!("{name} is one number"),
    };
    assert_eq!(parts("histogram:4000000000,5000000000", -9), ["1", "5", "2"]);
    assert_eq!(parts("histogram:4,5", -9), ["0", "0", "8"]);
    assert_eq!(parts("regression", -9), ["1", "0"]);
}

#[test]
fn a_histogram_beyond_the_range_of_the_integers_needs_no_answer() {
    let v = [i64::MIN + 1, 0, i64::MAX];
    let Ok(Value::Parts(parts)) =
        compute("histogram:-9999999999999999999,0,9223372036854775807,9999999999999999999", [&v, &v], 0)
    else {
        panic!()
    };
    let counts: Vec<_> = parts.iter().map(|p| p.value.to_string()).collect();
    assert_eq!(counts, ["0", "1", "1", "1", "0"]);
    let labels: Vec<_> = parts.iter().map(|p| p.label.as_str()).collect();
    assert_eq!(labels[1], "[-9999999999999999999, 0)");
    assert!(labels[3].ends_with(']') && labels[4].starts_with("above "));
}

#[test]
fn what_is_undefined_is_typed() {
    for family in Family::ALL {
        let name = match family.parameters() {
            Parameters::None => family.to_string(),
            Parameters::Edges => format!("{family}:0,1"),
            _ => format!("{family}:0.25"),
        };
        let needs = match family {
            Family::Count | Family::Sum | Family::Histogram => 0,
            Family::Variance
            | Family::Stddev
            | Family::Covariance
            | Family::Correlation
            | Family::Regression => 2,
            _ => 1,
        };
        for count in 0..4u64 {
            let values: Vec<i64> = (1..=count as i64).collect();
            let got = compute(&name, [&values, &values], 3);
            if count < needs {
                assert_eq!(got, Err(Undefined::TooFew { family: *family, count, needs }));
            } else {
                assert!(got.is_ok(), "{name} over {count}: {got:?}");
            }
        }
        let nothing = Facts {
            count: 5,
            optional: &[],
            scales: &[0, 0],
            bits: &[BITS; 2],
            lanes: &[],
            sums: &[],
            orders: &[],
        };
        let measure = name.parse::<Statistic>().unwrap().measure;
        if *family != Family::Count {
            assert_eq!(evaluate(&measure, target(*family), &nothing), Err(Undefined::NotOpened(*family)));
        }
    }
    for name in ["gini", "top_share:0.5", "lorenz:0.5"] {
        let family = name.parse::<Statistic>().unwrap().family();
        assert_eq!(compute(name, [&[-3, 3], &[0, 0]], 0), Err(Undefined::NotPositive(family)));
    }
    // Powers of two have exact logarithms.
    assert_eq!([text("geometric_mean", &[1, 4, 16], 0), text("geometric_mean", &[8; 3], 2)], ["4", "0.08"]);
    assert_eq!(text("geometric_mean", &[i64::MAX; 5], 18), "9.223372");
    assert_eq!(text("harmonic_mean", &[1, i64::MAX], 0), "2");
    // As noise may leave them.
    let lane = |output| Lane { output, part: Part::Whole, signed: true };
    let near = |name: &str, output, sum: i128| {
        let lanes = [lane(output)];
        let sums = [sum as u128];
        let facts = Facts {
            count: 2,
            optional: &[],
            scales: &[0],
            bits: &[48],
            lanes: &lanes,
            sums: &sums,
            orders: &[],
        };
        evaluate(&name.parse::<Statistic>().unwrap().measure, Target::One(0), &facts)
    };
    let Ok(Value::One(half)) = near("geometric_mean", Output::Log(0), -2 << fixed::FRACTION) else {
        panic!()
    };
    assert_eq!(half.to_string(), "0.5");
    assert_eq!(near("geometric_mean", Output::Log(0), 1 << 40), Err(Undefined::Contradiction));
    for sum in [0, -5] {
        let undefined = Err(Undefined::NotPositive(Family::HarmonicMean));
        assert_eq!(near("harmonic_mean", Output::Reciprocal(0), sum), undefined);
    }
    for name in ["correlation", "regression"] {
        let family = name.parse::<Statistic>().unwrap().family();
        assert_eq!(compute(name, [&[3, 3], &[0, 1]], 0), Err(Undefined::NoSpread(family)));
    }
    let lane = |output| Lane { output, part: Part::Whole, signed: true };
    let lie = Facts {
        count: 2,
        optional: &[],
        scales: &[0],
        bits: &[BITS],
        lanes: &[lane(Output::Value(0)), lane(Output::Square(0))],
        sums: &[10, 1],
        orders: &[],
    };
    let variance = "variance".parse::<Statistic>().unwrap().measure;
    assert_eq!(evaluate(&variance, Target::One(0), &lie), Err(Undefined::Contradiction));
}

/// Order statistics are over the rows that have not left, sums are over all: nothing tells the sum over those who have
/// not left.
#[test]
fn those_who_left_are_in_the_sums_only() {
    let (all, left): (&[i64], &[i64]) = (&[1, 2, 3, 4, 50], &[1, 2, 3, 4]);
    let of = |name: &str| {
        let measure = name.parse::<Statistic>().unwrap().measure;
        let mut opened = Opened::new(&measure, Target::One(0), [all, all], 0);
        let request = measure.order(4, 0);
        assert_eq!(request.check(4), Ok(()), "{name}");
        let answer = request.answer(left);
        opened.orders = vec![Ordered { column: 0, values: 4, request, answer }];
        match evaluate(&measure, Target::One(0), &opened.facts()).unwrap() {
            Value::One(exact) => exact.exact_text(),
            Value::Parts(parts) => parts.iter().map(|p| p.value.exact_text() + " ").collect(),
        }
    };
    for (name, expected) in [
        ("median", "5/2"),
        ("max", "4"),
        ("iqr", "3/2"),
        // Two of four are cut off.
        ("trimmed_mean:0.25", "5/2"),
        // Per head: 3 of four over 60 of five.
        ("lorenz:0.5", "1/16 "),
        ("lorenz:0,1", "0 1 "),
        ("top_share:0.25", "1/12"),
        ("top_share:1", "1"),
        // Distances of pairs: 10, in 4^2 / 2 pairs, over 12 a head.
        ("gini", "5/96"),
    ] {
        assert_eq!(of(name), expected, "{name}");
    }
}

#[test]
fn halves_are_put_together() {
    let output = Output::Product(0, 1);
    let lanes = [
        Lane { output, part: Part::Low, signed: false },
        Lane { output, part: Part::High, signed: true },
        Lane { output: Output::Value(0), part: Part::Whole, signed: true },
    ];
    // Two rows of -1: low 2^64 - 1 and high -1 each.
    let sums = [2 * u128::from(u64::MAX), (-2i128) as u128, (-7i128) as u128];
    assert_eq!(total(output, &lanes, &sums), Some(BigInt::from(-2)));
    assert_eq!(total(Output::Value(0), &lanes, &sums), Some(BigInt::from(-7)));
    assert_eq!(total(Output::Square(0), &lanes, &sums), None);
    assert_eq!(total(output, &lanes[..1], &sums), None);
}

#[test]
fn pairs_are_symmetric_where_they_should_be() {
    let (a, b): (&[i64], &[i64]) = (&[1, 5, 2, 8], &[3, -1, 4, -9]);
    let scalar = |measure: &str, target| {
        let measure = measure.parse::<Statistic>().unwrap().measure;
        let opened = Opened::new(&measure, target, [a, b], 2);
        evaluate(&measure, target, &opened.facts()).unwrap()
    };
    for name in ["covariance", "correlation"] {
        assert_eq!(scalar(name, Target::Two(0, 1)), scalar(name, Target::Two(1, 0)));
    }
    assert_ne!(scalar("regression", Target::Two(0, 1)), scalar("regression", Target::Two(1, 0)));
}

proptest! {
    #[test]
    fn variance_is_the_definition(values in list(any::<i32>(), 2..30)) {
        let n = values.len() as i128;
        let sum: i128 = values.iter().map(|v| i128::from(*v)).sum();
        // sum of (n v - sum)^2 / (n^2 (n - 1))
        let spread: BigInt = values.iter().map(|v| BigInt::from(n * i128::from(*v) - sum).pow(2)).sum();
        let values: Vec<i64> = values.into_iter().map(i64::from).collect();
        let exact = one("variance", &values, 0).unwrap();
        let left = exact.numerator() * BigInt::from(n * n * (n - 1));
        prop_assert_eq!(left, spread * BigInt::from(exact.denominator().clone()));
    }

    #[test]
    fn quantiles_are_the_definition(values in list(-20i64..20, 1..40), p in 0u32..=1000) {
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let (n, share) = (values.len() as u64, format!("{}.{:03}", p / 1000, p % 1000));
        // Linear interpolation at (n - 1) P of the sorted values, in thousandths.
        let at = (n - 1) * u64::from(p);
        let (low, weight) = ((at / 1000) as usize, (at % 1000) as i64);
        let high = (low + 1).min(sorted.len() - 1);
        let expected = sorted[low] * (1000 - weight) + sorted[high] * weight;
        let got = one(&format!("quantile:{share}"), &values, 0).unwrap();
        prop_assert_eq!(got.numerator() * 1000, BigInt::from(expected) * BigInt::from(got.denominator().clone()));
        // The smallest value that at least a share of P do not exceed.
        let enough = |v: i64| values.iter().filter(|x| **x <= v).count() as u64 * 1000 >= n * u64::from(p);
        let nearest = sorted.iter().copied().find(|v| enough(*v)).unwrap();
        prop_assert_eq!(text(&format!("quantile_nearest:{share}"), &values, 0), nearest.to_string());
    }

    #[test]
    fn gini_and_lorenz_are_the_definition(values in list(0i64..50, 1..30), p in 1u32..=99) {
        let sum: i64 = values.iter().sum();
        prop_assume!(sum > 0);
        let n = values.len() as i64;
        let differences: i64 = values.iter().flat_map(|a| values.iter().map(move |b| (a - b).abs())).sum();
        let gini = one("gini", &values, 0).unwrap();
        prop_assert_eq!(gini.numerator() * (2 * n * sum), BigInt::from(differences) * BigInt::from(gini.denominator().clone()));
        // What the poorest P hold and what the richest 1 - P hold is everything.
        let Ok(Value::Parts(lorenz)) = compute(&format!("lorenz:0.{p:02}"), [&values, &values], 0) else { panic!() };
        let top = one(&format!("top_share:{}", format_args!("0.{:02}", 100 - p)), &values, 0).unwrap();
        let poor = &lorenz[0].value;
        let (a, b) = (poor.numerator(), BigInt::from(poor.denominator().clone()));
        let (c, d) = (top.numerator(), BigInt::from(top.denominator().clone()));
        prop_assert_eq!(a * &d + c * &b, b * d);
    }

    #[test]
    fn histograms_count_everybody_once(values in list(-30i64..30, 0..40), edges in list(-40i64..40, 2..6)) {
        let mut edges = edges;
        edges.sort_unstable();
        edges.dedup();
        prop_assume!(edges.len() > 1);
        // Edges in tenths, values in halves of ten: the column has fewer places than the edges.
        let names: Vec<_> = edges.iter().map(|e| format!("{}{}.{}", if *e < 0 { "-" } else { "" }, e.abs() / 10, e.abs() % 10)).collect();
        let Ok(Value::Parts(parts)) = compute(&format!("histogram:{}", names.join(",")), [&values, &values], 0) else { panic!() };
        let last = edges.len() - 1;
        let tenths: Vec<i64> = values.iter().map(|v| v * 10).collect();
        let within = |i: usize| tenths.iter().filter(|v| **v >= edges[i] && (**v < edges[i + 1] || (i + 1 == last && **v == edges[last]))).count();
        let mut expected = vec![tenths.iter().filter(|v| **v < edges[0]).count()];
        expected.extend((0..last).map(within));
        expected.push(tenths.iter().filter(|v| **v > edges[last]).count());
        let got: Vec<String> = parts.iter().map(|p| p.value.to_string()).collect();
        prop_assert_eq!(got, expected.iter().map(ToString::to_string).collect::<Vec<_>>());
    }

    #[test]
    fn trimming_is_the_definition(values in list(-1000i64..1000, 1..40), p in 0u32..50) {
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let cut = values.len() * p as usize / 100;
        let kept = &sorted[cut..values.len() - cut];
        let got = one(&format!("trimmed_mean:0.{p:02}"), &values, 0).unwrap();
        let sum: i64 = kept.iter().sum();
        prop_assert_eq!(got.numerator() * kept.len(), BigInt::from(sum) * BigInt::from(got.denominator().clone()));
    }

    #[test]
    fn correlation_is_scaled_covariance(rows in list((-1000i64..1000, -1000i64..1000), 2..30)) {
        let (a, b): (Vec<i64>, Vec<i64>) = rows.into_iter().unzip();
        let of = |name: &str| compute(name, [&a, &b], 0);
        let (Ok(Value::One(r)), Ok(Value::One(cov))) = (of("correlation"), of("covariance")) else { return Ok(()) };
        prop_assert!(r.numerator().magnitude() <= r.denominator());
        prop_assert_eq!(r.numerator().sign(), cov.numerator().sign());
        let (va, vb) = (one("variance", &a, 0).unwrap(), one("variance", &b, 0).unwrap());
        // r^2 = cov^2 / (var a * var b), all exact.
        let (r2, d) = (r.numerator().magnitude().clone(), r.denominator().clone());
        let left = r2 * va.numerator().magnitude() * vb.numerator().magnitude() * cov.denominator().pow(2);
        let right = cov.numerator().magnitude().pow(2) * va.denominator() * vb.denominator() * d;
        prop_assert_eq!(left, right);
    }
}
