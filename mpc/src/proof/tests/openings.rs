//! The dependence of challenges on everything; openings and `Debug` show no secret.

use super::*;

#[test]
fn challenges_depend_on_everything() {
    let base_column = column(HashAlg::Sha256, b"12.5");
    let outputs = vec![Output::Value(0)];
    let make = |c: &Column, o: &[Output]| Statement::new(vec![c.clone()], o.to_vec()).unwrap();
    let s = make(&base_column, &outputs);
    let hashes = ShareHashes {
        seeds: [[1; 32], [2; 32]],
        witness: [3; 32],
        proof: [4; 32],
        rows: [[5; 32], [6; 32], [7; 32]],
    };
    let base = challenges(&s, &CTX, &hashes, 8);
    assert_eq!(base, challenges(&s, &CTX, &hashes, 8));
    let mut all = vec![base];
    let changes: [fn(&mut Column); 6] = [
        |c| {
            *c = Column {
                format: c.format.clone(),
                ..Column::number(
                    HashAlg::Blake3,
                    c.length,
                    0,
                    1,
                    Excess::Reject,
                    digest(HashAlg::Sha256, &[b"12.5", &BLINDER[..]].concat()),
                )
            }
        },
        |c| c.length += 1,
        |c| number(c).scale += 1,
        |c| number(c).bits += 1,
        |c| number(c).excess = Excess::Truncate,
        |c| c.rebind([1; 32]),
    ];
    for change in changes {
        let mut c = base_column.clone();
        change(&mut c);
        all.push(challenges(&make(&c, &outputs), &CTX, &hashes, 8));
    }
    all.push(challenges(&make(&base_column, &[Output::Square(0)]), &CTX, &hashes, 8));
    all.push(challenges(&s, &[9; 32], &hashes, 8));
    for field in 0..6 {
        let mut h = hashes;
        match field {
            2 => h.witness[0] ^= 1,
            row @ 3.. => h.rows[row - 3][0] ^= 1,
            seed => h.seeds[seed][0] ^= 1,
        }
        all.push(challenges(&s, &CTX, &h, 8));
    }
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            assert!(a.gamma != b.gamma && a.point != b.point && a.delta != b.delta);
        }
    }
    // The proof's hash comes after gamma.
    let late = challenges(&s, &CTX, &ShareHashes { proof: [5; 32], ..hashes }, 8);
    assert!(late.gamma == base.gamma && late.point != base.point && late.delta != base.delta);
}

#[test]
fn openings_look_random() {
    // The sum of the three openings is all that a party learns. Over many proofs of one value and of another, every
    // bit of every masked element is a fair coin.
    for text in [&b"0.00"[..], b"9.99"] {
        let s = statement(HashAlg::Blake3, text);
        let layout = s.layout();
        let (mut ones, mut total) = (0u64, 0u64);
        for seed in 0..24 {
            let p = proven(&s, text, seed);
            let c = challenges(&s, &CTX, &p.public, layout.log_rows);
            let openings = open(&s, &layout, &c, shares(&p, &layout).each_ref());
            let encoded = openings.map(|o| {
                let mut out = Vec::new();
                o.encode(&mut out);
                out
            });
            let [first, second, third] = &encoded;
            for ((a, b), c) in first.iter().zip(second).zip(third).take(32 * layout.columns) {
                let byte = a ^ b ^ c;
                (ones, total) = (ones + u64::from(byte.count_ones()), total + 8);
            }
        }
        // Six standard deviations.
        let deviation = ones.abs_diff(total / 2);
        assert!(deviation * deviation < 9 * total, "{ones} ones of {total}");
    }
}

#[test]
fn debug_shows_no_secret() {
    extern crate std;
    let s = statement(HashAlg::Blake3, b"12.5");
    let p = proven(&s, b"12.5", 7);
    let part = PrivatePart::decode(PartyId::P1, &s.layout(), &p.private[1]).unwrap();
    let text = std::format!("{p:?} {part:?} {:?} {:?}", witness(b"12.5"), shares(&p, &s.layout()));
    assert!(!text.contains("private") && text.len() < 1200, "{text}");
}

proptest! {
    #[test]
    fn decoders_take_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), index in 0usize..3) {
        let s = statement(HashAlg::Blake3, b"12.5");
        let party = PartyId::ALL[index];
        prop_assert!(PrivatePart::decode(party, &s.layout(), &bytes).is_none() || party == PartyId::P0);
        prop_assert!(Opening::decode(&s.layout(), &bytes).is_none());
        prop_assert_eq!(ShareHashes::decode(&bytes).is_some(), bytes.len() == ShareHashes::BYTES);
        if let Ok(decoded) = Statement::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }

    #[test]
    fn statements_round_trip(at in 0usize..100, flip in 1u8..) {
        let columns = vec![column(HashAlg::Sha256, b"1.5"), column(HashAlg::Keccak256, b"-2")];
        let s = Statement::new(columns, vec![Output::Value(0), Output::Product(1, 0), Output::Square(1), Output::Log(0), Output::Reciprocal(1)]).unwrap();
        let mut bytes = s.encode();
        prop_assert!(Statement::decode(&bytes).as_ref() == Ok(&s));
        let at = at % bytes.len();
        bytes[at] ^= flip;
        prop_assert!(Statement::decode(&bytes).as_ref() != Ok(&s));
        prop_assert!(Statement::decode(&bytes[..at]).is_err());
    }
}

#[test]
fn explicit_is_for_two() {
    let s = statement(HashAlg::Blake3, b"12.5");
    let layout = s.layout();
    let honest = proven(&s, b"12.5", 7);
    let [first, second, third] = shares(&honest, &layout);
    let holds = |p: PartyId| {
        PrivatePart::decode(p, &layout, &honest.private[p.index()])
            .unwrap()
            .shares(&s, &layout, &CTX, &honest.public)
            .unwrap()
    };
    assert_eq!(holds(PartyId::P0), [first.clone(), second.clone()]);
    assert_eq!(holds(PartyId::P1), [second, third.clone()]);
    assert_eq!(holds(PartyId::P2), [third.clone(), first]);
    // A part for one party is no part for another.
    for p in PartyId::ALL {
        for q in PartyId::ALL {
            let decoded = PrivatePart::decode(q, &layout, &honest.private[p.index()]);
            assert_eq!(decoded.is_some(), p == q);
        }
    }
    // Bits behind the last gate must be zero.
    if !layout.gates.is_multiple_of(8) {
        let explicit = Explicit { blind: Zeroizing::new([0; 32]), share: third };
        let seeds = [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])];
        let mut bytes = PrivatePart::new(PartyId::P1, [0; 32], &seeds, &explicit).encode().to_vec();
        bytes[98 + layout.witness_bytes() - 1] |= 0x80;
        assert!(PrivatePart::decode(PartyId::P1, &layout, &bytes).is_none());
    }
}
