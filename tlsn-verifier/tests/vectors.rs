//! Every presentation of upstream gets the right verdict, for the right reason, and shows the facts that its maker
//! put into it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;

use std::collections::BTreeMap;

use common::{Expect, Vector, all, ranges};
use tlsn_verifier::{Direction, Presentation, Secrets, VerifyError, WireVersion, verify};

#[test]
fn every_vector_gets_the_right_verdict() {
    let mut wrong = Vec::new();
    let mut counts = BTreeMap::new();
    for vector in all() {
        // The notary is pinned: `acc_untrusted_notary` names in its meta the key to expect.
        let verdict = verify(&vector.presentation, &vector.policy());
        let got = if verdict.is_ok() { Expect::Accept } else { Expect::Refuse };
        *counts.entry(format!("{got:?}")).or_insert(0) += 1;
        if got != vector.expect() {
            wrong.push(format!("{}: {verdict:?}, want {:?}", vector.name, vector.expect()));
        }
    }
    assert!(wrong.is_empty(), "{counts:?}\n{}", wrong.join("\n"));
    assert!(counts.len() == 2, "both verdicts occur: {counts:?}");
}

/// The reason is the one that the file was made for, not one that comes along.
#[test]
fn refusals_name_their_reason() {
    let reasons = BTreeMap::from([
        ("acc_commit_hidden_with_proof", "body-incomplete"),
        ("acc_values_hidden_with_proof", "body-incomplete"),
        ("acc_drop_identity", "identity-missing"),
        ("acc_drop_transcript", "transcript-missing"),
        ("acc_enc_leftover", "encoding-unsupported"),
        ("acc_header_version_resigned", "header-version"),
        ("acc_merkle_leaf_count_8_7", "merkle-leaf-count"),
        ("acc_merkle_leftover", "merkle-leftover"),
        ("acc_name_trailing_dot", "server-name-not-canonical"),
        ("acc_range_reversed", "ranges-not-canonical"),
        ("acc_range_split_adjacent", "ranges-not-canonical"),
        ("acc_range_unsorted_overlap_empty", "ranges-not-canonical"),
        ("acc_resigned_commit_hash64", "commitment-digest-length"),
        ("acc_resigned_commit_oob", "too-long"),
        ("acc_resigned_commit_unknown_alg", "commitment-alg-unknown"),
        ("acc_resigned_two_value_commits", "commitment-ambiguous"),
        ("acc_sig_eth_v", "signature-malformed"),
        ("acc_untrusted_notary", "notary-untrusted"),
        ("no_identity", "identity-missing"),
        ("no_transcript", "transcript-missing"),
        ("rej_cert_bad_kx_signature", "kx-signature"),
        ("rej_cert_ephem_mismatch", "ephemeral-key-mismatch"),
        ("rej_cert_no_intermediate", "certificate-chain"),
        ("rej_cert_not_yet_valid", "certificate-time"),
        ("rej_cert_wrong_name", "certificate-name"),
        ("rej_name_invalid", "server-name-invalid"),
        ("rej_name_wildcard_literal", "server-name-invalid"),
        ("tam_cert_leaf_swapped", "cert-commitment-mismatch"),
        ("tam_commit_added", "merkle-leaf-count"),
        ("tam_commit_alg", "root-mismatch"),
        ("tam_commit_hash65", "too-long"),
        ("tam_commit_range", "root-mismatch"),
        ("tam_commit_removed", "body-incomplete"),
        ("tam_commit_swapped_ids", "root-mismatch"),
        ("tam_empty", "unexpected-end"),
        ("tam_enc_two_commitments", "encoding-multiple"),
        ("tam_ephem_key", "root-mismatch"),
        ("tam_header_id", "signature-invalid"),
        ("tam_header_root", "root-mismatch"),
        ("tam_header_version", "header-version"),
        ("tam_identity_blinder", "cert-commitment-mismatch"),
        ("tam_identity_resigned_scheme", "kx-signature"),
        ("tam_idx_len_mismatch", "index-length-mismatch"),
        ("tam_idx_narrowed", "opening-not-revealed"),
        ("tam_idx_oob", "index-out-of-bounds"),
        ("tam_len_huge", "too-long"),
        ("tam_merkle_leaf_count", "body-incomplete"),
        ("tam_merkle_leaf_count_5", "merkle-leaf-count"),
        ("tam_option_tag", "invalid-tag"),
        ("tam_recv_byte", "opening-mismatch"),
        ("tam_recv_total", "transcript-length"),
        ("tam_recv_total_huge", "too-long"),
        ("tam_resigned_ids_sparse", "field-id-beyond-end"),
        ("tam_secret_alg_unknown", "opening-alg-unknown"),
        ("tam_secret_blinder", "opening-mismatch"),
        ("tam_secret_missing", "transcript-unauthenticated"),
        ("tam_sent_byte", "opening-mismatch"),
        ("tam_server_name_empty", "server-name-invalid"),
        ("tam_server_name_ip", "server-name-invalid"),
        ("tam_sig_alg_swapped", "notary-key-alg-mismatch"),
        ("tam_sig_alg_unknown", "signature-alg-unknown"),
        ("tam_sig_der_k1", "signature-malformed"),
        ("tam_sig_flip", "signature-invalid"),
        ("tam_sig_high_s_k1", "signature-malformed"),
        ("tam_sig_short", "signature-malformed"),
        ("tam_sig_zero", "signature-malformed"),
        ("tam_time", "root-mismatch"),
        ("tam_tls_version", "root-mismatch"),
        ("tam_transcript_len", "root-mismatch"),
        ("tam_transcript_swapped", "opening-mismatch"),
        ("tam_truncated", "unexpected-end"),
        ("tam_verifying_key", "root-mismatch"),
    ]);
    let mut wrong = Vec::new();
    for vector in all() {
        let Err(error) = verify(&vector.presentation, &vector.policy()) else {
            continue;
        };
        let reason = reasons.get(vector.text("name"));
        if reason.is_some_and(|reason| *reason != error.code()) {
            wrong.push(format!("{}: {} ({error}), want {reason:?}", vector.name, error.code()));
        }
        if vector.encoding() && vector.text("expect") == "accept" {
            assert_eq!(error.code(), "encoding-unsupported", "{}", vector.name);
            assert!(error.to_string().contains("older encoding commitments"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn accepted_presentations_say_what_was_put_in() {
    for vector in all().iter().filter(|v| v.expect() == Expect::Accept) {
        let verified =
            verify(&vector.presentation, &vector.policy()).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        check_facts(vector, &verified);
    }
}

fn check_facts(vector: &Vector, verified: &tlsn_verifier::Verified) {
    let name = &vector.name;
    let meta = &vector.meta;
    assert_eq!(verified.wire_version, vector.version, "{name}");
    assert_eq!(verified.server_name, vector.text("server_name"), "{name}");
    assert_eq!(verified.connection_time, meta["connection_time"].as_u64().unwrap(), "{name}");
    assert_eq!(verified.notary_key, vector.notary(), "{name}");
    // For derived files the rest of the meta describes the file they were made from.
    let derived = meta["tampered_from"].is_string();
    if let Some(id) = meta["header"]["id_hex"].as_str().filter(|_| !derived) {
        assert_eq!(hex::encode(verified.attestation_id), id, "{name}");
        assert_eq!(hex::encode(verified.root), meta["header"]["root_hex"], "{name}");
    }
    for direction in Direction::ALL {
        let data = verified.transcript.direction(direction);
        let len = meta["transcript_length"][direction.name()].as_u64().unwrap();
        assert_eq!(data.len() as u64, len, "{name}");
        assert_eq!(data.revealed(), &vector.revealed(direction), "{name}");
        let whole = vector.plaintext(direction);
        for range in data.revealed().iter().filter(|_| !whole.is_empty()) {
            assert_eq!(data.get(range.clone()), whole.get(range), "{name}");
        }
    }
    let wanted = meta["hash_commitments"].as_array().unwrap();
    if vector.text("name") != "upstream_fixture" {
        assert_eq!(verified.commitments.len(), wanted.len(), "{name}");
    }
    for want in wanted {
        let field = want["field_id"].as_u64().unwrap() as u32;
        let got = verified.commitments.iter().find(|c| c.field == field).unwrap();
        assert_eq!(got.direction.name(), want["direction"], "{name}");
        assert_eq!(got.ranges, ranges(&want["ranges"]), "{name}");
        assert_eq!(u64::from(got.alg.id()), want["alg"].as_u64().unwrap(), "{name}");
        assert_eq!(hex::encode(got.digest), want["hash_hex"], "{name}");
        assert_eq!(got.opened, want["opened"].as_bool().unwrap(), "{name}");
    }
    assert!(verified.commitments.is_sorted_by_key(|c| c.field), "{name}");
    let extensions = meta["upstream_output"]["extensions"].as_array();
    for (got, want) in verified.extensions.iter().zip(extensions.into_iter().flatten()) {
        assert_eq!(hex::encode(&got.id), want["id_hex"], "{name}");
        assert_eq!(hex::encode(&got.value), want["value_hex"], "{name}");
    }
    if let Some(extensions) = extensions {
        assert_eq!(verified.extensions.len(), extensions.len(), "{name}");
    }
}

/// Nothing in a file names its version, so a forced wrong one must fail and the guess be right.
#[test]
fn versions_are_told_apart() {
    for vector in all().iter().filter(|v| v.expect() == Expect::Accept) {
        let name = &vector.name;
        let decoded = Presentation::decode(&vector.presentation).unwrap();
        assert_eq!(decoded.wire_version(), vector.version, "{name}");
        for version in WireVersion::ALL {
            let forced = Presentation::decode_as(&vector.presentation, version);
            let verdict = forced.map(|p| p.verify(&vector.policy()).is_ok());
            assert_eq!(verdict.unwrap_or(false), version == vector.version, "{name}");
        }
    }
}

/// Without identity and transcript nothing but the signed root tells the versions apart.
#[test]
fn versions_are_told_apart_by_the_root_alone() {
    for vector in all().iter().filter(|v| v.text("name") == "no_identity") {
        let decoded = Presentation::decode(&vector.presentation).unwrap();
        assert_eq!(decoded.wire_version(), vector.version);
        let verdict = decoded.verify(&vector.policy());
        assert_eq!(verdict, Err(VerifyError::IdentityMissing));
    }
}

#[test]
fn files_encode_to_the_same_bytes() {
    for vector in all() {
        if let Ok(presentation) = Presentation::decode(&vector.presentation) {
            assert_eq!(presentation.encode(), vector.presentation, "{}", vector.name);
        }
        if let Some(bytes) = vector.file("secrets.bin") {
            match Secrets::decode(&bytes) {
                Ok(secrets) => {
                    assert_eq!(secrets.wire_version(), vector.version, "{}", vector.name);
                    assert_eq!(secrets.encode()[..], bytes, "{}", vector.name);
                }
                Err(error) => {
                    assert_eq!(error.code(), "encoding-unsupported", "{}", vector.name);
                    assert!(vector.encoding(), "{}", vector.name);
                }
            }
        }
    }
}

#[test]
fn secrets_open_every_commitment() {
    let mut opened = 0;
    for vector in all().iter().filter(|v| v.honest()) {
        let Some(bytes) = vector.file("secrets.bin") else {
            continue;
        };
        let name = &vector.name;
        let secrets = Secrets::decode(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(secrets.server_name(), vector.text("server_name"), "{name}");
        for direction in Direction::ALL {
            assert_eq!(secrets.transcript(direction), vector.plaintext(direction), "{name}");
        }
        let verified = verify(&vector.presentation, &vector.policy()).unwrap();
        let wanted = vector.meta["hash_commitments"].as_array().unwrap();
        for commitment in &verified.commitments {
            let want = wanted.iter().find(|w| w["field_id"] == commitment.field).unwrap();
            let opening = secrets.opening_for(commitment).unwrap();
            assert_eq!(hex::encode(&opening.bytes[..]), want["plaintext_hex"], "{name}");
            assert_eq!(hex::encode(&opening.blinder[..]), want["blinder_hex"], "{name}");
            assert!(!format!("{opening:?} {secrets:?}").contains(want["blinder_hex"].as_str().unwrap()));
            // Another digest over the same bytes is not opened.
            let mut other = commitment.clone();
            other.digest[31] ^= 1;
            assert_eq!(secrets.opening_for(&other), None, "{name}");
            opened += 1;
        }
    }
    assert!(opened > 100, "only {opened} commitments were opened");
}

/// A notary that is not pinned is refused; the caller may ask for any and is told which.
#[test]
fn the_pinned_notary_counts() {
    let all = all();
    for vector in all.iter().filter(|v| v.text("name") == "acc_untrusted_notary") {
        let verified = verify(&vector.presentation, &vector.open_policy()).unwrap();
        assert_ne!(verified.notary_key, vector.notary());
        let mut policy = vector.policy();
        policy.notaries = tlsn_verifier::NotaryTrust::Pinned(vec![]);
        let code = verify(&vector.presentation, &policy).map_err(|e| e.code());
        assert_eq!(code.err(), Some("notary-untrusted"));
    }
}

#[test]
fn a_pinned_server_name_counts() {
    for vector in all().iter().filter(|v| v.text("name") == "acc_wildcard_other_name") {
        let mut policy = vector.policy();
        policy.server_name = Some("api.exchange.test".into());
        let code = verify(&vector.presentation, &policy).map_err(|e| e.code());
        assert_eq!(code.err(), Some("server-name-unexpected"));
        policy.server_name = Some(vector.text("server_name").into());
        assert!(verify(&vector.presentation, &policy).is_ok());
    }
}
