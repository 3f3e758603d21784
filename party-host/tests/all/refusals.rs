//! A party that must not run does not start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tercet_protocol::ids::{EngineDigest, PublicKey, Signature};
use tercet_protocol::keys::{OpeningKey, SigningKey};
use tercet_protocol::operator::{CoordinatorInfo, Federation, OperatorManifest};
use tercet_protocol::survey::PROTOCOL_VERSION;

fn manifest(party: u8) -> (SigningKey, OperatorManifest) {
    let key = SigningKey::from_seed(&[party + 1; 32]).unwrap();
    let manifest = OperatorManifest {
        protocol: PROTOCOL_VERSION,
        operator: format!("operator {party}"),
        account: format!("{party:012}"),
        identity: key.public(),
        sealing: OpeningKey::from_seed(&[party + 11; 32]).public(),
        peer_key: SigningKey::from_seed(&[party + 21; 32]).unwrap().public(),
        next_peer_key: None,
        peer_address: "127.0.0.1:1".into(),
        url: "http://127.0.0.1:2".into(),
        engine: EngineDigest([0; 32]),
        issued: 1,
        signature: Signature([0; 64]),
    };
    let manifest = manifest.signed(&key);
    (key, manifest)
}

/// The message of party 0 when it is started in a federation with the third operator's manifest changed.
fn said(folder: &Path, change: impl FnOnce(&mut OperatorManifest)) -> String {
    let mut operators = [0, 1, 2].map(|party| manifest(party).1);
    let (key, mut third) = manifest(2);
    change(&mut third);
    operators[2] = third.signed(&key);
    let coordinator =
        CoordinatorInfo { url: "http://127.0.0.1:3".into(), key: PublicKey([9; 32]), next_key: None };
    let federation = serde_json::to_vec(&Federation { coordinator, operators }).unwrap();
    fs::write(folder.join("federation.json"), federation).unwrap();
    fs::create_dir_all(folder.join("surveys")).unwrap();
    for (name, byte) in [("identity", 1_u8), ("sealing", 11), ("peer", 21)] {
        let path = folder.join(name);
        fs::write(&path, hex::encode([byte; 32])).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config = "listen = \"127.0.0.1:0\"\npeer_listen = \"127.0.0.1:0\"\nfederation = \"federation.json\"\n\
        surveys = \"surveys\"\nengine = \"no-engine.wasm\"\n[keys]\nidentity = \"identity\"\nsealing = \"sealing\"\n\
        peer = \"peer\"\nstore = \"store\"\n[store]\nbucket = \"b\"\n";
    fs::write(folder.join("party.toml"), config).unwrap();
    let mut party = Command::new(env!("CARGO_BIN_EXE_party-host"));
    party.arg("--config").arg(folder.join("party.toml"));
    party.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION").env("AWS_EC2_METADATA_DISABLED", "true");
    party.envs([("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")]);
    let out = party.output().unwrap();
    assert!(!out.status.success());
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn peers_of_one_operator_or_account_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = said(folder.path(), |m| m.account = manifest(0).1.account);
    assert!(own.contains("\"operator 0\" and \"operator 2\" have the same account"), "{own}");
    // Two others count as well: with them colluding, one operator would hold two of three shares.
    let others = said(folder.path(), |m| m.account = manifest(1).1.account);
    assert!(others.contains("\"operator 1\" and \"operator 2\" have the same account"), "{others}");
    let name = said(folder.path(), |m| m.operator = "operator 0".into());
    assert!(name.contains("have the same name"), "{name}");
    // Three different ones get as far as the store, of which nobody said where it is.
    let honest = said(folder.path(), |_| ());
    assert!(honest.contains("no region") && !honest.contains("have the same"), "{honest}");
}
