//! Wrapping keys in AWS KMS: they never leave it, and each use is in the account's CloudTrail.

use std::fmt;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use zeroize::Zeroizing;

use super::{DataKey, KeyWrapper, KeyringError, WrappedKey};

/// The one name in the encryption context. Its value is the object's place in hexadecimal.
const CONTEXT: &str = "tercet-place";

/// A keyring whose keys are in KMS. Wraps under the key that it is made with; unwraps under that key and under the listed earlier
/// keys, and under no other: anybody who can write into the bucket can write an object that names a key of theirs. KMS's own
/// yearly rotation changes nothing here.
///
/// The place of an object is the encryption context: KMS authenticates it and logs it.
#[derive(Clone)]
pub struct KmsKeyring {
    client: Client,
    key: String,
    earlier: Vec<String>,
}

impl KmsKeyring {
    /// A keyring that wraps under `key` (a key's ARN), and also unwraps under the keys in `earlier`.
    pub fn new(aws: &SdkConfig, key: impl Into<String>, earlier: Vec<String>) -> Self {
        Self { client: Client::new(aws), key: key.into(), earlier }
    }
}

impl fmt::Debug for KmsKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KmsKeyring({})", self.key)
    }
}

#[async_trait]
impl KeyWrapper for KmsKeyring {
    async fn wrap(&self, data_key: &DataKey, context: &[u8]) -> Result<WrappedKey, KeyringError> {
        let sent = self
            .client
            .encrypt()
            .key_id(&self.key)
            .plaintext(Blob::new(data_key.0.to_vec()))
            .encryption_context(CONTEXT, hex::encode(context))
            .send()
            .await
            .map_err(|e| failed(&self.key, &e))?;
        let bytes = sent.ciphertext_blob.ok_or(KeyringError::Refused)?.into_inner();
        Ok(WrappedKey { key_id: self.key.clone(), bytes })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &[u8]) -> Result<DataKey, KeyringError> {
        if wrapped.key_id != self.key && !self.earlier.contains(&wrapped.key_id) {
            return Err(KeyringError::KmsKeyNotListed { key: wrapped.key_id.clone() });
        }
        let sent = self
            .client
            .decrypt()
            // Named, so that a ciphertext of any other key is refused.
            .key_id(&wrapped.key_id)
            .ciphertext_blob(Blob::new(wrapped.bytes.clone()))
            .encryption_context(CONTEXT, hex::encode(context))
            .send()
            .await
            .map_err(|e| failed(&wrapped.key_id, &e))?;
        let plain = Zeroizing::new(sent.plaintext.ok_or(KeyringError::Refused)?.into_inner());
        let key: [u8; 32] = plain.as_slice().try_into().map_err(|_| KeyringError::Refused)?;
        Ok(DataKey(Zeroizing::new(key)))
    }
}

/// Finds the fault of the key in the error, and tells if it may pass by itself.
fn failed<E>(key: &str, error: &SdkError<E>) -> KeyringError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.code() {
        Some("InvalidCiphertextException" | "IncorrectKeyException") => KeyringError::Refused,
        Some(
            code @ ("NotFoundException"
            | "DisabledException"
            | "KMSInvalidStateException"
            | "AccessDeniedException"),
        ) => KeyringError::KmsKey { key: key.into(), code: code.into() },
        Some(code) => {
            KeyringError::Unavailable { reason: format!("{code}: {}", error.message().unwrap_or_default()) }
        }
        None => KeyringError::Unavailable { reason: crate::store::chain(error) },
    }
}
