//! No bytes make the decoders panic, and no change to an honest presentation goes unnoticed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use common::{Vector, all};
use proptest::prelude::*;
use tlsn_verifier::{Secrets, TrustPolicy, verify};

/// As a survey would: notary, roots and server pinned.
fn pinned(vector: &Vector) -> TrustPolicy {
    TrustPolicy { server_name: Some(vector.text("server_name").to_owned()), ..vector.policy() }
}

/// A small generator, so that the masks differ from byte to byte and run to run alike.
fn mix(seed: u64) -> u64 {
    let x = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17
}

/// Vectors whose every byte is tried: between them all signature algorithms, hashes, certificate
/// kinds, extensions and both versions.
const WHOLE: [&str; 8] = [
    "0.1.0-alpha.12/sig_eth",
    "0.1.0-alpha.12/sig_r1",
    "0.1.0-alpha.12/real_notary_server_hash",
    "0.1.0-alpha.12/value_three_algs",
    "0.1.0-alpha.15/extensions2",
    "0.1.0-alpha.15/real_mpc_blake3_r1_rsa",
    "0.1.0-alpha.15/multi_range_value",
    "0.1.0-alpha.15/acc_wildcard_other_name",
];

/// There is no list of exceptions: with the server pinned, every byte is authenticated or has
/// one permitted value.
#[test]
fn every_changed_byte_is_refused() {
    let mut tried = 0;
    let mut accepted = Vec::new();
    for vector in all().iter().filter(|v| v.expect() == common::Expect::Accept) {
        let policy = pinned(vector);
        let whole = WHOLE.contains(&vector.name.as_str());
        // Of the others every 61st byte, starting elsewhere each time.
        let step = if whole { 1 } else { 61 };
        let start = if whole { 0 } else { tried % step };
        for at in (start..vector.presentation.len()).step_by(step) {
            let mut bytes = vector.presentation.clone();
            let mask = (mix((tried as u64) << 20 | at as u64) % 255) as u8 + 1;
            bytes[at] ^= mask;
            tried += 1;
            if verify(&bytes, &policy).is_ok() {
                accepted.push(format!("{} byte {at} ^ {mask:#04x}", vector.name));
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(tried > 20_000, "{tried}");
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let all = all();
    for name in ["v00_canonical", "sig_r1", "real_mpc_sha256"] {
        for vector in all.iter().filter(|v| v.text("name") == name) {
            let policy = pinned(vector);
            for end in 0..vector.presentation.len() {
                assert!(verify(&vector.presentation[..end], &policy).is_err(), "{name} {end}");
            }
            for extra in [&[0][..], &[1], &[0; 8], &vector.presentation] {
                let bytes = [&vector.presentation, extra].concat();
                assert!(verify(&bytes, &policy).is_err(), "{name}");
            }
        }
    }
}

/// A count or length of any size, at any place, neither panics nor allocates as much as it claims.
#[test]
fn every_length_field_edit_is_refused() {
    let values = [u64::MAX, 1 << 63, 1 << 32, (1 << 32) - 1, 1 << 20, 1 << 18, 65_536];
    for vector in all().iter().filter(|v| v.text("name") == "v00_canonical") {
        let policy = pinned(vector);
        for at in 0..vector.presentation.len() - 8 {
            for value in values {
                let mut bytes = vector.presentation.clone();
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                let same = bytes == vector.presentation;
                assert!(same || verify(&bytes, &policy).is_err(), "{} {at} {value}", vector.name);
            }
        }
        if let Some(secrets) = vector.file("secrets.bin") {
            for at in 0..secrets.len() - 8 {
                for value in values {
                    let mut bytes = secrets.clone();
                    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                    let _ = Secrets::decode(&bytes);
                }
            }
        }
    }
}

#[test]
fn files_above_the_limit_are_not_read() {
    let bytes = vec![0; tlsn_verifier::limits::MAX_FILE + 1];
    let vector = &all()[0];
    let code = verify(&bytes, &vector.policy()).map_err(|e| e.code());
    assert_eq!(code.err(), Some("file-too-large"));
    assert_eq!(Secrets::decode(&bytes).unwrap_err().code(), "file-too-large");
}

/// One edit of a file.
#[derive(Clone, Debug)]
enum Edit {
    Flip(usize, u8),
    Cut(usize),
    Drop(usize, usize),
    Repeat(usize, usize),
    Put(usize, u64),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<usize>;
    let edge = prop_oneof![any::<u64>(), 0u64..600, Just(u64::MAX), Just(1 << 32)];
    prop_oneof![
        (at(), 0u8..8).prop_map(|(at, bit)| Edit::Flip(at, 1 << bit)),
        at().prop_map(Edit::Cut),
        (at(), 1usize..64).prop_map(|(at, n)| Edit::Drop(at, n)),
        (at(), 1usize..64).prop_map(|(at, n)| Edit::Repeat(at, n)),
        (at(), edge).prop_map(|(at, value)| Edit::Put(at, value)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let len = bytes.len();
    if len < 8 {
        return;
    }
    match *edit {
        Edit::Flip(at, mask) => bytes[at % len] ^= mask,
        Edit::Cut(at) => bytes.truncate(at % len),
        Edit::Drop(at, n) => drop(bytes.drain(at % len..(at % len + n).min(len))),
        Edit::Repeat(at, n) => {
            let at = at % len;
            let part = bytes[at..(at + n).min(len)].to_vec();
            bytes.splice(at..at, part);
        }
        Edit::Put(at, value) => {
            let at = at % (len - 7);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each case edits every vector in its own way.
    #[test]
    fn edited_files_never_panic_and_never_pass(edits in proptest::collection::vec(edit(), 211), twice in any::<bool>()) {
        for (i, vector) in all().iter().enumerate() {
            let mut bytes = vector.presentation.clone();
            apply(&mut bytes, &edits[i % edits.len()]);
            if twice {
                apply(&mut bytes, &edits[(i + 1) % edits.len()]);
            }
            if bytes != vector.presentation {
                let verdict = verify(&bytes, &pinned(vector));
                prop_assert!(verdict.is_err(), "{}: {:?}", vector.name, edits[i % edits.len()]);
            }
            if let Some(mut bytes) = vector.file("secrets.bin") {
                apply(&mut bytes, &edits[i % edits.len()]);
                if let Ok(secrets) = Secrets::decode(&bytes) {
                    prop_assert_eq!(&secrets.encode()[..], &bytes[..]);
                }
            }
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let vector = &all()[0];
        prop_assert!(verify(&bytes, &vector.policy()).is_err());
        let _ = Secrets::decode(&bytes);
    }
}
