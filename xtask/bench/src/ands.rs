//! AND gates with malicious security: the cost of one for a party, in the sandbox and native, and the additional cost
//! of verifying.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use party_host::sandbox::{Context, Limits, PairSecrets, Sandbox, Session};
use tercet_mpc::compute::{self, Compute, SharedColumn, Tuning};
use tercet_mpc::order::OrderRequest;
use tercet_mpc::prss::{Prss, SessionContext, SessionKeys};
use tercet_mpc::sharing::Ring;
use tercet_mpc::{PartyId, RingShare};
use tercet_protocol::keys::random;
use zeroize::Zeroizing;

use crate::Cli;
use crate::report::{Limit, Report};
use crate::wires::{Cost, Wires, at_three};

/// As three parties on one machine find it.
const TUNING: Tuning = Tuning { exchange_ns: 400_000, gate_ps: 8_000, chunk_words: 1 << 16 };

/// Bits of the sorted values.
const BITS: u8 = 47;

/// A column shared among three parties, and the session that sorts it.
struct Job {
    values: Vec<i64>,
    rows: [Vec<u8>; 3],
    secrets: [[u8; 32]; 3],
    context: SessionContext,
    request: OrderRequest,
}

impl Job {
    fn new(count: usize) -> Result<Self> {
        let mut job = Self {
            values: Vec::with_capacity(count),
            rows: Default::default(),
            secrets: [random()?, random()?, random()?],
            context: SessionContext {
                session: random()?,
                parties: [random()?, random()?, random()?],
                survey: random()?,
                engine: random()?,
                nonces: [random()?, random()?, random()?],
            },
            request: OrderRequest {
                combinations: vec![
                    vec![(1, 1)],
                    vec![(count.div_ceil(2) as u64, 1), (count as u64 / 2 + 1, 1)],
                    vec![(count as u64, 1)],
                ],
                distances: true,
                ..Default::default()
            },
        };
        for _ in 0..count {
            let value = (u64::from_le_bytes(random()?) >> (64 - u32::from(BITS))).cast_signed();
            job.values.push(value);
            let masks = [u128::from_le_bytes(random()?), u128::from_le_bytes(random()?)].map(Ring);
            let split = RingShare::split(Ring(i128::from(value).cast_unsigned()), masks);
            for (row, share) in job.rows.iter_mut().zip(split) {
                row.extend(share.to_lane());
            }
        }
        Ok(job)
    }

    fn sandboxed(&self, sandbox: &Sandbox, party: PartyId, wires: Wires) -> Result<u64> {
        let context = Context {
            parties: self.context.parties.map(Vec::from).to_vec(),
            survey: self.context.survey.to_vec(),
            engine: self.context.engine.to_vec(),
            nonces: self.context.nonces.map(Vec::from).to_vec(),
            exchange_ns: TUNING.exchange_ns,
        };
        let secrets = PairSecrets {
            next: Zeroizing::new(self.secrets[party.next().index()]),
            previous: Zeroizing::new(self.secrets[party.index()]),
        };
        let session = Session { party: party.index() as u8, id: self.context.session.to_vec() };
        let rows = [self.rows[party.index()].clone()];
        let reading =
            sandbox.read_order(&session, &context, secrets, BITS, None, &rows, &self.request, wires)?;
        ensure!(reading.answer == self.request.answer(&self.values), "the sandbox gave a wrong answer");
        Ok(reading.gates)
    }

    fn native(&self, party: PartyId, mut wires: Wires) -> Result<u64> {
        let rows = self.rows[party.index()].as_chunks().0;
        let values: Vec<RingShare> = rows.iter().map(RingShare::from_lane).collect();
        let keys = SessionKeys::derive(
            party,
            &self.secrets[party.index()],
            &self.secrets[party.next().index()],
            &self.context,
        )?;
        let mut session = tercet_mpc::Session::new(party, self.context.session);
        let mut computation = Compute::new(&mut session, Prss::new(keys), &mut wires, TUNING);
        let column = SharedColumn { values: &values, bits: BITS, present: None };
        let answer = compute::answer(&mut computation, &column, &self.request)?;
        let gates = computation.gate_words() * 64;
        computation.finish()?;
        ensure!(answer == self.request.answer(&self.values), "the engine gave a wrong answer");
        Ok(gates)
    }
}

/// Gates, and the three parties' costs.
fn measured(run: impl Fn(PartyId, Wires) -> Result<u64> + Sync) -> Result<(u64, [Cost; 3])> {
    let gates = Mutex::new(0);
    let costs = at_three(|party, wires| {
        let count = run(party, wires)?;
        *gates.lock().ok().context("a party panicked")? = count;
        Ok(())
    })?;
    let gates = *gates.lock().ok().context("a party panicked")?;
    Ok((gates, costs))
}

/// A sort by three parties of this process.
pub struct Sorted {
    /// AND gates.
    pub gates: u64,
    /// The costs of each party.
    pub costs: [Cost; 3],
}

impl Sorted {
    /// Seconds of processor time of a party.
    pub fn cpu(&self) -> f64 {
        self.costs.iter().map(|c| c.cpu).sum::<f64>() / 3.0
    }

    fn most(&self, get: fn(&Cost) -> u64) -> f64 {
        self.costs.iter().map(get).max().unwrap_or_default() as f64
    }
}

/// Sorts this many random rows in the sandbox, then natively.
pub fn sort(cli: &Cli, rows: usize) -> Result<[Sorted; 2]> {
    let limits = Limits { memory: 4 << 30, compute: Duration::from_secs(600) };
    let sandbox = Sandbox::load(&cli.engine, None, limits)?;
    let job = Job::new(rows)?;
    eprintln!("sorting {rows} rows in the sandbox");
    let (gates, costs) = measured(|party, wires| job.sandboxed(&sandbox, party, wires))?;
    let sandboxed = Sorted { gates, costs };
    eprintln!("sorting {rows} rows natively");
    let (gates, costs) = measured(|party, wires| job.native(party, wires))?;
    Ok([sandboxed, Sorted { gates, costs }])
}

/// Measures a sort: nearly all of it is gates.
pub fn run(cli: &Cli) -> Result<Report> {
    let rows = cli.rows.first().copied().unwrap_or(if cli.quick { 10_000 } else { 100_000 });
    let mut report = Report::new(
        "ands",
        format!(
            "sort of {rows} rows of 48 bits, minimum, median, maximum and Gini's weighted sum, verified against a \
             malicious party, answer equal to clear text; processor time of one party, mean of three"
        ),
    );
    let [sandboxed, native] = sort(cli, rows)?;
    let (gates, cpu) = (sandboxed.gates as f64, sandboxed.cpu());
    report.figure("gates", gates / 1e6, "million");
    report.figure("sandbox.cpu", cpu, "s");
    report.limited("sandbox.rate", gates / cpu / 1e6, "million gates/s", Limit::AtLeast(40.0));
    report.figure("sent", sandboxed.most(|c| c.bytes) / 1e6, "MB");
    report.figure("frames", sandboxed.most(|c| c.frames), "frames");
    report.limited(
        "proofs_to_gate_bits",
        sandboxed.most(|c| c.proofs) / (gates / 8.0) * 100.0,
        "percent",
        Limit::AtMost(1.0),
    );
    report.figure("native.cpu", native.cpu(), "s");
    report.figure("native.rate", native.gates as f64 / native.cpu() / 1e6, "million gates/s");
    report.figure("sandbox_to_native", cpu / native.cpu(), "times");
    Ok(report)
}
