//! The envelope around every stored object: AES-256-GCM under a fresh data key, bound to the object's place.
//!
//! Layout: version (1 byte, 1), key id (`u32` length and bytes), wrapped data key (likewise), 12-byte nonce, then
//! ciphertext and 16-byte tag. The associated data is the operator's identity key, survey, object kind, height
//! and the whole header, which names the wrapping key (the key epoch). The data key is wrapped under the same
//! place, so neither half opens elsewhere.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};
use tercet_protocol::codec::{CodecError, Reader, Writer};
use tercet_protocol::ids::{PublicKey, SurveyId};
use zeroize::Zeroizing;

use super::{DataKey, KeyWrapper, KeyringError, WrappedKey, random};

const VERSION: u8 = 1;
const NONCE: usize = 12;
/// Longest key id: the name of a key in a key management service fits (an AWS KMS ARN has up to 2048 in theory,
/// about 80 in practice).
pub const MAX_KEY_ID: usize = 512;
/// Longest wrapped data key (AWS KMS: under 200 bytes).
pub const MAX_WRAPPED_KEY: usize = 1024;

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ObjectKind {
    /// Proves at start that the keyring opens this bucket.
    KeyCheck = 0,
    /// The shares of one batch.
    Segment = 1,
    /// A committed log entry.
    LogEntry = 2,
    /// The published answer at a release point.
    Answer = 3,
    /// A prepare that this party signed, with its entry.
    Prepare = 5,
    /// This party's lock.
    Lock = 6,
    /// The lease on the bucket, numbered.
    Lease = 7,
    /// Log entries that follow each other.
    Checkpoint = 8,
    /// The operators' word that an entry of a height is given up.
    Abandonment = 9,
}

/// The place of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The survey.
    pub survey: SurveyId,
    /// The kind.
    pub kind: ObjectKind,
    /// The height for segments and log entries, the first height for checkpoints, the number of the release point for answers.
    pub height: u64,
}

/// Why an object cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not an envelope.
    #[error("not a sealed object of a known version: {0}")]
    Malformed(#[from] CodecError),
    /// Altered, or moved from another place.
    #[error("it does not open here: altered, or moved from another operator, survey, kind or height")]
    CannotOpen,
    /// The data key cannot be had.
    #[error(transparent)]
    Keyring(KeyringError),
}

impl From<KeyringError> for EnvelopeError {
    fn from(e: KeyringError) -> Self {
        // A wrapped key that was altered is an altered object.
        if matches!(e, KeyringError::Refused) { Self::CannotOpen } else { Self::Keyring(e) }
    }
}

/// Seals and opens one operator's objects.
#[derive(Clone)]
pub struct Sealer {
    wrapper: Arc<dyn KeyWrapper>,
    operator: PublicKey,
}

impl Sealer {
    /// For the operator with this identity key, with keys from `wrapper`.
    pub fn new(wrapper: Arc<dyn KeyWrapper>, operator: PublicKey) -> Self {
        Self { wrapper, operator }
    }

    /// Seals `plaintext` for `place` under a fresh data key.
    pub async fn seal(&self, place: &Place, plaintext: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let data_key = DataKey(Zeroizing::new(random()?));
        let wrapped = self.wrapper.wrap(&data_key, &self.context(place)).await?;
        for (field, len, max) in [
            ("key id", wrapped.key_id.len(), MAX_KEY_ID),
            ("wrapped key", wrapped.bytes.len(), MAX_WRAPPED_KEY),
        ] {
            if len > max {
                return Err(CodecError::TooLong { field, len, max }.into());
            }
        }
        let nonce = random::<NONCE>()?;
        let mut header = Writer::default();
        header.u8(VERSION).bytes(wrapped.key_id.as_bytes()).bytes(&wrapped.bytes).array(&nonce);
        let header = header.finish();

        let mut out = Vec::with_capacity(header.len() + plaintext.len() + MAX_TAG_LEN);
        out.extend_from_slice(&header);
        out.extend_from_slice(plaintext);
        let (_, text) = out.split_at_mut(header.len());
        let tag = aead(&data_key)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), self.aad(place, &header), text)
            .map_err(|_| EnvelopeError::CannotOpen)?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Opens an object that [`Self::seal`] made for the same place. Decrypts within `sealed`'s own buffer.
    pub async fn open(&self, place: &Place, sealed: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        let mut sealed = Zeroizing::new(sealed);
        let (wrapped, nonce, header_len) = parse_header(&sealed)?;
        let data_key = self.wrapper.unwrap(&wrapped, &self.context(place)).await?;
        let aad = self.aad(place, &sealed[..header_len]);
        let len = aead(&data_key)?
            .open_within(Nonce::assume_unique_for_key(nonce), aad, &mut sealed, header_len..)
            .map_err(|_| EnvelopeError::CannotOpen)?
            .len();
        sealed.truncate(len);
        Ok(sealed)
    }

    fn context(&self, place: &Place) -> Vec<u8> {
        let mut w = Writer::tagged("tercet stored object v1");
        w.array(self.operator.as_ref()).array(place.survey.as_ref()).u8(place.kind as u8).u64(place.height);
        w.finish()
    }

    fn aad(&self, place: &Place, header: &[u8]) -> Aad<Vec<u8>> {
        let mut out = self.context(place);
        out.extend_from_slice(header);
        Aad::from(out)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("wrapper", &self.wrapper).field("operator", &self.operator).finish()
    }
}

