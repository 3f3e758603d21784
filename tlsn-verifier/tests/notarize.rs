//! The bytes that the `notarize` feature makes are upstream's, and whatever it makes anew verifies.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;
mod session;

use common::{Vector, all};
use tlsn_verifier::{
    Direction, HashAlg, NotaryKey, Presentation, Secrets, SignatureAlg, VerifyError, WireVersion,
    notarize::{
        Attestation, AttestationRequest, CommitTo, Notarization, NotarizeError, NotarySigningKey,
        PresentationBuilder,
    },
    verify,
};

/// The published private keys of the vectors' notaries.
fn signing_key(notary: &NotaryKey) -> Option<NotarySigningKey> {
    (1..=255).find_map(|byte| {
        let key = NotarySigningKey::new(notary.alg(), &[byte; 32]).ok()?;
        (key.public() == *notary).then_some(key)
    })
}

fn attested() -> Vec<(Vector, Vec<u8>, Attestation)> {
    let mut out = Vec::new();
    for vector in all() {
        if let Some(bytes) = vector.file("attestation.bin") {
            let attestation = Attestation::decode(&bytes).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
            out.push((vector, bytes, attestation));
        }
    }
    out
}

#[test]
fn attestations_encode_to_the_same_bytes() {
    let all = attested();
    for (vector, bytes, attestation) in &all {
        let name = &vector.name;
        assert_eq!(attestation.wire_version(), vector.version, "{name}");
        assert_eq!(&attestation.encode(), bytes, "{name}");
        assert_eq!(attestation.verify_signature(), Ok(vector.notary()), "{name}");
        for version in WireVersion::ALL {
            let forced = Attestation::decode_as(bytes, version);
            let right = forced.is_ok_and(|a| a.verify_signature().is_ok());
            assert_eq!(right, version == vector.version, "{name}");
        }
    }
    assert!(all.len() > 80, "{}", all.len());
}

/// Root, ids, layout and deterministic signature all agree with upstream's notaries.
#[test]
fn attesting_again_gives_upstreams_bytes() {
    let mut algs = std::collections::BTreeSet::new();
    for (vector, bytes, attestation) in attested() {
        let (Some(key), Some(request)) = (signing_key(&vector.notary()), attestation.to_request()) else {
            assert!(vector.encoding() || vector.text("name").starts_with("real_"), "{}", vector.name);
            continue;
        };
        let mut id = |out: &mut [u8]| out.copy_from_slice(&attestation.id());
        let (time, extensions) = (attestation.connection_time(), attestation.extensions());
        let again = key.attest(&request, time, extensions, &mut id).unwrap();
        assert_eq!(again.encode(), bytes, "{}", vector.name);
        let sent = AttestationRequest::decode(&request.encode());
        assert_eq!(sent, Ok(request), "{}", vector.name);
        algs.insert((vector.version, key.public().alg()));
    }
    assert!(algs.len() >= 4, "{algs:?}");
}

#[test]
fn presentations_are_built_as_upstream_builds_them() {
    let mut built = 0;
    for (vector, _, attestation) in attested() {
        if !vector.honest() {
            continue;
        }
        let name = &vector.name;
        let secrets = Secrets::decode(&vector.file("secrets.bin").unwrap()).unwrap();
        let opened: Vec<u64> = vector.meta["hash_commitments"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["opened"] == true)
            .map(|c| c["field_id"].as_u64().unwrap())
            .collect();
        let builder = PresentationBuilder::new(&attestation, &secrets);
        let builder = builder.open(|c| opened.contains(&c.field.into())).unwrap();
        assert_eq!(builder.build().unwrap().encode(), vector.presentation, "{name}");
        built += 1;
    }
    assert!(built > 60, "{built}");
}

fn random(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut counter = 0u64;
    move |out| {
        let mut hash = HashAlg::Blake3.digest(&[&seed.to_le_bytes(), &counter.to_le_bytes()]);
        counter += 1;
        for chunk in out.chunks_mut(32) {
            chunk.copy_from_slice(&hash[..chunk.len()]);
            hash = HashAlg::Blake3.digest(&[&hash]);
        }
    }
}

