//! A second opinion: upstream's own verifier, as published on npm, reads our presentations as we made them, and on
//! upstream's files it agrees with `meta.json`.
//!
//! `npm ci` in `tests/npm` beforehand. Without Node or the package the test says that it has not
//! run; with `TERCET_REQUIRE_NODE=1` in the environment that is a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod common;
mod session;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{all, ranges};
use serde_json::Value;
use tlsn_verifier::{
    Direction, HashAlg, PartialData, RangeSet, Secrets, SignatureAlg, WireVersion,
    notarize::{Attestation, CommitTo, NotarySigningKey, PresentationBuilder},
    verify,
};

/// Upstream's verdicts on files, or `None` if there is no Node or no package.
fn upstream(paths: &[PathBuf]) -> Option<Vec<Value>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
    let missing = |what: &str| -> Option<Vec<Value>> {
        let text = format!("NOT RUN: upstream's verdict ({what})");
        let required = std::env::var_os("TERCET_REQUIRE_NODE").is_some_and(|v| v == "1");
        assert!(!required, "{text}");
        println!("{text}");
        eprintln!("{text}");
        None
    };
    if !dir.join("node_modules/tlsn-wasm/tlsn_wasm_bg.wasm").exists() {
        return missing("run `npm ci` in tlsn-verifier/tests/npm first");
    }
    let node = Command::new("node")
        .arg("verify.mjs")
        .current_dir(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut node) = node else {
        return missing("Node 20 or later is not installed");
    };
    let mut list = String::new();
    for path in paths {
        list.push_str(path.to_str().unwrap());
        list.push('\n');
    }
    let mut stdin = node.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(list.as_bytes()));
    let output = node.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(verdicts.len(), paths.len());
    Some(verdicts)
}

/// Upstream reveals the same bytes at the same places.
fn same(name: &str, data: &PartialData, verdict: &Value, direction: Direction) {
    let (bytes, index) = match direction {
        Direction::Sent => (&verdict["sent"], &verdict["sent_ranges"]),
        Direction::Received => (&verdict["received"], &verdict["received_ranges"]),
    };
    let bytes = hex::decode(bytes.as_str().unwrap()).unwrap();
    assert_eq!(data.len(), bytes.len(), "{name}");
    assert_eq!(data.revealed(), &ranges(index), "{name}");
    for range in data.revealed().iter() {
        assert_eq!(data.get(range.clone()), bytes.get(range), "{name}");
    }
}

/// Presentations that our notary made. The identity proof stays out, because upstream's build
/// trusts Mozilla's roots only; everything else is checked.
#[test]
fn upstream_verifies_what_our_notary_makes() {
    let dir = tempfile::tempdir().unwrap();
    let mut counter = 0u64;
    let mut fill = |out: &mut [u8]| {
        counter += 1;
        let hash = HashAlg::Blake3.digest(&[b"npm", &counter.to_le_bytes()]);
        out.copy_from_slice(&hash[..out.len()]);
    };
    let (mut paths, mut facts) = (Vec::new(), Vec::new());
    for (kind, sig) in session::Kind::ALL.into_iter().zip(SignatureAlg::ALL.into_iter().cycle()) {
        let session = session::run(kind);
        for alg in HashAlg::ALL {
            let key = NotarySigningKey::generate(sig, &mut fill);
            let value = RangeSet::from(session.find(b"1234.5"));
            let commit = [
                (Direction::Sent, RangeSet::from(0..20)),
                (Direction::Sent, RangeSet::from(20..session.sent.len())),
                (Direction::Received, value.clone()),
                (Direction::Received, value.complement(session.received.len())),
            ]
            .map(|(direction, ranges)| CommitTo { direction, ranges, alg });
            let asked = session.ask_for(WireVersion::Alpha12, &commit, alg, &mut fill).unwrap();
            let attested = key.attest(asked.request(), session.time, vec![], &mut fill).unwrap();
            let secrets = asked.finish(&attested, &key.public()).unwrap();
            let builder = PresentationBuilder::new(&attested, &secrets);
            let builder = builder.open(|c| c.ranges != value).unwrap();
            let whole = builder.build().unwrap().encode();
            let verified = verify(&whole, &session.policy(&key)).unwrap();
            let bytes = builder.without_identity().build().unwrap().encode();
            let path = dir.path().join(format!("{kind:?}-{sig}-{alg}"));
            fs::write(&path, &bytes).unwrap();
            paths.push(path);
            facts.push(verified);
            // One that upstream must refuse, so that its yes means something.
            let mut bad = bytes;
            let last = bad.len() - 1;
            bad[last] ^= 1;
            let path = dir.path().join(format!("{kind:?}-{sig}-{alg}-bad"));
            fs::write(&path, &bad).unwrap();
            paths.push(path);
        }
    }
    let Some(verdicts) = upstream(&paths) else {
        return;
    };
    for (i, verified) in facts.iter().enumerate() {
        let (good, bad, name) = (&verdicts[2 * i], &verdicts[2 * i + 1], paths[2 * i].display());
        let name = name.to_string();
        assert_eq!(good["ok"], true, "{name}: {good}");
        assert_eq!(bad["ok"], false, "{name}");
        assert_eq!(good["time"], verified.connection_time, "{name}");
        assert_eq!(good["key"], hex::encode(verified.notary_key.to_sec1()), "{name}");
        for direction in Direction::ALL {
            same(&name, verified.transcript.direction(direction), good, direction);
        }
    }
}

