//! The calls of Secrets Manager.

use std::collections::BTreeSet;
use std::path::Path;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tercet_protocol::ids::sha256;

use super::{Outcome, Seed};
use crate::error::Error;

/// Puts seeds into their secrets, once it is known of all of them that none takes another key's place without `replace`.
pub(super) async fn put(
    seeds: Vec<Seed>,
    dir: &Path,
    region: Option<String>,
    replace: bool,
) -> Result<Vec<Outcome>, Error> {
    let client = client(region).await;
    let mut plans = Vec::new();
    for (name, arn, seed) in &seeds {
        let version = version_of(seed);
        let plan = match versions(&client, arn).await? {
            held if held.current.is_none() => Plan::Put,
            held if held.current.as_ref() == Some(&version) => Plan::Keep,
            _ if !replace => {
                return Err(Error::usage(format!(
                    "the secret {arn} holds another key; give --replace if the one in {} is to take its place",
                    dir.display()
                )));
            }
            held if held.all.contains(&version) => Plan::MakeCurrent { instead_of: held.current },
            _ => Plan::Put,
        };
        plans.push((*name, arn, seed, version, plan));
    }
    let mut done = Vec::new();
    for (name, arn, seed, version, plan) in plans {
        let written = !matches!(plan, Plan::Keep);
        match plan {
            Plan::Keep => {}
            Plan::Put => {
                let put = client.put_secret_value().secret_id(arn).secret_string(seed.as_str());
                put.client_request_token(version).send().await.map_err(|e| refused(arn, &e))?;
            }
            Plan::MakeCurrent { instead_of } => {
                let moved = client.update_secret_version_stage().secret_id(arn).version_stage(CURRENT);
                let moved = moved.move_to_version_id(version).set_remove_from_version_id(instead_of);
                moved.send().await.map_err(|e| refused(arn, &e))?;
            }
        }
        done.push(Outcome { name, arn: arn.clone(), written });
    }
    Ok(done)
}

/// The label that Secrets Manager gives to the version that readers get.
const CURRENT: &str = "AWSCURRENT";

/// The call that makes a secret hold a key.
enum Plan {
    /// The secret holds it already.
    Keep,
    /// A new version.
    Put,
    /// The key was in use before `instead_of`, and its version is still there.
    MakeCurrent { instead_of: Option<String> },
}

/// A secret's versions, without their values.
struct Versions {
    current: Option<String>,
    all: BTreeSet<String>,
}

/// The version id under which a key is stored: a hash of its 32 random bytes, which tells nobody anything about them. With
/// it the operator can see which key a secret holds, although the secret's policy lets only the program read it.
fn version_of(seed: &str) -> String {
    hex::encode(sha256(&[b"tercet stored seed v1", seed.as_bytes()]))
}

/// Lists a secret's versions by `DescribeSecret`: the secret's own policy lets only the program read the value.
async fn versions(client: &Client, arn: &str) -> Result<Versions, Error> {
    let described = client.describe_secret().secret_id(arn).send().await.map_err(|e| refused(arn, &e))?;
    let stages = described.version_ids_to_stages.unwrap_or_default();
    let current = stages.iter().find(|(_, s)| s.iter().any(|s| s == CURRENT)).map(|(id, _)| id.clone());
    Ok(Versions { current, all: stages.into_keys().collect() })
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
