//! Sessions that a notary forwarded, through a survey's verifier: honest ones to the statement and its proof, and each
//! thing that a provider could try.

use std::net::IpAddr;
use std::ops::Range;

use tercet_evidence::{Admitted, Data, Denied, Kind, Rule, Secrets, SurveyVerifier, Verified, Witness, plan};
use tercet_mpc::proof::{OneCore, ProveError, Proven, prove_session};
use tercet_mpc::statement::Statement;
use tercet_protocol::ids::{EngineDigest, PublicKey};
use tercet_protocol::survey::{SurveyDescriptor, SurveyManifest};
use tercet_tls_session::forge::{Application, Forge, Forged, Identity, TIME};
use tercet_tls_session::keys::Suite;
use tercet_tls_session::{
    Direction, Evidence, HandshakeSecret, Recording, Refusal, Roots, Statement as Stated, StatementKey, open,
    verify,
};

const NAME: &str = "api.exchange.test";
const REQUEST: &str = "GET /api/v3/account HTTP/1.1\r\nHost: api.exchange.test\r\nConnection: close\r\n\
                       X-MBX-APIKEY: 0123456789abcdef\r\n\r\n";
const BODY: &str =
    r#"{"uid":77,"note":"it is \"mine\"","balances":[{"asset":"ETH","free":"12.5","locked":"3"}]}"#;

