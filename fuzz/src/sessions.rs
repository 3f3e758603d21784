//! Recorded TLS 1.3 sessions.

use std::net::IpAddr;
use std::sync::LazyLock;

use tercet_tls_session::forge::{Forge, Forged, Identity, Step, TIME};
use tercet_tls_session::{
    Direction, Evidence, Layout, Recorded, Recording, Roots, Session, Statement, StatementKey, open, verify,
};

const NAME: &str = "api.exchange.test";

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new(NAME));
static ROOTS: LazyLock<Roots> = LazyLock::new(|| Roots::from_der([&IDENTITY.root[..]]).unwrap());
static HONEST: LazyLock<(Forged, Session)> = LazyLock::new(|| {
    let forged = Forge::default().make(&IDENTITY);
    let session = verify(&forged.recorded(), NAME, &ROOTS, TIME).unwrap();
    (forged, session)
});

fn honest_layout() -> Layout {
    let (forged, session) = &*HONEST;
    let opened = open(session, &forged.client, &forged.server, &forged.secret).unwrap();
    opened.layout(&[std::ops::Range { start: 4, end: 6 }], &[10..20, 30..31]).unwrap()
}

fn evidence(layout: Option<Layout>) -> Vec<u8> {
    let (forged, _) = &*HONEST;
    let statement = Statement {
        session: [1; 16],
        notary: [0; 32],
        survey: [2; 32],
        server_name: NAME.into(),
        address: IpAddr::from([203, 0, 113, 7]),
        port: 443,
        opened: TIME,
        closed: TIME + 1,
        client: Recording::of(&forged.client),
        server: Recording::of(&forged.server),
    };
    let evidence = Evidence {
        statement: StatementKey::from_seed(&[7; 32]).unwrap().sign(statement),
        client_secret: forged.client_secret,
        server_secret: forged.server_secret,
        client: forged.client.clone(),
        server: forged.server.clone(),
        layout,
    };
    evidence.encode()
}

pub fn evidence_seeds() -> Vec<Vec<u8>> {
    vec![evidence(None), evidence(Some(honest_layout()))]
}

/// Decoding is canonical, and a session that verifies has its records within the recorded bytes.
pub fn recorded(data: &[u8]) {
    let Ok(evidence) = Evidence::decode(data) else { return };
    assert_eq!(evidence.encode(), data);
    if let Ok(session) = verify(&evidence.recorded(), NAME, &ROOTS, TIME) {
        assert!(session.client.iter().all(|r| r.body.end <= evidence.client.len()));
        assert!(session.server.iter().all(|r| r.body.end <= evidence.server.len()));
        if let Some(layout) = evidence.layout.filter(|l| l.check(&session).is_ok()) {
            claims(&layout, &session);
        }
    }
}

fn claims(layout: &Layout, session: &Session) {
    for direction in [Direction::Client, Direction::Server] {
        let bytes: usize = session.records(direction).iter().map(|r| r.plain_length()).sum();
        assert_eq!(layout.claims(session, direction).count(), bytes);
    }
}

pub fn layout_seeds() -> Vec<Vec<u8>> {
    vec![honest_layout().encode()]
}

/// Decoding is canonical, and a layout that fits a session makes a claim about each of its bytes.
pub fn layout(data: &[u8]) {
    let Ok(layout) = Layout::decode(data) else { return };
    assert_eq!(layout.encode(), data);
    if layout.check(&HONEST.1).is_ok() {
        claims(&layout, &HONEST.1);
    }
}

const STEPS: [Step; 9] = [
    Step::ClientHello,
    Step::ServerHello,
    Step::EncryptedExtensions,
    Step::CertificateRequest,
    Step::Certificate,
    Step::CertificateVerify,
    Step::ServerFinished,
    Step::ClientCertificate,
    Step::ClientFinished,
];

pub fn handshake_seeds() -> Vec<Vec<u8>> {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = seen.clone();
    let edit = move |step, bytes: &mut Vec<u8>| {
        let place = STEPS.iter().position(|s| *s == step).unwrap();
        sink.lock().unwrap().push([&[place as u8][..], bytes].concat());
    };
    Forge { ask_certificate: true, edit: Box::new(edit), ..Forge::default() }.make(&IDENTITY);
    seen.lock().unwrap().clone()
}

/// One message of an otherwise consistent handshake is anything; the first byte says which.
pub fn handshake(data: &[u8]) {
    let Some((which, message)) = data.split_first() else { return };
    let chosen = STEPS[usize::from(*which) % STEPS.len()];
    if message.len() > 16_000 || (chosen == Step::ClientHello && message.is_empty()) {
        return;
    }
    let message = message.to_vec();
    let edit = move |step, bytes: &mut Vec<u8>| {
        if step == chosen {
            bytes.clone_from(&message);
        }
    };
    let forged = Forge { ask_certificate: true, edit: Box::new(edit), ..Forge::default() }.make(&IDENTITY);
    let recorded: Recorded<'_> = forged.recorded();
    if let Ok(session) = verify(&recorded, NAME, &ROOTS, TIME) {
        let _ = open(&session, &forged.client, &forged.server, &forged.secret);
    }
}
