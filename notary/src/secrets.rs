//! The notary's key: in a file, or in AWS Secrets Manager. Never in arguments or the environment.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use tercet_tls_session::StatementKey;
use zeroize::Zeroizing;

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("{} can be read by others than its owner: chmod 600 it", .0.display())]
    Permissions(PathBuf),
    /// The secret cannot be read.
    #[error("the secret {arn} cannot be read: {problem}")]
    Secret {
        /// The secret.
        arn: String,
        /// Why not.
        problem: String,
    },
    /// It holds something else.
    #[error("{0} must hold a 32-byte seed as 64 hexadecimal digits: make one with `tercet-notary key FILE`")]
    Form(String),
}

/// Reads the key from a file or, if the text is an ARN, from a secret.
pub async fn read(place: &str, aws: &SdkConfig) -> Result<StatementKey, KeyError> {
    let text = match place.starts_with("arn:") {
        true => read_secret(place, aws).await?,
        false => read_file(Path::new(place))?,
    };
    let form = || KeyError::Form(place.to_owned());
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| form())?;
    StatementKey::from_seed(&seed).ok_or_else(form)
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let unreadable = |source| KeyError::Read { path: path.into(), source };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyError::Permissions(path.into()));
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(unreadable)
}

#[cfg(not(feature = "cloud"))]
async fn read_secret(arn: &str, _: &SdkConfig) -> Result<Zeroizing<String>, KeyError> {
    let problem = "this notary was built without the feature `cloud`, which reads secrets".into();
    Err(KeyError::Secret { arn: arn.into(), problem })
}

#[cfg(feature = "cloud")]
async fn read_secret(arn: &str, aws: &SdkConfig) -> Result<Zeroizing<String>, KeyError> {
    use aws_sdk_secretsmanager::Client;
    use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
    let got = Client::new(aws).get_secret_value().secret_id(arn).send().await.map_err(|e| {
        let code = e.code().unwrap_or("no answer");
        let hint = match code {
            "ResourceNotFoundException" => "it does not exist or has no value: put the key there",
            "AccessDeniedException" => "allow the task's role secretsmanager:GetSecretValue on it",
            _ => "check that Secrets Manager can be reached",
        };
        KeyError::Secret { arn: arn.into(), problem: format!("{code}; {hint}") }
    })?;
    // The client's own copy is beyond our reach; ours is wiped.
    Ok(Zeroizing::new(got.secret_string.unwrap_or_default()))
}

/// Makes a key in a new file that only its owner can read; its public half.
pub fn make(path: &Path) -> Result<[u8; 32], KeyError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |source| KeyError::Read { path: path.into(), source };
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|e| failed(std::io::Error::other(e)))?;
    let key = StatementKey::from_seed(&seed).ok_or_else(|| KeyError::Form(path.display().to_string()))?;
    let text = Zeroizing::new(format!("{}\n", hex::encode(*seed)));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.as_mut()
        .map_err(|e| failed(std::io::Error::new(e.kind(), e.to_string())))?
        .write_all(text.as_bytes())
        .map_err(failed)?;
    Ok(key.public())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_made_once_kept_private_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notary.key");
        let public = make(&path).unwrap();
        assert!(matches!(make(&path), Err(KeyError::Read { .. })), "a key is not overwritten");
        let place = path.to_str().unwrap();
        let aws = SdkConfig::builder().build();
        let key = read(place, &aws).await.unwrap();
        assert_eq!(key.public(), public);
        let seed = std::fs::read_to_string(&path).unwrap();
        assert!(!format!("{key:?}").contains(seed.trim()));
        std::fs::write(&path, "secret words").unwrap();
        let error = read(place, &aws).await.unwrap_err().to_string();
        assert!(error.contains("hexadecimal") && !error.contains("words"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(place, &aws).await, Err(KeyError::Permissions(_))));
    }
}
