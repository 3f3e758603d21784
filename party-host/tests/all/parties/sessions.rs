//! Values from TLS 1.3 sessions that a notary forwarded: accepted and counted exactly; forged ones are refused.

use std::net::IpAddr;
use std::time::Duration;

use tercet_evidence::{Data, Secrets, SurveyVerifier, Witness, plan};
use tercet_mpc::proof::{OneCore, prove_session};
use tercet_protocol::api::{ProblemKind, SubmissionState, SubmissionStatus};
use tercet_protocol::kind::Kind;
use tercet_protocol::submission::{PublicPart, ShareHashes};
use tercet_protocol::survey::SurveyManifest;
use tercet_tls_session::forge::{Application, Forge, Forged, Identity};
use tercet_tls_session::keys::Suite;
use tercet_tls_session::{Direction, Evidence, Recording, Roots, Statement, StatementKey, open, verify};

use super::statistics::{released, statistic};
use super::world::{NOW, Prepared, World, withdrawal_key};
use tercet_protocol::filter::Filter;

const NAME: &str = "api.exchange.test";
const REQUEST: &str =
    "GET /me HTTP/1.1\r\nHost: api.exchange.test\r\nConnection: close\r\nAuthorization: Bearer t0ken\r\n\r\n";

fn notary() -> StatementKey {
    StatementKey::from_seed(&[7; 32]).unwrap()
}

fn manifest() -> SurveyManifest {
    let text = format!(
        r#"
[survey]
name = 'sessions'
title = 'Balances'
opens = '2025-01-01T00:00:00Z'
closes = '2030-01-01T00:00:00Z'
min_cohort = 5
min_new = 5
statistics = ['count', 'sum']

[source]
server_name = '{NAME}'
root_certificates = ['root.der']
method = 'GET'
path = '/me'

[[notaries]]
name = 'a test'
kind = 'proxy'
algorithm = 'ed25519'
key = '{}'

[identity]
at = '$.uid'

[[columns]]
name = 'free'
at = '$.free'
scale = 2
bits = 40
"#,
        hex::encode(notary().public())
    );
    SurveyManifest::from_toml(&text).unwrap()
}

struct Provider {
    uid: u32,
    value: String,
    suite: Suite,
}

impl Provider {
    fn new(uid: u32) -> Self {
        let suite = if uid.is_multiple_of(2) { Suite::Aes128Gcm } else { Suite::ChaCha20Poly1305 };
        Self { uid, value: format!("{}.{:02}", 100 + uid, uid), suite }
    }

    fn hundredths(&self) -> i128 {
        i128::from(100 + self.uid) * 100 + i128::from(self.uid)
    }

    fn session(&self, identity: &Identity) -> Forged {
        let body = format!(r#"{{"uid":{},"free":"{}","note":"nobody's business"}}"#, self.uid, self.value);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let response = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let application = vec![
            Application::ticket(40),
            Application::data(Direction::Client, REQUEST),
            Application::data(Direction::Server, response),
            Application::close(Direction::Server),
            Application::close(Direction::Client),
        ];
        let server_random = [self.uid as u8; 32];
        Forge { suite: self.suite, server_random, application, ..Forge::default() }.make(identity)
    }
}

/// The evidence of a session as a client makes it.
fn evidence(world: &World, identity: &Identity, forged: &Forged) -> Evidence {
    let roots = Roots::from_der([&identity.root[..]]).unwrap();
    let session = verify(&forged.recorded(), NAME, &roots, NOW).unwrap();
    let opened = open(&session, &forged.client, &forged.server, &forged.secret).unwrap();
    let rules = world.survey.manifest().source_rules().unwrap();
    let (sent, received) = (opened.stream(Direction::Client), opened.stream(Direction::Server));
    let hidden: Vec<_> =
        plan::locate(&rules, &received).unwrap().into_iter().flat_map(|l| l.pieces).collect();
    let mut data = Data { bytes: received.to_vec(), hidden: hidden.clone() };
    hidden.iter().for_each(|r| data.bytes[r.clone()].fill(0));
    let mut everything = plan::everything(&rules, &data);
    everything.sort_by_key(|r| r.start);
    Evidence {
        statement: notary().sign(Statement {
            session: [1; 16],
            notary: [0; 32],
            survey: world.survey_id().0,
            server_name: NAME.into(),
            address: IpAddr::from([198, 51, 100, 7]),
            port: 443,
            opened: NOW,
            closed: NOW + 1,
            client: Recording::of(&forged.client),
            server: Recording::of(&forged.server),
        }),
        client_secret: forged.client_secret,
        server_secret: forged.server_secret,
        client: forged.client.clone(),
        server: forged.server.clone(),
        layout: Some(opened.layout(&plan::credentials(&rules, &sent), &everything).unwrap()),
    }
}

