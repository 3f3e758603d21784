//! Statistics over many stored rows, through coordinator and parties, right after their start and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use party_host::config::{Config, Keys};
use party_host::keyring::{FileKeyring, Sealer};
use party_host::secrets::WrappingPlace;
use party_host::store::{Segment, Store};
use tercet_client::coordinator::Coordinator;
use tercet_client::http::HttpOptions;
use tercet_client::query::{QueryOptions, ResultFile, query};
use tercet_mpc::RingShare;
use tercet_mpc::sharing::Ring;
use tercet_mpc::statement::{Lane, Output, Part};
use tercet_protocol::ids::{Commitment, EntryHash, Nullifier, PublicKey, SubmissionId};
use tercet_protocol::keys::random;
use tercet_protocol::log::{Accepted, CommittedEntry, EntryBody, LogEntry};
use tercet_protocol::survey::SurveyDescriptor;
use tercet_stack::Stack;
use zeroize::Zeroizing;

use crate::report::{Limit, Report, spread};
use crate::{Cli, proc, system};

/// Rows of a batch, as parties commit them under load (their default bound).
const ROWS: usize = 128;
/// Objects written at once while the stores are filled.
const WRITING: usize = 16;
/// Queries after the first.
const WARM: usize = 7;
/// Longest wait for the parties to find each other after their start.
pub const TOGETHER: Duration = Duration::from_secs(60);

/// Measures it.
pub fn run(cli: &Cli) -> Result<Report> {
    let rows = if cli.quick { 10_000 } else { 100_000 };
    let folder = tempfile::tempdir()?;
    let mut stack = system::start(cli, folder.path(), 1)?;
    for i in 0..3 {
        stack.kill(&format!("party-{i}"))?;
    }
    let runtime = system::runtime()?;
    eprintln!("filling three stores with {rows} rows");
    let clock = Instant::now();
    let survey = stack.descriptor()?;
    let (batches, values) = runtime.block_on(fill(&stack, &survey, rows))?;
    let scale = survey.manifest().columns.first().context("a survey without columns")?.places();
    let sum = decimal(values.iter().sum(), u32::from(scale));
    let filling = clock.elapsed().as_secs_f64();

    let clock = Instant::now();
    for i in 0..3 {
        stack.restart(&format!("party-{i}"))?;
    }
    let starting = clock.elapsed().as_secs_f64() / 3.0;
    let (cold, warm) = runtime.block_on(measure(&stack, &survey, rows, &sum))?;
    let mut report = Report::new(
        "query",
        format!(
            "all statistics of the sample survey over {rows} rows in {batches} batches, asked at the coordinator, three \
             signatures verified, sum equal to the clear-text sum"
        ),
    );
    report.limited("cold", cold, "s", Limit::AtMost(1.0));
    let (min, median, max) = spread(&warm);
    report.limited("warm.median", median, "s", Limit::AtMost(1.0));
    report.figure("warm.min", min, "s");
    report.figure("warm.max", max, "s");
    report.figure("party.start", starting, "s");
    for i in 0..3 {
        let name = format!("party-{i}");
        let pid = stack.pid(&name).with_context(|| format!("{name} does not run"))?;
        report.figure(format!("{name}.peak_memory"), proc::peak_memory(pid)?, "MB");
    }
    report.figure("filling", filling, "s");
    stack.stop();
    Ok(report)
}

/// The objects that one party stores at one height.
struct Stored {
    height: u64,
    hash: EntryHash,
    committed: Arc<CommittedEntry>,
    segment: Arc<Segment>,
}

