//! Many computations at once in one sandbox: none knows of another, and one that is tampered with stops alone.

use std::sync::mpsc::{Receiver, Sender, channel};

use party_host::sandbox::{
    AbortCode, Context, Direction, PairSecrets, PeerIo, Sandbox, SandboxError, Session, SessionOver,
};
use tercet_mpc::noise::Laplace;
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

/// A column for each computation, and the numbers that three parties read off it.
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
    let results = three(number, cheat, |party, session, context, secrets, wires| {
        let rows = [rows[party.index()].clone()];
        let reading = sandbox.read_order(session, context, secrets, 20, None, &rows, &request, wires)?;
        Ok(reading.answer)
    });
    (request.answer(&values), results)
}

/// One computation at three parties, each in a thread of its own.
fn three<T: Send>(
    number: u8,
    cheat: Option<usize>,
    program: impl Fn(PartyId, &Session, &Context, PairSecrets, Wires) -> Result<T, SandboxError> + Sync,
) -> [Result<T, SandboxError>; 3] {
    let context = Context {
        parties: [1, 2, 3].map(|p| vec![p; 32]).to_vec(),
        survey: vec![4; 32],
        engine: vec![5; 32],
        nonces: [6, 7, 8].map(|n| [vec![n; 31], vec![number]].concat()).to_vec(),
        exchange_ns: 100_000,
    };
    let (context, program) = (&context, &program);
    std::thread::scope(|scope| {
        // All begin before one is waited for.
        let parties = Wires::three(cheat).into_iter().enumerate();
        let parties: Vec<_> = parties
            .map(|(i, wires)| {
                scope.spawn(move || {
                    let party = PartyId::from_index(i).unwrap();
                    let secret = |p: PartyId| Zeroizing::new([10 + p.index() as u8; 32]);
                    let secrets = PairSecrets { next: secret(party.next()), previous: secret(party) };
                    let session = Session { party: i as u8, id: vec![number; 32] };
                    program(party, &session, context, secrets, wires)
                })
            })
            .collect();
        let results: Vec<_> = parties.into_iter().map(|p| p.join().unwrap()).collect();
        results.try_into().unwrap_or_else(|_| panic!("three parties"))
    })
}

/// The shares of values that all three hold.
fn shared(values: &[u128]) -> [Vec<RingShare>; 3] {
    let mut all: [Vec<RingShare>; 3] = Default::default();
    for value in values {
        let split = RingShare::split(Ring(*value), [Ring(value << 70 | 5), Ring(77)]);
        all.iter_mut().zip(split).for_each(|(to, share)| to.push(share));
    }
    all
}

#[test]
fn counts_are_decided_and_nothing_else() {
    let sandbox = sandbox();
    let counts = shared(&[613, 9, 10, 0]);
    let decided = three(20, None, |party, session, context, secrets, wires| {
        let counts: Vec<u8> = counts[party.index()].iter().flat_map(|c| c.to_lane()).collect();
        sandbox.at_least(session, context, secrets, &counts, &[10, 10, 10, 1], wires)
    });
    for decided in decided {
        assert_eq!(decided.unwrap(), [true, false, true, false]);
    }
    // A count without a limit.
    let refused = three(21, None, |party, session, context, secrets, wires| {
        let counts: Vec<u8> = counts[party.index()].iter().flat_map(|c| c.to_lane()).collect();
        sandbox.at_least(session, context, secrets, &counts, &[10], wires)
    });
    assert!(refused.iter().all(|r| matches!(r, Err(SandboxError::Abort { code: AbortCode::Input, .. }))));
}

/// Noise comes as shares, one for each distribution, that fit together; a party that cheats gets nobody to go on.
#[test]
fn noise_is_drawn_as_shares_or_not_at_all() {
    let sandbox = sandbox();
    let noise = [Laplace::new("0.5".parse().unwrap(), 3).unwrap(); 40];
    let draw = |number, cheat| {
        three(number, cheat, |_, session, context, secrets, wires| {
            sandbox.draw_noise(session, context, secrets, &noise, wires)
        })
    };
    let drawn = draw(22, None).map(Result::unwrap);
    let values: Vec<i128> = (0..noise.len())
        .map(|i| RingShare::reconstruct(drawn.each_ref().map(|d| d[i])).unwrap().0.cast_signed())
        .collect();
    assert!(values.iter().any(|v| *v != values[0]) && values.iter().all(|v| v.abs() < 1000), "{values:?}");
    for cheat in [1, 3, 6] {
        let drawn = draw(30 + cheat as u8, Some(cheat));
        assert!(drawn[0].is_err() || drawn[2].is_err());
        // Who goes on has what it would have had.
        for party in [0, 2] {
            assert!(drawn[party].as_ref().map_or(true, |d| d.len() == noise.len()));
        }
    }
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
