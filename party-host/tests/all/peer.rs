//! Peer links over real loopback sockets: sessions between well-behaved parties. `peer/hostile.rs` has strangers and
//! a party gone bad.

mod hostile;
mod links;
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

/// The key of the party with this seed.
fn public(seed: u8) -> PublicKey {
    key(seed).public()
}
