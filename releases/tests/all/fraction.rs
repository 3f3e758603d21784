//! Rational numbers, and linear algebra over them.

use std::ops::{Div, Mul, Sub};

/// A fraction in lowest terms with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction(i128, i128);

impl Fraction {
    pub fn new(n: i128, d: i128) -> Self {
        assert_ne!(d, 0);
        let divisor = gcd(n, d).max(1) * d.signum();
        Self(n / divisor, d / divisor)
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

impl From<i64> for Fraction {
    fn from(n: i64) -> Self {
        Self(n.into(), 1)
    }
}

impl Sub for Fraction {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.0 * other.1 - other.0 * self.1, self.1 * other.1)
    }
}

impl Mul for Fraction {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self::new(self.0 * other.0, self.1 * other.1)
    }
}

impl Div for Fraction {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        Self::new(self.0 * other.1, self.1 * other.0)
    }
}

/// Reduces to echelon form, pivoting in the columns of `order`; gives the rows that are not zero.
pub fn eliminate(rows: &[Vec<Fraction>], order: &[usize]) -> Vec<Vec<Fraction>> {
    let mut rows = rows.to_vec();
    let mut done = 0;
    for &column in order {
        let Some(pivot) = (done..rows.len()).find(|r| !rows[*r][column].is_zero()) else { continue };
        rows.swap(done, pivot);
        let top = rows[done].clone();
        for (i, row) in rows.iter_mut().enumerate() {
            if i != done && !row[column].is_zero() {
                let factor = row[column] / top[column];
                row.iter_mut().zip(&top).for_each(|(x, y)| *x = *x - factor * *y);
            }
        }
        done += 1;
    }
    rows.retain(|row| row.iter().any(|x| !x.is_zero()));
    rows
}
