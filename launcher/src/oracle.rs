//! The clear-text oracle of the demonstration: the statistics from the values themselves, by their definitions and
//! by other code than the product's.

use anyhow::{Context as _, Result, bail};
use num_bigint::{BigInt, BigUint, Sign};

/// A decimal text as an integer of 10^-scale.
pub fn parse(text: &str, scale: usize) -> Result<BigInt> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |d| (-1, d));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > scale {
        bail!("{text} has more than {scale} decimal places");
    }
    let padded = format!("{whole}{fraction:0<scale$}");
    let n: BigInt = padded.parse().with_context(|| format!("{text} is not a decimal"))?;
    Ok(n * sign)
}

/// A fraction in decimal, rounded half away from zero to `places`, without trailing zeros.
fn decimal(numerator: &BigInt, denominator: &BigInt, places: u32) -> String {
    let scaled = numerator.magnitude() * BigUint::from(10u8).pow(places);
    let half_up = (scaled * 2u8 + denominator.magnitude()) / (denominator.magnitude() * 2u8);
    text(numerator.sign() == Sign::Minus, &half_up, places as usize)
}

fn text(negative: bool, digits: &BigUint, places: usize) -> String {
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative && digits.bytes().any(|b| b != b'0') { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A statistic of `values` (integers of 10^-scale) as the product renders it.
pub fn statistic(name: &str, values: &[BigInt], scale: u32) -> Result<String> {
    let n = BigInt::from(values.len());
    let sum: BigInt = values.iter().sum();
    let unit = BigInt::from(10u8).pow(scale);
    let places = scale + 10;
    // Sum of squared deviations, times n: from the deviations themselves, not from the sum of squares.
    let spread = || values.iter().map(|v| (v * &n - &sum).pow(2)).sum::<BigInt>() / &n;
    let variance = |divisor: BigInt| (spread(), &n * divisor * unit.pow(2));
    let root = |(a, b): (BigInt, BigInt)| {
        // Rounded to nearest: floor of twice the root, plus one, halved.
        let doubled =
            (a.magnitude() * BigUint::from(4u8) * BigUint::from(10u8).pow(2 * places) / b.magnitude()).sqrt();
        text(false, &((doubled + 1u8) / 2u8), places as usize)
    };
    let one = BigInt::from(1);
    Ok(match name {
        "count" => n.to_string(),
        "sum" => decimal(&sum, &unit, places),
        "mean" => decimal(&sum, &(&n * unit), places),
        "variance" => {
            let (a, b) = variance(&n - one);
            decimal(&a, &b, places)
        }
        "variance_population" => {
            let (a, b) = variance(n.clone());
            decimal(&a, &b, places)
        }
        "stddev" => root(variance(&n - one)),
        "stddev_population" => root(variance(n.clone())),
        other => bail!("the oracle does not know the statistic {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let v: Vec<_> = ["2", "4", "4", "4", "5", "5", "7", "9"].map(|t| parse(t, 2).unwrap()).to_vec();
        let of = |name| statistic(name, &v, 2).unwrap();
        assert_eq!(of("count"), "8");
        assert_eq!(of("mean"), "5");
        assert_eq!(of("variance_population"), "4");
        assert_eq!(of("stddev_population"), "2");
        assert_eq!(of("variance"), "4.571428571429");
        assert_eq!(of("stddev"), "2.138089935299");
        assert_eq!(statistic("sum", &[parse("-0.5", 1).unwrap()], 1).unwrap(), "-0.5");
    }
}
