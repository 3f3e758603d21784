//! `cargo xtask localstack e2e`: five operators deploy with Terraform on LocalStack, providers submit and a consumer
//! asks through the deployed HTTPS entry, everything is checked from outside, and `destroy` leaves nothing.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value, json};
use tercet_client::Error;
use tercet_client::coordinator::{Admitted, Coordinator};
use tercet_client::http::{Http, HttpOptions, Request, RetryPolicy, Url};
use tercet_client::query::{self, QueryOptions};
use tercet_client::submit::{self, SubmitOptions};
use tercet_evidence::{Kind, Secrets};
use tercet_protocol::api::ProblemKind;
use tercet_protocol::ids::PublicKey;
use tercet_protocol::submission::{PublicPart, ShareHashes};
use xtask::command::{free_port, programs, root, run};
use xtask::engine;
use xtask::launched::E2e;

use super::deploy::{Deployment, Materials, vectors};
use super::host::{self, LocalStack};
use super::notary::Notary;
use super::terraform::Root;
use crate::{oracle, package};

/// Providers that submit at the same time.
const CONCURRENCY: usize = 3;
/// Requests from one address, of which `STATUS_BURST` pass.
const FLOOD: usize = 200;
/// Number of these that are under way at the same moment, each in an instance of the function. More would meet the
/// function's reserved concurrency, which is not the limit that is measured here.
const AT_ONCE: usize = 20;
const STATUS_BURST: u32 = 100;
/// So slow a refill that it hardly counts in the seconds that the flood lasts.
const STATUS_PER_SECOND: f64 = 0.2;

/// Runs it.
pub fn run_task(options: &E2e) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let folder = options.keep.clone().unwrap_or_else(|| scratch.path().to_path_buf());
    std::fs::create_dir_all(&folder)?;
    let folder = std::path::absolute(folder)?;
    let start = Instant::now();
    let say = |what: &str| eprintln!("[{:>4} s] {what}", start.elapsed().as_secs());

    say("LocalStack");
    let programs = programs("dev");
    let engine = match std::env::var_os("TERCET_ENGINE") {
        Some(engine) => PathBuf::from(engine),
        None => engine::built()?.path,
    };
    let python = host::install()?;
    host::test_executor(&python)?;
    let embedded = programs.join("tercet-embedded");
    let port = free_port()?;
    let cloud = folder.join("localstack");
    let localstack = LocalStack::start(
        &python,
        &host::Options { folder: &cloud, port, embedded: &embedded, stays: false },
    )?;
    let notary = Notary::prepare(&folder, &programs)?;
    let materials = Materials {
        folder: &folder,
        notary: &notary,
        python: python.clone(),
        endpoint: localstack.endpoint(),
        bootstrap: package::stripped(&programs.join("coordinator"))?,
        programs,
        engine,
        settings: settings(),
    };
    let outcome = scenario(&materials, &python, &say);
    if outcome.is_err() {
        eprintln!("the end of LocalStack's log:\n{}", localstack.log_end());
    }
    outcome?;
    notary.stop();
    localstack.stop()?;
    say("done: deployed, submitted, asked, checked, destroyed");
    Ok(())
}

/// All providers of this machine have one address.
fn settings() -> Map<String, Value> {
    let values = json!({
        "TERCET_LIMITS__ADDRESS__BURST": "5000",
        "TERCET_LIMITS__ADDRESS__PER_SECOND": "1000",
        "TERCET_LIMITS__STATUS__BURST": STATUS_BURST.to_string(),
        "TERCET_LIMITS__STATUS__PER_SECOND": STATUS_PER_SECOND.to_string(),
    });
    values.as_object().cloned().unwrap_or_default()
}

