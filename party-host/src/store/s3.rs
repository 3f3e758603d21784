//! Objects in Amazon S3, or a service that speaks its API.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{ResponseChecksumValidation, SharedHttpClient};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use serde::Deserialize;

use super::objects::{Created, MAX_OBJECT, Objects};
use super::{DEFAULT_CACHE_MIB, StoreError};

/// Whole attempts to read an object whose body breaks off; the SDK itself retries up to the first byte only.
const BODY_ATTEMPTS: usize = 3;

/// The place of an operator's objects. Part of the party's configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The operator's bucket.
    pub bucket: String,
    /// Put before every object's key; empty, or ends with `/`.
    #[serde(default)]
    pub prefix: String,
    /// The bucket's region; from the environment if absent (`us-east-1` when `endpoint` is set).
    #[serde(default)]
    pub region: Option<String>,
    /// Another service than AWS's, as a URL; its buckets are addressed by path.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Makes the bucket at start if it does not exist: for local use. In the cloud Terraform makes it, with its
    /// policies.
    #[serde(default)]
    pub create_bucket: bool,
    /// Memory for opened segments, in MiB.
    #[serde(default = "default_cache_mib")]
    pub cache_mib: usize,
    /// Milliseconds that every request to the service is held back, for measurements. 0 in use.
    #[serde(default)]
    pub added_ms: u64,
}

fn default_cache_mib() -> usize {
    DEFAULT_CACHE_MIB
}

/// A bucket, or a part of one below a prefix.
#[derive(Clone)]
pub struct S3Objects {
    client: Client,
    bucket: String,
    prefix: String,
    region: String,
    create_bucket: bool,
    ours: bool,
    added: Duration,
}

impl S3Objects {
    /// Connects lazily: nothing is sent before the first operation. Without `credentials` the SDK's usual chain
    /// applies (environment, profile, container role, instance role).
    pub async fn new(
        config: &StoreConfig,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Result<Self, StoreError> {
        let endpoint = config.endpoint.as_deref();
        if config.bucket.is_empty() {
            return Err(StoreError::Config("`bucket` is empty: name the operator's bucket".into()));
        }
        if !config.prefix.is_empty() && (!config.prefix.ends_with('/') || config.prefix.starts_with('/')) {
            let text =
                format!("`prefix` is {:?}: it must end with `/` and not begin with one", config.prefix);
            return Err(StoreError::Config(text));
        }
        if let Some(url) = endpoint
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            let text = format!("`endpoint` is {url:?}: it must be a URL such as https://s3.example.com");
            return Err(StoreError::Config(text));
        }
        let region = config.region.clone().or_else(|| endpoint.map(|_| "us-east-1".into()));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client(endpoint))
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(5)
                    .with_initial_backoff(Duration::from_millis(100))
                    .with_max_backoff(Duration::from_secs(5)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .read_timeout(Duration::from_secs(30))
                    .operation_timeout(Duration::from_secs(180))
                    .build(),
            );
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Some(credentials) = credentials {
            loader = loader.credentials_provider(credentials);
        }
        let shared = loader.load().await;
        let Some(region) = shared.region().map(ToString::to_string) else {
            return Err(StoreError::Config("no region: set `region` or AWS_REGION".into()));
        };
        let mut s3 = aws_sdk_s3::config::Builder::from(&shared)
            // The envelope authenticates every byte that is read; a second checksum would only cost.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(url) = endpoint {
            s3 = s3.endpoint_url(url).force_path_style(true);
        }
        Ok(Self {
            client: Client::from_conf(s3.build()),
            bucket: config.bucket.clone(),
            prefix: config.prefix.clone(),
            region,
            create_bucket: config.create_bucket,
            ours: endpoint.is_none(),
            added: Duration::from_millis(config.added_ms),
        })
    }

    /// The way to the service, longer than it is if the configuration says so.
    async fn travel(&self) {
        if !self.added.is_zero() {
            tokio::time::sleep(self.added).await;
        }
    }

    fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn create_bucket(&self) -> Result<(), StoreError> {
        let mut request = self.client.create_bucket().bucket(&self.bucket);
        // AWS wants the region spelled out, except for the first one.
        if self.ours && self.region != "us-east-1" {
            let place = BucketLocationConstraint::from(self.region.as_str());
            let config = CreateBucketConfiguration::builder().location_constraint(place).build();
            request = request.create_bucket_configuration(config);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_bucket_already_owned_by_you()) => Ok(()),
            Err(e) => Err(failed("creating", &format!("bucket {}", self.bucket), &e)),
        }
    }

    async fn get_once(&self, path: &str) -> Result<Fetched, StoreError> {
        let mut out = match self.client.get_object().bucket(&self.bucket).key(path).send().await {
            Ok(out) => out,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_key()) => return Ok(Fetched::Absent),
            Err(e) => return Err(failed("reading", path, &e)),
        };
        let announced = out.content_length().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let mut body = Vec::with_capacity(announced.min(MAX_OBJECT));
        loop {
            match out.body.try_next().await {
                Ok(None) => return Ok(Fetched::Body(body)),
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_OBJECT => {
                    return Err(StoreError::corrupt(path, format!("it is larger than {MAX_OBJECT} bytes")));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Err(e) => return Ok(Fetched::Broken(e.to_string())),
            }
        }
    }
}

