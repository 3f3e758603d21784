//! Discrete Laplace noise: how much, and its distribution as the thresholds by which parties draw it.
//!
//! A value d is drawn with probability `(1 - p) / (1 + p) * p^|d|`, where `p = exp(-epsilon / sensitivity)`: the
//! difference of two geometric variables with ratio p. Added to an integer that one person changes by at most
//! `sensitivity`, it gives epsilon-differential privacy (Ghosh, Roughgarden and Sundararajan, STOC 2009). The binary
//! digits of a geometric variable are independent, digit k being 1 with probability `p^(2^k) / (1 + p^(2^k))` (Dwork,
//! Kenthapadi, McSherry, Mironov and Naor, EUROCRYPT 2006), so that parties draw each by one comparison with a public
//! threshold.
//!
//! Everything here is integer arithmetic: three parties must find the same thresholds on any machine. Thresholds have
//! [`THRESHOLD_BITS`] bits, and digits that are 1 with a smaller probability are left out, so the drawn noise differs
//! from the distribution by a statistical distance below 2^-85.

use alloc::vec::Vec;

use num_bigint::{BigInt, BigUint};

use crate::statistics::{Epsilon, Exact};

const BILLION: u64 = Epsilon::BILLION;

/// Bits of a threshold: digit k is 1 if this many random bits are below it.
pub const THRESHOLD_BITS: u32 = 96;

/// Most digits of a geometric variable, so that noise and sum stay far from the ring's ends.
const MAX_DIGITS: usize = 120;

/// Bits behind the point of the probabilities that thresholds are computed from. Squaring a probability doubles its
/// relative error, so [`MAX_DIGITS`] of them are lost on the way.
const PRECISION: u64 = 320;

/// The distribution of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Laplace {
    epsilon: Epsilon,
    sensitivity: u128,
}

/// Noise cannot be drawn like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// There is nothing to hide, or no way.
    #[error("epsilon and sensitivity must be above zero")]
    Zero,
    /// The noise would not fit into the ring.
    #[error("the noise would be too large: raise epsilon, or give the column fewer bits")]
    TooLarge,
    /// Not an encoding of noise.
    #[error("the encoding of noise is malformed")]
    Encoding,
}

/// 10^-scale as a fraction.
fn powers(scale: i32) -> (BigInt, BigUint) {
    let power = BigUint::from(10u8).pow(scale.unsigned_abs());
    if scale < 0 { (power.into(), BigUint::from(1u8)) } else { (BigInt::from(1u8), power) }
}

impl Laplace {
    /// Bytes of an encoding.
    pub const BYTES: usize = 24;

    /// `sensitivity`: most by which one person changes the sum.
    pub fn new(epsilon: Epsilon, sensitivity: u128) -> Result<Self, NoiseError> {
        if sensitivity == 0 {
            return Err(NoiseError::Zero);
        }
        let this = Self { epsilon, sensitivity };
        // The last digit is some seven bits above the distribution's scale, sensitivity / epsilon.
        let scale = sensitivity.saturating_mul(BILLION.into()) / u128::from(epsilon.billionths());
        if scale >> (MAX_DIGITS - 8) != 0 || sensitivity > u128::MAX / u128::from(BILLION) {
            return Err(NoiseError::TooLarge);
        }
        Ok(this)
    }

    /// The privacy loss.
    pub fn epsilon(&self) -> Epsilon {
        self.epsilon
    }

    /// Most by which one person changes the sum.
    pub fn sensitivity(&self) -> u128 {
        self.sensitivity
    }

    /// The sensitivity times 10^-scale.
    pub fn sensitivity_at(&self, scale: i32) -> Exact {
        let (up, down) = powers(scale);
        // The denominator is not zero.
        Exact::fraction(BigInt::from(self.sensitivity) * up, down, scale.max(0).unsigned_abs())
            .unwrap_or(Exact::whole(0))
    }

    /// An upper bound of the standard deviation, which it all but reaches where it is large: the root of two, times
    /// sensitivity / epsilon, times 10^-scale.
    pub fn deviation_at(&self, scale: i32) -> Exact {
        let squared = |n: BigUint| n.pow(2);
        let (up, down) = powers(scale);
        let numerator = squared(BigUint::from(self.sensitivity) * BILLION * up.magnitude()) * 2u8;
        let denominator = squared(BigUint::from(self.epsilon.billionths()) * down);
        let places = scale.max(0).unsigned_abs() + 2;
        // The denominator is not zero.
        Exact::signed_root(BigInt::from(numerator), denominator, places).unwrap_or(Exact::whole(0))
    }

