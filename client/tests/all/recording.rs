//! `tercet inspect --recorded` on the recorded sessions.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use serde_json::Value;

use crate::fixtures::vectors;

const NAME: &str = "api.exchange.test";

fn inspect(folder: &str, more: &[&str]) -> (i32, Value) {
    inspect_in(&vectors().join("tls13").join(folder), more)
}

fn inspect_in(dir: &Path, more: &[&str]) -> (i32, Value) {
    let out = Command::new(env!("CARGO_BIN_EXE_tercet"))
        .args(["inspect", "--json", "--recorded", dir.to_str().unwrap()])
        .args(["--root", dir.join("root.der").to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (out.status.code().unwrap(), serde_json::from_str(&text).unwrap())
}

#[test]
fn hashes_and_records_are_those_of_the_vectors() {
    let mut seen = 0;
    for entry in fs::read_dir(vectors().join("tls13")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(wanted) = fs::read(path.join("vectors.json")) else { continue };
        seen += 1;
        let wanted: Value = serde_json::from_slice(&wanted).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let secret = path.join("handshake_secret.hex");
        let with_secret = ["--server-name", NAME, "--handshake-secret", secret.to_str().unwrap()];
        for (args, opened) in [(&with_secret[..], true), (&with_secret[..2], false)] {
            let (status, found) = inspect(name, args);
            assert_eq!((status, &found["refused"]), (0, &Value::Null), "{name}");
            assert_eq!(found["t1"], wanted["hash_client_hello_server_hello"], "{name}");
            assert_eq!(found["t2"], wanted["hash_to_server_finished"], "{name}");
            let records = wanted["application"].as_array().unwrap().iter().flat_map(|direction| {
                let name = direction["direction"].clone();
                direction["records"].as_array().unwrap().iter().map(move |r| {
                    let inner = if opened { r["inner_type"].clone() } else { Value::Null };
                    serde_json::json!({
                        "direction": name, "sequence": r["seq"], "inner_type": inner, "length": r["length"],
                    })
                })
            });
            assert_eq!(found["records"], Value::Array(records.collect()), "{name}");
        }
    }
    assert!(seen >= 9);
}

#[test]
fn refusals_have_their_code_and_exit_1() {
    let retried = inspect("openssl-p256-only-asked-with-x25519", &["--server-name", NAME]);
    let nothing =
        serde_json::json!({"t1": null, "t2": null, "records": [], "refused": "hello-retry-request"});
    assert_eq!(retried, (1, nothing));
    let (status, found) = inspect("rustls-ec", &["--server-name", "other.test"]);
    assert_eq!((status, found["refused"].as_str()), (1, Some("server-name")));
    let other = vectors().join("tls13/nginx-rsa/handshake_secret.hex");
    let args = ["--server-name", NAME, "--handshake-secret", other.to_str().unwrap()];
    let (status, found) = inspect("rustls-ec", &args);
    assert_eq!((status, found["refused"].as_str()), (1, Some("handshake-secret")));
    assert!(found["t2"].is_string() && found["records"].as_array().unwrap().len() == 6);
}

/// A copy of a recorded session whose `public.json` was altered.
fn altered(alter: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(vectors().join("tls13/rustls-ec")).unwrap() {
        let path = entry.unwrap().path();
        fs::write(dir.path().join(path.file_name().unwrap()), fs::read(&path).unwrap()).unwrap();
    }
    let path = dir.path().join("public.json");
    let mut public: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    alter(&mut public);
    fs::write(&path, public.to_string()).unwrap();
    dir
}

#[test]
fn what_is_wrong_with_a_folder_is_a_finding() {
    let refused = |dir: &tempfile::TempDir| {
        let (status, found) = inspect_in(dir.path(), &["--server-name", NAME]);
        assert_eq!(status, 1, "{found}");
        found["refused"].as_str().unwrap().to_owned()
    };
    for name in ["client_to_server.bin", "server_to_client.bin", "public.json"] {
        let dir = altered(|_| {});
        fs::remove_file(dir.path().join(name)).unwrap();
        assert_eq!(refused(&dir), "evidence-malformed", "{name}");
        fs::write(dir.path().join(name), "").unwrap();
        let empty = refused(&dir);
        assert!(matches!(empty.as_str(), "evidence-malformed" | "statement-bytes"), "{name}: {empty}");
        fs::write(dir.path().join(name), vec![0; 2 << 20]).unwrap();
        assert_eq!(refused(&dir), "evidence-malformed", "{name}");
    }
    type Alter = fn(&mut Value);
    let cases: [(&str, Alter); 9] = [
        ("evidence-malformed", |p| p["client_handshake_traffic_secret"] = "12".into()),
        ("evidence-malformed", |p| p["server_handshake_traffic_secret"] = Value::Null),
        ("evidence-malformed", |p| p["attestation"]["opened_ms"] = (-1).into()),
        ("server-record", |p| p["server_handshake_traffic_secret"] = "0".repeat(64).into()),
        ("client-record", |p| p["client_handshake_traffic_secret"] = "0".repeat(64).into()),
        ("statement-bytes", |p| p["attestation"]["server_to_client_bytes"] = 3.into()),
        ("statement-server", |p| p["attestation"]["server_name"] = "other.test".into()),
        ("statement-duration", |p| p["attestation"]["closed_ms"] = 0.into()),
        ("chain-time", |p| p["attestation"]["opened_ms"] = 0.into()),
    ];
    for (code, alter) in cases {
        assert_eq!(refused(&altered(alter)), code);
    }
    let without = altered(|p| {
        p.as_object_mut().unwrap().remove("attestation");
    });
    assert_eq!(inspect_in(without.path(), &["--server-name", NAME]).0, 0);
    // Host names have no case, and may end with a dot.
    assert_eq!(inspect_in(without.path(), &["--server-name", "API.Exchange.Test."]).0, 0);
}

#[test]
fn roots_are_read_in_every_form() {
    let dir = vectors().join("tls13/rustls-ec");
    let der = fs::read(dir.join("root.der")).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["other.test".into()]).unwrap().cert.der().to_vec();
    let tmp = tempfile::tempdir().unwrap();
    let run = |name: &str, content: &[u8]| {
        let path = tmp.path().join(name);
        fs::write(&path, content).unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_tercet"))
            .args(["inspect", "--json", "--server-name", NAME, "--recorded", dir.to_str().unwrap()])
            .args(["--root", path.to_str().unwrap()])
            .output()
            .unwrap();
        out.status.code().unwrap()
    };
    let pem = |der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    };
    assert_eq!(run("one.pem", pem(&der).as_bytes()), 0);
    let several = format!("# roots\n{}{}", pem(&other), pem(&der));
    assert_eq!(run("several.pem", several.as_bytes()), 0);
    for (name, content) in
        [("empty.pem", Vec::new()), ("text.pem", b"text".to_vec()), ("half.der", der[..9].to_vec())]
    {
        assert_eq!(run(name, &content), 2, "{name}");
    }
    assert_eq!(run("other.der", &other), 1);
    assert_eq!(run("other.pem", pem(&other).as_bytes()), 1);
}
