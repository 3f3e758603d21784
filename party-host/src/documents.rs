//! The party's public documents: its configuration, the federation, the approved surveys. They lie in a folder, or below a
//! prefix of a bucket (`s3://BUCKET/KEY`), where Terraform puts them. They hold no secret.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_config::SdkConfig;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use serde::{Deserialize, Deserializer};

use crate::config::error::ConfigError;

/// Largest document that is read, in bytes. A federation has four manifests, a survey is a few kilobytes.
const MAX_DOCUMENT: usize = 4 << 20;

/// The message about an object that is not there.
const NO_SUCH_KEY: &str = "it does not exist: give Terraform the folder of documents, or copy it there";

/// The place of a document, or of a folder of documents. Written as a path or as `s3://BUCKET/KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentPlace {
    /// On this machine.
    File(PathBuf),
    /// In a bucket.
    Object {
        /// The bucket's name.
        bucket: String,
        /// The object's key, or a prefix without its last slash.
        key: String,
    },
}

impl FromStr for DocumentPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else { return Ok(Self::File(text.into())) };
        match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.trim_matches('/').is_empty() => {
                Ok(Self::Object { bucket: bucket.to_owned(), key: key.trim_matches('/').to_owned() })
            }
            _ => Err(format!("\"{text}\" names no object: write s3://BUCKET/KEY")),
        }
    }
}

impl<'de> Deserialize<'de> for DocumentPlace {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for DocumentPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl DocumentPlace {
    /// The folder that holds this document.
    pub fn folder(&self) -> Self {
        match self {
            Self::File(path) => Self::File(path.parent().unwrap_or(Path::new("")).into()),
            Self::Object { bucket, key } => {
                let key = key.rsplit_once('/').map_or("", |(folder, _)| folder);
                Self::Object { bucket: bucket.clone(), key: key.to_owned() }
            }
        }
    }

    /// Makes a relative path relative to `folder`. A place in a bucket is never relative.
    pub(crate) fn rebase(&mut self, folder: &Self) {
        let Self::File(path) = self else { return };
        match folder {
            Self::File(base) => *path = base.join(&*path),
            Self::Object { bucket, key } if path.is_relative() => {
                let key = format!("{key}/{}", path.display()).trim_start_matches('/').to_owned();
                *self = Self::Object { bucket: bucket.clone(), key };
            }
            Self::Object { .. } => {}
        }
    }

    /// The folder on this machine against which other relative paths of a configuration are resolved.
    pub(crate) fn local(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Object { .. } => Path::new(""),
        }
    }

    /// The document `name` in this folder.
    pub fn child(&self, name: &str) -> Self {
        match self {
            Self::File(folder) => Self::File(folder.join(name)),
            Self::Object { bucket, key } => {
                let key = if key.is_empty() { name.to_owned() } else { format!("{key}/{name}") };
                Self::Object { bucket: bucket.clone(), key }
            }
        }
    }

