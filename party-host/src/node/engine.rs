//! The engine's computations within one session: each has an id of its own, and so keys of its own.

use std::time::Duration;

use tercet_mpc::RingShare;
use tercet_mpc::noise::Laplace;
use tercet_mpc::order::OrderRequest;
use tercet_protocol::codec::Writer;
use tercet_protocol::ids::sha256;

use super::pair_secrets;
use super::session::{EngineWire, Established, SessionError, Wire};
use super::survey::SurveyNode;
use crate::sandbox::{Context, PairSecrets, Reading, Sandbox, SandboxError, Session};

/// Time that an exchange of the engine takes beyond one between hosts: its thread sleeps and wakes. Measured on two
/// cores, where an exchange took 0.3 to 0.4 ms and the pace was half of it or less.
const ENGINE: Duration = Duration::from_micros(300);
/// Most terms of noise that are drawn at a time.
const NOISE_TERMS: usize = 1024;

/// A session in which the engine computes.
pub struct Engine<'s> {
    survey: &'s SurveyNode,
    id: [u8; 32],
    nonces: [[u8; 32]; 3],
    /// `None` while the engine has it, and after the session has failed.
    wire: Option<Wire>,
    /// Agreed on when the first computation needs it.
    drawn: Option<(Context, PairSecrets)>,
    computations: u64,
}

fn lost() -> SessionError {
    SessionError::Internal("the engine kept its channels".into())
}

impl<'s> Engine<'s> {
    /// Computes in this session.
    pub fn new(survey: &'s SurveyNode, session: Established) -> Self {
        let Established { id, nonces, wire, .. } = session;
        Self { survey, id, nonces, wire: Some(wire), drawn: None, computations: 0 }
    }

    /// The channels to the peers.
    pub fn wire(&mut self) -> Result<&mut Wire, SessionError> {
        self.wire.as_mut().ok_or_else(lost)
    }

    /// Gives the channels back.
    pub fn into_wire(self) -> Result<Wire, SessionError> {
        self.wire.ok_or_else(lost)
    }

    /// The seeds of correlated randomness; agreed on with the peers once.
    pub async fn drawn(&mut self) -> Result<(Context, PairSecrets), SessionError> {
        if let Some(known) = &self.drawn {
            return Ok(known.clone());
        }
        let (survey, id, nonces) = (self.survey, self.id, self.nonces);
        let (secrets, pace) = pair_secrets::agree(self.wire()?, survey.me(), &id).await?;
        let context = Context {
            parties: survey.parties().iter().map(|p| p.0.to_vec()).collect(),
            survey: survey.id().as_ref().to_vec(),
            engine: survey.sandbox.digest().as_ref().to_vec(),
            nonces: nonces.iter().map(|n| n.to_vec()).collect(),
            exchange_ns: u64::try_from((pace + ENGINE).as_nanos()).unwrap_or(u64::MAX),
        };
        Ok(self.drawn.insert((context, secrets)).clone())
    }

    async fn compute<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&Sandbox, &Session, EngineWire) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.computations += 1;
        let mut w = Writer::tagged("tercet computation v1");
        w.array(&self.id).u64(self.computations);
        let session = Session { party: self.survey.me(), id: sha256(&[&w.finish()]).to_vec() };
        let sandbox = self.survey.sandbox.clone();
        let io = EngineWire::new(self.wire.take().ok_or_else(lost)?);
        let lent = io.clone();
        let done = tokio::task::spawn_blocking(move || call(&sandbox, &session, lent))
            .await
            .map_err(|e| SessionError::Internal(format!("the engine's thread ended: {e}")))??;
        self.wire = Some(io.into_wire().ok_or_else(lost)?);
        Ok(done)
    }

    /// Opens shares, and nothing else.
    pub async fn open(&mut self, shares: &[RingShare]) -> Result<Vec<u128>, SessionError> {
        if shares.is_empty() {
            return Ok(Vec::new());
        }
        let row: Vec<u8> = shares.iter().flat_map(|s| s.to_lane()).collect();
        let lanes = u32::try_from(shares.len()).unwrap_or(u32::MAX);
        self.compute(move |sandbox, session, io| sandbox.open_sums(session, lanes, &[row], io)).await
    }

    /// Opens for each shared count whether it is at least its limit, and nothing else.
    pub async fn at_least(&mut self, counts: &[RingShare], limit: u64) -> Result<Vec<bool>, SessionError> {
        if counts.is_empty() {
            return Ok(Vec::new());
        }
        let (context, secrets) = self.drawn().await?;
        let limits = vec![limit; counts.len()];
        let counts: Vec<u8> = counts.iter().flat_map(|s| s.to_lane()).collect();
        self.compute(move |sandbox, session, io| {
            sandbox.at_least(session, &context, secrets, &counts, &limits, io)
        })
        .await
    }

    /// Draws noise that no party knows: a share of one term for each distribution.
    pub async fn noise(&mut self, noise: &[Laplace]) -> Result<Vec<RingShare>, SessionError> {
        let mut drawn = Vec::with_capacity(noise.len());
        for terms in noise.chunks(NOISE_TERMS) {
            let (context, secrets) = self.drawn().await?;
            let asked = terms.to_vec();
            let shares = self
                .compute(move |sandbox, session, io| {
                    sandbox.draw_noise(session, &context, secrets, &asked, io)
                })
                .await?;
            if shares.len() != terms.len() {
                return Err(
                    SandboxError::Malformed("another number of noise terms than was asked for").into()
                );
            }
            drawn.extend(shares);
        }
        Ok(drawn)
    }

    /// Answers a request from a column's sorted values.
    pub async fn read_order(
        &mut self,
        bits: u8,
        present: Option<u64>,
        rows: Vec<Vec<u8>>,
        request: &OrderRequest,
    ) -> Result<Reading, SessionError> {
        let (context, secrets) = self.drawn().await?;
        let request = request.clone();
        self.compute(move |sandbox, session, io| {
            sandbox.read_order(session, &context, secrets, bits, present, &rows, &request, io)
        })
        .await
    }
}
