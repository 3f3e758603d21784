//! Access keys: who may use the S3 server, and which buckets.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use crate::Error;

/// One access key.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its public half, sent with every request.
    pub access_key: String,
    /// Its secret half, which signs requests.
    pub secret_key: String,
    /// The buckets it may use; `None` means all of them, and to list and make buckets.
    #[serde(default)]
    pub buckets: Option<Vec<String>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("access_key", &self.access_key)
            .field("secret_key", &"…")
            .field("buckets", &self.buckets)
            .finish()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.secret_key.zeroize();
    }
}

/// All access keys of a server.
///
/// In a file (readable by its owner only):
///
/// ```toml
/// [[key]]
/// access_key = "operator-1"
/// secret_key = "…"
/// buckets = ["tercet-operator-1"]   # without this line: every bucket
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    #[serde(rename = "key", default)]
    keys: Vec<Key>,
}

impl Keys {
    /// Uses these keys.
    pub fn new(keys: Vec<Key>) -> Keys {
        Keys { keys }
    }

    /// Reads the file described at [`Keys`].
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it is malformed. The error never quotes the file.
    pub fn from_file(path: &Path) -> Result<Keys, Error> {
        let metadata = std::fs::metadata(path).map_err(Error::file("reading", path))?;
        let shown = path.display();
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Error::Credentials(format!("{shown} may be read by others: run `chmod 600` on it")));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(Error::file("reading", path))?);
        // The parser's message quotes the line, which may be a secret: give its place only.
        toml::from_str(&text).map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].lines().count().max(1));
            Error::Credentials(format!(
                "{shown}, near line {line}: expected [[key]] tables with access_key, secret_key and \
                 optionally buckets"
            ))
        })
    }

    /// One unrestricted key from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    ///
    /// # Errors
    /// One of them is not set.
    pub fn from_env() -> Result<Keys, Error> {
        let get = |name: &str| {
            std::env::var(name).ok().filter(|v| !v.is_empty()).ok_or_else(|| {
                Error::Credentials(format!(
                    "{name} is not set: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give \
                     --credentials-file"
                ))
            })
        };
        let (access_key, secret_key) = (get("AWS_ACCESS_KEY_ID")?, get("AWS_SECRET_ACCESS_KEY")?);
        Ok(Keys::new(vec![Key { access_key, secret_key, buckets: None }]))
    }

    /// There is at least one key, none is empty, none appears twice.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.keys.is_empty() {
            return Err(Error::Credentials("there are none; at least one is needed".into()));
        }
        for (i, key) in self.keys.iter().enumerate() {
            if key.access_key.is_empty() || key.secret_key.is_empty() {
                return Err(Error::Credentials(format!("number {} is empty", i + 1)));
            }
            if self.keys[..i].iter().any(|other| other.access_key == key.access_key) {
                return Err(Error::Credentials(format!("{} is there twice", key.access_key)));
            }
        }
        Ok(())
    }

    pub(super) fn auth(&self) -> impl S3Auth {
        let secret = |k: &Key| (k.access_key.clone(), SecretKey::from(k.secret_key.as_str()));
        Secrets(self.keys.iter().map(secret).collect())
    }

    pub(super) fn access(&self) -> impl S3Access {
        let buckets = |k: &Key| (k.access_key.clone(), k.buckets.clone().map(Arc::from));
        Buckets(self.keys.iter().map(buckets).collect())
    }
}

/// Secret keys by access key.
struct Secrets(BTreeMap<String, SecretKey>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0
            .get(access_key)
            .cloned()
            .ok_or_else(|| s3_error!(InvalidAccessKeyId, "The access key is not known to this server"))
    }
}

/// Buckets by access key; `None` is all.
struct Buckets(BTreeMap<String, Option<Arc<[String]>>>);

#[async_trait::async_trait]
impl S3Access for Buckets {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = context.credentials() else {
            return Err(s3_error!(AccessDenied, "The request must be signed"));
        };
        let allowed = match self.0.get(&credentials.access_key) {
            None => false,
            Some(None) => true,
            Some(Some(own)) => {
                context.s3_path().get_bucket_name().is_some_and(|b| own.iter().any(|o| o == b))
            }
        };
        if allowed { Ok(()) } else { Err(s3_error!(AccessDenied, "This access key may not use this bucket")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn file_is_read_and_never_shown() {
        let text = "[[key]]\naccess_key = \"a\"\nsecret_key = \"hush\"\nbuckets = [\"b\"]\n\n\
                    [[key]]\naccess_key = \"c\"\nsecret_key = \"hush\"\n";
        let (_dir, path) = write(text, 0o600);
        let keys = Keys::from_file(&path).unwrap();
        keys.check().unwrap();
        assert_eq!(keys.keys[0].buckets.as_deref(), Some(&["b".to_owned()][..]));
        assert_eq!(keys.keys[1].buckets, None);
        assert!(!format!("{keys:?}").contains("hush"));
    }

    #[test]
    fn a_bad_file_is_refused_without_quoting_it() {
        let (_dir, path) = write("[[key]]\naccess_key = \"a\"\nsecret = \"hush\"\n", 0o600);
        let refused = Keys::from_file(&path).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hush"), "{refused}");
        let (_dir, path) = write("[[key]]\naccess_key = \"a\"\nsecret_key = \"hush\"\n", 0o644);
        assert!(Keys::from_file(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn missing_empty_and_repeated_keys_are_refused() {
        let key = |a: &str, s: &str| Key { access_key: a.into(), secret_key: s.into(), buckets: None };
        assert!(Keys::new(vec![]).check().is_err());
        assert!(Keys::new(vec![key("a", "")]).check().is_err());
        assert!(Keys::new(vec![key("a", "1"), key("a", "2")]).check().is_err());
        assert!(Keys::new(vec![key("a", "1"), key("b", "1")]).check().is_ok());
    }
}