fn aead(key: &DataKey) -> Result<LessSafeKey, EnvelopeError> {
    UnboundKey::new(&AES_256_GCM, &*key.0).map(LessSafeKey::new).map_err(|_| EnvelopeError::CannotOpen)
}

fn parse_header(sealed: &[u8]) -> Result<(WrappedKey, [u8; NONCE], usize), CodecError> {
    let mut r = Reader::new(sealed);
    if r.u8()? != VERSION {
        return Err(CodecError::Unknown("the format version"));
    }
    let key_id = r.bytes("key id", MAX_KEY_ID)?;
    let key_id = std::str::from_utf8(key_id).map_err(|_| CodecError::Unknown("the key id"))?.to_owned();
    let bytes = r.bytes("wrapped key", MAX_WRAPPED_KEY)?.to_vec();
    let nonce = r.array()?;
    let header_len = 1 + 4 + key_id.len() + 4 + bytes.len() + NONCE;
    Ok((WrappedKey { key_id, bytes }, nonce, header_len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keyring::FileKeyring;

    const PLACE: Place = Place { survey: SurveyId([3; 32]), kind: ObjectKind::Segment, height: 7 };

    fn sealer() -> Sealer {
        let dir = tempfile::tempdir().unwrap();
        let ring = FileKeyring::create(&dir.path().join("store.key")).unwrap();
        Sealer::new(Arc::new(ring), PublicKey([9; 32]))
    }

    #[tokio::test]
    async fn objects_open_in_their_place_only() {
        let s = sealer();
        for text in [&b""[..], b"a", &[0x5a; 4096]] {
            let sealed = s.seal(&PLACE, text).await.unwrap();
            assert_eq!(*s.open(&PLACE, sealed.clone()).await.unwrap(), text);
            let elsewhere = [
                Place { survey: SurveyId([4; 32]), ..PLACE },
                Place { kind: ObjectKind::LogEntry, ..PLACE },
                Place { kind: ObjectKind::Answer, ..PLACE },
                Place { height: 8, ..PLACE },
            ];
            for place in elsewhere {
                let e = s.open(&place, sealed.clone()).await.unwrap_err();
                assert!(matches!(e, EnvelopeError::CannotOpen), "{place:?}: {e}");
            }
            let operator = Sealer::new(s.wrapper.clone(), PublicKey([8; 32]));
            assert!(matches!(operator.open(&PLACE, sealed.clone()).await, Err(EnvelopeError::CannotOpen)));
            let keyring = sealer();
            let e = keyring.open(&PLACE, sealed).await.unwrap_err();
            assert!(matches!(e, EnvelopeError::Keyring(KeyringError::UnknownKey { .. })), "{e}");
        }
    }

    #[tokio::test]
    async fn every_altered_byte_and_every_cut_is_refused() {
        let s = sealer();
        let sealed = s.seal(&PLACE, b"twelve bytes").await.unwrap();
        for i in 0..sealed.len() {
            for bit in 0..8 {
                let mut bad = sealed.clone();
                bad[i] ^= 1 << bit;
                assert!(s.open(&PLACE, bad).await.is_err(), "byte {i}, bit {bit}");
            }
            assert!(s.open(&PLACE, sealed[..i].to_vec()).await.is_err(), "cut at {i}");
        }
        let longer = [&sealed[..], &[0]].concat();
        assert!(s.open(&PLACE, longer).await.is_err());
    }

    #[tokio::test]
    async fn halves_of_two_objects_do_not_mix() {
        // Same place, same operator: still no header goes with another's ciphertext.
        let s = sealer();
        let a = s.seal(&PLACE, b"one").await.unwrap();
        let b = s.seal(&PLACE, b"two").await.unwrap();
        assert_ne!(a, b);
        let (_, _, cut) = parse_header(&a).unwrap();
        let mixed = [&a[..cut], &b[cut..]].concat();
        assert!(matches!(s.open(&PLACE, mixed).await, Err(EnvelopeError::CannotOpen)));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), valid_start: bool) {
            let mut bytes = bytes;
            if valid_start {
                bytes.splice(0..0, [1, 2, 0, 0, 0, b'k', b'y', 4, 0, 0, 0]);
            }
            let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert!(rt.block_on(sealer().open(&PLACE, bytes)).is_err());
        }
    }
}