/// From a TLS 1.2 session to a verified presentation, in both formats, with every key type, hash
/// and kind of server certificate.
#[test]
fn a_fresh_session_verifies() {
    let mut fill = random(7);
    for kind in session::Kind::ALL {
        let session = session::run(kind);
        for version in WireVersion::ALL {
            for (sig, alg) in SignatureAlg::ALL.into_iter().zip(HashAlg::ALL) {
                let key = NotarySigningKey::generate(sig, &mut fill);
                let case = format!("{kind:?} {version} {sig} {alg}");
                let (attestation, secrets) = session.notarize(version, &key, alg, &mut fill);
                let builder = PresentationBuilder::new(&attestation, &secrets);
                let value = session.find(b"1234.5");
                let builder = builder.open(|c| c.ranges != value.clone().into()).unwrap();
                let bytes = builder.build().unwrap().encode();

                let policy = session.policy(&key);
                let verified = verify(&bytes, &policy).unwrap_or_else(|e| panic!("{case}: {e}"));
                assert_eq!(verified.wire_version, version, "{case}");
                assert_eq!(verified.server_name, "api.exchange.test", "{case}");
                assert_eq!(verified.transcript.received.get(0..15), Some(&b"HTTP/1.1 200 OK"[..]));
                assert_eq!(verified.transcript.received.hidden(), value.clone().into());
                let hidden: Vec<_> = verified.unopened().collect();
                assert_eq!(hidden.len(), 1, "{case}");
                let again = Secrets::decode(&secrets.encode()).unwrap();
                let opening = again.opening_for(hidden[0]).unwrap();
                assert_eq!(&opening.bytes[..], b"1234.5", "{case}");

                // The file form, and a root that did not issue the certificate.
                let attested = Attestation::decode(&attestation.encode()).unwrap();
                assert_eq!(attested, attestation, "{case}");
                let mut other = policy.clone();
                other.roots = session::run(kind).policy(&key).roots;
                let code = verify(&bytes, &other).map_err(|e| e.code());
                assert_eq!(code.err(), Some("certificate-chain"), "{case}");
            }
        }
    }
}

#[test]
fn a_presentation_without_identity_is_made_but_refused() {
    let mut fill = random(8);
    let session = session::run(session::Kind::P256);
    let key = NotarySigningKey::generate(SignatureAlg::Secp256k1, &mut fill);
    let (attestation, secrets) = session.notarize(WireVersion::Alpha12, &key, HashAlg::Sha256, &mut fill);
    let builder = PresentationBuilder::new(&attestation, &secrets).without_identity();
    let presentation = builder.open(|_| true).unwrap().build().unwrap();
    let verdict = presentation.verify(&session.policy(&key));
    assert_eq!(verdict, Err(VerifyError::IdentityMissing));
}

/// The prover does not take an attestation that says something else than it asked for.
#[test]
fn wrong_answers_are_refused() {
    let mut fill = random(9);
    let session = session::run(session::Kind::P256);
    let key = NotarySigningKey::generate(SignatureAlg::Secp256r1, &mut fill);
    let ask = |fill: &mut dyn FnMut(&mut [u8])| session.ask(WireVersion::Alpha15, HashAlg::Blake3, fill);
    let answer = |n: &Notarization, fill: &mut dyn FnMut(&mut [u8])| {
        key.attest(n.request(), session.time, vec![], fill).unwrap()
    };
    let right = ask(&mut fill);
    let attestation = answer(&right, &mut fill);
    assert!(right.finish(&attestation, &key.public()).is_ok());
    // Other blinders, so another question.
    let other = ask(&mut fill).finish(&attestation, &key.public());
    assert!(matches!(other, Err(NotarizeError::Answer(_))), "{other:?}");
    // Another notary's signature.
    let stranger = NotarySigningKey::generate(SignatureAlg::Secp256r1, &mut fill);
    let right = ask(&mut fill);
    let signed = stranger.attest(right.request(), session.time, vec![], &mut fill).unwrap();
    let verdict = right.finish(&signed, &key.public()).map(drop);
    let untrusted = VerifyError::NotaryUntrusted(stranger.public());
    assert_eq!(verdict, Err(NotarizeError::Refused(untrusted)));
    // Any changed byte.
    let right = ask(&mut fill);
    let bytes = answer(&right, &mut fill).encode();
    let question = right.request().clone();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        if let Ok(attestation) = Attestation::decode(&changed) {
            let same = attestation.to_request().as_ref() == Some(&question);
            let valid = attestation.verify_signature() == Ok(key.public());
            assert!(!(same && valid), "byte {at}");
        }
    }
}

