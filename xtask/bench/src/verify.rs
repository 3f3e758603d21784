//! One party's check of a batch: in the sandbox, with the real engine, and the same code native.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use party_host::sandbox::{Direction, Limits, PeerIo, Sandbox, Session, SessionOver, Submission, Verdict};
use tercet_mpc::{Abort, HashAlg, PartyId, Peer, ShareHashes, Statement, Step, Transport};
use tercet_protocol::keys::random;

use crate::Cli;
use crate::proc::thread_cpu;
use crate::report::{Limit, Report, spread};
use crate::statements::case;

/// Sizes of batches, and how many of each are measured.
const BATCHES: [(usize, usize); 3] = [(1, 41), (64, 9), (256, 3)];

/// One party's wires to the two others, in this process.
struct Wires {
    party: PartyId,
    out: [Sender<Vec<u8>>; 2],
    inbox: [Receiver<Vec<u8>>; 2],
    sent: Arc<Sent>,
}

/// What one party sent.
#[derive(Default)]
struct Sent {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Wires {
    /// Of the three parties. Index 0 is the next party, 1 the previous.
    fn three() -> [Self; 3] {
        let (next_out, mut next_in): (Vec<_>, Vec<_>) = (0..3).map(|_| channel()).unzip();
        let (previous_out, mut previous_in): (Vec<_>, Vec<_>) = (0..3).map(|_| channel()).unzip();
        // Party i hears its next party's "previous" wire and its previous party's "next" wire.
        previous_in.rotate_left(1);
        next_in.rotate_right(1);
        let mut next_out = next_out.into_iter();
        let mut previous_out = previous_out.into_iter();
        let mut next_in = next_in.into_iter();
        let mut previous_in = previous_in.into_iter();
        PartyId::ALL.map(|party| {
            let wire = "three wires were made above";
            // Unwrap safety: each iterator has three items.
            #[expect(clippy::expect_used, reason = "three wires were made above")]
            let wires = Self {
                party,
                out: [next_out.next().expect(wire), previous_out.next().expect(wire)],
                inbox: [previous_in.next().expect(wire), next_in.next().expect(wire)],
                sent: Arc::default(),
            };
            wires
        })
    }

    fn put(&self, wire: usize, frame: Vec<u8>) -> bool {
        self.sent.frames.fetch_add(1, Ordering::Relaxed);
        self.sent.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        self.out[wire].send(frame).is_ok()
    }
}

impl PeerIo for Wires {
    fn send(&mut self, to: Direction, _step: u32, frame: Vec<u8>) -> Result<(), SessionOver> {
        match self.put(usize::from(to == Direction::Previous), frame) {
            true => Ok(()),
            false => Err(SessionOver("the peer is gone".into())),
        }
    }

    fn receive(&mut self, from: Direction, _step: u32) -> Result<Vec<u8>, SessionOver> {
        self.inbox[usize::from(from == Direction::Previous)]
            .recv()
            .map_err(|_| SessionOver("the peer is gone".into()))
    }
}

impl Transport for Wires {
    fn send(&mut self, to: Peer, step: Step, frame: Vec<u8>) -> Result<(), Abort> {
        match self.put(usize::from(to == Peer::Prev), frame) {
            true => Ok(()),
            false => Err(Abort::Closed { step }),
        }
    }

    fn recv(&mut self, from: Peer, step: Step) -> Result<Vec<u8>, Abort> {
        let lost = |_| Abort::Transport { peer: from.of(self.party), step, reason: "closed" };
        self.inbox[usize::from(from == Peer::Prev)].recv().map_err(lost)
    }
}

/// What one batch cost a party.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    frames: u64,
    bytes: u64,
}

/// Runs a batch at the three parties, each in a thread of its own.
fn at_three(run: impl Fn(PartyId, Wires) -> Result<()> + Sync) -> Result<[Cost; 3]> {
    let run = &run;
    std::thread::scope(|scope| {
        let threads = Wires::three().map(|wires| {
            scope.spawn(move || {
                let sent = wires.sent.clone();
                let party = wires.party;
                let before = thread_cpu();
                run(party, wires).with_context(|| party.to_string())?;
                let cpu = thread_cpu() - before;
                Ok(Cost {
                    cpu,
                    frames: sent.frames.load(Ordering::Relaxed),
                    bytes: sent.bytes.load(Ordering::Relaxed),
                })
            })
        });
        let [a, b, c] =
            threads.map(|t| t.join().map_err(|_| anyhow!("a party's thread ended")).and_then(|r| r));
        Ok([a?, b?, c?])
    })
}

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

fn sandboxed(
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

/// What the engine does in its sandbox, from the same bytes to the same bytes.
fn native(batch: &[Submission], id: [u8; 32], party: PartyId, mut wires: Wires) -> Result<()> {
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
            tercet_mpc::Verdict::Accepted(a) => Some(
                a.lanes()
                    .iter()
                    .flat_map(|l| [l.own.0.to_le_bytes(), l.next.0.to_le_bytes()])
                    .flatten()
                    .collect(),
            ),
            tercet_mpc::Verdict::Rejected { .. } => None,
        })
        .collect();
    match std::hint::black_box(rows).iter().all(Option::is_some) {
        true => Ok(()),
        false => bail!("an honest submission was refused"),
    }
}

/// Median over the rounds of the parties' mean CPU milliseconds per submission, and one round's traffic.
fn measured(
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
