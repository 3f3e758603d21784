//! Costs of a provider's proof, natively: proving time, checking time of one party, bytes. One line a figure.
//!
//! `cargo bench -p tercet-mpc`

use std::hint::black_box;
use std::time::Instant;

use sha2::Digest;
use tercet_mpc::circuit::{self, Counter};
use tercet_mpc::decimal::Excess;
use tercet_mpc::field::Gf128;
use tercet_mpc::proof::{ColumnWitness, Opening, PrivatePart, challenges, check, open, prove};
use tercet_mpc::{Column, HashAlg, Output, PartyId, Statement};

/// Best of five rounds, in microseconds per call.
fn time(calls: u32, mut f: impl FnMut()) -> f64 {
    let round = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..calls).for_each(|_| f());
        start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    (0..5).map(|_| round(&mut f)).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut x = Gf128(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
    let product = time(10_000, || x *= black_box(Gf128(0xfeed << 100 | 0xbeef)));
    println!("field product                 {:8.1} ns", product * 1e3);
    let square = time(10_000, || x = black_box(x).square());
    println!("field square                  {:8.1} ns", square * 1e3);

    let text = b"12.34567890";
    let blinder = [7u8; 16];
    let preimage = [&text[..], &blinder].concat();
    let (ctx, seed) = ([1; 32], [2; 32]);
    for (name, alg, commitment) in [
        ("sha256", HashAlg::Sha256, sha2::Sha256::digest(&preimage).into()),
        ("blake3", HashAlg::Blake3, *blake3::hash(&preimage).as_bytes()),
        ("keccak256", HashAlg::Keccak256, sha3::Keccak256::digest(&preimage).into()),
    ] {
        let column = Column::number(alg, 11, 8, 48, Excess::Reject, commitment);
        let Ok(statement) = Statement::new(vec![column], vec![Output::Value(0), Output::Square(0)]) else {
            return;
        };
        let witness = [ColumnWitness { bytes: text.to_vec().into(), blinder: blinder.into() }];
        let layout = statement.layout();
        println!("{name}: {layout:?}");
        let prove_once = || prove(&statement, &witness, &ctx, &seed, &mut |_| {});
        println!("{name} prove                 {:8.2} ms", time(3, || drop(black_box(prove_once()))) / 1e3);
        let Ok(proven) = prove_once() else { return };
        let mut openings: Vec<[Opening; 2]> = Vec::new();
        for party in PartyId::ALL {
            let private = &proven.private[party.index()];
            let examine = || {
                let part = PrivatePart::decode(party, &layout, private)?;
                let shares = part.shares(&statement, &layout, &ctx, &proven.public).ok()?;
                let c = challenges(&statement, &ctx, &proven.public, layout.log_rows);
                Some(open(&statement, &layout, &c, [&shares[0], &shares[1]]))
            };
            println!(
                "{name} {party} examines      {:8.1} us, {} bytes of private part",
                time(200, || drop(black_box(examine()))),
                private.len()
            );
            openings.extend(examine());
        }
        let c = challenges(&statement, &ctx, &proven.public, layout.log_rows);
        let part = || PrivatePart::decode(PartyId::P1, &layout, &proven.private[1]);
        let Some(Ok(shares)) = part().map(|p| p.shares(&statement, &layout, &ctx, &proven.public)) else {
            return;
        };
        println!(
            "{name}   of it shares        {:8.1} us",
            time(200, || drop(black_box(part().map(|p| p.shares(
                &statement,
                &layout,
                &ctx,
                &proven.public
            )))))
        );
        println!(
            "{name}   of it circuit, open {:8.1} us",
            time(200, || drop(black_box(open(&statement, &layout, &c, [&shares[0], &shares[1]]))))
        );
        println!(
            "{name}   count gates         {:8.1} us",
            time(200, || circuit::evaluate(black_box(&mut Counter::default()), &statement))
        );
        let [[a, _], [b, _], [d, _]] = &openings[..] else { return };
        println!(
            "{name} check                 {:8.1} us",
            time(1000, || {
                let valid = check(&layout, &c, [a, b, d]);
                assert!(black_box(valid).is_ok());
            })
        );
        println!("{name} exchanged per party   {:8} bytes", Opening::bytes(&layout) + 32 + 2);
    }
}
