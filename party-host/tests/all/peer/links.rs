//! Configurations, restarts, keys that change, absent peers, and the metrics.

use super::*;

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

/// A party that moves, one that leaves, one that comes: the links that stay the same stay up.
#[tokio::test]
async fn peers_are_replaced_while_sessions_run() {
    let limits = Limits::default();
    let listeners = [listener().await, listener().await, listener().await];
    let at = [1, 2, 3].map(|seed| (seed, listeners[usize::from(seed) - 1].local_addr().unwrap()));
    let [a, b, c] = listeners;
    let (a, b) = (start(a, 1, &at[1..2], &limits), start(b, 2, &at[..1], &limits));
    let c = start(c, 3, &at[..1], &limits);
    let (mut x, mut y) = session(&a, &b, 0).await;
    let three = key(3).public();
    assert_eq!(a.open(three, id(1), Bytes::new()).await.unwrap_err(), PeerError::UnknownPeer(three));
    assert!(matches!(
        a.replace(vec![known(2, at[1].1), known(2, at[2].1)]),
        Err(StartError::DuplicateKey(_))
    ));

    a.replace(vec![known(2, at[1].1), known(3, at[2].1)]).unwrap();
    x.send(1, Bytes::from_static(b"still here"), far()).await.unwrap();
    assert_eq!(y.recv(1, far()).await.unwrap(), "still here");
    let to_c = a.open(three, id(2), Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(c.accept().await.unwrap().session, id(2));
    let to_a = c.open(key(1).public(), id(3), Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(a.accept().await.unwrap().session, id(3));
    drop((to_c, to_a));

    // The second party is none any more: its sessions end, and it is not let in again.
    a.replace(vec![known(3, at[2].1)]).unwrap();
    assert_eq!(
        a.open(key(2).public(), id(4), Bytes::new()).await.unwrap_err(),
        PeerError::UnknownPeer(key(2).public())
    );
    assert!(x.recv(2, far()).await.is_err() && y.recv(2, far()).await.is_err());
    let refused = async {
        let mut opened = b.open(key(1).public(), id(5), Bytes::new()).await?;
        opened.recv(1, far()).await
    };
    assert!(refused.await.is_err());
    works_with(&a, &c, 6).await;
}

/// Shows that a session to the party with seed 3 works.
async fn works_with(a: &PeerLinks, c: &PeerLinks, n: u64) {
    let mut x = a.open(key(3).public(), id(n), Bytes::from_static(b"hello")).await.unwrap();
    let mut y = c.accept().await.unwrap().channel;
    x.send(1, Bytes::from_static(b"ping"), far()).await.unwrap();
    assert_eq!(y.recv(1, far()).await.unwrap(), "ping");
}
