//! Three parties in one process, for tests: threads, channels, and an interceptor that sees and changes every frame.

extern crate std;

use alloc::boxed::Box;
use alloc::vec::Vec;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::PartyId;
use crate::net::{Abort, Peer, Step, Transport};

/// A frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub from: PartyId,
    /// The receiver.
    pub to: PartyId,
    /// Its step.
    pub step: Step,
    /// Number of frames that went between the two before.
    pub number: usize,
}

/// The fate of a frame.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// It arrives like this.
    Frame(Vec<u8>),
    /// It never arrives: the receiver's wait ends in a transport error, as after a timeout.
    Lost,
}

type Interceptor = Box<dyn Fn(Envelope, Vec<u8>) -> Delivery + Send + Sync>;

/// Three parties and the wires between them.
pub struct TestWorld {
    seed: u64,
    interceptor: Interceptor,
}

impl TestWorld {
    /// Honest wires. The seed is printed if a party panics.
    pub fn new(seed: u64) -> Self {
        Self::intercepted(seed, |_, frame| Delivery::Frame(frame))
    }

    /// Every frame goes through `interceptor`.
    pub fn intercepted(
        seed: u64,
        interceptor: impl Fn(Envelope, Vec<u8>) -> Delivery + Send + Sync + 'static,
    ) -> Self {
        Self { seed, interceptor: Box::new(interceptor) }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// 32 bytes that depend on the seed and the label.
    pub fn bytes(&self, label: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("tercet-mpc test randomness");
        *hasher.update(&self.seed.to_le_bytes()).update(label.as_bytes()).finalize().as_bytes()
    }

    /// Runs the same program at the three parties, each in a thread of its own, and gives their results.
    ///
    /// # Panics
    /// If a party panics.
    pub fn run<R: Send>(&self, program: impl Fn(PartyId, &mut TestNet<'_>) -> R + Sync) -> [R; 3] {
        let program = &program;
        std::thread::scope(|scope| {
            let threads = self.wires().map(|mut net| scope.spawn(move || program(net.party, &mut net)));
            threads.map(|t| match t.join() {
                Ok(result) => result,
                Err(_) => panic!("a party panicked; seed {}", self.seed),
            })
        })
    }

    fn wires(&self) -> [TestNet<'_>; 3] {
        // Entry i of each: from party i to its next, from party i to its previous party.
        let (next_out, mut next_in) = channels();
        let (prev_out, mut prev_in) = channels();
        // Party i hears its next party's "previous" wire and its previous party's "next" wire.
        prev_in.rotate_left(1);
        next_in.rotate_right(1);
        let ends = next_out.into_iter().zip(prev_out).zip(prev_in.into_iter().zip(next_in));
        let mut ends = ends.zip(PartyId::ALL).map(|((out, inbox), party)| TestNet {
            party,
            interceptor: &self.interceptor,
            out: out.into(),
            sent: [0; 2],
            inbox: inbox.into(),
        });
        // Unwrap safety: there are three of each.
        #[expect(clippy::unwrap_used, reason = "three wires were made above")]
        core::array::from_fn(|_| ends.next().unwrap())
    }
}

fn channels() -> (Vec<Sender<Wire>>, Vec<Receiver<Wire>>) {
    (0..3).map(|_| channel()).unzip()
}

type Wire = Option<Vec<u8>>;

/// One party's wires; index 0 is the next party, 1 the previous.
pub struct TestNet<'a> {
    party: PartyId,
    interceptor: &'a Interceptor,
    out: [Sender<Wire>; 2],
    sent: [usize; 2],
    inbox: [Receiver<Wire>; 2],
}

impl Transport for TestNet<'_> {
    fn send(&mut self, to: Peer, step: Step, frame: Vec<u8>) -> Result<(), Abort> {
        let wire = to as usize;
        let envelope = Envelope { from: self.party, to: to.of(self.party), step, number: self.sent[wire] };
        self.sent[wire] += 1;
        let frame = match (self.interceptor)(envelope, frame) {
            Delivery::Frame(frame) => Some(frame),
            Delivery::Lost => None,
        };
        self.out[wire].send(frame).map_err(|_| Abort::Transport {
            peer: to.of(self.party),
            step,
            reason: "closed",
        })
    }

    fn recv(&mut self, from: Peer, step: Step) -> Result<Vec<u8>, Abort> {
        let lost = |reason| Abort::Transport { peer: from.of(self.party), step, reason };
        match self.inbox[from as usize].recv() {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(lost("timed out")),
            Err(_) => Err(lost("closed")),
        }
    }
}