    /// Reads the document, if there is one.
    pub async fn read_if_there(&self, aws: &SdkConfig) -> Result<Option<Vec<u8>>, ConfigError> {
        match self.read(aws).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ConfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(ConfigError::Object { problem, .. }) if problem == NO_SUCH_KEY => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads the document.
    pub async fn read(&self, aws: &SdkConfig) -> Result<Vec<u8>, ConfigError> {
        match self {
            Self::File(path) => {
                std::fs::read(path).map_err(|source| ConfigError::Read { path: path.clone(), source })
            }
            Self::Object { bucket, key } => {
                let failed = |problem| ConfigError::Object { place: self.to_string(), problem };
                let got = client(aws)
                    .get_object()
                    .bucket(bucket)
                    .key(key)
                    .send()
                    .await
                    .map_err(|e| failed(explained(e.code(), &DisplayErrorContext(&e).to_string())))?;
                if got.content_length().is_some_and(|n| usize::try_from(n).map_or(true, |n| n > MAX_DOCUMENT))
                {
                    return Err(failed(format!("it is larger than {} MiB", MAX_DOCUMENT >> 20)));
                }
                let body = got.body.collect().await.map_err(|e| failed(e.to_string()))?;
                Ok(body.into_bytes().to_vec())
            }
        }
    }

    /// A text that is another one when the document is.
    pub async fn version(&self, aws: &SdkConfig) -> Result<String, ConfigError> {
        match self {
            Self::File(path) => {
                let unreadable = |source| ConfigError::Read { path: path.clone(), source };
                let about = std::fs::metadata(path).map_err(unreadable)?;
                Ok(format!("{:?} {}", about.modified().map_err(unreadable)?, about.len()))
            }
            Self::Object { bucket, key } => {
                let asked = client(aws).head_object().bucket(bucket).key(key).send().await;
                let about = asked.map_err(|e| ConfigError::Object {
                    place: self.to_string(),
                    problem: explained(e.code(), &DisplayErrorContext(&e).to_string()),
                })?;
                Ok(about.e_tag.unwrap_or_default())
            }
        }
    }

    /// The same for everything in this folder together.
    pub async fn folder_version(&self, aws: &SdkConfig) -> Result<String, ConfigError> {
        let lines = self.entries(aws).await?.into_iter().map(|(place, version)| format!("{place} {version}"));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// The `.json` documents directly in this folder, in order of their names.
    pub async fn list(&self, aws: &SdkConfig) -> Result<Vec<Self>, ConfigError> {
        let mut found: Vec<Self> = self.entries(aws).await?.into_iter().map(|(place, _)| place).collect();
        found.retain(|place| match place {
            Self::File(path) => path.extension().is_some_and(|e| e == "json"),
            Self::Object { key, .. } => key.ends_with(".json"),
        });
        Ok(found)
    }

    /// Whatever lies directly in this folder with its version, in order of names.
    async fn entries(&self, aws: &SdkConfig) -> Result<Vec<(Self, String)>, ConfigError> {
        let mut found = Vec::new();
        match self {
            Self::File(folder) => {
                let unreadable = |source| ConfigError::Read { path: folder.clone(), source };
                for entry in std::fs::read_dir(folder).map_err(unreadable)? {
                    let place = Self::File(entry.map_err(unreadable)?.path());
                    // One that cannot be looked at is an error for whoever reads it.
                    let version = place.version(aws).await.unwrap_or_default();
                    found.push((place, version));
                }
            }
            Self::Object { bucket, key } => {
                let prefix = format!("{key}/");
                let mut pages = client(aws)
                    .list_objects_v2()
                    .bucket(bucket)
                    .prefix(&prefix)
                    .delimiter("/")
                    .into_paginator()
                    .send();
                while let Some(page) = pages.next().await {
                    let page = page.map_err(|e| ConfigError::Object {
                        place: format!("s3://{bucket}/{prefix}"),
                        problem: explained(e.code(), &DisplayErrorContext(&e).to_string()),
                    })?;
                    for object in page.contents.unwrap_or_default() {
                        let Some(key) = object.key else { continue };
                        let place = Self::Object { bucket: bucket.clone(), key };
                        found.push((place, object.e_tag.unwrap_or_default()));
                    }
                }
            }
        }
        found.sort_by_key(|(place, _)| place.to_string());
        Ok(found)
    }
}

fn client(aws: &SdkConfig) -> aws_sdk_s3::Client {
    // An endpoint of one's own is another service than AWS's, which often has no names of its own for buckets.
    let config = aws_sdk_s3::config::Builder::from(aws).force_path_style(aws.endpoint_url().is_some());
    aws_sdk_s3::Client::from_conf(config.build())
}

fn explained(code: Option<&str>, problem: &str) -> String {
    match code {
        Some("NoSuchKey" | "NotFound") => NO_SUCH_KEY.into(),
        Some("AccessDenied") => "the party's role may not read it".into(),
        _ => problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> DocumentPlace {
        text.parse().unwrap()
    }

    #[test]
    fn relative_documents_lie_beside_the_configuration() {
        for (config, document, expected) in [
            ("/etc/tercet/party.toml", "federation.json", "/etc/tercet/federation.json"),
            ("/etc/tercet/party.toml", "/srv/federation.json", "/srv/federation.json"),
            ("s3://b/deployment/party.toml", "surveys", "s3://b/deployment/surveys"),
            ("s3://b/party.toml", "surveys", "s3://b/surveys"),
            ("s3://b/party.toml", "/srv/surveys", "/srv/surveys"),
            ("/etc/party.toml", "s3://b/surveys/", "s3://b/surveys"),
        ] {
            let mut document = place(document);
            document.rebase(&place(config).folder());
            assert_eq!(document.to_string(), expected, "beside {config}");
        }
    }

    #[test]
    fn a_document_in_a_folder_has_the_folders_place() {
        for (folder, expected) in [
            ("/srv/surveys", "/srv/surveys/a"),
            ("s3://b/surveys", "s3://b/surveys/a"),
            ("s3://b/x/", "s3://b/x/a"),
        ] {
            assert_eq!(place(folder).child("a").to_string(), expected);
        }
        assert_eq!(place("s3://b/party.toml").folder().child("a").to_string(), "s3://b/a");
    }

    #[test]
    fn a_bucket_alone_is_no_document() {
        for text in ["s3://", "s3://bucket", "s3://bucket/", "s3:///key"] {
            assert!(text.parse::<DocumentPlace>().unwrap_err().contains("s3://BUCKET/KEY"), "{text}");
        }
    }
}
