//! Requests to AWS's services, signed as AWS wants (Signature Version 4), each of a few kilobytes. An SDK for each of ten services would be
//! a minute of compiling for one read-only request each.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use reqwest::{Method, Url};
use serde_json::Value;

use crate::http::{Http, Look};

/// One account's services in one region.
pub struct Signed<'a> {
    http: &'a Http,
    aws: &'a SdkConfig,
    region: &'a str,
}

/// A refusal, or no answer: AWS's own code, and a text for people.
#[derive(Debug)]
pub struct Refused {
    /// The code, such as `AccessDenied`; empty without an answer.
    pub code: String,
    /// For people.
    pub text: String,
}

impl<'a> Signed<'a> {
    /// For the region that the deployment is in, with the credentials that the SDK finds.
    pub fn new(http: &'a Http, aws: &'a SdkConfig, region: &'a str) -> Self {
        Self { http, aws, region }
    }

    /// A service with AWS's JSON protocol: `target` is `PREFIX.Operation`.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value, Refused> {
        let headers = [
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target".to_owned(), target.to_owned()),
        ];
        let answer = self.send(service, Method::POST, "/", &headers, body.to_string().into_bytes()).await?;
        parse(&answer.body)
    }

    /// A service with the older query protocol, which answers in XML.
    pub async fn query(&self, service: &str, form: &str) -> Result<(String, Look), Refused> {
        let headers = [("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let answer = self.send(service, Method::POST, "/", &headers, form.as_bytes().to_vec()).await?;
        Ok((String::from_utf8_lossy(&answer.body).into_owned(), answer))
    }

    /// Reads something below a path, as S3 and AWS Backup want it.
    pub async fn get(&self, service: &str, path: &str) -> Result<String, Refused> {
        let answer = self.send(service, Method::GET, path, &[], Vec::new()).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn send(
        &self,
        service: &str,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Look, Refused> {
        let silent = |text: String| Refused { code: String::new(), text };
        let base = match self.aws.endpoint_url() {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://{service}.{}.amazonaws.com", self.region),
        };
        let url = Url::parse(&format!("{base}{path}")).map_err(|e| silent(format!("{base}{path}: {e}")))?;
        let provider = self
            .aws
            .credentials_provider()
            .ok_or_else(|| silent("there are no credentials: aws configure, or aws sso login".into()))?;
        let credentials = provider.provide_credentials().await.map_err(|e| {
            silent(format!("there are no credentials ({e}): aws configure, or aws sso login"))
        })?;
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        if service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|e| silent(e.to_string()))?
            .into();
        let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(method.as_str(), url.as_str(), given, SignableBody::Bytes(&body))
            .map_err(|e| silent(e.to_string()))?;
        let (instructions, _) = sign(request, &parameters).map_err(|e| silent(e.to_string()))?.into_parts();
        let mut all = headers.to_vec();
        all.extend(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
        let answer = self.http.look_with(method, url, &all, body).await.map_err(silent)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let code = code_of(&text).unwrap_or_else(|| format!("HTTP {}", answer.status));
        Err(Refused { text: format!("AWS answers {code} (HTTP {})", answer.status), code })
    }
}

/// The code in an error's body, in JSON or XML.
fn code_of(body: &str) -> Option<String> {
    if let Ok(json) = serde_json::from_str::<Value>(body) {
        let code = json.get("__type").or_else(|| json.get("code")).or_else(|| json.get("Code"))?.as_str()?;
        return Some(code.rsplit('#').next().unwrap_or(code).to_owned());
    }
    element(body, "Code").map(str::to_owned)
}

fn parse(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body)
        .map_err(|e| Refused { code: String::new(), text: format!("the answer is no JSON: {e}") })
}

/// The text of the first XML element of this name. The answers of AWS that are read here have no attributes in these elements, and their
/// values are names, numbers and words.
pub fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (value, _) = after.split_once(&format!("</{name}>"))?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_errors_are_read_in_both_forms() {
        assert_eq!(
            code_of("{\"__type\":\"com.amazon#NotFoundException\"}").as_deref(),
            Some("NotFoundException")
        );
        assert_eq!(
            code_of("<Error><Code>NoSuchBucketPolicy</Code></Error>").as_deref(),
            Some("NoSuchBucketPolicy")
        );
        assert_eq!(code_of("no"), None);
    }
}
