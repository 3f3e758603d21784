//! The vectors and the facts in their `meta.json`.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tlsn_verifier::{
    Direction, NotaryKey, NotaryTrust, RangeSet, RootStore, SignatureAlg, TrustPolicy, WireVersion,
};

/// One folder of the fixtures.
pub struct Vector {
    pub name: String,
    pub dir: PathBuf,
    pub meta: Value,
    pub version: WireVersion,
    pub presentation: Vec<u8>,
}

/// A strict verifier's verdict on a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Accept,
    Refuse,
}

pub fn root() -> PathBuf {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/vectors");
    std::env::var_os("TERCET_VECTORS").map_or(repo, PathBuf::from)
}

/// Every folder below the root that has a presentation.
pub fn all() -> Vec<Vector> {
    let mut out = Vec::new();
    for group in folders(&root()) {
        for dir in folders(&group) {
            let path = dir.join("presentation.bin");
            if !path.exists() {
                continue;
            }
            let text = fs::read_to_string(dir.join("meta.json")).unwrap();
            let meta: Value = serde_json::from_str(&text).unwrap();
            let version = if meta["version"].as_str().unwrap().ends_with("alpha.12") {
                WireVersion::Alpha12
            } else {
                WireVersion::Alpha15
            };
            let group = group.file_name().unwrap().to_string_lossy();
            let leaf = dir.file_name().unwrap().to_string_lossy();
            out.push(Vector {
                name: format!("{group}/{leaf}"),
                presentation: fs::read(path).unwrap(),
                dir,
                meta,
                version,
            });
        }
    }
    assert!(!out.is_empty(), "no vectors under {}", root().display());
    out
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut out: Vec<_> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    out.sort();
    out
}

impl Vector {
    pub fn text(&self, key: &str) -> &str {
        self.meta[key].as_str().unwrap_or_default()
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.join(name)).ok()
    }

    /// Rests on the older encoding commitments: refused by name.
    pub fn encoding(&self) -> bool {
        self.text("mode").to_ascii_lowercase().starts_with("enc")
    }

    /// Leaves fields of the body out, which is this verifier's own choice to refuse.
    pub fn hides_fields(&self) -> bool {
        self.text("name").contains("hidden_with_proof")
    }

    pub fn expect(&self) -> Expect {
        let strict = self.meta["strict_recommendation"].as_str();
        let refuse = self.text("expect") != "accept"
            || strict == Some("reject")
            || self.encoding()
            // The choices for `policy` and `either`, as the crate's documentation lists them.
            || self.hides_fields()
            || self.text("server_name").ends_with('.')
            || self.text("server_name").contains(char::is_uppercase)
            || self.text("name").ends_with("sig_eth_v");
        if refuse { Expect::Refuse } else { Expect::Accept }
    }

    /// Honest and wholly acceptable.
    pub fn honest(&self) -> bool {
        self.expect() == Expect::Accept && self.meta["strict_recommendation"].is_null()
    }

    pub fn notary(&self) -> NotaryKey {
        let notary = &self.meta["notary"];
        let alg = SignatureAlg::from_id(notary["sig_alg"].as_u64().unwrap() as u8).unwrap();
        NotaryKey::new(alg, &hex::decode(notary["key_hex"].as_str().unwrap()).unwrap()).unwrap()
    }

    pub fn roots(&self) -> RootStore {
        let anchors = self.meta["trust_anchors_der_hex"].as_array().unwrap();
        RootStore::from_der(anchors.iter().map(|a| hex::decode(a.as_str().unwrap()).unwrap())).unwrap()
    }

    pub fn policy(&self) -> TrustPolicy {
        TrustPolicy {
            notaries: NotaryTrust::Pinned(vec![self.notary()]),
            roots: self.roots(),
            server_name: None,
        }
    }

    /// A policy for inspection: any notary, and no pinned name.
    pub fn open_policy(&self) -> TrustPolicy {
        TrustPolicy { notaries: NotaryTrust::AnyAndReport, ..self.policy() }
    }

    pub fn revealed(&self, direction: Direction) -> RangeSet {
        ranges(&self.meta["revealed"][direction.name()])
    }

    pub fn plaintext(&self, direction: Direction) -> Vec<u8> {
        let key = match direction {
            Direction::Sent => "secret_sent_hex",
            Direction::Received => "secret_recv_hex",
        };
        hex::decode(self.text(key)).unwrap()
    }
}

pub fn ranges(value: &Value) -> RangeSet {
    let pairs = value.as_array().unwrap().iter();
    RangeSet::union(pairs.map(|p| {
        let at = |i: usize| p[i].as_u64().unwrap() as usize;
        at(0)..at(1)
    }))
}
