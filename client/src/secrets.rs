//! Putting keys into AWS Secrets Manager, where parties and coordinator read them.

#[cfg(feature = "cloud")]
mod aws;

use std::collections::BTreeMap;
use std::path::Path;

use zeroize::Zeroizing;

#[cfg(feature = "cloud")]
use aws::put;

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
    /// True if the file has to be there.
    pub required: bool,
}

/// The outcome for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// The secret.
    pub arn: String,
    /// False: the secret held this key already.
    pub written: bool,
}

/// Puts keys from the folder `dir` into the secrets that the file `arns` lists (JSON, name to ARN: the output of
/// `terraform output -json secret_arns`). A secret that holds another key is left alone unless `replace` is set;
/// nothing is written before all of that is known.
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
    put(seeds, dir, region, replace).await
}

/// A key's name, its secret, and its seed in hexadecimal.
type Seed = (&'static str, String, Zeroizing<String>);

#[cfg(not(feature = "cloud"))]
async fn put(_: Vec<Seed>, _: &Path, _: Option<String>, _: bool) -> Result<Vec<Outcome>, Error> {
    Err(Error::usage("this `tercet` was built without the feature `cloud`, which stores secrets"))
}
