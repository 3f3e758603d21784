//! Three people prove their numbers, and three parties open the sum, which is all that any of them learns.
//!
//! `cargo run -p tercet-mpc --example three_parties --features test-util`

use std::error::Error;

use sha2::Digest as _;
use tercet_mpc::decimal::Excess;
use tercet_mpc::testing::TestWorld;
use tercet_mpc::{
    Abort, Column, ColumnWitness, HashAlg, Item, Output, Proven, Session, Statement, Verdict, open_sums,
    prove, verify_batch,
};

/// Binds each proof to its survey and its evidence.
const CONTEXT: [u8; 32] = [1; 32];

/// A provider's work: a notary signed the hash of text and blinder, and the proof says that the shares add up to the text.
fn submit(text: &str, seed: [u8; 32]) -> Result<(Statement, Proven), Box<dyn Error>> {
    let blinder = [seed[0]; 16];
    let preimage = [text.as_bytes(), &blinder].concat();
    let commitment = sha2::Sha256::digest(&preimage).into();
    // Two decimal places, and a magnitude below 2^30.
    let length = u8::try_from(text.len())?;
    let column = Column::number(HashAlg::Sha256, length, 2, 30, Excess::Reject, commitment);
    let statement = Statement::new(vec![column], vec![Output::Value(0)])?;
    let witness = ColumnWitness { bytes: text.as_bytes().to_vec().into(), blinder: blinder.into() };
    let proven = prove(&statement, &[witness], &CONTEXT, &seed, &mut |_| {})?;
    Ok((statement, proven))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut submissions = Vec::new();
    for (text, seed) in [("12.50", 1), ("-7", 2), ("1000.25", 3)] {
        submissions.push(submit(text, [seed; 32])?);
    }

    // The same program runs at each party, which has its own private parts and its own wires.
    let opened = TestWorld::new(1).run(|party, net| -> Result<Vec<u128>, Abort> {
        let items: Vec<_> = submissions
            .iter()
            .map(|(statement, proven)| Item {
                statement,
                ctx: &CONTEXT,
                public: &proven.public,
                private: Some(proven.private[party.index()].as_slice()),
            })
            .collect();
        let mut session = Session::new(party, [2; 32]);
        let verdicts = verify_batch(&mut session, &items, net)?;
        let shares = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Accepted(accepted) => accepted.lanes().first().copied(),
            Verdict::Rejected { .. } => None,
        });
        let sums: Vec<_> = shares.reduce(|sum, share| sum + share).into_iter().collect();
        // A session is used once: opening has one of its own.
        open_sums(&mut Session::new(party, [3; 32]), &sums, net)
    });
    for (party, sums) in opened.into_iter().enumerate() {
        let cents = sums?.first().map(|sum| *sum as i128).ok_or("no submission was accepted")?;
        println!("party {party} knows the sum, {}.{:02}, and no number of it", cents / 100, cents % 100);
    }
    Ok(())
}
