//! What is read off columns in order: the engine's sort, for each set of rows and column that a plan asks of.

use std::sync::Arc;
use std::time::Duration;

use tercet_mpc::Output;
use tercet_mpc::order::OrderRequest;
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::sha256;
use tercet_protocol::statistic::{Opened, Ordered, Target};

use super::pairs;
use super::plan::Plan;
use super::query::{Selected, project};
use super::session::{EngineWire, SessionError, Wire};
use super::survey::SurveyNode;
use crate::measures;
use crate::sandbox::{Context, PairSecrets, Session};
use crate::store::Segment;

/// What an exchange of the engine takes beyond one between hosts: its thread sleeps and wakes. Measured on two cores,
/// where an exchange took 0.3 to 0.4 ms and the pace was half of it or less.
const ENGINE: Duration = Duration::from_micros(300);

/// For one set of rows, what was read off each column that was sorted.
pub type Orders = Vec<Ordered>;

/// A session's binding values.
pub struct Bound {
    /// The session's id.
    pub id: [u8; 32],
    /// The parties' nonces, in party order.
    pub nonces: [[u8; 32]; 3],
}

/// What computations with correlated randomness need: agreed on when the first one of a session does.
#[derive(Default)]
pub struct Drawn(Option<(Context, PairSecrets)>);

impl Drawn {
    /// Agrees with the peers, if that has not been done.
    pub async fn prepare(
        &mut self,
        survey: &SurveyNode,
        bound: &Bound,
        wire: &mut Wire,
    ) -> Result<(Context, PairSecrets), SessionError> {
        if let Some(known) = &self.0 {
            return Ok(known.clone());
        }
        let fresh = prepare(survey, bound, wire).await?;
        Ok(self.0.insert(fresh).clone())
    }
}

/// Agrees with the peers on what a computation with correlated randomness needs.
async fn prepare(
    survey: &SurveyNode,
    bound: &Bound,
    wire: &mut Wire,
) -> Result<(Context, PairSecrets), SessionError> {
    let (secrets, pace) = pairs::agree(wire, survey.me(), &bound.id).await?;
    let context = Context {
        parties: survey.parties().iter().map(|p| p.0.to_vec()).collect(),
        survey: survey.id().as_ref().to_vec(),
        engine: survey.sandbox.digest().as_ref().to_vec(),
        nonces: bound.nonces.iter().map(|n| n.to_vec()).collect(),
        exchange_ns: u64::try_from((pace + ENGINE).as_nanos()).unwrap_or(u64::MAX),
    };
    Ok((context, secrets))
}

/// Reads what the plan asks of each set's values in order, in the order of the sets. `opened`: the sums of each set.
pub async fn read(
    survey: &SurveyNode,
    bound: &Bound,
    mut wire: Wire,
    drawn: &mut Drawn,
    plan: &Plan,
    opened: &[Opened],
    segments: &[(u64, Arc<Segment>)],
) -> Result<(Vec<Orders>, Wire), SessionError> {
    let manifest = survey.descriptor().manifest();
    // How many values there are follows from the sums that were opened.
    let requests = plan.sets.iter().zip(opened).map(|(set, opened)| {
        let request = |c: u8| {
            let values = manifest.submissions(Target::One(c), opened).unwrap_or_default();
            (c, values, set.request(manifest, c, values))
        };
        set.orders.iter().map(|(c, _)| request(*c)).filter(|(.., r)| !r.is_empty()).collect::<Vec<_>>()
    });
    let requests: Vec<Vec<(u8, u64, OrderRequest)>> = requests.collect();
    if requests.iter().all(Vec::is_empty) {
        return Ok((vec![Orders::new(); plan.sets.len()], wire));
    }
    let (context, secrets) = drawn.prepare(survey, bound, &mut wire).await?;
    let mut all = Vec::with_capacity(plan.sets.len());
    let mut number = 0u64;
    for (set, requests) in plan.sets.iter().zip(&requests) {
        let mut orders = Orders::with_capacity(requests.len());
        for (column, values, request) in requests {
            let internal = |what: &str| SessionError::Internal(what.to_owned());
            let section = manifest
                .columns
                .get(usize::from(*column))
                .ok_or_else(|| internal("a plan with a column that the survey has not"))?;
            let lane = |output: Output| {
                let found = survey.lanes().iter().position(|l| l.output == output);
                found.ok_or_else(|| internal("a column without a lane for its values"))
            };
            let mut lanes = vec![lane(Output::Value(*column))?];
            let present = section.missing.as_ref().map(|_| *values);
            if present.is_some() {
                lanes.push(lane(Output::Present(*column))?);
            }
            let bits = section.bits;
            let rows = {
                let book = survey.book();
                let selector = book.selector(manifest, &set.filter);
                let selected = Selected { selector, lanes: &lanes, also: &[] };
                segments.iter().map(|(_, segment)| project(&book, segment, &selected)).collect::<Vec<_>>()
            };
            // One computation, one id: the keys of its randomness are its own.
            number += 1;
            let mut w = Writer::tagged("tercet computation v1");
            w.array(&bound.id).u64(number);
            let session = Session { party: survey.me(), id: sha256(&[&w.finish()]).to_vec() };
            let (sandbox, secrets) = (survey.sandbox.clone(), secrets.clone());
            let agreed = context.clone();
            let io = EngineWire::new(wire);
            let (engine_io, asked) = (io.clone(), request.clone());
            let reading = tokio::task::spawn_blocking(move || {
                sandbox.read_order(&session, &agreed, secrets, bits, present, &rows, &asked, engine_io)
            })
            .await
            .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
            metrics::counter!(measures::ENGINE_ROUNDS).increment(reading.rounds);
            metrics::counter!(measures::ENGINE_GATES).increment(reading.gates);
            tracing::info!(
                rows = set.rows,
                values,
                rounds = reading.rounds,
                gates = reading.gates,
                pace_us = context.exchange_ns / 1000,
                "sorted"
            );
            let (request, answer) = (request.clone(), reading.answer);
            orders.push(Ordered { column: *column, values: *values, request, answer });
            wire = io.into_wire().ok_or_else(|| internal("the engine kept its channels"))?;
        }
        all.push(orders);
    }
    Ok((all, wire))
}
