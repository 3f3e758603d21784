//! Hash algorithms, typed digests and the domain separation of attestation fields.

use crate::{
    codec::{Decode, Encode, Reader, Result, Writer},
    limits::MAX_HASH,
};

pub use tercet_hash::{HashAlg, UnknownHashAlg};

/// Algorithm id and value as in a file: either may be nonsense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypedHash {
    pub(crate) alg: u8,
    pub(crate) value: Vec<u8>,
}

impl TypedHash {
    #[cfg_attr(not(feature = "notarize"), expect(dead_code, reason = "made only by `notarize`"))]
    pub(crate) fn new(alg: HashAlg, value: [u8; 32]) -> Self {
        Self { alg: alg.id(), value: value.to_vec() }
    }
}

impl Encode for TypedHash {
    fn encode(&self, w: &mut Writer) {
        w.u8(self.alg);
        w.bytes(&self.value);
    }
}

impl Decode for TypedHash {
    fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { alg: r.u8("a hash algorithm")?, value: r.bytes(MAX_HASH, "a hash")?.to_vec() })
    }
}

/// The 16 bytes that separate one kind of hashed structure from the others: the head of the
/// BLAKE3 hash of the type's name as upstream writes it, whatever the hash algorithm in use.
pub(crate) fn domain(type_name: &str) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(type_name.as_bytes()).as_bytes()[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_those_of_upstream() {
        assert_eq!(hex::encode(domain("VerifyingKey")), "aec37d45b99c4e4b637706b1e978a3eb");
        assert_eq!(
            hex::encode(domain("tlsn_core::transcript::TranscriptCommitment")),
            "bd0ab9ac6ea93ebda2500e8769e63a9e"
        );
    }
}