    /// Epsilon in billionths, then sensitivity, little-endian.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.epsilon.billionths().to_le_bytes());
        bytes[8..].copy_from_slice(&self.sensitivity.to_le_bytes());
        bytes
    }

    /// Reads [`Self::encode`]'s bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoiseError> {
        let (epsilon, sensitivity) = bytes.split_first_chunk().ok_or(NoiseError::Encoding)?;
        let sensitivity = sensitivity.try_into().map_err(|_| NoiseError::Encoding)?;
        let epsilon = Epsilon::from_billionths(u64::from_le_bytes(*epsilon)).ok_or(NoiseError::Zero)?;
        Self::new(epsilon, u128::from_le_bytes(sensitivity))
    }

    /// For each binary digit of a geometric variable, lowest first: the probability that it is 1, times
    /// 2^[`THRESHOLD_BITS`], rounded down.
    pub fn thresholds(&self) -> Vec<u128> {
        let one = BigUint::from(1u8) << PRECISION;
        let mut power = self.ratio();
        let mut thresholds = Vec::new();
        while thresholds.len() < MAX_DIGITS {
            let threshold = (&power << THRESHOLD_BITS) / (&one + &power);
            match u128::try_from(threshold) {
                Ok(threshold) if threshold > 0 => thresholds.push(threshold),
                _ => break,
            }
            power = (&power * &power) >> PRECISION;
        }
        thresholds
    }

    /// `exp(-epsilon / sensitivity)`, times 2^[`PRECISION`].
    fn ratio(&self) -> BigUint {
        let one = BigUint::from(1u8) << PRECISION;
        let x = (BigUint::from(self.epsilon.billionths()) << PRECISION)
            / (BigUint::from(BILLION) * self.sensitivity);
        // exp(-x) = exp(-x / 2^h)^(2^h), with x / 2^h below one.
        let halvings = x.bits().saturating_sub(PRECISION);
        let y = x >> halvings;
        // 1 - y + y^2 / 2 - ..: terms alternate and shrink.
        let (mut plus, mut minus, mut term) = (one.clone(), BigUint::ZERO, one);
        for n in 1u32.. {
            term = ((term * &y) >> PRECISION) / n;
            if term == BigUint::ZERO {
                break;
            }
            *(if n % 2 == 0 { &mut plus } else { &mut minus }) += &term;
        }
        (0..halvings).fold(plus - minus, |e, _| (&e * &e) >> PRECISION)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    fn laplace(epsilon: &str, sensitivity: u128) -> Result<Laplace, NoiseError> {
        Laplace::new(epsilon.parse().unwrap(), sensitivity)
    }

    fn close(threshold: u128, probability: f64) -> bool {
        (threshold as f64 / (1u128 << THRESHOLD_BITS) as f64 - probability).abs() < 1e-12
    }

    #[test]
    fn thresholds_are_the_digits_probabilities() {
        for (epsilon, sensitivity) in
            [("1", 1u128), ("0.5", 3), ("0.01", 1), ("20", 1), ("0.000001", 1000), ("3", (1 << 48) - 1)]
        {
            let noise = laplace(epsilon, sensitivity).unwrap();
            let thresholds = noise.thresholds();
            let x = epsilon.parse::<f64>().unwrap() / sensitivity as f64;
            for (k, threshold) in thresholds.iter().enumerate() {
                let p = (-x * 2f64.powi(k as i32)).exp();
                assert!(close(*threshold, p / (1.0 + p)), "{noise:?}, digit {k}");
            }
            // What is left out is 1 with a probability below 2^-96.
            let p = -x * 2f64.powi(thresholds.len() as i32);
            assert!(p < -96.0 * core::f64::consts::LN_2, "{noise:?}");
        }
        assert!(laplace("1000", 1).unwrap().thresholds().is_empty());
    }

    #[test]
    fn absurd_noise_is_refused() {
        assert_eq!(laplace("1", 0), Err(NoiseError::Zero));
        assert_eq!(Laplace::decode(&[0; Laplace::BYTES]), Err(NoiseError::Zero));
        assert_eq!(laplace("0.000000001", 1 << 100), Err(NoiseError::TooLarge));
        assert_eq!(laplace("1", u128::MAX), Err(NoiseError::TooLarge));
        let most = laplace("0.1", 1 << 96).unwrap();
        assert!(most.thresholds().len() < MAX_DIGITS);
        assert_eq!(Laplace::decode(&most.encode()), Ok(most));
        assert_eq!(laplace("0.5", 100).unwrap().deviation_at(1).decimal(3), "28.284");
        assert_eq!(laplace("0.5", 100).unwrap().deviation_at(-1).decimal(1), "2828.4");
        assert_eq!(laplace("0.5", 100).unwrap().sensitivity_at(-2).to_string(), "10000");
        assert_eq!(Laplace::decode(&most.encode()[1..]), Err(NoiseError::Encoding));
    }
}
