//! Many computations at once in one sandbox: none knows of another, and one that is tampered with stops alone.

use std::sync::mpsc::{Receiver, Sender, channel};

use party_host::sandbox::{
    Context, Direction, PairSecrets, PeerIo, Sandbox, SandboxError, Session, SessionOver,
};
use tercet_mpc::order::{OrderAnswer, OrderRequest};
use tercet_mpc::sharing::Ring;
use tercet_mpc::{PartyId, RingShare};
use zeroize::Zeroizing;

use super::parties::sandbox;

/// One party's end of wires in memory. With `fault`, the frame of that number is altered.
struct Wires {
    outbox: [Sender<Vec<u8>>; 2],
    inbox: [Receiver<Vec<u8>>; 2],
    fault: Option<usize>,
    sent: usize,
}

impl Wires {
    /// For three parties: next, then previous.
    fn three(cheat: Option<usize>) -> [Self; 3] {
        let links: Vec<_> = (0..6).map(|_| channel()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = links.into_iter().unzip();
        // Link 2 i goes from party i to its next, link 2 i + 1 from party i to its previous.
        let mut receivers: Vec<_> = receivers.into_iter().map(Some).collect();
        let mut take = |i: usize| receivers[i].take().unwrap();
        [0, 1, 2].map(|i| Self {
            outbox: [senders[2 * i].clone(), senders[2 * i + 1].clone()],
            inbox: [take(2 * ((i + 1) % 3) + 1), take(2 * ((i + 2) % 3))],
            fault: cheat.filter(|_| i == 1),
            sent: 0,
        })
    }
}

impl PeerIo for Wires {
    fn send(&mut self, to: Direction, _: u32, mut frame: Vec<u8>) -> Result<(), SessionOver> {
        self.sent += 1;
        if self.fault == Some(self.sent)
            && let Some(last) = frame.last_mut()
        {
            *last ^= 1;
        }
        let closed = |_| SessionOver("the peer has gone".into());
        self.outbox[usize::from(to == Direction::Previous)].send(frame).map_err(closed)
    }

    fn receive(&mut self, from: Direction, _: u32) -> Result<Vec<u8>, SessionOver> {
        let closed = |_| SessionOver("the peer has gone".into());
        self.inbox[usize::from(from == Direction::Previous)].recv().map_err(closed)
    }
}

/// A column of its own for each computation, and what three parties read off it.
fn compute(
    sandbox: &Sandbox,
    number: u8,
    cheat: Option<usize>,
) -> (OrderAnswer, [Result<OrderAnswer, SandboxError>; 3]) {
    let values: Vec<i64> = (0..60).map(|i| i64::from(number) * 1000 + i * 37 % 101).collect();
    let request = OrderRequest {
        combinations: vec![vec![(1, 1)], vec![(30, 1), (31, 1)], vec![(60, 1)]],
        distances: true,
        mode: true,
        ..Default::default()
    };
    let mut rows: [Vec<u8>; 3] = Default::default();
    for value in &values {
        let masks = [u128::from(number) << 77, *value as u128 * 0x1234_5678_9abc_def1].map(Ring);
        for (row, share) in
            rows.iter_mut().zip(RingShare::split(Ring(i128::from(*value).cast_unsigned()), masks))
        {
            row.extend(share.to_lane());
        }
    }
    let context = Context {
        parties: [1, 2, 3].map(|p| vec![p; 32]).to_vec(),
        survey: vec![4; 32],
        engine: vec![5; 32],
        nonces: [6, 7, 8].map(|n| vec![n + 16 * number; 32]).to_vec(),
        exchange_ns: 100_000,
    };
    let (sandbox, context, request, rows) = (sandbox, &context, &request, &rows);
    let results = std::thread::scope(|scope| {
        let parties = Wires::three(cheat).into_iter().enumerate().map(|(i, wires)| {
            scope.spawn(move || {
                let party = PartyId::from_index(i).unwrap();
                let secret = |p: PartyId| Zeroizing::new([10 + p.index() as u8; 32]);
                let secrets = PairSecrets { next: secret(party.next()), previous: secret(party) };
                let session = Session { party: i as u8, id: vec![number; 32] };
                let rows = [rows[i].clone()];
                let reading =
                    sandbox.read_order(&session, context, secrets, 20, None, &rows, request, wires)?;
                Ok(reading.answer)
            })
        });
        // All begin before one is waited for.
        let parties: Vec<_> = parties.collect();
        parties.into_iter().map(|p| p.join().unwrap()).collect::<Vec<_>>()
    });
    (request.answer(&values), results.try_into().unwrap())
}

#[test]
fn computations_at_once_share_nothing() {
    let sandbox = sandbox();
    // Three instances each, of which a sandbox has 32.
    let all: Vec<_> = std::thread::scope(|scope| {
        let sandbox = &sandbox;
        let cheats = (1..=10u8).map(|n| {
            (
                n,
                if n == 4 {
                    Some(9)
                } else if n == 7 {
                    Some(40)
                } else {
                    None
                },
            )
        });
        let threads: Vec<_> =
            cheats.map(|(n, cheat)| scope.spawn(move || (cheat, compute(sandbox, n, cheat)))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for (cheat, (expected, results)) in all {
        for (party, result) in results.into_iter().enumerate() {
            match cheat {
                None => assert_eq!(result.unwrap(), expected),
                // Party 1 cheats: nobody honest takes a wrong answer, and somebody notices.
                Some(_) if party != 1 => {
                    assert!(result.as_ref().is_err() || result.is_ok_and(|a| a == expected))
                }
                Some(_) => {}
            }
        }
    }
}
