//! The surveys that the operator has approved: for each, the one server that sessions may lead to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_config::SdkConfig;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use tercet_protocol::ids::SurveyId;
use tercet_protocol::kind::Kind;
use tercet_protocol::survey::{MAX_SURVEY_BYTES, NotarySection, SurveyDescriptor, SurveyError};

/// The port of servers.
const PORT: u16 = 443;

/// The place of approved surveys. Written as a path or as `s3://BUCKET/PREFIX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SurveysPlace {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A part of a bucket.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// The beginning of the objects' keys, without the slash behind it.
        prefix: String,
    },
}

impl FromStr for SurveysPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let Some(rest) = text.strip_prefix("s3://") else { return Ok(Self::Folder(text.into())) };
        match rest.split_once('/').map(|(bucket, prefix)| (bucket, prefix.trim_matches('/'))) {
            Some((bucket, prefix)) if !bucket.is_empty() && !prefix.is_empty() => {
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            _ => Err("write a folder, or s3://BUCKET/PREFIX"),
        }
    }
}

impl fmt::Display for SurveysPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// A survey as a notary needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The survey.
    pub id: SurveyId,
    /// Its server's name.
    pub server_name: String,
    /// The server's port.
    pub port: u16,
    /// First second in which sessions count (Unix).
    pub opens: u64,
    /// Last second in which they count (Unix).
    pub closes: u64,
}

/// Why approved surveys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SurveysError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An object or a bucket cannot be read.
    #[error("cannot read {place}: {problem}")]
    Object {
        /// Which, as `s3://BUCKET/KEY`.
        place: String,
        /// Why not.
        problem: String,
    },
    /// A file is no assembled survey.
    #[error("{place}: {source}")]
    Survey {
        /// The file.
        place: String,
        /// The fault.
        source: SurveyError,
    },
}

/// Approved surveys by their id.
#[derive(Debug, Clone, Default)]
pub struct Surveys(BTreeMap<SurveyId, Served>);

impl Surveys {
    /// Reads the assembled surveys of a place, one `.json` file each. Those that do not list the notary with this key
    /// are not served: its statements would count nowhere.
    pub async fn read(place: &SurveysPlace, key: &[u8; 32], aws: &SdkConfig) -> Result<Self, SurveysError> {
        let documents = match place {
            SurveysPlace::Folder(folder) => from_folder(folder)?,
            SurveysPlace::Bucket { bucket, prefix } => from_bucket(aws, bucket, prefix).await?,
        };
        let mut found = BTreeMap::new();
        for (place, bytes) in documents {
            let survey = SurveyDescriptor::from_bytes(bytes)
                .map_err(|source| SurveysError::Survey { place, source })?;
            let lists = |n: &NotarySection| n.kind == Kind::Session && n.key_bytes().is_ok_and(|k| k == key);
            if survey.manifest().notaries.iter().any(lists) {
                found.insert(survey.id(), Served::of(&survey));
            } else {
                tracing::warn!(survey = %survey.id(), "not served: the survey does not list this notary's key");
            }
        }
        Ok(Self(found))
    }

    /// These surveys.
    pub fn new(all: impl IntoIterator<Item = Served>) -> Self {
        Self(all.into_iter().map(|s| (s.id, s)).collect())
    }

    /// The survey of this id, if it is approved.
    pub fn get(&self, id: SurveyId) -> Option<&Served> {
        self.0.get(&id)
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = SurveyId> + '_ {
        self.0.keys().copied()
    }
}

impl Served {
    /// The part of a survey that a notary needs.
    pub fn of(survey: &SurveyDescriptor) -> Self {
        let manifest = survey.manifest();
        let second = |t: i64| u64::try_from(t).unwrap_or(0);
        Self {
            id: survey.id(),
            server_name: manifest.source.server_name.clone(),
            port: PORT,
            opens: second(manifest.survey.opens.unix_timestamp()),
            closes: second(manifest.survey.closes.unix_timestamp()),
        }
    }

    /// True if sessions count at this time.
    pub fn is_open(&self, now: u64) -> bool {
        (self.opens..=self.closes).contains(&now)
    }
}

/// The place of each document, and its bytes.
type Documents = Vec<(String, Vec<u8>)>;

fn from_folder(folder: &Path) -> Result<Documents, SurveysError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| SurveysError::Read { path, source }
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let bytes = std::fs::read(&path).map_err(unreadable(&path))?;
            found.push((path.display().to_string(), bytes));
        }
    }
    Ok(found)
}

async fn from_bucket(aws: &SdkConfig, bucket: &str, prefix: &str) -> Result<Documents, SurveysError> {
    // An endpoint of one's own is another service than AWS's, which often has no names of its own for buckets.
    let config = aws_sdk_s3::config::Builder::from(aws).force_path_style(aws.endpoint_url().is_some());
    let client = aws_sdk_s3::Client::from_conf(config.build());
    let failed = |key: &str, problem| SurveysError::Object { place: format!("s3://{bucket}/{key}"), problem };
    let explained = |code: Option<&str>, problem: String| match code {
        Some("AccessDenied") => "the notary's role may not read it".to_owned(),
        Some("NoSuchBucket") => "there is no such bucket".to_owned(),
        _ => problem,
    };
    let folder = format!("{prefix}/");
    let mut pages =
        client.list_objects_v2().bucket(bucket).prefix(&folder).delimiter("/").into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|e| failed(&folder, explained(e.code(), DisplayErrorContext(&e).to_string())))?;
        let keys = page.contents.unwrap_or_default().into_iter().filter_map(|o| o.key);
        for key in keys.filter(|key| key.ends_with(".json")) {
            let got = client.get_object().bucket(bucket).key(&key).send().await;
            let got =
                got.map_err(|e| failed(&key, explained(e.code(), DisplayErrorContext(&e).to_string())))?;
            if got.content_length().is_some_and(|n| usize::try_from(n).map_or(true, |n| n > MAX_SURVEY_BYTES))
            {
                return Err(failed(&key, "it is too large for a survey".into()));
            }
            let body = got.body.collect().await.map_err(|e| failed(&key, e.to_string()))?;
            found.push((format!("s3://{bucket}/{key}"), body.into_bytes().to_vec()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surveys_lie_in_a_folder_or_in_a_part_of_a_bucket() {
        let place = |text: &str| text.parse::<SurveysPlace>();
        assert_eq!(place("surveys"), Ok(SurveysPlace::Folder("surveys".into())));
        for text in ["s3://b/surveys", "s3://b/surveys/"] {
            assert_eq!(place(text).unwrap().to_string(), "s3://b/surveys");
        }
        for bad in ["s3://", "s3://b", "s3://b/", "s3:///surveys"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_survey_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let aws = SdkConfig::builder().build();
        let place = SurveysPlace::Folder(dir.path().into());
        assert_eq!(Surveys::read(&place, &[1; 32], &aws).await.unwrap().ids().count(), 0);
        std::fs::write(dir.path().join("notes.txt"), "no survey").unwrap();
        assert_eq!(Surveys::read(&place, &[1; 32], &aws).await.unwrap().ids().count(), 0);
        std::fs::write(dir.path().join("broken.json"), "{").unwrap();
        let error = Surveys::read(&place, &[1; 32], &aws).await.unwrap_err().to_string();
        assert!(error.contains("broken.json"), "{error}");
        let nowhere = SurveysPlace::Folder(dir.path().join("nowhere"));
        assert!(matches!(Surveys::read(&nowhere, &[1; 32], &aws).await, Err(SurveysError::Read { .. })));
    }
}
