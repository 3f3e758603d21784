//! The waiting of a provider who is far away, computed: how often something has to go there and back, and how many bytes
//! go up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use tercet_client::session::{Credentials, Shape};
use tercet_notary::Served;
use tercet_protocol::ids::{Nonce, PublicKey};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::notary::NotaryTicket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::stub::{Stub, json};
use crate::zoo::{Server, World, notary_key, p256, survey_file};

/// Seconds of one way, to the notary, the coordinator and the parties.
const ONE_WAY: f64 = 0.1;
/// Bytes a second upwards: 5 Mbit/s.
const UPWARDS: f64 = 5e6 / 8.0;
/// One-way trips before the first byte of a connection that is under TLS 1.3: SYN, SYN-ACK, ClientHello, ServerHello.
const SET_UP: usize = 4;
/// Bytes of HTTP around a body: lines and headers.
const HEADERS: usize = 400;

/// Counts of a forwarder.
#[derive(Default)]
struct Passed {
    connections: AtomicUsize,
    /// Number of times that a direction began to send after the other.
    trips: AtomicUsize,
    upwards: AtomicUsize,
}

/// Forwards connections to `to`, and counts.
async fn forwarder(to: SocketAddr) -> (SocketAddr, Arc<Passed>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let passed = Arc::new(Passed::default());
    let counts = passed.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            counts.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(forward(client, to, counts.clone()));
        }
    });
    (address, passed)
}

async fn forward(mut client: TcpStream, to: SocketAddr, counts: Arc<Passed>) {
    let mut server = TcpStream::connect(to).await.unwrap();
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let mut upwards = None;
    loop {
        let (bytes, goes_up) = tokio::select! {
            read = client.read(&mut up) => (&up[..read.unwrap_or(0)], true),
            read = server.read(&mut down) => (&down[..read.unwrap_or(0)], false),
        };
        if bytes.is_empty() {
            return;
        }
        if upwards != Some(goes_up) {
            upwards = Some(goes_up);
            counts.trips.fetch_add(1, Ordering::Relaxed);
        }
        let other = if goes_up { &mut server } else { &mut client };
        if other.write_all(bytes).await.is_err() {
            return;
        }
        if goes_up {
            counts.upwards.fetch_add(bytes.len(), Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_far_away_takes_part_within_five_seconds_of_waiting() {
    let site = p256();
    let server = Server::openssl(&site, &[]);
    site.write_root();
    let key = PublicKey(notary_key().public());
    let file = site.dir.path().join("survey.toml");
    std::fs::write(&file, survey_file(&key.to_string())).unwrap();
    let stub = Stub::with_survey(&file, move |call, world| {
        call.is(Method::POST, "/v1/surveys/", "/notary-tickets").then(|| {
            let coordinator = SigningKey::from_seed(&[1; 32]).unwrap();
            let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            let (survey, nonce) = (world.survey.id(), Nonce([call.nth as u8; 16]));
            json(200, &NotaryTicket::issue(&coordinator, survey, key, nonce, expires.as_secs() + 30))
        })
    })
    .await;
    let survey = stub.with(|w| w.survey.clone());
    let request = Shape::of(survey.manifest()).make(Credentials::default(), 0).unwrap();
    let world = World::serving(&site, server.address, Served::of(&survey), request.0.to_vec()).await;
    let (notary, passed) = forwarder(world.running.address).await;

    let dir = tempfile::tempdir().unwrap();
    let out = tokio::process::Command::new(env!("CARGO_BIN_EXE_tercet"))
        .args(["take-part", "--yes", "--json", "--coordinator", &stub.url()])
        .args(["--survey", &survey.id().to_string(), "--notary", &format!("http://{notary}")])
        .current_dir(dir.path())
        .output()
        .await
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let to_notary = count(&passed.trips) + SET_UP * count(&passed.connections);
    // A request and its answer are two trips. Everything goes to the coordinator over one connection; the three parties are
    // talked to at the same time.
    let (requests, uploads) = stub.with(|w| {
        let of = |start: &str| w.log.iter().filter(|(_, path)| path.starts_with(start)).count();
        let parties = ["/p0/", "/p1/", "/p2/"].map(of);
        let (id, public) = w.admitted.iter().next().unwrap();
        let private: usize = w.shares.iter().map(|s| s[id].len()).sum();
        let uploads = 4 * public.encode().len() + private;
        ((of("/v1/"), parties.into_iter().max().unwrap_or(0), w.log.len()), uploads)
    });
    let (coordinator, party, all) = requests;
    let trips = to_notary + 2 * SET_UP + 2 * (coordinator + party);
    let bytes = count(&passed.upwards) + uploads + all * HEADERS;
    let waiting = trips as f64 * ONE_WAY + bytes as f64 / UPWARDS;
    println!(
        "{waiting:.1} s: {trips} trips ({to_notary} to the notary, {coordinator} and {party} requests), {bytes} bytes up"
    );
    assert!((1.5..5.0).contains(&waiting), "{waiting} s, {trips} trips, {bytes} bytes");
}