fn response(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

struct World {
    identity: Identity,
    key: StatementKey,
    survey: SurveyDescriptor,
    verifier: SurveyVerifier,
}

impl World {
    fn new() -> Self {
        Self::with("")
    }

    /// A survey over sessions, with more in its source.
    fn with(source: &str) -> Self {
        let identity = Identity::new(NAME);
        let key = StatementKey::from_seed(&[7; 32]).unwrap();
        let toml = format!(
            r#"
[survey]
name = "eth"
title = "ETH"
opens = "2020-01-01T00:00:00Z"
closes = "2100-01-01T00:00:00Z"
min_cohort = 10
min_new = 10
statistics = ["count", "sum"]

[source]
server_name = "{NAME}"
method = "GET"
path = "/api/v3/account"
{source}

[[notaries]]
name = "n"
kind = "proxy"
algorithm = "ed25519"
key = "{}"

[identity]
at = "$.uid"

[[columns]]
name = "eth"
at = "$.balances[?@.asset=='ETH'].free"
scale = 2
bits = 32
"#,
            hex(&key.public())
        );
        let manifest = SurveyManifest::from_toml(&toml).unwrap();
        let parties = [1, 2, 3].map(|i| PublicKey([i; 32]));
        let roots = [identity.root.clone()];
        let survey = SurveyDescriptor::assemble(manifest, &roots, parties, EngineDigest([0; 32])).unwrap();
        let verifier = SurveyVerifier::new(&survey).unwrap();
        Self { identity, key, survey, verifier }
    }

    fn forge(&self, suite: Suite, request: &str, response: &str) -> Forged {
        let application = vec![
            Application::ticket(40),
            Application::data(Direction::Client, request),
            // A value over two records.
            Application::data(Direction::Server, &response[..response.len() - 24]),
            Application {
                padding: 7,
                ..Application::data(Direction::Server, &response[response.len() - 24..])
            },
            Application::close(Direction::Server),
            Application::close(Direction::Client),
        ];
        Forge { suite, application, ..Forge::default() }.make(&self.identity)
    }

    fn state(&self, forged: &Forged) -> Stated {
        Stated {
            session: [1; 16],
            notary: self.key.public(),
            survey: self.survey.id().0,
            server_name: NAME.into(),
            address: IpAddr::from([198, 51, 100, 7]),
            port: 443,
            opened: TIME,
            closed: TIME + 2,
            client: Recording::of(&forged.client),
            server: Recording::of(&forged.server),
        }
    }

    /// Evidence that hides the ranges of `hide` in request and response.
    fn evidence(
        &self,
        forged: &Forged,
        hide: impl Fn(&[u8], &[u8]) -> (Vec<Range<usize>>, Vec<Range<usize>>),
    ) -> Evidence {
        let roots = Roots::from_der([&self.identity.root[..]]).unwrap();
        let session = verify(&forged.recorded(), NAME, &roots, TIME).unwrap();
        let opened = open(&session, &forged.client, &forged.server, &forged.secret).unwrap();
        let (sent, received) = hide(&opened.stream(Direction::Client), &opened.stream(Direction::Server));
        Evidence {
            statement: self.key.sign(self.state(forged)),
            client_secret: forged.client_secret,
            server_secret: forged.server_secret,
            client: forged.client.clone(),
            server: forged.server.clone(),
            layout: Some(opened.layout(&sent, &received).unwrap()),
        }
    }

    /// The ranges that a client hides: values, credentials, and everything else that it may.
    fn planned(&self, sent: &[u8], received: &[u8]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
        let rules = self.survey.manifest().source_rules().unwrap();
        let mut hidden: Vec<_> =
            plan::locate(&rules, received).unwrap().into_iter().flat_map(|l| l.pieces).collect();
        hidden.sort_by_key(|r| r.start);
        let mut data = Data { bytes: received.to_vec(), hidden: hidden.clone() };
        hidden.iter().for_each(|r| data.bytes[r.clone()].fill(0));
        let mut everything = plan::everything(&rules, &data);
        everything.sort_by_key(|r| r.start);
        (plan::credentials(&rules, sent), everything)
    }

    fn check(&self, evidence: &Evidence) -> Result<(Verified, Admitted), Denied> {
        self.verifier.check(Kind::Session, &evidence.encode())
    }

    /// The statement and the witness of evidence that is admitted.
    fn opened(&self, evidence: &Evidence, secret: &HandshakeSecret) -> (Statement, Witness) {
        let (verified, admitted) = self.check(evidence).unwrap();
        let statement = verified.statement(&admitted, self.survey.manifest()).unwrap();
        let secrets = Secrets::Session(secret.clone());
        let witness = secrets.witness(self.survey.id(), &verified, &admitted, &statement).unwrap();
        (statement, witness)
    }

    fn refused(&self, evidence: &Evidence) -> String {
        self.check(evidence).unwrap_err().code().to_owned()
    }
}

fn prove(statement: &Statement, witness: &Witness) -> Result<Proven, ProveError> {
    let Witness::Session { secret, randomness, .. } = witness else { panic!("a session's witness") };
    prove_session(&OneCore, statement, secret, &[9; 32], randomness, &mut |_| {})
}

#[test]
fn an_honest_session_is_admitted_and_proven() {
    let world = World::new();
    let forged = world.forge(Suite::ChaCha20Poly1305, REQUEST, &response(BODY));
    let evidence = world.evidence(&forged, |s, r| world.planned(s, r));
    // The value, the credential, the note and the other number are in no public byte.
    let layout = evidence.layout.as_ref().unwrap();
    let shown = |flow: &[u8], text: &str| flow.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(!shown(layout.client.stream(), "0123456789abcdef"));
    for hidden in ["12.5", "mine", "\"3\""] {
        assert!(!shown(layout.server.stream(), hidden), "{hidden}");
    }
    assert!(shown(layout.server.stream(), "\"uid\":77"));
    let (statement, witness) = world.opened(&evidence, &forged.secret);
    assert_eq!(witness.texts(), [b"12.5"]);
    assert!(statement.session().is_some());
    prove(&statement, &witness).unwrap();
}

#[test]
fn a_forged_value_or_byte_cannot_be_proven() {
    let world = World::new();
    let forged = world.forge(Suite::ChaCha20Poly1305, REQUEST, &response(BODY));
    let honest = world.evidence(&forged, |s, r| world.planned(s, r));
    // Another person's number where one's own is shown.
    let mut evidence = honest.clone();
    let layout = evidence.layout.as_mut().unwrap();
    let flow = &layout.server;
    let mut stream = flow.stream().to_vec();
    let at = stream.windows(8).position(|w| w == b"\"uid\":77").unwrap();
    stream[at + 6] = b'8';
    layout.server = tercet_tls_session::Flow::new(flow.records().to_vec(), &stream, flow.hidden()).unwrap();
    let (statement, witness) = world.opened(&evidence, &forged.secret);
    assert_eq!(prove(&statement, &witness).unwrap_err(), ProveError::Session);
    // A record changed on the way, which the notary has seen otherwise; or has seen so.
    let mut server = forged.server.clone();
    let last = server.len() - 40;
    server[last] ^= 1;
    let tampered = Evidence { server: server.clone(), ..honest.clone() };
    assert_eq!(world.refused(&tampered), Refusal::StatementBytes.code());
    let mut stated = world.state(&forged);
    stated.server = Recording::of(&server);
    let restated = Evidence { statement: world.key.sign(stated), ..tampered };
    let (verified, admitted) = world.check(&restated).unwrap();
    let statement = verified.statement(&admitted, world.survey.manifest()).unwrap();
    let secrets = Secrets::Session(forged.secret.clone());
    assert!(secrets.witness(world.survey.id(), &verified, &admitted, &statement).is_err());
}

#[test]
fn two_layouts_of_a_session_share_no_randomness() {
    let world = World::new();
    let forged = world.forge(Suite::Aes128Gcm, REQUEST, &response(BODY));
    let full = world.evidence(&forged, |s, r| world.planned(s, r));
    let less = world.evidence(&forged, |s, r| (vec![], world.planned(s, r).1));
    let (a, b) = (world.opened(&full, &forged.secret).1, world.opened(&less, &forged.secret).1);
    assert_ne!(a.randomness(), b.randomness());
    assert_eq!(a.randomness(), world.opened(&full, &forged.secret).1.randomness());
}

#[test]
fn sessions_of_others_are_refused_with_their_reason() {
    let world = World::new();
    let forged = world.forge(Suite::Aes128Gcm, REQUEST, &response(BODY));
    let honest = world.evidence(&forged, |s, r| world.planned(s, r));
    world.check(&honest).unwrap();
    let stated = |change: fn(&mut Stated)| {
        let mut statement = world.state(&forged);
        change(&mut statement);
        world.refused(&Evidence { statement: world.key.sign(statement), ..honest.clone() })
    };
    assert_eq!(stated(|s| s.server_name = "other.test".into()), Refusal::StatementServer.code());
    assert_eq!(stated(|s| s.survey = [0; 32]), Refusal::StatementSurvey.code());
    assert_eq!(stated(|s| s.opened = 1), Refusal::StatementTime.code());
    let stranger = StatementKey::from_seed(&[8; 32]).unwrap();
    let other = Evidence { statement: stranger.sign(world.state(&forged)), ..honest.clone() };
    assert_eq!(world.refused(&other), Refusal::NotaryUnknown.code());
    assert_eq!(world.refused(&Evidence { layout: None, ..honest.clone() }), Refusal::LayoutRecords.code());
    // Another's secret opens nothing.
    let (verified, admitted) = world.check(&honest).unwrap();
    let statement = verified.statement(&admitted, world.survey.manifest()).unwrap();
    let wrong = Secrets::Session(HandshakeSecret([1; 32]));
    assert!(wrong.witness(world.survey.id(), &verified, &admitted, &statement).is_err());
    // As a presentation it is nothing.
    assert!(world.verifier.check(Kind::Presentation, &honest.encode()).is_err());
}

#[test]
fn networks_are_checked() {
    for (networks, admitted) in [("[\"198.51.100.0/24\"]", true), ("[\"203.0.113.0/24\"]", false)] {
        let world = World::with(&format!("addresses = {networks}"));
        let forged = world.forge(Suite::Aes128Gcm, REQUEST, &response(BODY));
        let result = world.check(&world.evidence(&forged, |s, r| world.planned(s, r)));
        assert_eq!(result.is_ok(), admitted, "{networks}");
    }
}

#[test]
fn the_policy_judges_what_is_hidden_and_asked() {
    let world = World::new();
    let refused = |request: &str, response: &str, more: fn(&[u8]) -> Vec<Range<usize>>| {
        let forged = world.forge(Suite::Aes128Gcm, request, response);
        let evidence = world.evidence(&forged, |sent, received| {
            let mut hidden = more(received);
            if hidden.is_empty() {
                hidden = world.planned(sent, received).1;
            }
            (world.planned(sent, received).0, hidden)
        });
        world.refused(&evidence)
    };
    let none: fn(&[u8]) -> Vec<Range<usize>> = |_| Vec::new();
    let ok = response(BODY);
    let other_path = REQUEST.replace("/api/v3/account", "/api/v3/other");
    assert_eq!(refused(&other_path, &ok, none), Rule::RequestTarget.code());
    let other_host = REQUEST.replace("Host: api.exchange.test", "Host: other.test");
    assert_eq!(refused(&other_host, &ok, none), Rule::RequestHost.code());
    // The identity hidden beside the value.
    let hidden = refused(REQUEST, &ok, |received| {
        let find = |text: &[u8]| received.windows(text.len()).position(|w| w == text).unwrap();
        let (uid, value) = (find(b"77,"), find(b"12.5"));
        vec![uid..uid + 2, value..value + 4]
    });
    assert_eq!(hidden, Rule::Identity.code());
}
