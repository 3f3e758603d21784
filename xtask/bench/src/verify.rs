//! One party's check of a batch: in the sandbox, with the real engine, and the same code native.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use party_host::sandbox::{Limits, Sandbox, Session, Submission, Verdict};
use tercet_mpc::{HashAlg, PartyId, ShareHashes, Statement};
use tercet_protocol::keys::random;

use crate::Cli;
use crate::report::{Limit, Report, spread};
use crate::statements::case;
use crate::wires::{Cost, Wires, at_three};

/// Sizes of batches, and how many of each are measured.
const BATCHES: [(usize, usize); 3] = [(1, 41), (64, 9), (256, 3)];

/// The batch as each party's host has it.
fn batches(size: usize) -> Result<[Vec<Submission>; 3]> {
    let mut all: [Vec<Submission>; 3] = Default::default();
    for i in 0..size as u64 {
        let case = case(HashAlg::Sha256, i)?;
        let context: [u8; 32] = random()?;
        let proven = tercet_mpc::prove(&case.statement, &case.witness, &context, &random()?, &mut |_| {})?;
        for (batch, private) in all.iter_mut().zip(&proven.private) {
            batch.push(Submission {
                statement: case.statement.encode(),
                context: context.to_vec(),
                share_hashes: proven.public.encode().to_vec(),
                private: private.to_vec(),
            });
        }
    }
    Ok(all)
}

pub fn sandboxed(
    sandbox: &Sandbox,
    batch: &[Submission],
    id: [u8; 32],
    party: PartyId,
    wires: Wires,
) -> Result<()> {
    let session = Session { party: party.index() as u8, id: id.to_vec() };
    let verdicts = sandbox.verify_batch(&session, batch, wires)?;
    match verdicts.iter().all(|v| matches!(v, Verdict::Accepted(_))) {
        true => Ok(()),
        false => bail!("an honest submission was refused"),
    }
}

/// The engine's work in its sandbox, from the same bytes to the same bytes.
pub fn native(batch: &[Submission], id: [u8; 32], party: PartyId, mut wires: Wires) -> Result<()> {
    let parsed: Vec<(Statement, [u8; 32], ShareHashes)> = batch
        .iter()
        .map(|s| {
            let hashes = ShareHashes::decode(&s.share_hashes).context("unreadable share hashes")?;
            Ok((Statement::decode(&s.statement)?, s.context[..].try_into()?, hashes))
        })
        .collect::<Result<_>>()?;
    let items: Vec<_> = parsed
        .iter()
        .zip(batch)
        .map(|((statement, ctx, public), s)| tercet_mpc::Item {
            statement,
            ctx,
            public,
            private: Some(&s.private),
        })
        .collect();
    let mut session = tercet_mpc::Session::new(party, id);
    let verdicts = tercet_mpc::verify_batch(&mut session, &items, &mut wires)?;
    let rows: Vec<Option<Vec<u8>>> = verdicts
        .iter()
        .map(|v| match v {
            tercet_mpc::Verdict::Accepted(a) => Some(a.lanes().iter().flat_map(|l| l.to_lane()).collect()),
            tercet_mpc::Verdict::Rejected { .. } => None,
        })
        .collect();
    match std::hint::black_box(rows).iter().all(Option::is_some) {
        true => Ok(()),
        false => bail!("an honest submission was refused"),
    }
}

/// Median over the rounds of the parties' mean CPU milliseconds per submission, and one round's traffic.
pub fn measured(
    rounds: usize,
    size: usize,
    run: impl Fn(PartyId, Wires) -> Result<()> + Sync,
) -> Result<(f64, [Cost; 3])> {
    // The first run fills caches and pools.
    let traffic = at_three(&run)?;
    let mut cpu = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let costs = at_three(&run)?;
        cpu.push(costs.iter().map(|c| c.cpu).sum::<f64>() / 3.0 / size as f64 * 1e3);
    }
    Ok((spread(&cpu).1, traffic))
}

/// Measures the check.
pub fn run(cli: &Cli) -> Result<Report> {
    let limits = Limits { memory: 256 << 20, compute: Duration::from_secs(60) };
    let sandbox = Sandbox::load(&cli.engine, None, limits)?;
    let mut report = Report::new(
        "verify",
        "check of SHA-256 statements (value and square), CPU of one party per submission, mean of three parties",
    );
    for (size, rounds) in BATCHES {
        let rounds = if cli.quick { rounds.div_ceil(4) } else { rounds };
        eprintln!("checking {rounds} batches of {size}");
        let batch = batches(size)?;
        // Frames are bound to the session, so every run may have the same id here: nothing is kept.
        let id = random()?;
        let (sandbox_ms, traffic) = measured(rounds, size, |party, wires| {
            sandboxed(&sandbox, &batch[party.index()], id, party, wires)
        })?;
        let (native_ms, _) =
            measured(rounds, size, |party, wires| native(&batch[party.index()], id, party, wires))?;
        let name = |what: &str| format!("batch_{size}.{what}");
        report.limited(name("sandbox_cpu"), sandbox_ms, "ms", Limit::AtMost(1.0));
        report.figure(name("native_cpu"), native_ms, "ms");
        report.limited(name("sandbox_to_native"), sandbox_ms / native_ms, "times", Limit::AtMost(2.0));
        let most = traffic.iter().map(|c| c.bytes).max().unwrap_or_default();
        report.limited(
            name("sent_per_submission"),
            most as f64 / size as f64,
            "bytes",
            Limit::AtMost(6_000.0),
        );
        let frames = traffic.iter().map(|c| c.frames).max().unwrap_or_default();
        // An exchange is one frame to each of the two peers.
        report.limited(name("exchanges"), frames as f64 / 2.0, "exchanges", Limit::AtMost(1.0));
    }
    Ok(report)
}
