//! Three parties in this process: wires between threads, and each party's costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context as _, Result, anyhow};
use party_host::sandbox::{Direction, PeerIo, SessionOver};
use tercet_mpc::{Abort, PartyId, Peer, Step, Transport};

use crate::proc::thread_cpu;

/// One party's wires to the two others, in this process.
pub struct Wires {
    /// Whose they are.
    pub party: PartyId,
    out: [Sender<Vec<u8>>; 2],
    inbox: [Receiver<Vec<u8>>; 2],
    sent: Arc<Sent>,
}

/// The messages of one party.
#[derive(Default)]
struct Sent {
    frames: AtomicU64,
    bytes: AtomicU64,
    proofs: AtomicU64,
}

impl Wires {
    /// The wires of the three parties. Index 0 is the next party, 1 the previous.
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

    fn put(&self, wire: usize, step: u32, frame: Vec<u8>) -> bool {
        if step == Step::Proof as u32 || step == Step::Verdict as u32 {
            self.sent.proofs.fetch_add(frame.len() as u64, Ordering::Relaxed);
        }
        self.sent.frames.fetch_add(1, Ordering::Relaxed);
        self.sent.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        self.out[wire].send(frame).is_ok()
    }
}

impl PeerIo for Wires {
    fn send(&mut self, to: Direction, step: u32, frame: Vec<u8>) -> Result<(), SessionOver> {
        match self.put(usize::from(to == Direction::Previous), step, frame) {
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
        match self.put(usize::from(to == Peer::Prev), step as u32, frame) {
            true => Ok(()),
            false => Err(Abort::Closed { step }),
        }
    }

    fn recv(&mut self, from: Peer, step: Step) -> Result<Vec<u8>, Abort> {
        let lost = |_| Abort::Transport { peer: from.of(self.party), step, reason: "closed" };
        self.inbox[usize::from(from == Peer::Prev)].recv().map_err(lost)
    }
}

/// The costs of a job for a party.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Seconds of processor time.
    pub cpu: f64,
    /// Frames sent.
    pub frames: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Those of them that were about proofs of multiplications.
    pub proofs: u64,
}

/// Bulk products as a host computes them, for the engine run natively.
impl tercet_mpc::compute::Host for Wires {
    type Vector = tercet_kernels::Vector;
    type Columns = tercet_kernels::Columns;
    type Stream = tercet_mpc::hash::OutputReader;
    type Digest = tercet_mpc::hash::Hasher;
}

/// Runs a job at the three parties, each in a thread of its own.
pub fn at_three(run: impl Fn(PartyId, Wires) -> Result<()> + Sync) -> Result<[Cost; 3]> {
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
                    proofs: sent.proofs.load(Ordering::Relaxed),
                })
            })
        });
        let [a, b, c] =
            threads.map(|t| t.join().map_err(|_| anyhow!("a party's thread ended")).and_then(|r| r));
        Ok([a?, b?, c?])
    })
}
