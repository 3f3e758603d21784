//! Putting keys into AWS Secrets Manager, where parties and coordinator read them.

use std::collections::BTreeMap;
use std::path::Path;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::files;
use crate::operator::read_seed;

/// Largest file of ARNs.
const MAX_ARNS: usize = 64 * 1024;

/// A key file and the name under which Terraform lists its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The name in Terraform's output `secret_arns`.
    pub name: &'static str,
    /// The file.
    pub file: &'static str,
    /// Whether the file has to be there.
    pub required: bool,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// The secret.
    pub arn: String,
    /// False: the secret held this key already.
    pub written: bool,
}

/// Puts keys from the folder `dir` into the secrets that the file `arns` lists (JSON, name to ARN: what
/// `terraform output -json secret_arns` prints). A secret that holds another key is left alone unless `replace` is
/// set; nothing is written before all of that is known.
pub async fn store(
    dir: &Path,
    keys: &[Stored],
    arns: &Path,
    region: Option<String>,
    replace: bool,
) -> Result<Vec<Outcome>, Error> {
    let text = files::read_text(arns, MAX_ARNS)?;
    let listed: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|e| {
        Error::usage(format!(
            "{} is not a list of secrets: {e}; make it with: terraform output -json secret_arns",
            arns.display()
        ))
    })?;
    let mut seeds = Vec::new();
    for key in keys {
        let path = dir.join(key.file);
        if !key.required && !path.exists() {
            continue;
        }
        let arn = listed.get(key.name).ok_or_else(|| {
            Error::usage(format!("{} lists no secret for \"{}\"", arns.display(), key.name))
        })?;
        let seed = read_seed(&path)?;
        seeds.push((key.name, arn.clone(), Zeroizing::new(hex::encode(seed.as_slice()))));
    }
    let client = client(region).await;
    let mut missing = Vec::new();
    for (name, arn, seed) in &seeds {
        let written = match value(&client, arn).await? {
            None => true,
            Some(held) if held.trim() == seed.as_str() => false,
            Some(_) if replace => true,
            Some(_) => {
                return Err(Error::usage(format!(
                    "the secret {arn} holds another key; give --replace if the one in {} is to take its place",
                    dir.display()
                )));
            }
        };
        missing.push((*name, arn, seed, written));
    }
    let mut done = Vec::new();
    for (name, arn, seed, written) in missing {
        if written {
            let put = client.put_secret_value().secret_id(arn).secret_string(seed.as_str());
            put.send().await.map_err(|e| refused(arn, &e))?;
        }
        done.push(Outcome { name, arn: arn.clone(), written });
    }
    Ok(done)
}

/// What the secret holds; none if it has no value yet.
async fn value(client: &Client, arn: &str) -> Result<Option<Zeroizing<String>>, Error> {
    match client.get_secret_value().secret_id(arn).send().await {
        Ok(got) => Ok(got.secret_string.map(Zeroizing::new)),
        Err(e) if e.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(e) => Err(refused(arn, &e)),
    }
}

fn refused<E: ProvideErrorMetadata + std::error::Error>(arn: &str, e: &E) -> Error {
    let cause = match e.code() {
        Some(code) => format!("{code}: {}", e.message().unwrap_or_default()),
        None => e.to_string(),
    };
    Error::Unreachable { from: format!("the secret {arn}"), cause }
}

async fn client(region: Option<String>) -> Client {
    let ring = Provider::Rustls(CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(ring).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    Client::new(&loader.load().await)
}
