//! An operator's publication about its party, and how the parties and the coordinator of a deployment know one
//! another.

use serde::{Deserialize, Serialize};

use crate::codec::Writer;
use crate::ids::{EngineDigest, PublicKey, SealingKey, Signature};
use crate::keys::{KeyError, SigningKey};
use crate::survey::PROTOCOL_VERSION;

/// An operator's public manifest. The identity key, which surveys pin, signs the rest, so that addresses and
/// working keys can change without a new survey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorManifest {
    /// Version of the protocol spoken.
    pub protocol: u32,
    /// The operator's name, for people and to keep one operator from running two parties.
    pub operator: String,
    /// The AWS account (or another label of who controls the machine); two parties of one survey must differ.
    pub account: String,
    /// Signs receipts, log entries, results and this manifest.
    pub identity: PublicKey,
    /// Private parts are sealed to this key.
    pub sealing: SealingKey,
    /// The Ed25519 key of the peer link's TLS endpoint (raw public key, RFC 7250).
    pub peer_key: PublicKey,
    /// The key that will replace `peer_key`. Peers accept both, so that every operator restarts when it suits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_peer_key: Option<PublicKey>,
    /// `host:port` of the peer link.
    pub peer_address: String,
    /// Base URL of the party's public API.
    pub url: String,
    /// The engine that the party runs.
    pub engine: EngineDigest,
    /// Unix seconds at which this manifest was made; a later one supersedes it.
    pub issued: u64,
    /// The identity key's signature of the fields above.
    pub signature: Signature,
}

impl OperatorManifest {
    /// The signed bytes.
    pub fn message(&self) -> Vec<u8> {
        let mut w = Writer::tagged("tercet operator manifest v2");
        w.u32(self.protocol)
            .bytes(self.operator.as_bytes())
            .bytes(self.account.as_bytes())
            .array(self.identity.as_ref())
            .array(self.sealing.as_ref())
            .array(self.peer_key.as_ref())
            .bytes(self.next_peer_key.as_ref().map_or(&[], |k| &k.0))
            .bytes(self.peer_address.as_bytes())
            .bytes(self.url.as_bytes())
            .array(self.engine.as_ref())
            .u64(self.issued);
        w.finish()
    }

    /// The keys that its peer link may present.
    pub fn peer_keys(&self) -> Vec<PublicKey> {
        [Some(self.peer_key), self.next_peer_key].into_iter().flatten().collect()
    }

    /// Signs in place; `key` becomes the identity.
    pub fn signed(mut self, key: &SigningKey) -> Self {
        self.identity = key.public();
        self.signature = key.sign(&self.message());
        self
    }

    /// Checks version and signature.
    pub fn verify(&self) -> Result<(), FederationError> {
        if self.protocol != PROTOCOL_VERSION {
            return Err(FederationError::Version(self.operator.clone(), self.protocol));
        }
        self.identity
            .verify(&self.message(), &self.signature)
            .map_err(|_: KeyError| FederationError::Signature(self.operator.clone()))
    }
}

/// The coordinator, as parties and clients know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoordinatorInfo {
    /// Base URL of its API.
    pub url: String,
    /// Signs tickets.
    pub key: PublicKey,
    /// The key that will replace `key`. Parties accept tickets of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_key: Option<PublicKey>,
}

impl CoordinatorInfo {
    /// The keys that tickets may be signed with.
    pub fn ticket_keys(&self) -> Vec<PublicKey> {
        [Some(self.key), self.next_key].into_iter().flatten().collect()
    }
}

/// A deployment: one coordinator and three operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federation {
    /// The coordinator.
    pub coordinator: CoordinatorInfo,
    /// The operators' manifests. A survey's party order is the survey's, not this list's.
    pub operators: [OperatorManifest; 3],
}

/// The faults of a federation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FederationError {
    /// A manifest of another version.
    #[error("operator \"{0}\" speaks protocol version {1}; all must run the same release")]
    Version(String, u32),
    /// A manifest whose signature fails.
    #[error(
        "the manifest of operator \"{0}\" is not signed by its identity key: ask the operator for it again"
    )]
    Signature(String),
    /// Two manifests share a part in which they must differ.
    #[error("operators \"{0}\" and \"{1}\" have the same {2}: three independent operators are needed")]
    NotIndependent(String, String, &'static str),
    /// A survey names a party that is not here.
    #[error("no operator of this deployment has the identity key {0} that the survey names")]
    Missing(PublicKey),
}

