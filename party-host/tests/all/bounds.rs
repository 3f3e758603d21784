//! The bounds on strangers: connections that never finish, bodies without a valid ticket, bodies that stop.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use party_host::api::{App, Bodies, Bounds, HELD_BACK, Host, metrics_router, router, serve};
use tercet_protocol::filter::Filter;
use tercet_protocol::ids::Nonce;
use tercet_protocol::keys::SigningKey;
use tercet_protocol::query_ticket::{QueryTicket, Question};
use tercet_protocol::submission::{MAX_UPLOAD, ShareUpload};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::parties::world::{World, cohort, manifest};

/// Serves a party's API as the program does.
async fn api(world: &World, party: usize, bounds: Bounds) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let host = Arc::new(Host::from(world.party(party).clone()));
    let app = App { host, bodies: Bodies::default() };
    tokio::spawn(serve(listener, router(app), bounds, CancellationToken::new()));
    address
}

/// This process's memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Sends a request and reads the answer's status.
fn put(address: SocketAddr, path: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nhost: party\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // A party that refuses a body early does not read on.
    let _refused = stream.write_all(body);
    status(&mut stream)
}

fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 12];
    match stream.read_exact(&mut answer) {
        Ok(()) => std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap(),
        Err(e) => panic!("no answer: {e}"),
    }
}

/// Runs this test in a process of its own, whose memory is nobody else's. True in that process.
fn alone(test: &str) -> bool {
    const ALONE: &str = "TERCET_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut own = std::process::Command::new(std::env::current_exe().unwrap());
    let status = own.args(["--exact", test, "--nocapture"]).env(ALONE, "1").status().unwrap();
    assert!(status.success(), "{test} failed in its own process");
    false
}

/// Asks for a page without a body and reads the answer's status.
fn get(address: SocketAddr, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: party\r\n\r\n").as_bytes()).unwrap();
    status(&mut stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_not_at_the_public_address() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let public = api(&world, 0, Bounds::default()).await;
    assert_eq!((get(public, "/healthz"), get(public, "/metrics")), (200, 404));
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, metrics_router(metrics), Bounds::default(), CancellationToken::new()));
    assert_eq!(get(own, "/metrics"), 200);
    assert_eq!((get(own, "/healthz"), get(own, "/v1/operator")), (404, 404), "and nothing else is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_unfinished_connections_keep_nobody_out() {
    if !alone("bounds::five_thousand_unfinished_connections_keep_nobody_out") {
        return;
    }
    let world = Arc::new(World::start(manifest(), Duration::from_secs(20)).await);
    let mut addresses = Vec::new();
    for party in 0..3 {
        addresses.push(api(&world, party, Bounds::default()).await);
    }
    // What an honest submission takes of memory by itself is not counted.
    let send = |n: usize| {
        let (world, addresses) = (world.clone(), addresses.clone());
        tokio::task::spawn_blocking(move || {
            let prepared = world.prepare(&cohort()[n]);
            let path = format!("/v1/submissions/{}/share", prepared.id());
            let bodies = [0, 1, 2].map(|p| world.upload_body(&prepared, p));
            std::thread::scope(|s| {
                let one = |p: usize| {
                    let (path, body, address) = (&path, &bodies[p], addresses[p]);
                    s.spawn(move || put(address, path, body))
                };
                [0, 1, 2].map(one).map(|sent| sent.join().unwrap())
            })
        })
    };
    assert_eq!(send(0).await.unwrap(), [200; 3]);
    let before = resident();
    let held = {
        let address = addresses[1];
        tokio::task::spawn_blocking(move || {
            let head = format!("PUT /v1/submissions/{}/share HTTP/1.1\r\nhost: x\r\n", "0".repeat(64));
            let unfinished = |i: usize| {
                let mut stream = TcpStream::connect(address).unwrap();
                let text = match i % 3 {
                    0 => "GET / HT".to_owned(),
                    1 => head.clone(),
                    _ => format!(
                        "{head}content-length: {MAX_UPLOAD}\r\n\r\n{}",
                        "A".repeat(ShareUpload::HEAD - 1)
                    ),
                };
                // The party may have closed it for a newer one already.
                let _closed = stream.write_all(text.as_bytes());
                stream
            };
            (0..5000).map(unfinished).collect::<Vec<_>>()
        })
    };
    let held = held.await.unwrap();
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "memory grew by {} MiB", grown >> 20);
    assert_eq!(send(1).await.unwrap(), [200; 3]);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_a_ticket_or_an_end_are_refused_early() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let address = api(&world, 1, Bounds { head: Duration::from_secs(1), ..Bounds::default() }).await;
    let prepared = world.prepare(&cohort()[0]);
    let path = format!("/v1/submissions/{}/share", prepared.id());
    let good = world.upload_body(&prepared, 1).to_vec();
    let asked = tokio::task::spawn_blocking(move || {
        let mut other = good.clone();
        other[ShareUpload::HEAD - 1] ^= 1;
        // Another's signature: refused although the rest never comes.
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", other.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&other[..ShareUpload::HEAD]).unwrap();
        assert_eq!(status(&mut stream), 403);
        let length = |path: &str, n: usize| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {n}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            status(&mut stream)
        };
        assert_eq!(length(&path, MAX_UPLOAD + 1), 413, "before anything of it has come");
        assert_eq!(length(&format!("/v1/queries/{}", "0".repeat(32)), 100 << 10), 413);
        assert_eq!(put(address, &path, &good[..20]), 400, "it ends before its ticket does");
        // A head that does not end is not waited for.
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET / HT").unwrap();
        let mut rest = Vec::new();
        let _closed = stream.read_to_end(&mut rest);
    });
    asked.await.unwrap();
}

/// Questions without a ticket are answered slowly, so that a flood of them takes connections and no time from others. Only
/// the least time is looked at: no machine is too slow for that.
#[tokio::test(flavor = "multi_thread")]
async fn questions_of_strangers_are_answered_slowly() {
    let world = World::start(manifest(), Duration::from_secs(20)).await;
    let address = api(&world, 0, Bounds::default()).await;
    let survey = world.survey_id();
    let question = Question { statistics: ["sum".to_owned()].into(), filter: Filter::default() };
    let stranger = SigningKey::from_seed(&[77; 32]).unwrap();
    let ticket = QueryTicket::issue(&stranger, survey, 1, question, u64::MAX, Nonce([1; 16]));
    let path = format!("/v1/queries/{}", ticket.query());
    let old = format!("{{\"survey\":\"{survey}\",\"statistics\":[\"sum\"]}}");
    for (body, refused) in [(serde_json::to_vec(&ticket).unwrap(), 403), (old.into_bytes(), 400)] {
        let path = path.clone();
        let (status, took) = tokio::task::spawn_blocking(move || {
            let start = std::time::Instant::now();
            (put(address, &path, &body), start.elapsed())
        })
        .await
        .unwrap();
        assert_eq!(status, refused);
        assert!(took >= HELD_BACK, "{took:?}");
    }
}