enum Fetched {
    Absent,
    Body(Vec<u8>),
    Broken(String),
}

#[async_trait]
impl Objects for S3Objects {
    async fn ensure(&self) -> Result<(), StoreError> {
        let what = format!("bucket {}", self.bucket);
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(e) if status(&e) == Some(404) && self.create_bucket => self.create_bucket().await,
            Err(e) if status(&e) == Some(404) => Err(StoreError::Config(format!(
                "{what} does not exist in region {}: create it (`terraform apply`), or set `create_bucket = true` for \
                 local use",
                self.region
            ))),
            Err(e) => Err(failed("looking up", &what, &e)),
        }
    }

    async fn create(&self, key: &str, body: Bytes) -> Result<Created, StoreError> {
        self.travel().await;
        let path = self.path(key);
        let request = self.client.put_object().bucket(&self.bucket).key(&path).if_none_match("*");
        match request.body(ByteStream::from(body)).send().await {
            Ok(_) => Ok(Created::New),
            // 412: it exists. 409: another writer of this key is at work, and creation is theirs or nobody's.
            Err(e) if matches!(status(&e), Some(412 | 409)) => Ok(Created::Exists),
            Err(e) => Err(failed("writing", &path, &e)),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.travel().await;
        let path = self.path(key);
        let mut reason = String::new();
        for _ in 0..BODY_ATTEMPTS {
            match self.get_once(&path).await? {
                Fetched::Absent => return Ok(None),
                Fetched::Body(body) => return Ok(Some(body)),
                Fetched::Broken(why) => reason = why,
            }
        }
        Err(StoreError::Unavailable { operation: format!("reading {path}"), retryable: true, reason })
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let path = self.path(prefix);
        let mut keys = Vec::new();
        let mut pages =
            self.client.list_objects_v2().bucket(&self.bucket).prefix(&path).into_paginator().send();
        self.travel().await;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("listing", &path, &e))?;
            if page.is_truncated() == Some(true) {
                self.travel().await;
            }
            let ours =
                page.contents().iter().filter_map(|o| o.key()).filter_map(|k| k.strip_prefix(&self.prefix));
            keys.extend(ours.map(String::from));
        }
        // S3 lists in order; others may not.
        keys.sort_unstable();
        Ok(keys)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.travel().await;
        let path = self.path(key);
        match self.client.delete_object().bucket(&self.bucket).key(&path).send().await {
            Ok(_) => Ok(()),
            Err(e) if e.code() == Some("NoSuchKey") => Ok(()),
            Err(e) => Err(failed("deleting", &path, &e)),
        }
    }
}

impl fmt::Debug for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Objects({}/{})", self.bucket, self.prefix)
    }
}

fn http_client(endpoint: Option<&str>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    if endpoint.is_some_and(|e| e.starts_with("http://")) {
        builder.build_http()
    } else {
        builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
    }
}

fn status<E>(e: &SdkError<E>) -> Option<u16> {
    e.raw_response().map(|r| r.status().as_u16())
}

fn failed<E: ProvideErrorMetadata + std::error::Error + 'static>(
    verb: &str,
    what: &str,
    e: &SdkError<E>,
) -> StoreError {
    let (retryable, reason) = match e {
        SdkError::ServiceError(_) => {
            let status = status(e).unwrap_or(0);
            let code = e.code().unwrap_or("no code");
            let retryable = status >= 500 || matches!(status, 408 | 429) || code == "RequestTimeout";
            (
                retryable,
                format!("{code} (HTTP {status}) {}", e.message().unwrap_or_default()).trim_end().to_owned(),
            )
        }
        SdkError::ConstructionFailure(_) => (false, chain(e)),
        _ => (true, chain(e)),
    };
    StoreError::Unavailable { operation: format!("{verb} {what}"), retryable, reason }
}

/// An error and its causes in one line.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
