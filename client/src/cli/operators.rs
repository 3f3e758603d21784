//! Commands of operators: keys, manifests, federations.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tercet_client::doctor::{self, Report};
use tercet_client::files::{self, Access};
use tercet_client::http::{Http, HttpOptions};
use tercet_client::inspect::printable;
use tercet_client::secrets::{self, Stored};
use tercet_client::{Error, operator};
use tercet_protocol::operator::{CoordinatorInfo, OperatorManifest};

use super::args::{CoordinatorTool, Doctor, FederationTool, Operator, Rotated, Store};
use super::output;

/// Three manifests, read and checked.
pub fn three(files: &[PathBuf]) -> Result<[OperatorManifest; 3], Error> {
    let [a, b, c] = files else {
        return Err(Error::Usage(format!("give --operator three times, not {}", files.len())));
    };
    Ok([operator::read_manifest(a)?, operator::read_manifest(b)?, operator::read_manifest(c)?])
}

async fn store(args: &Store, keys: &[Stored]) -> Result<(), Error> {
    let done = secrets::store(&args.dir, keys, &args.secrets, args.region.clone(), args.replace).await?;
    for key in done {
        let what = if key.written { "stored in" } else { "was there already:" };
        output::text(&format!("{} {what} {}\n", key.name, key.arn));
    }
    Ok(())
}

pub async fn coordinator(args: &CoordinatorTool) -> Result<(), Error> {
    match args {
        CoordinatorTool::Init { dir } => {
            let key = operator::init_coordinator(dir)?;
            output::text(&format!("{key}\n"));
            Ok(())
        }
        CoordinatorTool::Rotate { dir, finish: false } => {
            let key = operator::rotate_coordinator(dir)?;
            output::text(&format!("{key}\n"));
            Ok(())
        }
        CoordinatorTool::Rotate { dir, finish: true } => {
            let key = operator::finish_coordinator(dir)?;
            output::text(&format!("{key}\n"));
            Ok(())
        }
        CoordinatorTool::Store(args) => store(args, &operator::COORDINATOR_SECRETS).await,
    }
}

pub fn federation(args: &FederationTool) -> Result<(), Error> {
    let FederationTool::Assemble {
        coordinator_url,
        coordinator_key,
        coordinator_next_key,
        operators,
        out,
        force,
    } = args;
    files::check_output(out, *force)?;
    let coordinator = CoordinatorInfo {
        url: coordinator_url.clone(),
        key: *coordinator_key,
        next_key: *coordinator_next_key,
    };
    let federation = operator::federation(coordinator, &three(operators)?)?;
    let json = serde_json::to_string_pretty(&federation).map_err(|e| Error::Usage(e.to_string()))?;
    files::write(out, format!("{json}\n").as_bytes(), Access::Public, *force)?;
    output::text(&format!("written to {}\n", out.display()));
    Ok(())
}

pub async fn operator(args: &Operator) -> Result<(), Error> {
    match args {
        Operator::Init { dir, operator, account, url, peer_address, engine } => {
            let settings = operator::Settings {
                operator: operator.clone(),
                account: account.clone(),
                url: url.clone(),
                peer_address: peer_address.clone(),
                engine: operator::engine_digest(engine)?,
            };
            operator::init(dir, &settings)?;
            output::text(&format!(
                "keys and settings are in {}\nengine {}\nback up the three .key files; next: tercet operator publish --dir {}\n",
                dir.display(),
                settings.engine,
                dir.display()
            ));
            Ok(())
        }
        Operator::Publish { dir } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            let manifest = operator::manifest(dir, now)?;
            let json = serde_json::to_string_pretty(&manifest).map_err(|e| Error::Usage(e.to_string()))?;
            output::text(&format!("{json}\n"));
            Ok(())
        }
        Operator::Rotate { dir, key, finish } => {
            let (done, next) = match (key, finish) {
                (Rotated::Sealing, false) => {
                    operator::rotate_sealing(dir)?;
                    (
                        "a new key is in",
                        "set keys.sealing_previous in the party's configuration, restart it and publish the manifest \
                         again; when no client has the old manifest any more, unset it, restart, and --finish",
                    )
                }
                (Rotated::Sealing, true) => {
                    operator::finish_sealing(dir)?;
                    ("the previous key is gone from", "nothing")
                }
                (Rotated::Peer, false) => {
                    operator::rotate_peer(dir)?;
                    (
                        "the next key is in",
                        "publish the manifest again; when all three parties run with the new federation, --finish",
                    )
                }
                (Rotated::Peer, true) => {
                    operator::finish_peer(dir)?;
                    (
                        "the next key took the place of the old one in",
                        "restart the party, then publish the manifest again",
                    )
                }
            };
            output::text(&format!("{done} {}\nnext: {next}\n", dir.display()));
            Ok(())
        }
        Operator::Store(args) => store(args, &operator::PARTY_SECRETS).await,
        // Has an exit status of its own: see `doctor`.
        Operator::Doctor(_) => Ok(()),
    }
}

/// Looks at a deployment; true if nothing differs.
pub async fn doctor(args: &Doctor) -> Result<bool, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let ours = operator::manifest(&args.dir, now)?;
    let federation = operator::read_federation(&args.federation)?;
    let http = Http::new(HttpOptions::default())?;
    let mut findings = doctor::network::check(&http, &federation, &ours, now).await;
    if let Some(path) = &args.deployment {
        let deployment = doctor::Deployment::read(path)?;
        findings.extend(on_aws(&http, &deployment, now).await?);
    }
    let report = Report { findings };
    if args.json {
        output::json(&report)?;
    } else {
        output::text(&printable(&report.to_text()));
    }
    Ok(report.healthy())
}

#[cfg(feature = "cloud")]
async fn on_aws(
    http: &Http,
    deployment: &doctor::Deployment,
    now: u64,
) -> Result<Vec<doctor::Finding>, Error> {
    let aws = doctor::aws::config(&deployment.region).await;
    Ok(doctor::aws::check(http, &aws, deployment, now).await)
}

#[cfg(not(feature = "cloud"))]
async fn on_aws(_: &Http, _: &doctor::Deployment, _: u64) -> Result<Vec<doctor::Finding>, Error> {
    Err(Error::Usage("this tercet was built without what asks AWS: leave --deployment out, or build it with the feature `cloud`".into()))
}
