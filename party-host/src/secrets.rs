//! The places of the party's own keys: files, or secrets in AWS Secrets Manager. Never arguments or the environment.

use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::config::error::ConfigError;
use crate::private::is_private;

/// A 32-byte seed's place. Written as a path, or as an ARN (`arn:…:secretsmanager:…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeedPlace {
    /// A file with 64 hexadecimal digits that only its owner can read.
    File(PathBuf),
    /// A secret whose value is 64 hexadecimal digits.
    Secret(String),
}

/// The place of the key that wraps data keys. Written as a path, or as an ARN (`arn:…:kms:…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrappingPlace {
    /// A key file, made at the first start.
    File(PathBuf),
    /// A KMS key.
    Kms(String),
}

/// True if the text is an ARN of this service; an ARN of another is an error.
fn arn_of(text: &str, service: &str) -> Result<bool, String> {
    let mut fields = text.split(':');
    if fields.next() != Some("arn") {
        return Ok(false);
    }
    match fields.nth(1) {
        Some(found) if found == service => Ok(true),
        found => Err(format!(
            "\"{text}\" is an ARN of {}, not of {service}: give one of {service}, or a file",
            found.unwrap_or("nothing")
        )),
    }
}

impl<'de> Deserialize<'de> for SeedPlace {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match arn_of(&text, "secretsmanager").map_err(serde::de::Error::custom)? {
            true => Ok(Self::Secret(text)),
            false => Ok(Self::File(text.into())),
        }
    }
}

impl<'de> Deserialize<'de> for WrappingPlace {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match arn_of(&text, "kms").map_err(serde::de::Error::custom)? {
            true => Ok(Self::Kms(text)),
            false => Ok(Self::File(text.into())),
        }
    }
}

/// KMS keys that were in use before. Written as ARNs with commas between them, so that a variable can give them too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EarlierKmsKeys(pub Vec<String>);

impl<'de> Deserialize<'de> for EarlierKmsKeys {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let arns = text.split(',').map(str::trim).filter(|arn| !arn.is_empty());
        let checked = arns.map(|arn| match arn_of(arn, "kms") {
            Ok(true) => Ok(arn.to_owned()),
            Ok(false) => Err(serde::de::Error::custom(format!("\"{arn}\" is no ARN of a KMS key"))),
            Err(problem) => Err(serde::de::Error::custom(problem)),
        });
        checked.collect::<Result<_, D::Error>>().map(Self)
    }
}

impl SeedPlace {
    /// Makes a relative path relative to `base`.
    pub(crate) fn rebase(&mut self, base: &Path) {
        if let Self::File(path) = self {
            *path = base.join(&*path);
        }
    }

    /// Reads the seed. `aws` is used for secrets only.
    pub async fn read(&self, aws: &SdkConfig) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
        match self {
            Self::File(path) => read_file(path),
            Self::Secret(arn) => read_secret(arn, aws).await,
        }
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Secret(arn) => arn.clone(),
        }
    }
}

impl WrappingPlace {
    /// Makes a relative path relative to `base`.
    pub(crate) fn rebase(&mut self, base: &Path) {
        if let Self::File(path) = self {
            *path = base.join(&*path);
        }
    }
}

fn parse(place: &str, text: &str) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| ConfigError::Key(place.into()))?;
    Ok(seed)
}

fn read_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let unreadable = |source| ConfigError::Read { path: path.into(), source };
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(unreadable)?;
    if !is_private(&std::fs::metadata(path).map_err(unreadable)?) {
        return Err(ConfigError::Permissions(path.into()));
    }
    parse(&path.display().to_string(), &text)
}

#[cfg(not(feature = "cloud"))]
async fn read_secret(arn: &str, _: &SdkConfig) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    let problem = "this party was built without the feature `cloud`, which reads secrets".into();
    Err(ConfigError::Secret { arn: arn.into(), problem })
}

#[cfg(feature = "cloud")]
async fn read_secret(arn: &str, aws: &SdkConfig) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
    let got = Client::new(aws).get_secret_value().secret_id(arn).send().await.map_err(|e| {
        let code = e.code().unwrap_or("no answer");
        let hint = match code {
            "ResourceNotFoundException" => {
                "it does not exist or has no value: `tercet operator store` puts it there"
            }
            "AccessDeniedException" => "allow the task's role secretsmanager:GetSecretValue on it",
            _ => "check that Secrets Manager can be reached",
        };
        ConfigError::Secret { arn: arn.into(), problem: format!("{code}; {hint}") }
    })?;
    // The client's own copy is beyond our reach; ours is wiped.
    let text = Zeroizing::new(got.secret_string.unwrap_or_default());
    parse(arn, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_paths_or_arns_of_the_right_service() {
        let seed = |text: &str| serde_json::from_value::<SeedPlace>(text.into());
        let secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:tercet/identity-AbCdEf";
        let kms = "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/1";
        assert_eq!(seed(secret).unwrap(), SeedPlace::Secret(secret.into()));
        assert_eq!(seed("keys/identity.key").unwrap(), SeedPlace::File("keys/identity.key".into()));
        assert!(seed(kms).unwrap_err().to_string().contains("secretsmanager"));
        let wrapping = |text: &str| serde_json::from_value::<WrappingPlace>(text.into());
        assert_eq!(wrapping(kms).unwrap(), WrappingPlace::Kms(kms.into()));
        assert_eq!(wrapping("store.key").unwrap(), WrappingPlace::File("store.key".into()));
        assert!(wrapping(secret).is_err());
    }

    #[tokio::test]
    async fn a_seed_file_is_private_and_never_shown() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let mode = |m| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(m)).unwrap();
        std::fs::write(&path, "ab".repeat(32)).unwrap();
        mode(0o644);
        assert!(matches!(read_file(&path).unwrap_err(), ConfigError::Permissions(_)));
        mode(0o600);
        assert_eq!(*read_file(&path).unwrap(), [0xab; 32]);
        std::fs::write(&path, "secret words").unwrap();
        let error = read_file(&path).unwrap_err().to_string();
        assert!(error.contains("hexadecimal") && !error.contains("words"), "{error}");
    }
}