/// A submission of evidence, proven as far as it can be.
fn prepare(world: &World, evidence: &Evidence, forged: &Forged, seed: u8) -> Prepared {
    let encoded = evidence.encode();
    let verifier = SurveyVerifier::new(&world.survey).unwrap();
    let (verified, admitted) = verifier.check(Kind::Session, &encoded).unwrap();
    let statement = verified.statement(&admitted, world.survey.manifest()).unwrap();
    let secrets = Secrets::Session(forged.secret.clone());
    let witness = secrets.witness(world.survey_id(), &verified, &admitted, &statement).unwrap();
    let Witness::Session { secret, .. } = witness else { panic!("a session's witness") };
    let mut public = PublicPart {
        survey: world.survey_id(),
        kind: Kind::Session,
        withdrawal_key: withdrawal_key().public(),
        evidence: encoded,
        share_hashes: ShareHashes::default(),
    };
    let context = public.proof_context();
    let proven = prove_session(&OneCore, &statement, &secret, &context, &[seed; 32], &mut |_| {}).unwrap();
    public.share_hashes = proven.public;
    Prepared { public, private: proven.private.map(|p| p.to_vec()) }
}

async fn refused(world: &World, prepared: &Prepared, kinds: &[ProblemKind]) {
    for answer in world.submit(prepared, Duration::from_secs(60)).await {
        let problem = match answer {
            Err(problem) => problem,
            Ok(SubmissionStatus { state: SubmissionState::Rejected { problem }, .. }) => problem,
            Ok(other) => panic!("not refused: {other:?}"),
        };
        assert!(problem.known().is_some_and(|k| kinds.contains(&k)), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_counted_exactly_and_forgeries_are_not() {
    let identity = Identity::new(NAME);
    let world = World::start_trusting(manifest(), identity.root.clone(), Duration::from_secs(20)).await;
    let providers: Vec<_> = (1..=6).map(Provider::new).collect();
    let forged: Vec<_> = providers.iter().map(|p| p.session(&identity)).collect();
    let evidence: Vec<_> = forged.iter().map(|f| evidence(&world, &identity, f)).collect();
    let prepared: Vec<_> = evidence.iter().zip(&forged).map(|(e, f)| prepare(&world, e, f, 7)).collect();

    // A byte of the proof's evidence that is not the session's: another person's number, a record changed, another's
    // session under one's own proof.
    let replace = |evidence: Evidence| {
        let mut other = prepared[0].clone();
        other.public.evidence = evidence.encode();
        other
    };
    let mut lied = evidence[0].clone();
    let layout = lied.layout.as_mut().unwrap();
    let mut stream = layout.server.stream().to_vec();
    let at = stream.windows(7).position(|w| w == b"\"uid\":1").unwrap();
    stream[at + 6] = b'9';
    let flow = &layout.server;
    layout.server = tercet_tls_session::Flow::new(flow.records().to_vec(), &stream, flow.hidden()).unwrap();
    let unproven = [ProblemKind::ProofInvalid, ProblemKind::ShareInvalid, ProblemKind::ShareMismatch];
    refused(&world, &replace(lied), &unproven).await;
    refused(&world, &replace(evidence[2].clone()), &unproven).await;
    let mut tampered = evidence[0].clone();
    let last = tampered.server.len() - 60;
    tampered.server[last] ^= 1;
    refused(&world, &replace(tampered), &[ProblemKind::PresentationInvalid]).await;
    assert!(world.heights().iter().all(|h| h.0 == 0), "{:?}", world.heights());

    world.count(&prepared).await.unwrap();
    let sum: i128 = providers.iter().map(Provider::hundredths).sum();
    let answer = released(&world, &["count", "sum"], Filter::default()).await;
    let exact = |name: &str| statistic(&answer, name).exact.as_ref().unwrap().clone();
    let (numerator, denominator) = {
        let fraction = exact("sum");
        (fraction.numerator.parse::<i128>().unwrap(), fraction.denominator.parse::<i128>().unwrap())
    };
    assert_eq!(numerator * 100, sum * denominator);

    // The same session again is the same person.
    let again = prepare(&world, &evidence[0], &forged[0], 8);
    refused(&world, &again, &[ProblemKind::AlreadyCounted]).await;
}
