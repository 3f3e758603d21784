//! The descriptor: a survey bound to its trust anchors, its three parties and the engine.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use super::{MAX_SURVEY_BYTES, SurveyError, SurveyManifest, invalid};
use crate::ids::{EngineDigest, PublicKey, SurveyId, sha256};

/// A survey as it runs: the owner's rules, the trust anchors themselves, the three parties and the engine.
///
/// Its id is the SHA-256 of the exact bytes, so nobody needs a canonical form of JSON: the bytes are kept and
/// passed on unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct SurveyDescriptor {
    bytes: Vec<u8>,
    id: SurveyId,
    body: DescriptorBody,
}

/// Version of the protocol between parties, clients and coordinator; part of every survey's id.
pub const PROTOCOL_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DescriptorBody {
    protocol: u32,
    /// The parties' identity keys, in party order.
    parties: [PublicKey; 3],
    engine: EngineDigest,
    manifest: SurveyManifest,
}

impl SurveyDescriptor {
    /// Assembles a descriptor. `roots` are DER certificates that replace the manifest's file names.
    pub fn assemble(
        mut manifest: SurveyManifest,
        roots: &[Vec<u8>],
        parties: [PublicKey; 3],
        engine: EngineDigest,
    ) -> Result<Self, SurveyError> {
        manifest.source.root_certificates = roots.iter().map(|r| BASE64.encode(r)).collect();
        let body = DescriptorBody { protocol: PROTOCOL_VERSION, parties, engine, manifest };
        let bytes = serde_json::to_vec_pretty(&body).map_err(|e| SurveyError::Syntax(e.to_string()))?;
        Self::from_bytes(bytes)
    }

    /// Reads and checks a descriptor; its id is the hash of `bytes`.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SurveyError> {
        if bytes.len() > MAX_SURVEY_BYTES {
            return Err(SurveyError::TooLarge(bytes.len()));
        }
        let body: DescriptorBody =
            serde_json::from_slice(&bytes).map_err(|e| SurveyError::Syntax(e.to_string()))?;
        if body.protocol != PROTOCOL_VERSION {
            return Err(invalid(
                "protocol",
                format!("this program speaks version {PROTOCOL_VERSION}, not {}", body.protocol),
            ));
        }
        let [a, b, c] = body.parties;
        if a == b || b == c || a == c {
            return Err(invalid("parties", "three different operators are needed, each with its own key"));
        }
        let this = Self { id: SurveyId(sha256(&[&bytes])), bytes, body };
        this.manifest().validate()?;
        this.root_certificates()?;
        Ok(this)
    }

    /// The exact bytes that [`Self::id`] is the hash of.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The survey's id.
    pub fn id(&self) -> SurveyId {
        self.id
    }

    /// The owner's rules.
    pub fn manifest(&self) -> &SurveyManifest {
        &self.body.manifest
    }

    /// The parties' identity keys, in party order.
    pub fn parties(&self) -> &[PublicKey; 3] {
        &self.body.parties
    }

    /// The engine that every party must run.
    pub fn engine(&self) -> EngineDigest {
        self.body.engine
    }

    /// The trust anchors, DER. Empty: Mozilla's roots.
    pub fn root_certificates(&self) -> Result<Vec<Vec<u8>>, SurveyError> {
        let decode = |c: &String| {
            BASE64.decode(c).map_err(|_| {
                invalid("source.root_certificates", "a descriptor holds base64 DER certificates")
            })
        };
        self.manifest().source.root_certificates.iter().map(decode).collect()
    }
}
