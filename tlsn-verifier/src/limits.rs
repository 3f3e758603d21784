//! Sizes above which input is refused before anything is allocated for it.
//!
//! A real presentation is 3 to 20 KB: a handshake with two certificates, a transcript of a few
//! kilobytes, a handful of commitments. The limits leave an order of magnitude above that.

/// Bytes of a presentation, attestation, secrets or attestation request file.
pub const MAX_FILE: usize = 1 << 20;
/// Bytes of a transcript, in each direction.
pub const MAX_TRANSCRIPT: usize = 1 << 18;
/// Certificates in the server's chain.
pub const MAX_CERTS: usize = 10;
/// Bytes of one DER certificate.
pub const MAX_CERT: usize = 1 << 16;
/// Bytes of the server's key exchange signature (RSA-8192 has 1,024).
pub const MAX_KX_SIGNATURE: usize = 1_024;
/// Bytes of a server name (RFC 1035, textual form).
pub const MAX_SERVER_NAME: usize = 253;
/// Ranges in one range set.
pub const MAX_RANGES: usize = 4_096;
/// Transcript commitments in an attestation.
pub const MAX_COMMITMENTS: usize = 512;
/// Opened commitments in a presentation, and secrets in a secrets file.
pub const MAX_HASH_SECRETS: usize = 1_024;
/// Bytes that all openings of a presentation cover together: bounds the hashing.
pub const MAX_OPENED: usize = 1 << 22;
/// Extensions in an attestation.
pub const MAX_EXTENSIONS: usize = 64;
/// Bytes of an extension's id or value.
pub const MAX_EXTENSION: usize = 1 << 14;
/// Bytes of a hash value (upstream's own limit).
pub const MAX_HASH: usize = 64;
/// Bytes of a notary signature (r, s and for Ethereum a recovery byte).
pub const MAX_SIGNATURE: usize = 128;
/// Bytes of a public key.
pub const MAX_KEY: usize = 128;
/// Helper hashes in a Merkle proof (read only to be refused by name).
pub const MAX_MERKLE_HASHES: usize = 4_096;
/// Openings in an alpha.12 encoding proof (read only to be refused by name).
pub const MAX_ENCODING_OPENINGS: usize = 4_096;
