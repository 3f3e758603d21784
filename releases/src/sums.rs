//! The bounds of `min_new`: so large that the sums of a unit do not give its values away.

/// Largest `min_new` that a survey may state.
pub const LARGEST: u64 = 1_000_000;

/// Below this, a survey is warned whatever it lists.
const ADVISED: u64 = 10;
/// Binary places of a proven logarithm or reciprocal.
const PLACES: f64 = 24.0;

/// The sums over one column that are released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Magnitudes are below 2^bits.
    pub bits: u32,
    /// The values.
    pub values: bool,
    /// Their squares.
    pub squares: bool,
    /// Their logarithms.
    pub logarithms: bool,
    /// Their reciprocals.
    pub reciprocals: bool,
    /// Number of products with other columns.
    pub products: u64,
}

/// A `min_new` that is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TooSmall {
    /// Fewer than twice the sums and one.
    Sums {
        /// Different sums of the column.
        sums: u64,
        /// The least that is admitted.
        least: u64,
    },
    /// The sums hold more bits than the values of a unit have.
    Bits {
        /// Bits of the sums.
        held: f64,
        /// Bits of the values, without their order.
        values: f64,
    },
}

/// Something that a survey is warned of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Warning {
    /// Fewer than ten.
    Few,
    /// Fewer than three for each sum.
    Sums {
        /// Different sums of the column.
        sums: u64,
    },
    /// The sums hold more than half of the bits that the values have: the values of a group, without names, can nearly be
    /// computed.
    Bits {
        /// Bits of the sums.
        held: f64,
        /// Bits of the values, without their order.
        values: f64,
    },
}

impl Sums {
    /// The number of different sums.
    pub fn count(&self) -> u64 {
        [self.values, self.squares, self.logarithms, self.reciprocals].map(u64::from).iter().sum::<u64>()
            + self.products
    }

    /// The bits that the sums over `min_new` rows hold, products aside.
    pub fn held(&self, min_new: u64) -> f64 {
        let (b, m) = (f64::from(self.bits), (min_new.max(1) as f64).log2());
        let terms = [
            (self.values, b + m),
            (self.squares, 2.0 * b + m),
            (self.logarithms, PLACES + b.max(1.0).log2() + m),
            (self.reciprocals, b + PLACES + m),
        ];
        terms.iter().filter(|(listed, _)| *listed).map(|(_, bits)| bits).sum()
    }

    /// Checks that a survey with these sums may have this `min_new`, and gives the warnings.
    ///
    /// # Errors
    ///
    /// It is too small: the sums could be solved for the values.
    pub fn check(&self, min_new: u64) -> Result<Vec<Warning>, TooSmall> {
        let sums = self.count();
        let least =
            if sums == 0 || tercet_mutants::mutant!("few-rows-for-many-sums") { 1 } else { 2 * sums + 1 };
        if min_new < least {
            return Err(TooSmall::Sums { sums, least });
        }
        let (held, values) = (self.held(min_new), multisets(self.bits, min_new));
        if (self.logarithms || self.reciprocals) && held > values {
            return Err(TooSmall::Bits { held, values });
        }
        let mut warnings = Vec::new();
        if min_new < ADVISED {
            warnings.push(Warning::Few);
        }
        if min_new < 3 * sums {
            warnings.push(Warning::Sums { sums });
        }
        if 2.0 * held > values {
            warnings.push(Warning::Bits { held, values });
        }
        Ok(warnings)
    }

    /// The least `min_new` that is admitted; `None` if there is none up to [`LARGEST`]: the column has too few bits
    /// for its sums.
    pub fn least(&self) -> Option<u64> {
        // Above 2s + 1 each further row adds bits to the values, and less than one in all to the sums, until the values are
        // used up: so the first that is admitted is found by trying.
        (1..=4096).find(|m| self.check(*m).is_ok())
    }
}

/// The binary logarithm of the number of multisets of `rows` values from 1 to 2^bits - 1: of C(2^bits - 2 + rows, rows).
pub fn multisets(bits: u32, rows: u64) -> f64 {
    let others = 2f64.powi(i32::try_from(bits).unwrap_or(i32::MAX)) - 2.0;
    // C(n + k, k) is the product of (larger + i) / i for i up to the smaller of n and k.
    let (smaller, larger) = if others < rows as f64 { (others, rows as f64) } else { (rows as f64, others) };
    let (mut sum, mut i) = (0.0f64, 1.0f64);
    while i <= smaller {
        sum += (1.0 + larger / i).log2();
        i += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of multisets, counted: C(n + k, k) by Pascal's rule.
    fn counted(n: usize, k: usize) -> u128 {
        let mut row = vec![1u128; k + 1];
        for _ in 0..n {
            for j in 1..=k {
                row[j] += row[j - 1];
            }
        }
        row[k]
    }

    #[test]
    fn the_number_of_multisets_is_the_binomial() {
        for bits in 1..=7 {
            for rows in 1..=12u64 {
                let exact = (counted((1 << bits) - 2, rows as usize) as f64).log2();
                assert!((multisets(bits, rows) - exact).abs() < 1e-9, "{bits} bits, {rows} rows");
            }
        }
        // 48 bits: ten values of 48 bits each, less log2(10!) for their order.
        let expected = 480.0 - 3_628_800f64.log2();
        assert!((multisets(48, 10) - expected).abs() < 1e-6);
    }

    #[test]
    fn the_sample_survey_is_admitted_and_warned() {
        let sample = Sums { bits: 48, values: true, squares: true, ..Sums::default() };
        assert_eq!(sample.least(), Some(5));
        assert_eq!(sample.check(4), Err(TooSmall::Sums { sums: 2, least: 5 }));
        let warnings = sample.check(5).unwrap();
        assert!(
            matches!(warnings[..], [Warning::Few, Warning::Sums { sums: 2 }, Warning::Bits { .. }]),
            "{warnings:?}"
        );
        assert_eq!(sample.check(10), Ok(vec![]));
    }

    #[test]
    fn logarithms_of_few_bits_need_more_rows() {
        // Sums, squares and logarithms of 5 bits over nine people: in the model behind the rule, 60 of 60 units were solved.
        let ages = Sums { bits: 5, values: true, squares: true, logarithms: true, ..Sums::default() };
        assert!(matches!(ages.check(9), Err(TooSmall::Bits { .. })));
        let least = ages.least().unwrap();
        assert!(ages.check(least - 1).is_err() && ages.check(least).is_ok());
        assert!(least > 9);
        // One bit: all values are 1, and no number of rows hides them.
        assert_eq!(Sums { bits: 1, ..ages }.least(), None);
        assert_eq!(Sums { bits: 1, logarithms: false, ..ages }.least(), Some(5));
    }

    #[test]
    fn products_count_for_both_columns() {
        let column = Sums { bits: 20, values: true, squares: true, products: 3, ..Sums::default() };
        assert_eq!((column.count(), column.least()), (5, Some(11)));
    }
}
