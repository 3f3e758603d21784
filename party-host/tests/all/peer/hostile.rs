//! Strangers at the door, and a party that holds a good key and breaks the rules.

use std::io;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rogue::{Call, Guise, Rogue, frame, handshake};
use super::*;

/// Reads until the other side hangs up, one way or another.
async fn hung_up(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut sink = Vec::new();
    let _ = tokio::time::timeout_at(far(), stream.read_to_end(&mut sink)).await.expect("still connected");
}

#[tokio::test]
async fn strangers_are_turned_away_without_harm() {
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let [a, b] = pair(&limits).await;
    let at = b.local_addr();
    let garbage = noise(5, 10_000);
    let texts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &garbage,
        // A TLS record that promises more than it brings, then silence: ended by the handshake timeout.
        b"\x16\x03\x01\x40\x00\x01",
        b"",
    ];
    for text in texts {
        let mut tcp = TcpStream::connect(at).await.unwrap();
        tcp.write_all(text).await.unwrap();
        hung_up(&mut tcp).await;
    }
    works(&a, &b, 1).await;
    assert!(tokio::time::timeout(Duration::ZERO, b.accept()).await.is_err(), "a stranger got in");
}

#[tokio::test]
async fn tls_without_a_known_key_is_refused() {
    let [a, b] = pair(&Limits::default()).await;
    let proper = || Guise::proper(1);
    let bad = [
        ("TLS 1.2", Guise { version: &rustls::version::TLS12, raw: false, key: None, ..proper() }),
        ("no key", Guise { key: None, ..proper() }),
        ("unknown key", Guise::proper(9)),
        ("a known key without its private half", Guise { claim: Some(public(1).0), ..Guise::proper(9) }),
        ("no ALPN", Guise { alpn: None, ..proper() }),
        ("HTTP/1.1", Guise { alpn: Some(b"http/1.1"), ..proper() }),
        ("X.509 expected", Guise { raw: false, ..proper() }),
    ];
    for (what, guise) in bad {
        // In TLS 1.3 the client may think itself connected until it reads.
        if let Ok(mut tls) = handshake(b.local_addr(), guise).await {
            let mut byte = [0];
            let read = tokio::time::timeout_at(far(), tls.read(&mut byte)).await.expect(what);
            assert!(matches!(read, Ok(0) | Err(_)), "{what} was let in");
        }
    }
    let mut tls = handshake(b.local_addr(), proper()).await.unwrap();
    assert_eq!(tls.read(&mut [0]).await.unwrap(), 1, "the rogue itself is sound");
    works(&a, &b, 1).await;
}

#[tokio::test]
async fn wrong_keys_are_refused_in_both_directions() {
    let limits = Limits::default();
    let [a, b] = pair(&limits).await;
    // A caller that the called party does not know.
    let caller = start(listener().await, 9, &[(2, b.local_addr())], &limits);
    let fault = caller.open(public(2), id(1), Bytes::new()).await.unwrap_err();
    assert!(matches!(&fault, PeerError::Authentication { peer, .. } if *peer == public(2)), "{fault}");
    // A called party that is not who the caller wants, though it knows the caller.
    let caller = start(listener().await, 1, &[(3, b.local_addr())], &limits);
    let fault = caller.open(public(3), id(1), Bytes::new()).await.unwrap_err();
    assert!(matches!(&fault, PeerError::Authentication { peer, .. } if *peer == public(3)), "{fault}");
    assert!(matches!(caller.status()[0].fault, Some(PeerError::Authentication { .. })));
    works(&a, &b, 2).await;
}

/// Both ends of a session whose opener is a rogue party 1.
async fn rogue_session(rogue: &mut Rogue, b: &PeerLinks, n: u64) -> (Call, Channel) {
    let request = rogue.open(n);
    let incoming = b.accept().await.unwrap();
    assert_eq!((incoming.peer, incoming.session, &incoming.hello[..]), (public(1), id(n), &b"hello"[..]));
    (request, incoming.channel)
}

