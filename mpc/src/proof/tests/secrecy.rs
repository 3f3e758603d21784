//! A party's own shares and the public part say nothing about the secret. The challenges depend on all that they
//! must.

use super::super::Transcript;
use super::super::points::Subspace;
use super::*;

/// Counts how often each bit is set in many samples of equally many bytes.
fn ones(samples: &[Vec<u8>]) -> Vec<u32> {
    let bits = 8 * samples[0].len();
    (0..bits).map(|i| samples.iter().map(|s| u32::from(s[i / 8] >> (i % 8) & 1)).sum()).collect()
}

/// Each share by itself is uniform, witness and proof, bit by bit, whatever the value; and so is the sum of two
/// shares.
#[test]
fn a_share_says_nothing_about_the_value() {
    const PROOFS: u32 = 128;
    for text in [&b"0.00"[..], b"9.99"] {
        let s = statement(HashAlg::Blake3, text);
        let layout = s.layout();
        let proofs: Vec<[Share; 3]> =
            (0..PROOFS).map(|seed| shares(&proven(&s, text, seed as u8), &layout)).collect();
        let unused = (8 - layout.gates % 8) % 8;
        // A fair coin is beyond this once in 10^9 bits.
        let fair = |n: &u32| (PROOFS / 2 - 36..=PROOFS / 2 + 36).contains(n);
        for index in 0..3 {
            for part in ["witness", "proof"] {
                let bytes = |s: &Share| if part == "witness" { s.witness.to_vec() } else { s.proof.to_vec() };
                let samples: Vec<_> = proofs.iter().map(|p| bytes(&p[index])).collect();
                let mut ones = ones(&samples);
                ones.truncate(ones.len() - if part == "witness" { unused } else { 0 });
                let outside = ones.iter().position(|n| !fair(n));
                assert_eq!(outside, None, "share {index}, {part} of {} bits", ones.len());
            }
            let pair = |p: &[Share; 3]| -> Vec<u8> {
                let (a, b) = (&p[index].witness, &p[(index + 1) % 3].witness);
                a.iter().zip(b.iter()).take(layout.input_bytes).map(|(a, b)| a ^ b).collect()
            };
            let samples: Vec<_> = proofs.iter().map(pair).collect();
            assert!(ones(&samples).iter().all(fair), "shares {index} and next");
        }
    }
}

/// Seeds, blind and masks depend on everything secret and public in the proof, and on nothing else.
#[test]
fn the_prover_draws_from_everything() {
    let s = statement(HashAlg::Blake3, b"1.23");
    let layout = s.layout();
    let p = proven(&s, b"1.23", 9);
    let encoded = s.encode();
    let inputs = [&b"1.23"[..], &BLINDER].concat();
    let mut stream = commitments::prover(&[&[9; 32], &CTX, &encoded, &inputs]).stream();
    let mut secrets = [[0; 32]; 3];
    secrets.iter_mut().for_each(|secret| stream.fill(secret));
    assert_eq!(p.private[0][34..], [secrets[0], secrets[1]].concat());
    assert_eq!(p.private[1][34..98], [secrets[1], secrets[2]].concat());
    let shares = shares(&p, &layout);
    for k in 0..2 * layout.columns {
        let mask = shares.iter().map(|s| Gf128::from_bytes(s.elements()[k])).sum::<Gf128>();
        assert_eq!(mask, element(&mut stream), "mask {k}");
    }
}

/// Fields are told apart by their lengths, and the version is among them: these bytes, under the domain's key.
#[test]
fn a_transcript_is_these_bytes() {
    let fields: [&[u8]; 6] =
        [b"protocol version", &crate::PROTOCOL_VERSION.to_le_bytes(), b"a", b"bc", b"d", b""];
    let mut hasher = ::blake3::Hasher::new_derive_key("test domain");
    for field in fields {
        hasher.update(&(field.len() as u64).to_le_bytes()).update(field);
    }
    let mut t = Transcript::new("test domain");
    t.absorb("a", b"bc").absorb("d", b"");
    assert_eq!(t.digest(), *hasher.finalize().as_bytes());
    let said = |label: &'static str, data: &[u8]| Transcript::new("test domain").absorb(label, data).digest();
    assert_ne!(said("ab", b"c"), said("a", b"bc"));
}

/// At a point of the polynomials an opening is a wire.
#[test]
fn a_challenge_is_no_point_of_the_proof() {
    let log = 3;
    let shift = Subspace::new(log).shift();
    let outside = Gf128(1 << 99 | 5);
    // On the rows, and on their coset.
    let inside = [Gf128::ZERO, Gf128::ONE, shift, shift + Gf128::ONE];
    let mut candidates = inside.into_iter().chain([outside]);
    assert_eq!(outside_subspace(log + 1, || candidates.next().unwrap()), outside);
}

/// A digit whose place is above the 64th: the value differs from the one that the lower digits give.
#[test]
fn digits_far_above_the_largest_value_count() {
    for (length, scale, bits) in [(64usize, 18, 1u8), (64, 18, 40), (64, 10, 20), (60, 18, 30)] {
        let mut text = vec![b'0'; length];
        text[0] = b'9';
        let commitment = digest(HashAlg::Blake3, &[&text[..], &BLINDER].concat());
        let column = Column::number(HashAlg::Blake3, length as u8, scale, bits, Excess::Reject, commitment);
        let s = Statement::new(vec![column], vec![Output::Value(0)]).unwrap();
        let inputs = [&text[..], &BLINDER].concat();
        let verdict = forged_verdict(&s, &inputs, &[[0; 3]]);
        assert_eq!(verdict, Err(Reject::Unsatisfied), "{length} {scale} {bits}");
    }
}