/// Writes agreed batches of random rows to the three stores; gives their number, and the rows' values.
pub async fn fill(stack: &Stack, survey: &SurveyDescriptor, rows: usize) -> Result<(usize, Vec<u128>)> {
    let mut stores = Vec::with_capacity(3);
    let mut identities = Vec::with_capacity(3);
    for operator in 0..3 {
        let config = Config::load(Some(&stack.layout().party_config(operator)), [])?;
        let identity = Keys::load(&config.keys, &party_host::aws::load(None).await).await?.identity;
        ensure!(
            survey.parties()[operator] == identity.public(),
            "operator {operator} is not party {operator}"
        );
        let (access, secret) = stack.layout().s3_key(operator)?;
        let credentials =
            SharedCredentialsProvider::new(Credentials::new(access, secret, None, None, "data folder"));
        let WrappingPlace::File(key_file) = &config.keys.store else {
            bail!("a local system wraps its keys in files");
        };
        let keyring = Arc::new(FileKeyring::open_or_create(key_file)?);
        let store =
            Store::open(&config.store, Some(credentials), Sealer::new(keyring, identity.public())).await?;
        store.ensure_bucket().await?;
        stores.push(store);
        identities.push(identity);
    }

    let lanes = survey.manifest().lanes();
    let mut previous = EntryHash([0; 32]);
    let mut values = Vec::with_capacity(rows);
    let mut all: [Vec<Stored>; 3] = Default::default();
    for height in 1..=rows.div_ceil(ROWS) as u64 {
        let here = ROWS.min(rows - (height as usize - 1) * ROWS);
        let mut accepted = Vec::with_capacity(here);
        let mut shares: [Vec<u8>; 3] = Default::default();
        for _ in 0..here {
            accepted.push(Accepted {
                submission: SubmissionId(random()?),
                nullifier: Nullifier(random()?),
                replaces: None,
                fields: Vec::new(),
                rows: [Commitment([0; 32]); 3],
                withdrawal_key: PublicKey([0; 32]),
            });
            let value = u128::from(u64::from_le_bytes(random()?) >> 24);
            values.push(value);
            for lane in &lanes {
                share(lane_value(lane, value)?, &mut shares)?;
            }
        }
        let ids: Vec<_> = accepted.iter().map(|a| a.submission).collect();
        let body = EntryBody::Batch { accepted };
        let entry = LogEntry { survey: survey.id(), height, previous, at: height, body };
        let votes = [entry.sign(&identities[0]), entry.sign(&identities[1]), entry.sign(&identities[2])];
        let hash = entry.hash();
        previous = hash;
        let committed = Arc::new(CommittedEntry { entry, votes });
        for (party, shares) in all.iter_mut().zip(shares) {
            let segment = Arc::new(Segment::new(
                ids.clone(),
                lanes.len() as u32,
                Zeroizing::new(shares),
                Zeroizing::new(vec![0; ids.len() * 64]),
            )?);
            party.push(Stored { height, hash, committed: committed.clone(), segment });
        }
    }
    let batches = all[0].len();
    let id = survey.id();
    let writes =
        stores.iter().zip(all).flat_map(|(store, party)| party.into_iter().map(move |s| (store.clone(), s)));
    stream::iter(writes)
        .map(|(store, s)| async move {
            store.put_segment(id, s.height, s.hash, s.segment).await?;
            store.commit(id, &s.committed).await?;
            Ok::<_, anyhow::Error>(())
        })
        .buffer_unordered(WRITING)
        .try_collect::<()>()
        .await?;
    Ok((batches, values))
}

/// The number in a lane of a row with this value.
pub fn lane_value(lane: &Lane, value: u128) -> Result<u128> {
    // Values are below 2^40 here, so squares fit.
    let whole = match lane.output {
        Output::Value(0) => value,
        Output::Square(0) => value * value,
        other => bail!("the sample survey has an output that this benchmark does not know: {other:?}"),
    };
    Ok(match lane.part {
        Part::Whole => whole,
        Part::Low => whole & u128::from(u64::MAX),
        Part::High => whole >> 64,
    })
}

/// Appends a number's shares to the three parties' rows: party i gets share i and share i + 1.
fn share(value: u128, rows: &mut [Vec<u8>; 3]) -> Result<()> {
    let masks = [Ring(u128::from_le_bytes(random()?)), Ring(u128::from_le_bytes(random()?))];
    for (row, share) in rows.iter_mut().zip(RingShare::split(Ring(value), masks)) {
        row.extend(share.to_lane());
    }
    Ok(())
}

/// An integer of 10^-scale in decimal, without trailing zeros.
fn decimal(n: u128, scale: u32) -> String {
    let unit = 10u128.pow(scale);
    let text = format!("{}.{:0width$}", n / unit, n % unit, width = scale as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

async fn measure(
    stack: &Stack,
    survey: &SurveyDescriptor,
    rows: usize,
    sum: &str,
) -> Result<(f64, Vec<f64>)> {
    let coordinator = Coordinator::new(&stack.coordinator(), HttpOptions::default())?;
    let options = QueryOptions { poll: Duration::from_millis(10), ..QueryOptions::default() };
    let started = Instant::now();
    // The first query that the parties can hold together: their links come up in the seconds after the start.
    let cold = loop {
        let clock = Instant::now();
        match query(&coordinator, survey, &[], options).await {
            Ok(result) => {
                let seconds = clock.elapsed().as_secs_f64();
                check(&result, rows, sum)?;
                break seconds;
            }
            Err(e) if started.elapsed() > TOGETHER => return Err(e.into()),
            Err(e) => {
                eprintln!("not yet: {e}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    };
    let mut warm = Vec::with_capacity(WARM);
    for _ in 0..WARM {
        let clock = Instant::now();
        let result = query(&coordinator, survey, &[], options).await?;
        warm.push(clock.elapsed().as_secs_f64());
        check(&result, rows, sum)?;
    }
    Ok((cold, warm))
}

/// The released count and sum are the true ones; the signatures are verified already.
fn check(file: &ResultFile, rows: usize, sum: &str) -> Result<()> {
    let of = |name: &str| {
        file.result.statistics.iter().find(|s| s.statistic == name).and_then(|s| s.value.clone())
    };
    let (count, released) = (of("count"), of("sum"));
    ensure!(
        count.as_deref() == Some(&rows.to_string()),
        "{rows} rows are stored, the parties counted {count:?}"
    );
    ensure!(released.as_deref() == Some(sum), "the sum is {sum}, the parties released {released:?}");
    Ok(())
}