fn scenario(materials: &Materials<'_>, python: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let mut deployment = Deployment::make(materials, say)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(use_it(&mut deployment, materials, say))?;

    say("checks from outside");
    let facts = materials.folder.join("facts.json");
    std::fs::write(&facts, serde_json::to_vec_pretty(&deployment.facts()?)?)?;
    let check = |what: &str| {
        let script = root().join("localstack/checks/check.py");
        run(xtask::command::program(python.join("python3")).arg("-B").arg(script).arg(what).arg(&facts))
    };
    check("deployed")?;
    check("times")?;
    say("the deployed policies, evaluated: LocalStack stores them without enforcing them");
    evaluate_policies(&deployment, materials.folder, python)?;
    say("a second apply changes nothing");
    deployment.each(Root::unchanged)?;
    deployment.stop_processes();
    say("the deployed policies are asked about every call that was made, with its real caller");
    let asked = root().join("terraform/policies/asked.mjs");
    let (policies, calls) =
        (materials.folder.join(POLICIES), materials.folder.join("localstack").join(host::RECORD));
    run(xtask::command::program("node").arg(asked).arg(policies).arg(calls))?;
    say("terraform destroy");
    deployment.each(Root::destroy)?;
    check("gone")
}

/// The deployed policy documents, in the test's folder.
const POLICIES: &str = "policies.json";

/// Collects the deployed policy documents from the services and lets an evaluator of AWS's rules decide who may do what.
fn evaluate_policies(deployment: &Deployment, folder: &Path, python: &Path) -> Result<()> {
    let policies = root().join("terraform/policies");
    let quiet = ["ci", "--no-audit", "--no-fund", "--silent"];
    run(xtask::command::program("npm").args(quiet).current_dir(&policies))?;
    let mut collect = xtask::command::program(python.join("python3"));
    collect.arg("-B").arg(policies.join("collect.py"));
    collect.args(["--region", super::REGION, "--endpoint", deployment.endpoint()]);
    for account in super::deploy::accounts() {
        collect.args(["--account", account]);
    }
    let out = collect.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(out.status.success(), "the deployed policies could not be collected");
    let documents = folder.join(POLICIES);
    std::fs::write(&documents, out.stdout)?;
    run(xtask::command::program("node").arg(policies.join("check.mjs")).arg(&documents))
}

async fn use_it(deployment: &mut Deployment, materials: &Materials<'_>, say: &dyn Fn(&str)) -> Result<()> {
    let coordinator = Coordinator::new(&deployment.url, HttpOptions::default())?;
    say("the deployed entry answers");
    let survey = coordinator.survey(deployment.survey.id()).await?;
    ensure!(survey.bytes() == deployment.survey.bytes(), "the coordinator serves another survey");
    let known = coordinator.deployment(survey).await?;

    say("the cohort submits");
    let mut providers: Vec<PathBuf> =
        std::fs::read_dir(vectors().join("cohort"))?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    providers.sort();
    let repeated = providers.pop().context("the cohort is empty")?;
    let submit = async |dir: &PathBuf| -> Result<()> {
        let presentation = std::fs::read(dir.join("presentation.bin"))?;
        let secrets = Secrets::decode(&std::fs::read(dir.join("secrets.bin"))?)?;
        let options = SubmitOptions::default();
        let done = submit::submit(&coordinator, &known, &presentation, &secrets, options, &|_| {}).await;
        done.map(drop).map_err(|e| anyhow!("{}: {e}", dir.display()))
    };
    let (first, rest) = providers.split_at(providers.len() / 2);
    stream::iter(first).map(submit).buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;

    say("a party is killed and started again, and so are the functions");
    deployment.kill_party(1)?;
    kill_functions(materials.folder)?;
    deployment.start_party(1)?;
    stream::iter(rest).map(submit).buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;

    say("a provider takes part through the notary");
    let survey = known.survey.id().to_string();
    let by_session = materials.notary.take_part(&deployment.url, &survey)?;

    say("an identity that comes twice at once");
    same_identity(&coordinator, deployment, &repeated).await?;

    say("200 requests from one address, over many instances of the function");
    flood(deployment).await?;

    say("a release point, and a consumer asks");
    let now = coordinator.release_now(known.survey.id()).await?;
    ensure!(now.made, "no release point was made");
    query::await_published(&coordinator, &known.survey, now.release, Duration::from_secs(60)).await?;
    let result = query::query(&coordinator, &known.survey, &[], QueryOptions::default()).await?;
    result.verify(Some(known.survey.id()), None)?;
    let scale = u32::from(known.survey.manifest().columns[0].places());
    let value = |dir: &PathBuf| -> Result<_> {
        let meta: Value = serde_json::from_slice(&std::fs::read(dir.join("meta.json"))?)?;
        oracle::parse(meta["value"].as_str().context("no value in meta.json")?, scale as usize)
    };
    let mut values = providers.iter().map(value).collect::<Result<Vec<_>>>()?;
    values.push(oracle::parse(&by_session, scale as usize)?);
    for statistic in &result.result.statistics {
        let expected = oracle::statistic(&statistic.statistic, &values, scale)?;
        ensure!(statistic.value.as_deref() == Some(&*expected), "{}: not {expected}", statistic.statistic);
    }
    say(&format!("{} statistics are the oracle's", result.result.statistics.len()));
    Ok(())
}

