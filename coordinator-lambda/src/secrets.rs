//! The key that signs tickets: from a file, or from Secrets Manager. Never from the environment.

use std::path::Path;

use aws_config::SdkConfig;
use tercet_protocol::keys::{KeyError, SigningKey};
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError, invalid};

const FORM: &str = "must hold 32 raw bytes or 64 hexadecimal digits";

/// Reads the key from where the configuration says it is.
pub async fn signing_key(config: &Config, aws: &SdkConfig) -> Result<SigningKey, ConfigError> {
    match (&config.signing_key_file, &config.signing_key_secret) {
        (Some(path), None) => from_file(path),
        (None, Some(arn)) => from_secret(arn, aws).await,
        _ => Err(one_place()),
    }
}

/// The error for a configuration that names no place of the key, or two.
pub(crate) fn one_place() -> ConfigError {
    invalid("signing_key_file", "give either signing_key_file or signing_key_secret")
}

fn from_file(path: &Path) -> Result<SigningKey, ConfigError> {
    let bytes = std::fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| ConfigError::Read { path: path.into(), source })?;
    parse("signing_key_file", &bytes)
}

#[cfg(not(feature = "cloud"))]
async fn from_secret(arn: &str, _: &SdkConfig) -> Result<SigningKey, ConfigError> {
    let problem = "this coordinator was built without the feature `cloud`, which reads secrets";
    Err(invalid("signing_key_secret", format!("{arn}: {problem}")))
}

#[cfg(feature = "cloud")]
async fn from_secret(arn: &str, aws: &SdkConfig) -> Result<SigningKey, ConfigError> {
    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
    const KEY: &str = "signing_key_secret";
    let got = Client::new(aws).get_secret_value().secret_id(arn).send().await.map_err(|e| {
        let code = e.code().unwrap_or("no answer").to_owned();
        let hint = match code.as_str() {
            "ResourceNotFoundException" => "the secret does not exist or has no value: put one there",
            "AccessDeniedException" => "allow this function's role secretsmanager:GetSecretValue on it",
            _ => "check that Secrets Manager can be reached, and try again",
        };
        invalid(KEY, format!("{arn} cannot be read ({code}); {hint}"))
    })?;
    // The client's own copies are beyond our reach; ours are wiped.
    let bytes = match (got.secret_string, got.secret_binary) {
        (Some(text), _) => Zeroizing::new(text.into_bytes()),
        (None, Some(blob)) => Zeroizing::new(blob.into_inner()),
        (None, None) => return Err(invalid(KEY, format!("{arn} {FORM}"))),
    };
    parse(KEY, &bytes)
}

fn parse(key: &str, bytes: &[u8]) -> Result<SigningKey, ConfigError> {
    let mut seed = Zeroizing::new([0; 32]);
    if bytes.len() == 32 {
        seed.copy_from_slice(bytes);
    } else if hex::decode_to_slice(bytes.trim_ascii(), seed.as_mut_slice()).is_err() {
        return Err(invalid(key, format!("the file or secret {FORM}")));
    }
    SigningKey::from_seed(&seed).map_err(|e: KeyError| invalid(key, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_raw_or_hexadecimal_and_never_shown() {
        let raw = parse("k", &[0xab; 32]).unwrap().public();
        assert_eq!(parse("k", format!("{}\n", "ab".repeat(32)).as_bytes()).unwrap().public(), raw);
        let error = parse("k", b"secret words").unwrap_err().to_string();
        assert!(error.contains("32 raw bytes") && !error.contains("words"), "{error}");
    }
}
