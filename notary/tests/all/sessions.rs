//! Whole sessions with a running notary, and servers on loopback that answer as a test wants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tercet_notary::{Limits, Notary, Resolver, Running, Served, Surveys, start};
use tercet_protocol::ids::{Nonce, PublicKey, SurveyId};
use tercet_protocol::keys::SigningKey;
use tercet_protocol::notary::{FromNotary, NotaryInfo, NotaryTicket, ToNotary};
use tercet_tls_session::{Recording, SignedStatement, Statement, StatementKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const NAME: &str = "api.exchange.test";
const SURVEY: SurveyId = SurveyId([5; 32]);
const CLOSED: SurveyId = SurveyId([6; 32]);
const UNMAPPED: SurveyId = SurveyId([7; 32]);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct World {
    running: Running,
    coordinator: SigningKey,
}

fn served(id: SurveyId, name: &str, closes: u64) -> Served {
    Served { id, server_name: name.into(), port: 443, opens: 0, closes }
}

impl World {
    /// A notary that finds the server `NAME` at this address.
    async fn new(server: SocketAddr, limits: Limits) -> Self {
        let coordinator = SigningKey::from_seed(&[1; 32]).unwrap();
        let surveys = Surveys::new([
            served(SURVEY, NAME, u64::MAX),
            served(CLOSED, NAME, 1),
            served(UNMAPPED, "elsewhere.test", u64::MAX),
        ]);
        let resolver = Resolver::new(vec![], BTreeMap::from([(NAME.to_owned(), server)]));
        let key = StatementKey::from_seed(&[2; 32]).unwrap();
        let notary = Notary::new(key, vec![coordinator.public()], surveys, resolver, limits);
        let running = start(notary, "127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        Self { running, coordinator }
    }

    fn ticket(&self, survey: SurveyId) -> NotaryTicket {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let nonce = Nonce([NEXT.fetch_add(1, Ordering::Relaxed); 16]);
        NotaryTicket::issue(&self.coordinator, survey, self.running.key, nonce, now() + 30)
    }

    async fn connect(&self, query: &str) -> Result<Socket, tungstenite::Error> {
        let url = format!("ws://{}/v1/sessions{query}", self.running.address);
        connect_async(url).await.map(|(socket, _)| socket)
    }

    /// A session in which the ticket has been shown.
    async fn session(&self, survey: SurveyId) -> Socket {
        let mut socket = self.connect(&format!("?survey={survey}")).await.unwrap();
        say(&mut socket, &ToNotary::Ticket(self.ticket(survey))).await;
        socket
    }

    /// The status and code with which a session is refused before it begins.
    async fn refused(&self, query: &str) -> (u16, String) {
        match self.connect(query).await {
            Err(tungstenite::Error::Http(response)) => {
                let body: serde_json::Value =
                    serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
                (response.status().as_u16(), body["code"].as_str().unwrap().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

async fn say(socket: &mut Socket, frame: &ToNotary) {
    socket.send(Message::Text(serde_json::to_string(frame).unwrap().into())).await.unwrap();
}

/// Reads to the notary's last word: the server's bytes, and that word.
async fn ending(socket: &mut Socket) -> (Vec<u8>, FromNotary) {
    let mut bytes = Vec::new();
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(more) => bytes.extend_from_slice(&more),
            Message::Text(text) => match serde_json::from_str(&text).unwrap() {
                FromNotary::Opened { address } => assert!(address.is_loopback()),
                last => return (bytes, last),
            },
            other => panic!("{other:?}"),
        }
    }
}

async fn code(socket: &mut Socket) -> String {
    match ending(socket).await.1 {
        FromNotary::Refused { code, detail } => {
            assert!(!detail.is_empty());
            code
        }
        other => panic!("{other:?}"),
    }
}

fn statement(frame: FromNotary) -> Statement {
    let FromNotary::Statement(text) = frame else { panic!("{frame:?}") };
    let signed = SignedStatement::decode(&hex::decode(text).unwrap()).unwrap();
    signed.check_signature().unwrap();
    signed.unchecked().clone()
}

/// A server that runs `serve` for each connection.
async fn server<F, S>(serve: S) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Sends everything back, and its end too.
async fn echo(mut stream: TcpStream) {
    let (mut reader, mut writer) = stream.split();
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
    let _ = writer.shutdown().await;
}

#[tokio::test]
async fn what_passed_is_stated() {
    let server = server(echo).await;
    let world = World::new(server, Limits::default()).await;
    let mut socket = world.session(SURVEY).await;
    let sent: Vec<u8> = (0..100_000u32).map(|i| (i * 7) as u8).collect();
    for chunk in sent.chunks(30_000) {
        socket.send(Message::Binary(chunk.to_vec().into())).await.unwrap();
    }
    say(&mut socket, &ToNotary::Done).await;
    let (received, last) = ending(&mut socket).await;
    assert_eq!(received, sent);
    let s = statement(last);
    assert_eq!((s.client, s.server), (Recording::of(&sent), Recording::of(&received)));
    assert_eq!((s.survey, s.server_name.as_str(), s.port), (SURVEY.0, NAME, 443));
    assert_eq!((PublicKey(s.notary), s.address), (world.running.key, server.ip()));
    assert!(s.opened <= s.closed && s.closed <= now());
    // Two sessions have different ids.
    let mut socket = world.session(SURVEY).await;
    say(&mut socket, &ToNotary::Done).await;
    let other = statement(ending(&mut socket).await.1);
    assert_ne!(other.session, s.session);
    assert_eq!(other.client, Recording::of(b""));
}

#[tokio::test]
async fn a_server_that_closes_early_ends_the_session_with_a_statement() {
    let server = server(async |mut stream: TcpStream| {
        let mut five = [0; 5];
        stream.read_exact(&mut five).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
    })
    .await;
    let world = World::new(server, Limits::default()).await;
    let mut socket = world.session(SURVEY).await;
    socket.send(Message::Binary(b"hello".to_vec().into())).await.unwrap();
    let (received, last) = ending(&mut socket).await;
    assert_eq!(received, b"answer");
    let s = statement(last);
    assert_eq!((s.client, s.server), (Recording::of(b"hello"), Recording::of(b"answer")));
}

#[tokio::test]
async fn only_approved_surveys_are_served() {
    let world = World::new(server(echo).await, Limits::default()).await;
    assert_eq!(world.refused("").await, (400, "survey-missing".into()));
    assert_eq!(world.refused("?survey=zz").await, (400, "survey-missing".into()));
    let unknown = SurveyId([9; 32]);
    assert_eq!(world.refused(&format!("?survey={unknown}")).await, (404, "survey-unknown".into()));
    let mut socket = world.session(CLOSED).await;
    assert_eq!(code(&mut socket).await, "survey-not-open");
    // No resolver names an address of this one.
    let mut socket = world.session(UNMAPPED).await;
    assert_eq!(code(&mut socket).await, "name-unknown");
}

#[tokio::test]
async fn a_session_begins_with_a_ticket_that_counts_once() {
    let world = World::new(server(echo).await, Limits::default()).await;
    let open = async || world.connect(&format!("?survey={SURVEY}")).await.unwrap();

    let mut socket = open().await;
    socket.send(Message::Binary(b"bytes first".to_vec().into())).await.unwrap();
    assert_eq!(code(&mut socket).await, "ticket-missing");
    let mut socket = open().await;
    say(&mut socket, &ToNotary::Done).await;
    assert_eq!(code(&mut socket).await, "ticket-missing");
    let mut socket = open().await;
    socket.send(Message::Text("{}".into())).await.unwrap();
    assert_eq!(code(&mut socket).await, "ticket-missing");

    let ticket = world.ticket(SURVEY);
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap();
    let forged = NotaryTicket::issue(&stranger, SURVEY, ticket.notary, ticket.nonce, ticket.expires);
    let cases = [
        (forged, "ticket-signature"),
        (NotaryTicket { expires: ticket.expires + 1, ..ticket.clone() }, "ticket-signature"),
        (world.ticket(CLOSED), "ticket-survey"),
    ];
    for (ticket, wanted) in cases {
        let mut socket = open().await;
        say(&mut socket, &ToNotary::Ticket(ticket)).await;
        assert_eq!(code(&mut socket).await, wanted);
    }
    for wanted in [None, Some("ticket-used")] {
        let mut socket = open().await;
        say(&mut socket, &ToNotary::Ticket(ticket.clone())).await;
        say(&mut socket, &ToNotary::Done).await;
        match (ending(&mut socket).await.1, wanted) {
            (FromNotary::Refused { code, .. }, Some(wanted)) => assert_eq!(code, wanted),
            (last, None) => drop(statement(last)),
            (last, _) => panic!("{last:?}"),
        }
    }
}

#[tokio::test]
async fn neither_direction_may_have_more_bytes_than_the_limit() {
    let limits = Limits { bytes: 1000, ..Limits::default() };
    let world = World::new(server(echo).await, limits).await;
    let mut socket = world.session(SURVEY).await;
    socket.send(Message::Binary(vec![1; 1000].into())).await.unwrap();
    say(&mut socket, &ToNotary::Done).await;
    assert_eq!(statement(ending(&mut socket).await.1).server.length, 1000);

    let mut socket = world.session(SURVEY).await;
    socket.send(Message::Binary(vec![1; 1001].into())).await.unwrap();
    assert_eq!(code(&mut socket).await, "too-many-bytes");

    let flood = server(async |mut stream: TcpStream| {
        let _ = stream.write_all(&[7; 5000]).await;
        let _ = stream.read_u8().await;
    });
    let world = World::new(flood.await, limits).await;
    let mut socket = world.session(SURVEY).await;
    assert_eq!(code(&mut socket).await, "too-many-bytes");
}

#[tokio::test]
async fn sessions_are_limited_in_time_and_number() {
    let silent = server(async |mut stream: TcpStream| {
        let _ = stream.read_u8().await;
        std::future::pending::<()>().await;
    });
    let limits = Limits { seconds: 1, by_address: 1, ..Limits::default() };
    let world = World::new(silent.await, limits).await;
    let mut socket = world.session(SURVEY).await;
    let query = format!("?survey={SURVEY}");
    assert_eq!(world.refused(&query).await, (429, "busy-address".into()));
    assert_eq!(code(&mut socket).await, "too-slow");
    drop(socket);
    // The place is free again, as soon as the notary has noticed.
    loop {
        match world.connect(&query).await {
            Ok(_) => break,
            Err(tungstenite::Error::Http(r)) => assert_eq!(r.status().as_u16(), 429),
            Err(e) => panic!("{e}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let limits = Limits { sessions: 1, ..Limits::default() };
    let world = World::new(server(echo).await, limits).await;
    let _first = world.session(SURVEY).await;
    assert_eq!(world.refused(&query).await, (503, "busy".into()));
}

#[tokio::test]
async fn nothing_else_is_a_frame_and_no_server_is_an_error() {
    let world = World::new(server(echo).await, Limits::default()).await;
    for text in ["{}", "\"more\"", "done"] {
        let mut socket = world.session(SURVEY).await;
        socket.send(Message::Text(text.into())).await.unwrap();
        assert_eq!(code(&mut socket).await, "unexpected-frame", "{text}");
    }
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let world = World::new(gone, Limits::default()).await;
    let mut socket = world.session(SURVEY).await;
    assert_eq!(code(&mut socket).await, "server-unreachable");
}

#[tokio::test]
async fn it_says_who_it_is_and_stops() {
    let world = World::new(server(echo).await, Limits::default()).await;
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(world.running.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        body.to_owned()
    };
    let info: NotaryInfo = serde_json::from_str(&get("/v1/notary").await).unwrap();
    assert_eq!((info.key, info.surveys), (world.running.key, vec![SURVEY, CLOSED, UNMAPPED]));
    assert_eq!(info.mapped, [NAME]);
    assert_eq!(get("/healthz").await, "ok\n");
    assert_eq!(get("/readyz").await, "ok\n");
    get("/metrics").await;
    tercet_notary::health::check(world.running.address).await.unwrap();
    let address = world.running.address;
    world.running.stop(Duration::from_secs(5)).await;
    assert!(tercet_notary::health::check(address).await.is_err());
}