/// Two submissions of one identity at once: one is admitted, the other told that it is under way.
async fn same_identity(coordinator: &Coordinator, deployment: &Deployment, dir: &Path) -> Result<()> {
    let presentation = std::fs::read(dir.join("presentation.bin"))?;
    let public = |variant: u8| PublicPart {
        survey: deployment.survey.id(),
        kind: Kind::Presentation,
        withdrawal_key: PublicKey([0; 32]),
        evidence: presentation.clone(),
        share_hashes: ShareHashes { proof: [variant; 32], ..ShareHashes::default() },
    };
    let (one, two) = (public(1), public(2));
    let (one, two) = tokio::join!(coordinator.admit(&one), coordinator.admit(&two));
    let admitted = |r: &Result<Admitted, Error>| matches!(r, Ok(Admitted::Ticket(_)));
    let pending = |r: &Result<Admitted, Error>| match r {
        Err(Error::Refused { problem, .. }) => problem.known() == Some(ProblemKind::IdentityPending),
        _ => false,
    };
    let exactly_one = admitted(&one) && pending(&two) || admitted(&two) && pending(&one);
    ensure!(exactly_one, "of two submissions of one identity not exactly one was admitted");
    Ok(())
}

/// Kills the functions' processes, whose programs are below the folder: the next request starts them anew.
fn kill_functions(folder: &Path) -> Result<()> {
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        // Of other users' processes, and of those that have just ended, nothing can be read.
        let Ok(program) = std::fs::read_link(path.join("exe")) else { continue };
        if program.starts_with(folder) && program.file_name().is_some_and(|n| n == "bootstrap") {
            let pid = path.file_name().unwrap_or_default();
            run(xtask::command::program("kill").arg("-KILL").arg(pid).stdin(Stdio::null()))?;
            killed += 1;
        }
    }
    ensure!(killed > 0, "no function runs as a process of {}", folder.display());
    Ok(())
}

/// Many requests at once get the configured rate, however many instances of the function serve them.
async fn flood(deployment: &Deployment) -> Result<()> {
    let once = HttpOptions {
        retry: RetryPolicy { attempts: 1, ..RetryPolicy::default() },
        ..HttpOptions::default()
    };
    let client = Http::new(once)?;
    let url: Url = format!("{}/v1/submissions/{}", deployment.url, "0".repeat(64)).parse()?;
    let ask = async |url: Url| -> Result<bool> {
        match client.send(&Request::get("the coordinator", url)).await {
            // Unknown: it was let through.
            Err(Error::Refused { problem, .. }) => match problem.known() {
                Some(ProblemKind::NotFound) => Ok(true),
                Some(ProblemKind::RateLimited) => Ok(false),
                _ => bail!("an answer of another kind: {problem}"),
            },
            Ok(_) => bail!("a submission that does not exist has a status"),
            Err(e) => Err(e.into()),
        }
    };
    let start = Instant::now();
    let answers: Vec<bool> =
        stream::iter((0..FLOOD).map(|_| ask(url.clone()))).buffer_unordered(AT_ONCE).try_collect().await?;
    let passed = answers.iter().filter(|p| **p).count();
    let may = f64::from(STATUS_BURST) + start.elapsed().as_secs_f64() * STATUS_PER_SECOND;
    let within = (f64::from(STATUS_BURST) * 0.95..=may * 1.05).contains(&(passed as f64));
    ensure!(within, "{passed} of {FLOOD} requests passed; {may:.0} may");
    Ok(())
}
