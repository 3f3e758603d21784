//! Real presentations through the survey's verifier.

use std::collections::HashSet;
use std::path::PathBuf;

use tercet_evidence::{Denied, Kind, Rule, SurveyVerifier};
use tercet_protocol::ids::{EngineDigest, PublicKey};
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};

use crate::SURVEY;

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors")
}

fn verifier(toml: &str) -> (SurveyManifest, SurveyVerifier) {
    let manifest = SurveyManifest::from_toml(toml).unwrap();
    let root = std::fs::read(vectors().join("root.der")).unwrap();
    let parties = [1, 2, 3].map(|i| PublicKey([i; 32]));
    let descriptor =
        SurveyDescriptor::assemble(manifest.clone(), &[root], parties, EngineDigest([0; 32])).unwrap();
    (manifest, SurveyVerifier::new(&descriptor).unwrap())
}

fn presentation(name: &str) -> Vec<u8> {
    std::fs::read(vectors().join(name).join("presentation.bin")).unwrap()
}

#[test]
fn the_whole_cohort_is_admitted_as_different_people() {
    let (manifest, verifier) = verifier(SURVEY);
    let mut people = HashSet::new();
    let mut n = 0;
    for entry in std::fs::read_dir(vectors().join("cohort")).unwrap() {
        let path = entry.unwrap().path();
        let file = std::fs::read(path.join("presentation.bin")).unwrap();
        let (verified, admitted) = verifier.check(Kind::Presentation, &file).unwrap();
        verified.statement(&admitted, &manifest).unwrap();
        people.insert(admitted.nullifier);
        n += 1;
    }
    assert!(n >= 24);
    assert_eq!(people.len(), n);
}

#[test]
fn real_sessions_and_chunked_responses_are_admitted() {
    let (manifest, verifier) = verifier(SURVEY);
    let names = [
        "0.1.0-alpha.12/real_mpc_hash",
        "0.1.0-alpha.12/real_mpc_hash_zero",
        "0.1.0-alpha.12/real_notary_server_hash",
        "0.1.0-alpha.15/real_mpc_sha256",
        "0.1.0-alpha.15/real_mpc_sha256_neg",
        "0.1.0-alpha.15/real_mpc_blake3_rsa",
        "0.1.0-alpha.15/real_mpc_blake3_r1_rsa",
        "0.1.0-alpha.12/chunked",
        "0.1.0-alpha.15/chunked",
    ];
    for name in names {
        match verifier.check(Kind::Presentation, &presentation(name)) {
            Ok((verified, admitted)) => {
                verified.statement(&admitted, &manifest).unwrap();
            }
            Err(e) => panic!("{name}: {e}"),
        }
    }
}

#[test]
fn presentations_about_other_values_are_refused_by_rule() {
    let (_, verifier) = verifier(SURVEY);
    let cases = [
        ("0.1.0-alpha.15/two_balances", Rule::Hidden),
        ("0.1.0-alpha.12/value_three_algs", Rule::Commitment),
        ("0.1.0-alpha.12/multi_range_value", Rule::Commitment),
    ];
    for (name, rule) in cases {
        match verifier.check(Kind::Presentation, &presentation(name)) {
            Err(Denied::Policy(refusal)) => assert_eq!(refusal.rule, rule, "{name}: {refusal}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    match verifier.check(Kind::Presentation, &presentation("0.1.0-alpha.15/acc_untrusted_notary")) {
        Err(Denied::Presentation(e)) => assert!(e.code().contains("notary"), "{}", e.code()),
        other => panic!("{other:?}"),
    }
}
