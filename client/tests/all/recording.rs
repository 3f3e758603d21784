//! `tercet inspect --recorded` on the recorded sessions.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::fixtures::vectors;

const NAME: &str = "api.exchange.test";

fn inspect(folder: &str, more: &[&str]) -> (i32, Value) {
    let dir = vectors().join("tls13").join(folder);
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