#[tokio::test]
async fn broken_frames_end_their_session_only() {
    let limits = Limits { max_frame: 1000, ..Limits::default() };
    let [a, b] = pair(&limits).await;
    let mut rogue = Rogue::connect(b.local_addr(), 1).await;
    let (bystander, mut good) = rogue_session(&mut rogue, &b, 1).await;
    let too_large = |step, len| PeerError::FrameTooLarge { step, len, max: 1000 };
    let cases: [(&str, Vec<u8>, bool, PeerError); 9] = [
        ("wrong step", frame(8, b"x"), false, PeerError::WrongStep { expected: 7, got: 8 }),
        ("hello again", frame(u32::MAX, b""), false, PeerError::WrongStep { expected: 7, got: u32::MAX }),
        ("oversized", frame(7, &[0; 1001]), false, too_large(7, 1001)),
        ("huge claim", [[0, 0, 0, 7], [0xff; 4]].concat(), false, too_large(7, u32::MAX as usize)),
        ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec(), false, too_large(0x4745_5420, 0x2f20_4854)),
        ("cut in the header", vec![0, 0, 0, 7, 0], true, PeerError::Truncated),
        (
            "cut after the header",
            frame(7, b"")[..4].iter().copied().chain([0, 0, 0, 9]).collect(),
            true,
            PeerError::Truncated,
        ),
        ("cut in the payload", frame(7, &[1; 900])[..500].to_vec(), true, PeerError::Truncated),
        ("early end", vec![], true, PeerError::Closed),
    ];
    for (n, (what, bytes, end, fault)) in (10..).zip(cases) {
        let (request, mut channel) = rogue_session(&mut rogue, &b, n).await;
        request.say(bytes);
        let answer = if end {
            request.end()
        } else {
            let Call { body, answer } = request;
            // Kept open: the fault must not need the end of the stream.
            std::mem::forget(body);
            answer
        };
        assert_eq!(channel.recv(7, far()).await, Err(fault.clone()), "{what}");
        assert_eq!(channel.send(7, Bytes::new(), far()).await, Err(fault.clone()), "{what}");
        // The sender of the broken frame is told why.
        let body = answer.await.unwrap().unwrap().into_body().collect().await.unwrap();
        let trailers = body.trailers().expect(what);
        assert_eq!(trailers["tercet-abort"], fault.code(), "{what}");
    }
    bystander.say(frame(2, b"still here"));
    assert_eq!(good.recv(2, far()).await.unwrap(), "still here");
    works(&a, &b, 99).await;
}

#[tokio::test]
async fn requests_that_open_no_session_are_refused() {
    let limits = Limits { max_hello: 10, handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let [a, b] = pair(&limits).await;
    let mut rogue = Rogue::connect(b.local_addr(), 1).await;
    let path = format!("/session/{}", id(1));
    let upper = format!("/session/{}", "AB".repeat(32));
    for (method, path, status, code) in [
        ("GET", path.as_str(), 405, "wrong-method"),
        ("POST", "/", 404, "no-such-path"),
        ("POST", "/session/", 404, "no-such-path"),
        ("POST", upper.as_str(), 404, "no-such-path"),
        ("POST", &path[..70], 404, "no-such-path"),
    ] {
        let verdict = rogue.request(method, path).verdict().await;
        assert_eq!(verdict, (status, code.to_owned()), "{method} {path}");
    }
    for (what, bytes, code) in [
        ("no hello", frame(1, b"x"), "wrong-step"),
        ("long hello", frame(u32::MAX, &[0; 11]), "frame-too-large"),
        ("silence", vec![], "receive-deadline"),
    ] {
        let request = rogue.request("POST", &path);
        request.say(bytes);
        assert_eq!(request.verdict().await.1, code, "{what}");
    }
    let request = rogue.request("POST", &path);
    request.say(&frame(u32::MAX, b"hello")[..9]);
    let answer = request.end().await.unwrap().unwrap();
    assert_eq!(answer.headers()["tercet-abort"], "truncated");
    works(&a, &b, 1).await;
    assert!(tokio::time::timeout(Duration::ZERO, b.accept()).await.is_err(), "a refused session got in");
}

#[tokio::test]
async fn a_peer_that_vanishes_is_noticed() {
    let [a, b] = pair(&Limits::default()).await;
    // Its stream breaks in the middle of a frame, its connection stands.
    let mut rogue = Rogue::connect(b.local_addr(), 1).await;
    let (request, mut channel) = rogue_session(&mut rogue, &b, 1).await;
    let (other, mut good) = rogue_session(&mut rogue, &b, 2).await;
    request.say(&frame(7, &[0; 900])[..500]);
    request.body.unbounded_send(Err(io::ErrorKind::Other.into())).unwrap();
    assert_eq!(channel.recv(7, far()).await, Err(PeerError::Lost));
    assert_eq!(channel.send(7, Bytes::new(), far()).await, Err(PeerError::Lost));
    // Its connection breaks in the middle of a frame.
    other.say(&frame(7, &[0; 900])[..500]);
    other.answer.abort();
    drop(other.body);
    let (third, mut last) = rogue_session(&mut rogue, &b, 3).await;
    third.say(&frame(7, &[0; 900])[..500]);
    rogue.vanish();
    assert_eq!(last.recv(7, far()).await, Err(PeerError::Lost));
    assert!(matches!(good.recv(7, far()).await, Err(PeerError::Lost | PeerError::Truncated)));
    works(&a, &b, 4).await;
}

#[tokio::test]
async fn a_peer_that_keeps_connecting_replaces_itself() {
    let nowhere = listener().await.local_addr().unwrap();
    let b = start(listener().await, 2, &[(1, nowhere)], &Limits::default());
    let mut rogues = Vec::new();
    for _ in 0..3 {
        let mut rogue = Rogue::connect(b.local_addr(), 1).await;
        // The answer proves that the connection is registered.
        assert_eq!(rogue.request("GET", "/").verdict().await.0, 404);
        rogues.push(rogue);
    }
    rogues.remove(0).closed().await;
    for mut rogue in rogues {
        assert_eq!(rogue.request("GET", "/").verdict().await.0, 404);
    }
}
