//! Peer links over real loopback sockets: sessions between well-behaved parties. What strangers and a party gone
//! bad can do is in `peer/hostile.rs`.

mod hostile;
mod rogue;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use party_host::peer::{
    AbortReason, Channel, IncomingSession, KnownPeer, Limits, PeerConfig, PeerError, PeerLinks, SessionId,
    StartError,
};
use tercet_protocol::ids::PublicKey;
use tercet_protocol::keys::SigningKey;
use tokio::net::TcpListener;
use tokio::time::Instant;

fn key(seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&[seed; 32]).unwrap())
}

fn id(n: u64) -> SessionId {
    let mut out = [0; 32];
    out[..8].copy_from_slice(&n.to_be_bytes());
    SessionId(out)
}

/// Far enough away that only a hang meets it.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn known(seed: u8, at: SocketAddr) -> KnownPeer {
    KnownPeer { key: key(seed).public(), next_key: None, address: at.to_string() }
}

fn start(listener: TcpListener, seed: u8, peers: &[(u8, SocketAddr)], limits: &Limits) -> PeerLinks {
    let peers = peers.iter().map(|(seed, at)| known(*seed, *at)).collect();
    let config = PeerConfig { key: key(seed), peers, limits: limits.clone(), rtt: None };
    PeerLinks::start(listener, config).unwrap()
}

/// Three parties with keys from the seeds 1, 2 and 3, all linked.
async fn parties(limits: &Limits) -> [PeerLinks; 3] {
    let listeners = [listener().await, listener().await, listener().await];
    let at = [1, 2, 3].map(|seed| (seed, listeners[usize::from(seed) - 1].local_addr().unwrap()));
    let mut seeds = [1u8, 2, 3].into_iter();
    listeners.map(|listener| {
        let seed = seeds.next().unwrap();
        let others: Vec<_> = at.iter().copied().filter(|(s, _)| *s != seed).collect();
        start(listener, seed, &others, limits)
    })
}

async fn pair(limits: &Limits) -> [PeerLinks; 2] {
    let listeners = [listener().await, listener().await];
    let at = [1, 2].map(|seed| (seed, listeners[usize::from(seed) - 1].local_addr().unwrap()));
    let [a, b] = listeners;
    [start(a, 1, &at[1..], limits), start(b, 2, &at[..1], limits)]
}

/// A session from the first to the second, who has seed 2.
async fn session(a: &PeerLinks, b: &PeerLinks, n: u64) -> (Channel, Channel) {
    let opened = a.open(key(2).public(), id(n), Bytes::from_static(b"hello")).await.unwrap();
    let IncomingSession { peer, session, hello, channel } = b.accept().await.unwrap();
    assert_eq!((peer, session, &hello[..]), (key(1).public(), id(n), &b"hello"[..]));
    (opened, channel)
}

/// Shows that the two still work together.
async fn works(a: &PeerLinks, b: &PeerLinks, n: u64) {
    let (mut x, mut y) = session(a, b, n).await;
    x.send(1, Bytes::from_static(b"ping"), far()).await.unwrap();
    assert_eq!(y.recv(1, far()).await.unwrap(), "ping");
    y.send(1, Bytes::from_static(b"pong"), far()).await.unwrap();
    assert_eq!(x.recv(1, far()).await.unwrap(), "pong");
}

/// Deterministic bytes, different for each seed.
fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(step).take(len).collect::<Vec<u8>>().into()
}