/// The notary signs nothing that verifiers would refuse.
#[test]
fn unusable_requests_are_refused() {
    let mut fill = random(10);
    let session = session::run(session::Kind::P256);
    let key = NotarySigningKey::generate(SignatureAlg::Secp256k1, &mut fill);
    let asked = session.ask(WireVersion::Alpha15, HashAlg::Sha256, &mut fill);
    let bytes = asked.request().encode();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let Ok(request) = AttestationRequest::decode(&changed) else {
            continue;
        };
        assert_eq!(request.encode(), changed, "byte {at}");
        if let Ok(attestation) = key.attest(&request, session.time, vec![], &mut fill) {
            assert!(attestation.commitments().is_ok(), "byte {at}");
            assert_eq!(attestation.verify_signature(), Ok(key.public()), "byte {at}");
            assert_ne!(attestation.to_request().as_ref(), Some(asked.request()), "byte {at}");
        }
    }
    for end in 0..bytes.len() {
        assert!(AttestationRequest::decode(&bytes[..end]).is_err(), "{end}");
    }
}

/// Two commitments that a verifier could confuse are refused before anything is signed.
#[test]
fn ambiguous_and_out_of_bounds_commitments_are_refused() {
    let mut fill = random(11);
    let session = session::run(session::Kind::P256);
    let key = NotarySigningKey::generate(SignatureAlg::Secp256k1, &mut fill);
    let one = CommitTo { direction: Direction::Sent, ranges: (0..4).into(), alg: HashAlg::Sha256 };
    let version = WireVersion::Alpha15;
    let asked = session.ask_for(version, &[one.clone(), one.clone()], HashAlg::Sha256, &mut fill);
    let signed = key.attest(asked.unwrap().request(), session.time, vec![], &mut fill);
    let ambiguous = matches!(signed, Err(NotarizeError::Refused(VerifyError::CommitmentAmbiguous { .. })));
    assert!(ambiguous, "{signed:?}");
    let far = CommitTo { ranges: (0..1 << 17).into(), ..one };
    let asked = session.ask_for(version, &[far], HashAlg::Sha256, &mut fill);
    let bounds = matches!(asked, Err(NotarizeError::Refused(VerifyError::CommitmentOutOfBounds { .. })));
    assert!(bounds, "{asked:?}");
}

#[test]
fn private_keys_do_not_show() {
    let key = NotarySigningKey::new(SignatureAlg::Secp256k1, &[42; 32]).unwrap();
    assert!(!format!("{key:?}").contains(&"2a".repeat(8)));
    assert_eq!(*key.to_bytes(), [42; 32]);
    for alg in SignatureAlg::ALL {
        assert!(NotarySigningKey::new(alg, &[0; 32]).is_err());
        assert!(NotarySigningKey::new(alg, &[255; 32]).is_err());
    }
}

/// An encoded presentation decodes to the same one.
#[test]
fn built_presentations_decode() {
    let mut fill = random(12);
    let session = session::run(session::Kind::Rsa);
    let key = NotarySigningKey::generate(SignatureAlg::Secp256k1Eth, &mut fill);
    let (attestation, secrets) = session.notarize(WireVersion::Alpha15, &key, HashAlg::Keccak256, &mut fill);
    let builder = PresentationBuilder::new(&attestation, &secrets);
    let presentation = builder.open(|_| true).unwrap().build().unwrap();
    assert_eq!(Presentation::decode(&presentation.encode()), Ok(presentation));
}