impl Federation {
    /// Checks every signature and that the operators are three different ones.
    pub fn verify(&self) -> Result<(), FederationError> {
        let ops = &self.operators;
        for m in ops {
            m.verify()?;
        }
        for (a, b) in [(&ops[0], &ops[1]), (&ops[1], &ops[2]), (&ops[0], &ops[2])] {
            let same = [
                (a.identity == b.identity, "identity key"),
                (a.operator == b.operator, "name"),
                (a.account == b.account, "account"),
                (a.sealing == b.sealing, "sealing key"),
                (a.peer_keys().iter().any(|k| b.peer_keys().contains(k)), "peer key"),
            ];
            if let Some((_, what)) = same.into_iter().find(|(same, _)| *same) {
                return Err(FederationError::NotIndependent(a.operator.clone(), b.operator.clone(), what));
            }
        }
        Ok(())
    }

    /// The manifests in a survey's party order.
    pub fn in_order(&self, parties: &[PublicKey; 3]) -> Result<[&OperatorManifest; 3], FederationError> {
        let find = |k: &PublicKey| {
            self.operators.iter().find(|m| m.identity == *k).ok_or(FederationError::Missing(*k))
        };
        Ok([find(&parties[0])?, find(&parties[1])?, find(&parties[2])?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(i: u8) -> (SigningKey, OperatorManifest) {
        let key = SigningKey::from_seed(&[i; 32]).unwrap();
        let m = OperatorManifest {
            protocol: PROTOCOL_VERSION,
            operator: format!("op{i}"),
            account: format!("{i:012}"),
            identity: key.public(),
            sealing: SealingKey([i; 32]),
            peer_key: PublicKey([i; 32]),
            next_peer_key: None,
            peer_address: "127.0.0.1:1".into(),
            url: "http://127.0.0.1:2".into(),
            engine: EngineDigest([0; 32]),
            issued: 1,
            signature: Signature([0; 64]),
        };
        let m = m.signed(&key);
        (key, m)
    }

    fn federation() -> Federation {
        let coordinator =
            CoordinatorInfo { url: "http://127.0.0.1:3".into(), key: PublicKey([9; 32]), next_key: None };
        Federation { coordinator, operators: [1, 2, 3].map(|i| manifest(i).1) }
    }

    #[test]
    fn three_different_operators_are_needed() {
        assert_eq!(federation().verify(), Ok(()));
        type Share = fn(&mut OperatorManifest, &OperatorManifest);
        let shared: [(Share, &str); 4] = [
            (|m, other| m.operator = other.operator.clone(), "name"),
            (|m, other| m.account = other.account.clone(), "account"),
            (|m, other| m.sealing = other.sealing, "sealing key"),
            (|m, other| m.peer_key = other.peer_key, "peer key"),
        ];
        for (share, what) in shared {
            // Any two of the three, each with a valid signature of its own.
            for (one, two) in [(0, 1), (1, 2), (0, 2)] {
                let mut same = federation();
                let (key, mut m) = manifest(two as u8 + 1);
                share(&mut m, &same.operators[one]);
                let names = (same.operators[one].operator.clone(), m.operator.clone());
                same.operators[two] = m.signed(&key);
                assert_eq!(same.verify(), Err(FederationError::NotIndependent(names.0, names.1, what)));
            }
        }
        let mut twice = federation();
        twice.operators[2] = twice.operators[0].clone();
        assert!(matches!(twice.verify(), Err(FederationError::NotIndependent(_, _, "identity key"))));
        let mut next = federation();
        let (key, mut m) = manifest(3);
        m.next_peer_key = Some(next.operators[0].peer_key);
        next.operators[2] = m.clone().signed(&key);
        assert!(matches!(next.verify(), Err(FederationError::NotIndependent(_, _, "peer key"))));
        m.next_peer_key = Some(PublicKey([77; 32]));
        next.operators[2] = m.signed(&key);
        assert_eq!(next.verify(), Ok(()));
        next.operators[2].next_peer_key = None;
        assert_eq!(next.verify(), Err(FederationError::Signature("op3".into())));
        let mut forged = federation();
        forged.operators[1].url = "http://evil".into();
        assert_eq!(forged.verify(), Err(FederationError::Signature("op2".into())));
    }
}
