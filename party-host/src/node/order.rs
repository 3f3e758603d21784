//! What is read off columns in order: the engine's sort, for each set of rows and column that a plan asks of.

use std::sync::Arc;
use std::time::Duration;

use tercet_mpc::Output;
use tercet_mpc::order::{OrderAnswer, OrderRequest};
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::sha256;

use super::pairs;
use super::plan::Plan;
use super::query::{Selected, project};
use super::session::{EngineWire, SessionError, Wire};
use super::survey::SurveyNode;
use crate::measures;
use crate::sandbox::{Context, PairSecrets, Session};
use crate::store::Segment;

/// What an exchange of the engine takes beyond one between hosts: its thread sleeps and wakes. Measured on two cores,
/// where an exchange took some 0.3 ms and the pace was half of it.
const ENGINE: Duration = Duration::from_micros(150);

/// For one set of rows: each column that was sorted, what was asked, the answer.
pub type Orders = Vec<(u8, OrderRequest, OrderAnswer)>;

/// A session's binding values.
pub struct Bound {
    /// The session's id.
    pub id: [u8; 32],
    /// The parties' nonces, in party order.
    pub nonces: [[u8; 32]; 3],
}

/// Agrees with the peers on what a computation with correlated randomness needs.
pub async fn prepare(
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

/// Reads what the plan asks of each set's values in order, in the order of the sets.
pub async fn read(
    survey: &SurveyNode,
    bound: &Bound,
    mut wire: Wire,
    plan: &Plan,
    segments: &[(u64, Arc<Segment>)],
) -> Result<(Vec<Orders>, Wire), SessionError> {
    if plan.sets.iter().all(|s| s.orders.is_empty()) {
        return Ok((vec![Orders::new(); plan.sets.len()], wire));
    }
    let (context, secrets) = prepare(survey, bound, &mut wire).await?;
    let manifest = survey.descriptor().manifest();
    let mut all = Vec::with_capacity(plan.sets.len());
    let mut number = 0u64;
    for set in &plan.sets {
        let mut orders = Orders::with_capacity(set.orders.len());
        for (column, request) in &set.orders {
            let internal = |what: &str| SessionError::Internal(what.to_owned());
            let bits = manifest
                .columns
                .get(usize::from(*column))
                .map(|c| c.bits)
                .ok_or_else(|| internal("a plan with a column that the survey has not"))?;
            let lane = survey
                .lanes()
                .iter()
                .position(|l| l.output == Output::Value(*column))
                .ok_or_else(|| internal("a column without a lane for its values"))?;
            let rows = {
                let book = survey.book();
                let selected = Selected { selector: book.selector(manifest, &set.filter), lanes: &[lane] };
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
                sandbox.read_order(&session, &agreed, secrets, bits, &rows, &asked, engine_io)
            })
            .await
            .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
            metrics::counter!(measures::ENGINE_ROUNDS).increment(reading.rounds);
            metrics::counter!(measures::ENGINE_GATES).increment(reading.gates);
            tracing::info!(
                rows = set.rows,
                rounds = reading.rounds,
                gates = reading.gates,
                pace_us = context.exchange_ns / 1000,
                "sorted"
            );
            orders.push((*column, request.clone(), reading.answer));
            wire = io.into_wire().ok_or_else(|| internal("the engine kept its channels"))?;
        }
        all.push(orders);
    }
    Ok((all, wire))
}
