//! Statements as the sample survey's providers prove them: value and square of one decimal.

use anyhow::Result;
use tercet_mpc::decimal::Excess;
use tercet_mpc::{Column, ColumnWitness, HashAlg, Output, Statement};
use zeroize::Zeroizing;

/// A statement with the witness to prove it.
pub struct Case {
    /// The statement that is proven.
    pub statement: Statement,
    /// The value and blinder.
    pub witness: [ColumnWitness; 1],
}

/// The hashes of commitments, with their names.
pub const HASHES: [(&str, HashAlg); 3] =
    [("sha256", HashAlg::Sha256), ("blake3", HashAlg::Blake3), ("keccak256", HashAlg::Keccak256)];

/// A value of 11 characters with 8 decimal places, in 48 bits, committed with `alg`.
pub fn case(alg: HashAlg, number: u64) -> Result<Case> {
    let text = format!("{}.{:08}", 10 + number % 90, (number * 7_919 + 12_345_678) % 100_000_000);
    let mut blinder = [7; 16];
    blinder[..8].copy_from_slice(&number.to_le_bytes());
    let commitment = alg.digest(&[text.as_bytes(), &blinder]);
    let length = text.len() as u8;
    let column = Column::number(alg, length, 8, 48, Excess::Reject, commitment);
    let statement = Statement::new(vec![column], vec![Output::Value(0), Output::Square(0)])?;
    let witness =
        ColumnWitness { bytes: Zeroizing::new(text.into_bytes()), blinder: Zeroizing::new(blinder) };
    Ok(Case { statement, witness: [witness] })
}
