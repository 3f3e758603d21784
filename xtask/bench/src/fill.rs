//! Stores that are filled without providers: agreed batches of random rows, with votes, shares and commitments as three parties
//! would have made them.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use party_host::config::{Config, Keys};
use party_host::keyring::{FileKeyring, Sealer};
use party_host::secrets::WrappingPlace;
use party_host::store::{Segment, Store};
use tercet_mpc::sharing::Ring;
use tercet_mpc::statement::{Lane, Output, Part};
use tercet_mpc::{RingShare, rows};
use tercet_protocol::ids::{Commitment, EntryHash, Nullifier, PublicKey, SubmissionId};
use tercet_protocol::keys::{SigningKey, random};
use tercet_protocol::log::{Accepted, CommittedEntry, EntryBody, LogEntry};
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};
use tercet_stack::Stack;
use zeroize::Zeroizing;

/// Objects written at once.
const WRITING: usize = 16;
/// Entries that are made before any of them is written.
const CHUNK: u64 = 512;

/// The rows to write.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Number of them.
    pub all: usize,
    /// Rows of one batch.
    pub in_batch: usize,
    /// Number of different labels, spread evenly.
    pub labels: usize,
}

/// One party's store and identity, as its configuration says.
pub async fn store(stack: &Stack, operator: usize) -> Result<(Store, SigningKey)> {
    let config = Config::load(Some(&stack.layout().party_config(operator)), [])?;
    let identity = Keys::load(&config.keys, &party_host::aws::load(None).await).await?.identity;
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
    Ok((store, identity))
}

/// Writes the rows to the stores of these parties; gives the number of batches, and the rows' values.
pub async fn fill(
    stack: &Stack,
    survey: &SurveyDescriptor,
    what: Rows,
    parties: &[usize],
) -> Result<(usize, Vec<u128>)> {
    let (mut stores, mut identities) = (Vec::new(), Vec::new());
    for operator in 0..3 {
        let (store, identity) = store(stack, operator).await?;
        ensure!(survey.parties()[operator] == identity.public(), "operator {operator} is another party");
        stores.push(store);
        identities.push(identity);
    }
    let lanes = survey.manifest().lanes();
    let batches = what.all.div_ceil(what.in_batch);
    let (mut values, mut previous) = (Vec::with_capacity(what.all), EntryHash([0; 32]));
    let mut height = 0;
    while (height as usize) < batches {
        let mut made = Vec::new();
        for _ in 0..CHUNK.min(batches as u64 - height) {
            height += 1;
            let rows = what.in_batch.min(what.all - values.len());
            let mut batch = Batch::default();
            for _ in 0..rows {
                let row = values.len();
                let value = u128::from(u64::from_le_bytes(random()?) >> 24);
                values.push(value);
                batch.add(&lanes, value, label(survey.manifest(), row % what.labels))?;
            }
            let body = EntryBody::Batch { accepted: batch.accepted };
            let entry = LogEntry { survey: survey.id(), height, previous, at: height, body };
            let votes = [entry.sign(&identities[0]), entry.sign(&identities[1]), entry.sign(&identities[2])];
            let hash = entry.hash();
            previous = hash;
            let committed = Arc::new(CommittedEntry { entry, votes });
            for party in parties {
                let ids: Vec<_> = committed.entry.accepted().iter().map(|a| a.submission).collect();
                let keys = Zeroizing::new(vec![0; ids.len() * party_host::store::KEY_BYTES]);
                let shares = Zeroizing::new(std::mem::take(&mut batch.shares[*party]));
                let segment = Arc::new(Segment::new(ids, lanes.len() as u32, shares, keys)?);
                made.push((stores[*party].clone(), hash, committed.clone(), segment));
            }
        }
        let id = survey.id();
        stream::iter(made)
            .map(|(store, hash, committed, segment)| async move {
                store.put_segment(id, committed.entry.height, hash, segment).await?;
                store.commit(id, &committed).await?;
                Ok::<_, anyhow::Error>(())
            })
            .buffer_unordered(WRITING)
            .try_collect::<()>()
            .await?;
    }
    Ok((batches, values))
}

/// The rows of one entry.
#[derive(Default)]
struct Batch {
    accepted: Vec<Accepted>,
    shares: [Vec<u8>; 3],
}

impl Batch {
    /// A row: party i gets share i and share i + 1 of each lane. All keys of commitments are zero.
    fn add(&mut self, lanes: &[Lane], value: u128, fields: Vec<String>) -> Result<()> {
        let mut own: [Vec<u128>; 3] = Default::default();
        for lane in lanes {
            let masks = [Ring(u128::from_le_bytes(random()?)), Ring(u128::from_le_bytes(random()?))];
            let shares = RingShare::split(Ring(lane_value(lane, value)?), masks);
            for (party, share) in shares.iter().enumerate() {
                self.shares[party].extend(share.to_lane());
                own[party].push(share.own.0);
            }
        }
        self.accepted.push(Accepted {
            submission: SubmissionId(random()?),
            nullifier: Nullifier(random()?),
            replaces: None,
            fields,
            rows: own.map(|lanes| Commitment(rows::commitment(&[0; 32], lanes))),
            withdrawal_key: PublicKey([0; 32]),
        });
        Ok(())
    }
}

/// The label with this number: a value of each field that the survey lists values of.
fn label(manifest: &SurveyManifest, mut number: usize) -> Vec<String> {
    let value = |field: &tercet_protocol::survey::FieldSection| {
        let values = &field.values;
        let value = values.get(number % values.len().max(1)).cloned().unwrap_or_default();
        number /= values.len().max(1);
        value
    };
    manifest.fields.iter().map(value).collect()
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

/// An integer of 10^-scale in decimal, without trailing zeros.
pub fn decimal(n: u128, scale: u32) -> String {
    let unit = 10u128.pow(scale);
    let text = format!("{}.{:0width$}", n / unit, n % unit, width = scale as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