/// Files whose lengths do not fit the 32 bits of upstream's WebAssembly build.
const BEYOND_32_BITS: [&str; 4] =
    ["acc_resigned_commit_oob", "tam_len_huge", "tam_merkle_leaf_count_max", "tam_recv_total_huge"];

#[test]
fn upstream_agrees_on_its_own_files() {
    let all: Vec<_> = all().into_iter().filter(|v| v.version == WireVersion::Alpha12).collect();
    let mut paths: Vec<_> = all.iter().map(|v| v.dir.join("presentation.bin")).collect();
    // Those that chain to a private root again without their identity.
    let dir = tempfile::tempdir().unwrap();
    let mut stripped = Vec::new();
    for vector in all.iter().filter(|v| v.honest()) {
        let (Some(attestation), Some(secrets)) = (vector.file("attestation.bin"), vector.file("secrets.bin"))
        else {
            continue;
        };
        let attestation = Attestation::decode(&attestation).unwrap();
        let secrets = Secrets::decode(&secrets).unwrap();
        let verified = verify(&vector.presentation, &vector.policy()).unwrap();
        let builder = PresentationBuilder::new(&attestation, &secrets).without_identity();
        let builder = builder.open(|c| verified.commitments.iter().any(|v| v.field == c.field && v.opened));
        let path = dir.path().join(vector.text("name"));
        fs::write(&path, builder.unwrap().build().unwrap().encode()).unwrap();
        paths.push(path);
        stripped.push((vector, verified));
    }
    let Some(verdicts) = upstream(&paths) else {
        return;
    };
    let (whole, bare) = verdicts.split_at(all.len());
    for (vector, verdict) in all.iter().zip(whole) {
        let name = vector.text("name");
        let error = verdict["error"].as_str().unwrap_or_default();
        if vector.text("expect") != "accept" {
            assert_eq!(verdict["ok"], false, "{name}");
        }
        // Where it ends otherwise than `meta.json` says, that is for one of two reasons.
        let meant = match vector.text("expect") {
            "accept" => verdict["ok"] == true,
            _ => error == vector.text("upstream_error"),
        };
        let private_root = error.ends_with("certificate: invalid server certificate");
        let public = name.starts_with("tlsnotary_org");
        let excused = (private_root && !public) || BEYOND_32_BITS.contains(&name);
        assert!(meant || excused, "{name}: {error}");
    }
    for ((vector, verified), verdict) in stripped.iter().zip(bare) {
        let name = vector.text("name");
        assert_eq!(verdict["ok"], true, "{name}: {verdict}");
        for direction in Direction::ALL {
            same(name, verified.transcript.direction(direction), verdict, direction);
        }
    }
    assert!(stripped.len() > 20, "{}", stripped.len());
}