#[tokio::test]
async fn every_pair_talks_both_ways() {
    let links = parties(&Limits::default()).await;
    for (n, (from, to)) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)].into_iter().enumerate() {
        let (sender, receiver) = (key(from + 1).public(), key(to + 1).public());
        let (from, to) = (&links[usize::from(from)], &links[usize::from(to)]);
        let hello = noise(n as u64, 1000);
        let mut x = from.open(receiver, id(n as u64), hello.clone()).await.unwrap();
        let mut y = to.accept().await.unwrap();
        assert_eq!((y.peer, y.session, y.hello), (sender, id(n as u64), hello));
        assert_eq!((x.peer(), y.channel.peer()), (receiver, sender));
        for round in 0..20u32 {
            let size = 1 << (round % 18);
            x.send(round, noise(u64::from(round), size), far()).await.unwrap();
            y.channel.send(round, noise(u64::from(round) + 99, size), far()).await.unwrap();
            assert_eq!(y.channel.recv(round, far()).await.unwrap(), noise(u64::from(round), size));
            assert_eq!(x.recv(round, far()).await.unwrap(), noise(u64::from(round) + 99, size));
        }
        let (a, b) = (x.handle().traffic(), y.channel.handle().traffic());
        assert_eq!((a.sent_bytes, a.sent_frames), (b.received_bytes, b.received_frames));
        assert_eq!((b.sent_bytes, b.sent_frames), (a.received_bytes, a.received_frames));
        assert_eq!((a.sent_frames, a.received_frames), (21, 20));
    }
    assert!(links.iter().all(|l| l.status().iter().filter(|s| s.connected).count() == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_with_back_pressure() {
    const PIECE: usize = 1 << 20;
    let limits = Limits::default();
    let [a, b] = pair(&limits).await;
    for from_opener in [true, false] {
        let (x, y) = session(&a, &b, u64::from(from_opener)).await;
        let ((mut tx, _x), (_y, mut rx)) =
            if from_opener { (x.split(), y.split()) } else { (y.split(), x.split()) };
        // Nobody reads: the sender comes to a halt when queue, stream window and HTTP/2's own buffer are full.
        let mut sent = 0;
        while let Ok(done) = tokio::time::timeout(
            Duration::from_millis(300),
            tx.send(sent, noise(u64::from(sent), PIECE), far()),
        )
        .await
        {
            done.unwrap();
            sent += 1;
            assert!(sent < 64, "no back-pressure");
        }
        let bound = (limits.stream_window + limits.send_queue) as usize + (2 << 20) + PIECE;
        assert!(sent as usize * PIECE <= bound, "{sent} MiB accepted while nobody reads");
        let rest = tokio::spawn(async move {
            for step in sent..64 {
                tx.send(step, noise(u64::from(step), PIECE), far()).await.unwrap();
            }
        });
        for step in 0..64 {
            assert_eq!(rx.recv(step, far()).await.unwrap(), noise(u64::from(step), PIECE), "{step}");
        }
        rest.await.unwrap();
        assert_eq!(rx.recv(64, far()).await, Err(PeerError::Closed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_frame_is_exactly_the_limit() {
    let limits = Limits { max_frame: 10 << 20, ..Limits::default() };
    let [a, b] = pair(&limits).await;
    let (mut x, mut y) = session(&a, &b, 1).await;
    let frame = noise(7, limits.max_frame);
    let sent = frame.clone();
    let sender = tokio::spawn(async move { x.send(1, sent, far()).await.map(|()| x) });
    assert_eq!(y.recv(1, far()).await.unwrap(), frame);
    let mut x = sender.await.unwrap().unwrap();
    let long = noise(7, limits.max_frame + 1);
    let fault = PeerError::FrameTooLarge { step: 2, len: limits.max_frame + 1, max: limits.max_frame };
    assert_eq!(x.send(2, long, far()).await, Err(fault));
    assert!(matches!(y.recv(2, far()).await, Err(PeerError::Aborted(r)) if r.code() == "frame-too-large"));
    let (mut x, _y) = session(&a, &b, 2).await;
    assert_eq!(x.send(u32::MAX, Bytes::new(), far()).await, Err(PeerError::ReservedStep(u32::MAX)));
    works(&a, &b, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_sessions_at_once() {
    let links: Arc<[PeerLinks; 2]> = Arc::new(pair(&Limits::default()).await);
    let acceptor = {
        let links = links.clone();
        tokio::spawn(async move {
            let mut echoes = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let mut incoming = links[1].accept().await.unwrap();
                echoes.spawn(async move {
                    for step in 0..5 {
                        let frame = incoming.channel.recv(step, far()).await.unwrap();
                        incoming.channel.send(step, frame, far()).await.unwrap();
                    }
                });
            }
            echoes.join_all().await;
        })
    };
    let mut openers = tokio::task::JoinSet::new();
    for n in 0..50u64 {
        let links = links.clone();
        openers.spawn(async move {
            let mut channel = links[0].open(key(2).public(), id(n), Bytes::new()).await.unwrap();
            for step in 0..5 {
                let frame = noise(n * 5 + u64::from(step), 50_000 * step as usize + n as usize);
                channel.send(step, frame.clone(), far()).await.unwrap();
                assert_eq!(channel.recv(step, far()).await.unwrap(), frame, "session {n} step {step}");
            }
        });
    }
    openers.join_all().await;
    acceptor.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_sessions_hold_up_nobody() {
    let limits = Limits { max_sessions: 8, stream_window: 1 << 16, send_queue: 1 << 16, ..Limits::default() };
    let [a, b] = pair(&limits).await;
    let mut stuck = Vec::new();
    for n in 0..7 {
        let (mut x, y) = session(&a, &b, n).await;
        let full = async {
            for step in 0.. {
                x.send(step, noise(n, 1 << 16), far()).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_millis(100), full).await.unwrap_err();
        stuck.push((x, y));
    }
    works(&a, &b, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocking_threads_take_part() {
    let [a, b] = pair(&Limits::default()).await;
    let (mut x, mut y) = session(&a, &b, 1).await;
    let one = tokio::task::spawn_blocking(move || {
        for step in 0..100 {
            x.blocking_send(step, noise(u64::from(step), 5000), far()).unwrap();
            assert_eq!(x.blocking_recv(step, far()).unwrap(), noise(u64::from(step) + 1, 5000));
        }
    });
    let two = tokio::task::spawn_blocking(move || {
        for step in 0..100 {
            assert_eq!(y.blocking_recv(step, far()).unwrap(), noise(u64::from(step), 5000));
            y.blocking_send(step, noise(u64::from(step) + 1, 5000), far()).unwrap();
        }
    });
    one.await.unwrap();
    two.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_reaches_both_sides_at_once() {
    let [a, b] = pair(&Limits::default()).await;
    let reason = AbortReason::new("mac-mismatch", "batch 7");
    for abort_by_opener in [true, false] {
        let (x, y) = session(&a, &b, u64::from(abort_by_opener)).await;
        let (mut mine, mut theirs) = if abort_by_opener { (x, y) } else { (y, x) };
        let handle = mine.handle();
        // Both sides wait for a frame that never comes; the abort wakes both, one of them a blocked thread.
        let stopped = tokio::task::spawn_blocking(move || (mine.blocking_recv(1, far()), mine));
        let aborted = tokio::spawn(async move { (theirs.recv(1, far()).await, theirs) });
        handle.abort(reason.clone());
        let (result, mut mine) = stopped.await.unwrap();
        assert_eq!(result, Err(PeerError::Stopped(reason.clone())));
        let (result, mut theirs) = aborted.await.unwrap();
        assert_eq!(result, Err(PeerError::Aborted(reason.clone())));
        // The fault sticks to both halves.
        assert_eq!(mine.send(1, Bytes::new(), far()).await, Err(PeerError::Stopped(reason.clone())));
        assert_eq!(theirs.send(1, Bytes::new(), far()).await, Err(PeerError::Aborted(reason.clone())));
        assert_eq!(theirs.handle().faulted().await, PeerError::Aborted(reason.clone()));
    }
    works(&a, &b, 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_gets_through_full_pipes() {
    let limits = Limits { stream_window: 1 << 16, send_queue: 1 << 16, ..Limits::default() };
    let [a, b] = pair(&limits).await;
    let (mut x, mut y) = session(&a, &b, 1).await;
    // Both send without reading until nothing moves any more.
    for channel in [&mut x, &mut y] {
        let full = async {
            for step in 0.. {
                channel.send(step, noise(1, 1 << 16), far()).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_millis(200), full).await.unwrap_err();
    }
    let reason = AbortReason::new("deadline", "");
    x.abort(reason.clone());
    // The other side may still send what fits, and then meets the abort, whatever it does.
    let mut step = 0;
    let fault = loop {
        match y.recv(step, far()).await {
            Ok(_) => step += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault, PeerError::Aborted(reason));
    works(&a, &b, 2).await;
}

#[tokio::test]
async fn declining_is_aborting() {
    let [a, b] = pair(&Limits::default()).await;
    let (mut x, y) = session(&a, &b, 1).await;
    let reason = AbortReason::new("height", "this party is at 17");
    y.abort(reason.clone());
    assert_eq!(x.recv(1, far()).await, Err(PeerError::Aborted(reason)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_arrives_after_the_sender_is_gone() {
    let [a, b] = pair(&Limits::default()).await;
    for dropped_by_opener in [true, false] {
        let (x, y) = session(&a, &b, u64::from(dropped_by_opener)).await;
        let (mut mine, mut theirs) = if dropped_by_opener { (x, y) } else { (y, x) };
        for step in 0..10 {
            mine.send(step, noise(u64::from(step), 300_000), far()).await.unwrap();
        }
        drop(mine);
        for step in 0..10 {
            assert_eq!(theirs.recv(step, far()).await.unwrap(), noise(u64::from(step), 300_000));
        }
        assert_eq!(theirs.recv(10, far()).await, Err(PeerError::Closed));
    }
}

#[tokio::test]
async fn a_late_frame_meets_the_deadline() {
    let [a, b] = pair(&Limits::default()).await;
    let (mut x, mut y) = session(&a, &b, 1).await;
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(x.recv(3, soon).await, Err(PeerError::ReceiveDeadline(3)));
    assert!(matches!(y.recv(3, far()).await, Err(PeerError::Aborted(r)) if r.code() == "receive-deadline"));
    // A peer that takes nothing, likewise.
    let (mut x, mut y) = session(&a, &b, 2).await;
    let frame = noise(1, 64 << 20);
    x.send(1, frame.clone(), far()).await.unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(x.send(2, frame, soon).await, Err(PeerError::SendDeadline(2)));
    assert!(matches!(y.recv(1, far()).await, Err(PeerError::Aborted(r)) if r.code() == "send-deadline"));
    works(&a, &b, 3).await;
}

#[tokio::test]
async fn a_dropped_recv_loses_nothing() {
    let [a, b] = pair(&Limits::default()).await;
    let (mut x, mut y) = session(&a, &b, 1).await;
    let frame = noise(1, 3 << 20);
    let sent = frame.clone();
    let sender = tokio::spawn(async move { x.send(1, sent, far()).await.map(|()| x) });
    // Gives up after each piece, again and again.
    let got = loop {
        tokio::select! {
            biased;
            got = y.recv(1, far()) => break got.unwrap(),
            () = tokio::task::yield_now() => {}
        }
    };
    assert_eq!(got, frame);
    sender.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_wrong_step_ends_the_session_for_both() {
    let [a, b] = pair(&Limits::default()).await;
    let (mut x, mut y) = session(&a, &b, 1).await;
    x.send(4, Bytes::new(), far()).await.unwrap();
    assert_eq!(y.recv(5, far()).await, Err(PeerError::WrongStep { expected: 5, got: 4 }));
    assert_eq!(y.recv(4, far()).await, Err(PeerError::WrongStep { expected: 5, got: 4 }));
    assert!(matches!(x.recv(1, far()).await, Err(PeerError::Aborted(r)) if r.code() == "wrong-step"));
    works(&a, &b, 2).await;
}

#[tokio::test]
async fn limits_refuse_with_a_reason() {
    let limits = Limits { accept_queue: 1, max_sessions: 3, max_hello: 10, ..Limits::default() };
    let [a, b] = pair(&limits).await;
    let two = key(2).public();
    let stranger = key(9).public();
    assert_eq!(a.open(stranger, id(0), Bytes::new()).await.unwrap_err(), PeerError::UnknownPeer(stranger));
    let long = a.open(two, id(0), noise(1, 11)).await.unwrap_err();
    assert_eq!(long, PeerError::HelloTooLarge { len: 11, max: 10 });
    // Nobody accepts: one session waits, the next is refused; the waiting one is not harmed.
    let mut waiting = a.open(two, id(1), Bytes::new()).await.unwrap();
    waiting.send(1, Bytes::from_static(b"x"), far()).await.unwrap();
    let mut refused = a.open(two, id(2), Bytes::new()).await.unwrap();
    let fault = refused.recv(1, far()).await.unwrap_err();
    assert!(matches!(&fault, PeerError::Refused(r) if r.code() == "busy"), "{fault}");
    let mut again = a.open(two, id(1), Bytes::new()).await.unwrap();
    let fault = again.recv(1, far()).await.unwrap_err();
    assert!(matches!(&fault, PeerError::Refused(r) if r.code() == "duplicate-session"), "{fault}");
    // Three are open here, though two have failed: their places are free once they are dropped.
    assert_eq!(a.open(two, id(3), Bytes::new()).await.unwrap_err(), PeerError::TooManySessions(3));
    let handles = [refused.handle(), again.handle()];
    drop((refused, again));
    // The places come back with the streams' ends, whoever keeps a handle.
    let freed = loop {
        match a.open(two, id(3), Bytes::new()).await {
            Ok(channel) => break channel,
            Err(PeerError::TooManySessions(3)) => tokio::task::yield_now().await,
            Err(fault) => panic!("{fault}"),
        }
    };
    assert!(handles.iter().all(|h| matches!(h.fault(), Some(PeerError::Refused(_)))));
    drop(freed);
    let mut taken = b.accept().await.unwrap();
    assert_eq!(
        (taken.session, taken.channel.recv(1, far()).await.unwrap()),
        (id(1), Bytes::from_static(b"x"))
    );
}

#[tokio::test]
async fn bad_configurations_are_refused() {
    let config = |peers, limits| PeerConfig { key: key(1), peers, limits, rtt: None };
    let peer = |seed| known(seed, SocketAddr::from(([127, 0, 0, 1], 1)));
    let own = PeerLinks::start(listener().await, config(vec![peer(1)], Limits::default()));
    assert!(matches!(own, Err(StartError::DuplicateKey(_))));
    let twice = PeerLinks::start(listener().await, config(vec![peer(2), peer(2)], Limits::default()));
    assert!(matches!(twice, Err(StartError::DuplicateKey(_))));
    let next = KnownPeer { next_key: Some(key(2).public()), ..peer(3) };
    let twice = PeerLinks::start(listener().await, config(vec![peer(2), next], Limits::default()));
    assert!(matches!(twice, Err(StartError::DuplicateKey(_))));
    let bad = [
        Limits { max_sessions: 0, ..Limits::default() },
        Limits { stream_window: 100, ..Limits::default() },
        Limits { max_sessions: 1000, ..Limits::default() },
        Limits { max_frame: usize::MAX, ..Limits::default() },
        Limits { accept_queue: usize::MAX, ..Limits::default() },
        Limits { keep_alive: Duration::ZERO, ..Limits::default() },
    ];
    for limits in bad {
        let shown = format!("{limits:?}");
        let started = PeerLinks::start(listener().await, config(vec![peer(2)], limits));
        assert!(matches!(started, Err(StartError::Limits(_))), "{shown}");
    }
    let shown = format!("{:?}", config(vec![peer(2)], Limits::default()));
    assert!(shown.contains(&key(1).public().to_string()) && !shown.contains(&"01".repeat(32)), "{shown}");
}

#[tokio::test]
async fn a_restarted_party_is_found_again() {
    let limits = Limits::default();
    let (la, lb) = (listener().await, listener().await);
    let (at_a, at_b) = (la.local_addr().unwrap(), lb.local_addr().unwrap());
    let a = start(la, 1, &[(2, at_b)], &limits);
    let b = start(lb, 2, &[(1, at_a)], &limits);
    let (mut x, y) = session(&a, &b, 1).await;
    let (mut x2, y2) = session(&a, &b, 2).await;
    drop(b);
    assert_eq!(x.recv(1, far()).await, Err(PeerError::Lost));
    assert_eq!(x2.recv(1, far()).await, Err(PeerError::Lost));
    drop((y, y2));
    let b = start(TcpListener::bind(at_b).await.unwrap(), 2, &[(1, at_a)], &limits);
    works(&a, &b, 3).await;
    let mut back = b.open(key(1).public(), id(4), Bytes::new()).await.unwrap();
    back.send(1, Bytes::from_static(b"x"), far()).await.unwrap();
    assert_eq!(a.accept().await.unwrap().channel.recv(1, far()).await.unwrap(), "x");
    // Shut down in good order: nothing more is accepted, waiting calls end.
    b.shutdown();
    assert!(b.accept().await.is_none());
    assert_eq!(back.recv(1, far()).await, Err(PeerError::Lost));
}

/// While a key is being changed its party may present either, and is the same peer; afterwards the new one only.
#[tokio::test]
async fn a_key_is_changed_with_an_overlap() {
    let limits = Limits { backoff_max: Duration::from_millis(100), ..Limits::default() };
    let (la, lb) = (listener().await, listener().await);
    let (at_a, at_b) = (la.local_addr().unwrap(), lb.local_addr().unwrap());
    let changing = KnownPeer { next_key: Some(key(9).public()), ..known(2, at_b) };
    let config = |seed, peers| PeerConfig { key: key(seed), peers, limits: limits.clone(), rtt: None };
    let a = PeerLinks::start(la, config(1, vec![changing])).unwrap();
    let b = start(lb, 2, &[(1, at_a)], &limits);
    let (mut x, y) = session(&a, &b, 1).await;
    drop(b);
    assert_eq!(x.recv(1, far()).await, Err(PeerError::Lost));
    drop((x, y));
    // The same party with its next key: the other calls it by the old one until it takes the next manifest.
    let b = start(TcpListener::bind(at_b).await.unwrap(), 9, &[(1, at_a)], &limits);
    works(&a, &b, 2).await;
    let (x, mut back) = session(&a, &b, 3).await;
    assert_eq!(back.peer(), key(1).public());
    back.send(1, Bytes::from_static(b"x"), far()).await.unwrap();
    drop((a, x));
    while back.recv(1, far()).await.is_ok() {}
    let listening = TcpListener::bind(at_a).await.unwrap();
    let a = PeerLinks::start(listening, config(1, vec![known(9, at_b)])).unwrap();
    let (mut x, mut y) = {
        let x = a.open(key(9).public(), id(4), Bytes::new()).await.unwrap();
        (x, b.accept().await.unwrap().channel)
    };
    x.send(1, Bytes::from_static(b"y"), far()).await.unwrap();
    assert_eq!(y.recv(1, far()).await.unwrap(), Bytes::from_static(b"y"));
}

#[tokio::test]
async fn an_absent_party_is_unreachable() {
    let limits = Limits { open_timeout: Duration::from_millis(300), ..Limits::default() };
    let gone = listener().await.local_addr().unwrap();
    let a = start(listener().await, 1, &[(2, gone)], &limits);
    let fault = a.open(key(2).public(), id(1), Bytes::new()).await.unwrap_err();
    assert!(matches!(&fault, PeerError::Unreachable { peer, .. } if *peer == key(2).public()), "{fault}");
    let status = a.status();
    assert!(!status[0].connected && matches!(status[0].fault, Some(PeerError::Unreachable { .. })));
}

#[tokio::test]
async fn the_round_trip_can_be_lengthened() {
    let rtt = Duration::from_millis(60);
    let listeners = [listener().await, listener().await];
    let [la, lb] = &listeners;
    let peers = [(2, lb.local_addr().unwrap()), (1, la.local_addr().unwrap())];
    let mut peers = peers.map(|(seed, at)| (3 - seed, vec![known(seed, at)])).into_iter();
    let [a, b] = listeners.map(|listener| {
        let (seed, peers) = peers.next().unwrap();
        let config = PeerConfig { key: key(seed), peers, limits: Limits::default(), rtt: Some(rtt) };
        PeerLinks::start(listener, config).unwrap()
    });
    let (mut x, mut y) = session(&a, &b, 1).await;
    let begun = std::time::Instant::now();
    x.send(1, Bytes::from_static(b"ping"), far()).await.unwrap();
    y.recv(1, far()).await.unwrap();
    y.send(1, Bytes::from_static(b"pong"), far()).await.unwrap();
    x.recv(1, far()).await.unwrap();
    assert!(begun.elapsed() >= rtt, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let exported = recorder.handle();
    // Of this thread, on which a single-threaded test runs everything.
    let _guard = metrics::set_default_local_recorder(&recorder);
    let [a, b] = pair(&Limits::default()).await;
    let (mut x, mut y) = session(&a, &b, 1).await;
    x.send(1, noise(1, 992), far()).await.unwrap();
    y.recv(1, far()).await.unwrap();
    let two = hex::encode(&key(2).public().0[..4]);
    let one = hex::encode(&key(1).public().0[..4]);
    let text = exported.render();
    // 8 + 5 bytes of the opening message, 8 + 992 of the frame.
    for line in [
        format!("tercet_peer_sent_bytes_total{{peer=\"{two}\"}} 1013"),
        format!("tercet_peer_received_bytes_total{{peer=\"{one}\"}} 1013"),
        format!("tercet_peer_sessions{{peer=\"{two}\"}} 1"),
        format!("tercet_peer_connected{{peer=\"{two}\"}} 1"),
    ] {
        assert!(text.contains(&line), "{line} not in\n{text}");
    }
    assert_eq!(y.recv(2, Instant::now()).await, Err(PeerError::ReceiveDeadline(2)));
    let fault = format!("tercet_peer_session_faults_total{{peer=\"{one}\",code=\"receive-deadline\"}} 1");
    assert!(exported.render().contains(&fault), "{}", exported.render());
}

/// The key of the party with this seed.
fn public(seed: u8) -> PublicKey {
    key(seed).public()
}
